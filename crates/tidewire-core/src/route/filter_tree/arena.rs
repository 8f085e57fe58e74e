//! The nodes of a tree of levels in one vector, their named children in one table keyed by (parent, level).
//!
//! A node costs 24 bytes and its links, and about 8 bytes in the table; a map per node would cost
//! several times that. Numbers instead of pointers keep it small and safe. 2^32 - 1 nodes are the limit, which
//! 170 GB of nodes would reach.

use hashbrown::HashTable;

use super::level::{LevelHash, LevelText};

/// The number that stands for "no node" and "no value".
pub(crate) const NONE: u32 = u32::MAX;
/// The number of the root, which is always there.
pub(crate) const ROOT: u32 = 0;
/// Below this many entries a sparse vector is left alone: moving would gain nothing that shows.
const SPARSE_FLOOR: usize = 64;

/// What a tree keeps in each node beside its text and its parent.
pub(crate) trait Links: Clone {
    /// The links of a node that has neither children nor values.
    const EMPTY: Self;

    /// True for a node that holds nothing and may go.
    fn is_empty(&self) -> bool;

    /// Rewrites the numbers after nodes and values moved.
    fn renumber(&mut self, node: impl Fn(u32) -> u32, value: impl Fn(u32) -> u32);
}

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Node<L> {
    /// The level's text.
    pub(crate) text: LevelText,
    /// The node above; in a freed node the next free one.
    pub(crate) parent: u32,
    text_hash: u32,
    /// What the tree keeps here.
    pub(crate) links: L,
}

impl<L: Links> Node<L> {
    fn new(parent: u32, level: &str, text_hash: u32) -> Self {
        Self {
            text: LevelText::new(level),
            parent,
            text_hash,
            links: L::EMPTY,
        }
    }
}

/// All nodes of one tree.
#[derive(Clone, Debug)]
pub(crate) struct Arena<L> {
    nodes: Vec<Node<L>>,
    /// Named children, filed under the hash of (parent, level).
    edges: HashTable<u32>,
    first_free: u32,
    free_count: usize,
    hash: LevelHash,
}

impl<L: Links> Arena<L> {
    /// The root alone.
    pub(crate) fn new(hash: LevelHash) -> Self {
        Self {
            nodes: vec![Node::new(NONE, "", 0)],
            edges: HashTable::new(),
            first_free: NONE,
            free_count: 0,
            hash,
        }
    }

    /// Adds a node that only its parent's links will know.
    pub(crate) fn add_unnamed(&mut self, parent: u32, level: &str) -> u32 {
        self.place(Node::new(parent, level, 0))
    }

    /// Adds the child `level` of `parent`, which is not there yet.
    pub(crate) fn add_child(&mut self, parent: u32, level: &str) -> u32 {
        let text_hash = self.hash.level(level);
        let added = self.place(Node::new(parent, level, text_hash));
        let (nodes, hash) = (&self.nodes, &self.hash);
        self.edges
            .insert_unique(hash.edge(parent, text_hash), added, |&at| {
                edge_hash(nodes, hash, at)
            });
        added
    }

