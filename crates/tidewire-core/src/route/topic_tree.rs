//! Topic names and what is kept under them, asked by topic filter: the shape of retained messages.
//!
//! A tree of levels. A named level of the filter is one look-up, `+` walks the children of one node, a closing `#` walks
//! what lies below one node; branches that the filter cannot reach are never touched. Children are linked in the
//! order in which they came, so the order of a walk depends on history alone.

use std::ops::ControlFlow;

use super::filter_tree::arena::{Arena, Links, NONE, ROOT};
use super::filter_tree::level::{LevelHash, split_level};
use super::filter_tree::slots::Slots;

/// A map from topic names to values that can be asked by topic filter.
#[derive(Clone, Debug)]
pub struct TopicTree<V> {
    nodes: Arena<TopicLinks>,
    values: Slots<V>,
    /// Nodes that there have ever been.
    births: u64,
}

/// A place in the order of a walk: behind one node, whether that still exists or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// The text of the last node that was visited.
    topic: Box<str>,
    /// When each node on the way to it was made.
    born: Box<[u64]>,
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
    /// Rises from each child to the next younger one, so that a place among them outlasts the child that marks it.
    born: u64,
}

impl Links for TopicLinks {
    const EMPTY: Self = Self {
        first_child: NONE,
        next: NONE,
        previous: NONE,
        own: NONE,
        born: 0,
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
            births: 0,
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
    pub fn for_each_match(&self, filter: &str, mut visit: impl FnMut(&str, &V)) {
        let mut steps = usize::MAX;
        self.visit_from(filter, None, &mut steps, |topic, value| {
            visit(topic, value);
            ControlFlow::Continue(())
        });
    }

    /// [`TopicTree::for_each_match`] in parts: goes on behind `from`, and stops when `visit` breaks or `steps`, which
    /// falls by one for each node, is used up. Returns where to go on, or nothing at the end.
    ///
    /// Between the parts the tree may change: a topic that is there all the time is shown exactly once. Where the
    /// place's own node has gone, its siblings are counted through from the oldest, which costs steps too.
    pub fn visit_from(
        &self,
        filter: &str,
        from: Option<&Cursor>,
        steps: &mut usize,
        visit: impl FnMut(&str, &V) -> ControlFlow<()>,
    ) -> Option<Cursor> {
        let mut walk = Walk {
            tree: self,
            levels: filter.split('/').collect(),
            steps: Vec::new(),
            topic: String::new(),
        };
        match from {
            None => walk.go_below(ROOT, 0, None),
            Some(cursor) => walk.go_behind(cursor, steps),
        }
        walk.run(steps, visit)
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
        self.births += 1;
        let born = self.births;
        self.link(added, |links| links.born = born);
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

impl Asked<'_> {
    fn is_many(self) -> bool {
        matches!(self, Self::Each | Self::All)
    }

    /// The level of the filter for the children of a node that answers this one at `depth`.
    fn following(self, depth: usize) -> usize {
        match self {
            Self::All => depth,
            _ => depth + 1,
        }
    }
}

/// Whether wildcards pass a node by: a first level that begins with `$`.
fn is_hidden(above: Option<usize>, level: &str) -> bool {
    above.is_none() && level.starts_with('$')
}

impl<'w, V> Walk<'w, V> {
    fn run(
        mut self,
        steps: &mut usize,
        mut visit: impl FnMut(&str, &V) -> ControlFlow<()>,
    ) -> Option<Cursor> {
        while let Some(step) = self.steps.pop() {
            *steps = steps.saturating_sub(1);
            let shown = self.enter(step, &mut visit);
            let stop = shown.is_break() || *steps == 0;
            if stop && !self.steps.is_empty() {
                return Some(self.cursor_at(step.at));
            }
        }
        None
    }

    fn enter(
        &mut self,
        step: Step,
        visit: &mut impl FnMut(&str, &V) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Some(node) = self.tree.nodes.get(step.at) else {
            return ControlFlow::Continue(());
        };
        let asked = self.asked(step.depth);
        if asked.is_many() {
            self.push(node.links.next, step.depth, step.above);
        }
        self.spell(step.above, node.text.as_str());
        if asked.is_many() && is_hidden(step.above, node.text.as_str()) {
            return ControlFlow::Continue(());
        }
        let following = asked.following(step.depth);
        let mut shown = ControlFlow::Continue(());
        if matches!(self.asked(following), Asked::End | Asked::All)
            && let Some(value) = self.tree.values.get(node.links.own)
        {
            shown = visit(&self.topic, value);
        }
        self.go_below(step.at, following, Some(self.topic.len()));
        shown
    }

    /// Makes `topic` the text of a node.
    fn spell(&mut self, above: Option<usize>, level: &str) {
        self.topic.truncate(above.unwrap_or(0));
        if above.is_some() {
            self.topic.push('/');
        }
        self.topic.push_str(level);
    }

    fn cursor_at(self, mut at: u32) -> Cursor {
        let mut born = Vec::new();
        while at != ROOT
            && let Some(node) = self.tree.nodes.get(at)
        {
            born.push(node.links.born);
            at = node.parent;
        }
        born.reverse();
        Cursor {
            topic: self.topic.into(),
            born: born.into(),
        }
    }

    /// Plans what a walk that stopped at a cursor had planned, with the younger siblings of each level.
    fn go_behind(&mut self, cursor: &Cursor, steps: &mut usize) {
        let (mut at, mut depth, mut above) = (ROOT, 0, None);
        for (level, born) in cursor.topic.split('/').zip(&cursor.born) {
            let asked = self.asked(depth);
            let child = self.tree.nodes.child(at, level);
            let links = child.and_then(|child| self.tree.nodes.get(child));
            let Some((child, node)) = child.zip(links.filter(|node| node.links.born == *born))
            else {
                if asked.is_many() {
                    let younger = self.younger_child(at, *born, steps);
                    self.push(younger, depth, above);
                } else {
                    // A new node of the same name: all of it is new.
                    self.go_below(at, depth, above);
                }
                return;
            };
            if asked.is_many() {
                self.push(node.links.next, depth, above);
                if is_hidden(above, level) {
                    return;
                }
            }
            self.spell(above, level);
            (at, depth, above) = (child, asked.following(depth), Some(self.topic.len()));
        }
        self.go_below(at, depth, above);
    }

    /// The oldest child of `parent` that is younger than `born`.
    fn younger_child(&self, parent: u32, born: u64, steps: &mut usize) -> u32 {
        let mut at = self.tree.first_child(parent);
        while let Some(node) = self.tree.nodes.get(at)
            && node.links.born <= born
        {
            *steps = steps.saturating_sub(1);
            at = node.links.next;
        }
        at
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
