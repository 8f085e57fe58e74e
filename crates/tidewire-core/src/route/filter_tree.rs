//! Topic filters and what they lead to, matched against topic names.
//!
//! Filters without a wildcard are found in one table keyed by their whole text. The others form a tree of levels in which `+`
//! is a direct link, a closing `#` is a value of the level before it, and named children are found in
//! one table for the whole tree. A match visits only nodes that the topic can reach, so its cost is linear in them,
//! and it takes memory only for a topic and a filter that are both deeper than sixteen levels.
//!
//! Callers validate filters. What is not a valid filter (`a#`, `a/#/b`) is kept and found again as plain text.

pub(crate) mod arena;
pub(crate) mod level;
mod path;
pub(crate) mod slots;

use hashbrown::HashTable;

use arena::{Arena, Links, NONE, ROOT, is_sparse};
use level::{LevelHash, split_level};
use path::{Path, Spill};
use slots::Slots;

/// A map from topic filters to values that is asked by topic name.
#[derive(Clone, Debug)]
pub struct FilterTree<V> {
    /// Filters without a wildcard. Apart from their table, for a table is up to half empty and its holes are as large
    /// as its entries.
    exact: Slots<Exact<V>>,
    /// The numbers of `exact`, filed under the hash of the filter.
    exact_table: HashTable<u32>,
    /// Filters with one.
    nodes: Arena<FilterLinks>,
    /// The values of `nodes`.
    values: Slots<V>,
}

#[derive(Clone, Debug, Default)]
struct Exact<V> {
    filter: Box<str>,
    value: V,
}

#[derive(Clone, Debug)]
struct FilterLinks {
    /// The child `+`.
    plus: u32,
    /// How many named children there are; 0 spares the look-up.
    named: u32,
    /// The value of the filter that ends here.
    own: u32,
    /// The value of the filter that ends here with `/#`.
    below: u32,
}

impl Links for FilterLinks {
    const EMPTY: Self = Self {
        plus: NONE,
        named: 0,
        own: NONE,
        below: NONE,
    };

    fn is_empty(&self) -> bool {
        self.plus == NONE && self.named == 0 && self.own == NONE && self.below == NONE
    }

    fn renumber(&mut self, node: impl Fn(u32) -> u32, value: impl Fn(u32) -> u32) {
        self.plus = node(self.plus);
        self.own = value(self.own);
        self.below = value(self.below);
    }
}

/// Which value of a node a filter means.
#[derive(Clone, Copy)]
enum Ending {
    Own,
    Below,
}

impl Ending {
    fn slot(self, links: &FilterLinks) -> u32 {
        match self {
            Self::Own => links.own,
            Self::Below => links.below,
        }
    }

    fn slot_mut(self, links: &mut FilterLinks) -> &mut u32 {
        match self {
            Self::Own => &mut links.own,
            Self::Below => &mut links.below,
        }
    }
}

impl<V> FilterTree<V> {
    /// An empty tree. `seed` makes its tables unpredictable to clients, and its order repeatable.
    pub fn new(seed: u64) -> Self {
        Self {
            exact: Slots::new(),
            exact_table: HashTable::new(),
            nodes: Arena::new(LevelHash::new(seed)),
            values: Slots::new(),
        }
    }

    /// The value of `filter`, made first if there is none.
    pub fn get_or_insert(&mut self, filter: &str) -> &mut V
    where
        V: Default,
    {
        if !has_wildcard(filter) {
            return self.exact_or_insert(filter);
        }
        let (at, ending) = self.grow(filter);
        let present = self
            .nodes
            .get(at)
            .map_or(NONE, |node| ending.slot(&node.links));
        if present != NONE {
            return self.values.get_or_default(present);
        }
        let added = self.values.insert(V::default());
        if let Some(links) = self.nodes.links_mut(at) {
            *ending.slot_mut(links) = added;
        }
        self.values.get_or_default(added)
    }

    /// Takes `filter` out, with every level that only it needed.
    pub fn remove(&mut self, filter: &str) -> Option<V> {
        if !has_wildcard(filter) {
            return self.remove_exact(filter);
        }
        let (at, ending) = self.find(filter)?;
        let slot = std::mem::replace(ending.slot_mut(self.nodes.links_mut(at)?), NONE);
        let value = self.values.remove(slot);
        self.prune(at);
        if self.nodes.is_sparse() || self.values.is_sparse() {
            let moved = self.values.compact();
            self.nodes.compact(&moved);
        }
        value
    }

