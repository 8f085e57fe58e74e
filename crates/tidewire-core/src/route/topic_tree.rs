//! Topic names and what is kept under them, asked by topic filter: the shape of retained messages.
//!
//! A tree of levels. A named level of the filter is one look-up, `+` walks the children of one node, a closing `#` walks
//! what lies below one node; branches that the filter cannot reach are never touched. Children are linked in the
//! order in which they came, so the order of a walk depends on history alone.

use super::filter_tree::arena::{Arena, Links, NONE, ROOT};
use super::filter_tree::level::{LevelHash, split_level};
use super::filter_tree::slots::Slots;

/// A map from topic names to values that can be asked by topic filter.
#[derive(Clone, Debug)]
pub struct TopicTree<V> {
    nodes: Arena<TopicLinks>,
    values: Slots<V>,
}

#[derive(Clone, Debug)]
struct TopicLinks {
    /// The oldest child.
    first_child: u32,
    /// The next younger child of the same parent.
    next: u32,
    /// The next older child of the same parent; in the oldest the youngest, so that a new one is appended at once.
    previous: u32,
    /// The value of the topic that ends here.
    own: u32,
}

impl Links for TopicLinks {
    const EMPTY: Self = Self {
        first_child: NONE,
        next: NONE,
        previous: NONE,
        own: NONE,
    };

    fn is_empty(&self) -> bool {
        self.first_child == NONE && self.own == NONE
    }

    fn renumber(&mut self, node: impl Fn(u32) -> u32, value: impl Fn(u32) -> u32) {
        self.first_child = node(self.first_child);
        self.next = node(self.next);
        self.previous = node(self.previous);
        self.own = value(self.own);
    }
}

impl<V> TopicTree<V> {
    /// An empty tree. `seed` makes its table unpredictable to clients.
    pub fn new(seed: u64) -> Self {
        Self {
            nodes: Arena::new(LevelHash::new(seed)),
            values: Slots::new(),
        }
    }

    /// Puts `value` under `topic` and returns what was there.
    pub fn insert(&mut self, topic: &str, value: V) -> Option<V> {
        let at = self.grow(topic);
        let links = self.nodes.links_mut(at)?;
        if let Some(present) = self.values.get_mut(links.own) {
            return Some(std::mem::replace(present, value));
        }
        links.own = self.values.insert(value);
        None
    }

    /// Takes `topic` out, with every level that only it needed.
    pub fn remove(&mut self, topic: &str) -> Option<V> {
        let at = self.find(topic)?;
        let links = self.nodes.links_mut(at)?;
        let value = self
            .values
            .remove(std::mem::replace(&mut links.own, NONE))?;
        self.prune(at);
        if self.nodes.is_sparse() || self.values.is_sparse() {
            let moved = self.values.compact();
            self.nodes.compact(&moved);
        }
        Some(value)
    }

    /// The value of `topic`, to change it.
    pub fn get_mut(&mut self, topic: &str) -> Option<&mut V> {
        let at = self.find(topic)?;
        self.values.get_mut(self.nodes.get(at)?.links.own)
    }

    /// The value of `topic`.
    pub fn get(&self, topic: &str) -> Option<&V> {
        self.values
            .get(self.nodes.get(self.find(topic)?)?.links.own)
    }