    /// Frees a node that only its parent's links knew.
    pub(crate) fn free_unnamed(&mut self, at: u32) {
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.links = L::EMPTY;
            node.text = LevelText::new("");
            node.parent = self.first_free;
            self.first_free = at;
            self.free_count += 1;
        }
    }

    /// Unlinks and frees a named child.
    pub(crate) fn free_child(&mut self, at: u32) {
        let (nodes, hash) = (&self.nodes, &self.hash);
        let filed = edge_hash(nodes, hash, at);
        if let Ok(edge) = self.edges.find_entry(filed, |&other| other == at) {
            edge.remove();
        }
        if is_sparse(self.edges.len(), self.edges.capacity()) {
            self.edges
                .shrink_to(self.edges.len() * 2, |&at| edge_hash(nodes, hash, at));
        }
        self.free_unnamed(at);
    }

    /// Closes the holes among the nodes; `values` gives the new numbers of the values.
    pub(crate) fn compact(&mut self, values: &[u32]) {
        let moved = self.renumbered();
        let node_of = |old: u32| moved.get(old as usize).copied().unwrap_or(NONE);
        let value_of = |old: u32| values.get(old as usize).copied().unwrap_or(NONE);
        let mut kept = Vec::with_capacity(self.len());
        for (old, mut node) in std::mem::take(&mut self.nodes).into_iter().enumerate() {
            if node_of(old as u32) != NONE {
                node.parent = node_of(node.parent);
                node.links.renumber(node_of, value_of);
                kept.push(node);
            }
        }
        let named: Vec<u32> = self.edges.iter().map(|&old| node_of(old)).collect();
        self.nodes = kept;
        self.first_free = NONE;
        self.free_count = 0;
        self.refile(&named);
    }

    /// The named child `level` of `parent`; `text_hash` is the level's hash.
    #[inline]
    pub(crate) fn child_hashed(&self, parent: u32, level: &str, text_hash: u32) -> Option<u32> {
        let same = |&at: &u32| {
            self.get(at).is_some_and(|node| {
                node.parent == parent
                    && node.text_hash == text_hash
                    && node.text.as_bytes() == level.as_bytes()
            })
        };
        self.edges
            .find(self.hash.edge(parent, text_hash), same)
            .copied()
    }

    /// The named child `level` of `parent`.
    pub(crate) fn child(&self, parent: u32, level: &str) -> Option<u32> {
        self.child_hashed(parent, level, self.hash.level(level))
    }

    /// The node `at`.
    #[inline]
    pub(crate) fn get(&self, at: u32) -> Option<&Node<L>> {
        self.nodes.get(at as usize)
    }

    /// The links of node `at`, to change them.
    pub(crate) fn links_mut(&mut self, at: u32) -> Option<&mut L> {
        Some(&mut self.nodes.get_mut(at as usize)?.links)
    }

    /// Every node that holds something, the root included, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Node<L>)> {
        let numbered = self.nodes.iter().enumerate();
        numbered
            .filter(|(at, node)| *at == 0 || !node.links.is_empty())
            .map(|(at, node)| (at as u32, node))
    }

    /// Writes the text from the root to `at` into `out`, replacing what was there.
    pub(crate) fn write_path(&self, at: u32, out: &mut String) {
        out.clear();
        let mut path = Vec::new();
        let mut next = at;
        while next != ROOT
            && let Some(node) = self.get(next)
        {
            path.push(node);
            next = node.parent;
        }
        for (depth, node) in path.into_iter().rev().enumerate() {
            if depth > 0 {
                out.push('/');
            }
            out.push_str(node.text.as_str());
        }
    }

    /// How levels are hashed here.
    #[inline]
    pub(crate) fn hash(&self) -> &LevelHash {
        &self.hash
    }

    /// Nodes in use, the root included.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() - self.free_count
    }

    /// True when three of four nodes are holes.
    pub(crate) fn is_sparse(&self) -> bool {
        is_sparse(self.len(), self.nodes.len())
    }

    /// Heap bytes of nodes, table and long texts.
    pub(crate) fn heap_bytes(&self) -> usize {
        let texts: usize = self.nodes.iter().map(|node| node.text.heap_bytes()).sum();
        self.nodes.capacity() * size_of::<Node<L>>() + self.edges.allocation_size() + texts
    }

    fn place(&mut self, node: Node<L>) -> u32 {
        let hole = self.first_free;
        if let Some(free) = self.nodes.get_mut(hole as usize) {
            self.first_free = free.parent;
            self.free_count -= 1;
            *free = node;
            return hole;
        }
        grow_by_a_quarter(&mut self.nodes);
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }

    fn renumbered(&self) -> Vec<u32> {
        let mut moved = vec![NONE; self.nodes.len()];
        for (new, (old, _)) in self.iter().enumerate() {
            if let Some(number) = moved.get_mut(old as usize) {
                *number = new as u32;
            }
        }
        moved
    }

    fn refile(&mut self, named: &[u32]) {
        let (nodes, hash) = (&self.nodes, &self.hash);
        self.edges = HashTable::with_capacity(named.len());
        for &at in named {
            self.edges
                .insert_unique(edge_hash(nodes, hash, at), at, |&other| {
                    edge_hash(nodes, hash, other)
                });
        }
    }
}

/// True when three of four entries are holes and there are enough of them to matter.
pub(crate) fn is_sparse(used: usize, all: usize) -> bool {
    all > SPARSE_FLOOR && used * 4 < all
}

/// Makes room for one more entry without doubling: these vectors are large and long-lived.
pub(crate) fn grow_by_a_quarter<T>(entries: &mut Vec<T>) {
    if entries.len() == entries.capacity() {
        entries.reserve_exact(entries.len() / 4 + 4);
    }
}

fn edge_hash<L>(nodes: &[Node<L>], hash: &LevelHash, at: u32) -> u64 {
    nodes
        .get(at as usize)
        .map_or(0, |node| hash.edge(node.parent, node.text_hash))
}