    /// The value of `filter`, to change it.
    pub fn get_mut(&mut self, filter: &str) -> Option<&mut V> {
        if !has_wildcard(filter) {
            let slot = self.find_exact(filter)?;
            return self.exact.get_mut(slot).map(|entry| &mut entry.value);
        }
        let (at, ending) = self.find(filter)?;
        self.values.get_mut(ending.slot(&self.nodes.get(at)?.links))
    }

    /// The value of `filter`.
    pub fn get(&self, filter: &str) -> Option<&V> {
        if !has_wildcard(filter) {
            return self.get_exact(filter);
        }
        let (at, ending) = self.find(filter)?;
        self.values.get(ending.slot(&self.nodes.get(at)?.links))
    }

    /// Shows `visit` the value of every filter that matches `topic`, each once.
    ///
    /// `+` matches one level, `#` the rest and also the level before it; neither matches the first level of a topic
    /// that begins with `$`.
    #[inline]
    pub fn for_each_match(&self, topic: &str, mut visit: impl FnMut(&V)) {
        if !self.exact_table.is_empty()
            && let Some(value) = self.get_exact(topic)
        {
            visit(value);
        }
        if self.values.len() > 0 {
            self.walk(topic, visit);
        }
    }

    /// Shows `visit` every filter and its value, in an order that history alone decides.
    pub fn for_each(&self, mut visit: impl FnMut(&str, &V)) {
        for entry in self.exact.iter() {
            visit(&entry.filter, &entry.value);
        }
        let mut filter = String::new();
        for (at, node) in self.nodes.iter() {
            let own = self.values.get(node.links.own);
            let below = self.values.get(node.links.below);
            if own.is_none() && below.is_none() {
                continue;
            }
            self.nodes.write_path(at, &mut filter);
            if let Some(value) = own {
                visit(&filter, value);
            }
            if let Some(value) = below {
                filter.push_str(if at == ROOT { "#" } else { "/#" });
                visit(&filter, value);
            }
        }
    }

    /// How many filters there are.
    pub fn len(&self) -> usize {
        self.exact.len() + self.values.len()
    }

    /// True without any filter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes of filters and structure, without what the values own; an estimate, for it ignores the
    /// allocator's own overhead.
    pub fn heap_bytes(&self) -> usize {
        let texts: usize = self.exact.iter().map(|entry| entry.filter.len()).sum();
        texts
            + self.exact.heap_bytes()
            + self.exact_table.allocation_size()
            + self.nodes.heap_bytes()
            + self.values.heap_bytes()
    }

    fn exact_or_insert(&mut self, filter: &str) -> &mut V
    where
        V: Default,
    {
        let slot = match self.find_exact(filter) {
            Some(slot) => slot,
            None => self.insert_exact(filter),
        };
        &mut self.exact.get_or_default(slot).value
    }

    fn insert_exact(&mut self, filter: &str) -> u32
    where
        V: Default,
    {
        let slot = self.exact.insert(Exact {
            filter: filter.into(),
            value: V::default(),
        });
        let (exact, hash) = (&self.exact, self.nodes.hash());
        self.exact_table
            .insert_unique(hash.whole(filter), slot, |&at| exact_hash(exact, hash, at));
        slot
    }

    fn remove_exact(&mut self, filter: &str) -> Option<V> {
        let slot = self.find_exact(filter)?;
        let hash = self.nodes.hash();
        let filed = self
            .exact_table
            .find_entry(hash.whole(filter), |&at| at == slot);
        filed.ok()?.remove();
        let entry = self.exact.remove(slot)?;
        if self.exact.is_sparse() {
            let moved = self.exact.compact();
            for at in &mut self.exact_table {
                *at = moved.get(*at as usize).copied().unwrap_or(NONE);
            }
        }
        if is_sparse(self.exact_table.len(), self.exact_table.capacity()) {
            let exact = &self.exact;
            self.exact_table
                .shrink_to(exact.len() * 2, |&at| exact_hash(exact, hash, at));
        }
        Some(entry.value)
    }

    #[inline]
    fn get_exact(&self, filter: &str) -> Option<&V> {
        let entry = self.exact.get(self.find_exact(filter)?)?;
        Some(&entry.value)
    }