    /// Shows `visit` every topic that `filter` matches and its value, in an order that history alone decides.
    ///
    /// `+` matches one level, `#` the rest and also the level before it; neither matches the first level of a topic
    /// that begins with `$`.
    pub fn for_each_match(&self, filter: &str, visit: impl FnMut(&str, &V)) {
        let walk = Walk {
            tree: self,
            levels: filter.split('/').collect(),
            steps: Vec::new(),
            topic: String::new(),
        };
        walk.run(visit);
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True without any topic.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes of topics and structure, without what the values own; an estimate, for it ignores the allocator's
    /// own overhead.
    pub fn heap_bytes(&self) -> usize {
        self.nodes.heap_bytes() + self.values.heap_bytes()
    }

    fn grow(&mut self, topic: &str) -> u32 {
        let mut at = ROOT;
        let mut rest = Some(topic);
        while let Some(text) = rest {
            let (level, following) = split_level(text);
            at = match self.nodes.child(at, level) {
                Some(child) => child,
                None => self.append_child(at, level),
            };
            rest = following;
        }
        at
    }

    fn append_child(&mut self, parent: u32, level: &str) -> u32 {
        let added = self.nodes.add_child(parent, level);
        let oldest = self.first_child(parent);
        if oldest == NONE {
            self.link(parent, |links| links.first_child = added);
            self.link(added, |links| links.previous = added);
            return added;
        }
        let youngest = self
            .nodes
            .get(oldest)
            .map_or(NONE, |node| node.links.previous);
        self.link(youngest, |links| links.next = added);
        self.link(added, |links| links.previous = youngest);
        self.link(oldest, |links| links.previous = added);
        added
    }

    /// Frees `at` and what lies above it as long as nothing is left there.
    fn prune(&mut self, mut at: u32) {
        while at != ROOT
            && let Some(node) = self.nodes.get(at)
            && node.links.is_empty()
        {
            let (parent, next, previous) = (node.parent, node.links.next, node.links.previous);
            let oldest = self.first_child(parent);
            if oldest == at {
                self.link(parent, |links| links.first_child = next);
            } else {
                self.link(previous, |links| links.next = next);
            }
            // After the youngest comes the oldest, which knows the youngest.
            let follower = if next == NONE { oldest } else { next };
            self.link(follower, |links| links.previous = previous);
            self.nodes.free_child(at);
            at = parent;
        }
    }

    fn link(&mut self, at: u32, change: impl FnOnce(&mut TopicLinks)) {
        if let Some(links) = self.nodes.links_mut(at) {
            change(links);
        }
    }

    fn first_child(&self, at: u32) -> u32 {
        self.nodes
            .get(at)
            .map_or(NONE, |node| node.links.first_child)
    }

    fn find(&self, topic: &str) -> Option<u32> {
        let mut at = ROOT;
        let mut rest = Some(topic);
        while let Some(text) = rest {
            let (level, following) = split_level(text);
            at = self.nodes.child(at, level)?;
            rest = following;
        }
        Some(at)
    }
}

/// A walk over the topics that a filter matches, depth first; without recursion, for a filter may have as many levels
/// as it has bytes.
struct Walk<'w, V> {
    tree: &'w TopicTree<V>,
    /// The filter.
    levels: Vec<&'w str>,
    /// Where the walk still has to go, the next step last.
    steps: Vec<Step>,
    /// The text of the node being visited.
    topic: String,
}

/// A node to visit.
#[derive(Clone, Copy)]
struct Step {
    at: u32,
    /// The level of the filter that the node answers.
    depth: usize,
    /// The length of the text above the node; nothing for a first level, which no `/` precedes.
    above: Option<usize>,
}

/// What a level of the filter asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked<'w> {
    /// Nothing: the filter has ended.
    End,
    /// One child.
    Name(&'w str),
    /// Every child.
    Each,
    /// Everything below.
    All,
}

impl<'w, V> Walk<'w, V> {
    fn run(mut self, mut visit: impl FnMut(&str, &V)) {
        self.go_below(ROOT, 0, None);
        while let Some(step) = self.steps.pop() {
            self.enter(step, &mut visit);
        }
    }

    fn enter(&mut self, step: Step, visit: &mut impl FnMut(&str, &V)) {
        let Some(node) = self.tree.nodes.get(step.at) else {
            return;
        };
        let asked = self.asked(step.depth);
        if matches!(asked, Asked::Each | Asked::All) {
            self.push(node.links.next, step.depth, step.above);
            if step.above.is_none() && node.text.as_bytes().starts_with(b"$") {
                return;
            }
        }
        self.topic.truncate(step.above.unwrap_or(0));
        if step.above.is_some() {
            self.topic.push('/');
        }
        self.topic.push_str(node.text.as_str());
        let following = match asked {
            Asked::All => step.depth,
            _ => step.depth + 1,
        };
        if matches!(self.asked(following), Asked::End | Asked::All)
            && let Some(value) = self.tree.values.get(node.links.own)
        {
            visit(&self.topic, value);
        }
        self.go_below(step.at, following, Some(self.topic.len()));
    }

    /// Plans the visit of the children of `at` that level `depth` of the filter asks for.
    fn go_below(&mut self, at: u32, depth: usize, above: Option<usize>) {
        let child = match self.asked(depth) {
            Asked::End => NONE,
            Asked::Name(level) => self.tree.nodes.child(at, level).unwrap_or(NONE),
            Asked::Each | Asked::All => self.tree.first_child(at),
        };
        self.push(child, depth, above);
    }

    fn push(&mut self, at: u32, depth: usize, above: Option<usize>) {
        if at != NONE {
            self.steps.push(Step { at, depth, above });
        }
    }

    fn asked(&self, depth: usize) -> Asked<'w> {
        match self.levels.get(depth) {
            None => Asked::End,
            Some(&"+") => Asked::Each,
            Some(&"#") if depth + 1 == self.levels.len() => Asked::All,
            Some(level) => Asked::Name(level),
        }
    }
}