    #[inline]
    fn find_exact(&self, filter: &str) -> Option<u32> {
        let same = |&at: &u32| {
            let entry = self.exact.get(at);
            entry.is_some_and(|entry| *entry.filter == *filter)
        };
        let hash = self.nodes.hash().whole(filter);
        self.exact_table.find(hash, same).copied()
    }

    /// The node and the value of it that stand for `filter`, made where they are missing.
    fn grow(&mut self, filter: &str) -> (u32, Ending) {
        let mut at = ROOT;
        let mut rest = Some(filter);
        while let Some(text) = rest {
            let (level, following) = split_level(text);
            if level == "#" && following.is_none() {
                return (at, Ending::Below);
            }
            at = self.step(at, level).unwrap_or_else(|| self.add(at, level));
            rest = following;
        }
        (at, Ending::Own)
    }

    fn add(&mut self, parent: u32, level: &str) -> u32 {
        if level == "+" {
            let added = self.nodes.add_unnamed(parent, level);
            if let Some(links) = self.nodes.links_mut(parent) {
                links.plus = added;
            }
            return added;
        }
        if let Some(links) = self.nodes.links_mut(parent) {
            links.named += 1;
        }
        self.nodes.add_child(parent, level)
    }

    /// Frees `at` and what lies above it as long as nothing is left there.
    fn prune(&mut self, mut at: u32) {
        while at != ROOT
            && let Some(node) = self.nodes.get(at)
            && node.links.is_empty()
        {
            let parent = node.parent;
            let Some(above) = self.nodes.links_mut(parent) else {
                return;
            };
            if above.plus == at {
                above.plus = NONE;
                self.nodes.free_unnamed(at);
            } else {
                above.named = above.named.saturating_sub(1);
                self.nodes.free_child(at);
            }
            at = parent;
        }
    }

    fn find(&self, filter: &str) -> Option<(u32, Ending)> {
        let mut at = ROOT;
        let mut rest = Some(filter);
        while let Some(text) = rest {
            let (level, following) = split_level(text);
            if level == "#" && following.is_none() {
                return Some((at, Ending::Below));
            }
            at = self.step(at, level)?;
            rest = following;
        }
        Some((at, Ending::Own))
    }

    fn step(&self, at: u32, level: &str) -> Option<u32> {
        if level == "+" {
            let plus = self.nodes.get(at)?.links.plus;
            return (plus != NONE).then_some(plus);
        }
        self.nodes.child(at, level)
    }

    /// Depth first: the named child at once, its `+` sibling waits on the stack, at most one a level.
    fn walk(&self, topic: &str, mut visit: impl FnMut(&V)) {
        let mut path = Path::new(topic);
        let mut waiting: Spill<(u32, u32)> = Spill::new();
        let reserved = topic.starts_with('$');
        let (mut at, mut depth) = (ROOT, 0_u32);
        loop {
            let Some(node) = self.nodes.get(at) else {
                return;
            };
            let links = &node.links;
            let wildcards = !(reserved && depth == 0);
            if wildcards && let Some(value) = self.values.get(links.below) {
                visit(value);
            }
            let mut next = NONE;
            match path.level(depth as usize, self.nodes.hash()) {
                None => {
                    if let Some(value) = self.values.get(links.own) {
                        visit(value);
                    }
                }
                Some(level) => {
                    if wildcards {
                        next = links.plus;
                    }
                    if links.named > 0
                        && let Some(child) = self.nodes.child_hashed(at, level.text, level.hash)
                    {
                        if next != NONE {
                            waiting.push((next, depth + 1));
                        }
                        next = child;
                    }
                }
            }
            if next != NONE {
                (at, depth) = (next, depth + 1);
            } else if let Some(sibling) = waiting.pop() {
                (at, depth) = sibling;
            } else {
                return;
            }
        }
    }
}

fn exact_hash<V>(exact: &Slots<Exact<V>>, hash: &LevelHash, at: u32) -> u64 {
    exact.get(at).map_or(0, |entry| hash.whole(&entry.filter))
}

/// True for a filter that can match more than the topic of the same text: a level `+`, or a last level `#`.
fn has_wildcard(filter: &str) -> bool {
    let mut rest = Some(filter);
    while let Some(text) = rest {
        let (level, following) = split_level(text);
        if level == "+" || (level == "#" && following.is_none()) {
            return true;
        }
        rest = following;
    }
    false
}
