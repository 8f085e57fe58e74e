//! The topic tree against a sorted map and a naive matcher.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::prelude::*;
use tidewire_core::route::filter_tree::FilterTree;
use tidewire_core::route::topic_tree::TopicTree;

fn found<V: Clone>(tree: &TopicTree<V>, filter: &str) -> Vec<(String, V)> {
    let mut found = Vec::new();
    tree.for_each_match(filter, |topic, value| {
        found.push((topic.to_owned(), value.clone()));
    });
    found
}

/// The filter tree is proved against a matcher of its own; here it is the reference.
fn naive_match(filter: &str, topic: &str) -> bool {
    let mut tree: FilterTree<u32> = FilterTree::new(0);
    tree.get_or_insert(filter);
    let mut matched = false;
    tree.for_each_match(topic, |_| matched = true);
    matched
}

fn path(with: &'static [&'static str], levels: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(with), 1..=levels)
        .prop_map(|levels| levels.join("/"))
}

const NAMES: &[&str] = &[
    "a",
    "b",
    "c",
    "",
    "$SYS",
    "ü",
    "a level that is far too long to lie within its node",
];
const LEVELS: &[&str] = &["a", "b", "", "$SYS", "+", "+", "+", "#", "ü"];

#[derive(Clone, Debug)]
enum Step {
    Insert(String),
    Remove(String),
    Change(String),
    Match(String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => path(NAMES, 4).prop_map(Step::Insert),
        3 => path(NAMES, 4).prop_map(Step::Remove),
        1 => path(NAMES, 4).prop_map(Step::Change),
        3 => path(LEVELS, 5).prop_map(Step::Match),
    ]
}

proptest! {
    /// [5.0 MQTT-4.7.2-1] [3.1.1 MQTT-4.7.2-1]
    #[test]
    fn any_history_leaves_the_tree_equal_to_the_naive_model(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut tree = TopicTree::new(seed);
        let mut model = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(topic) => {
                    prop_assert_eq!(tree.insert(&topic, number), model.insert(topic.clone(), number));
                    prop_assert_eq!(tree.get(&topic), Some(&number));
                }
                Step::Remove(topic) => {
                    prop_assert_eq!(tree.get(&topic), model.get(&topic));
                    prop_assert_eq!(tree.remove(&topic), model.remove(&topic));
                    prop_assert_eq!(tree.get(&topic), None);
                }
                Step::Change(topic) => {
                    if let Some(value) = tree.get_mut(&topic) {
                        *value = number;
                    }
                    if let Some(value) = model.get_mut(&topic) {
                        *value = number;
                    }
                }
                Step::Match(filter) => {
                    let expected: Vec<_> = model
                        .iter()
                        .filter(|(topic, _)| naive_match(&filter, topic))
                        .map(|(topic, value)| (topic.clone(), *value))
                        .collect();
                    let mut seen = found(&tree, &filter);
                    seen.sort();
                    prop_assert_eq!(seen, expected, "filter {}", filter);
                }
            }
            prop_assert_eq!(tree.len(), model.len());
            prop_assert_eq!(tree.is_empty(), model.is_empty());
        }
    }

    #[test]
    fn no_text_makes_it_panic(seed in any::<u64>(), texts in prop::collection::vec("[a$+#/\u{0}é]{0,12}", 1..60)) {
        let mut tree = TopicTree::new(seed);
        for text in &texts {
            tree.insert(text, ());
            found(&tree, text);
        }
        for text in &texts {
            tree.remove(text);
        }
        prop_assert!(tree.is_empty());
    }
}

#[test]
fn siblings_come_in_the_order_of_their_arrival() {
    for seed in [1, 2] {
        let mut tree = TopicTree::new(seed);
        for topic in ["m/z", "m/a", "m/k", "m/b"] {
            tree.insert(topic, ());
        }
        tree.remove("m/a");
        tree.insert("m/a", ());
        tree.remove("m/z");
        let order: Vec<String> = found(&tree, "m/+")
            .into_iter()
            .map(|(topic, ())| topic)
            .collect();
        assert_eq!(order, ["m/k", "m/b", "m/a"], "seed {seed}");
    }
}

/// [5.0 MQTT-4.7.2-1] [3.1.1 MQTT-4.7.2-1]
#[test]
fn a_leading_wildcard_does_not_find_topics_of_the_server() {
    let mut tree = TopicTree::new(1);
    for topic in ["$SYS/uptime", "$SYS", "a/$b", "a"] {
        tree.insert(topic, ());
    }
    let topics = |filter| -> Vec<String> {
        found(&tree, filter)
            .into_iter()
            .map(|(topic, ())| topic)
            .collect()
    };
    assert_eq!(topics("#"), ["a", "a/$b"]);
    assert_eq!(topics("+/#"), ["a", "a/$b"]);
    assert_eq!(topics("+/+"), ["a/$b"]);
    assert_eq!(topics("+"), ["a"]);
    assert_eq!(topics("$SYS/#"), ["$SYS", "$SYS/uptime"]);
}

#[test]
fn a_topic_deeper_than_any_stack_is_served() {
    let topic = vec!["x"; 30_000].join("/");
    let mut tree = TopicTree::new(1);
    tree.insert(&topic, 1);
    assert_eq!(found(&tree, "#"), [(topic.clone(), 1)]);
    assert_eq!(found(&tree, &vec!["+"; 30_000].join("/")).len(), 1);
    assert_eq!(tree.remove(&topic), Some(1));
    assert!(tree.heap_bytes() < 10_000);
}

#[test]
fn removing_a_hundred_thousand_topics_leaves_nothing_behind() {
    let topic = |number: u32| format!("site/{}/device/{number}/a long level {number}", number % 97);
    let mut tree = TopicTree::new(3);
    for _ in 0..2 {
        for number in 0..100_000 {
            tree.insert(&topic(number), number);
        }
        for number in 0..100_000 {
            let number = (number * 7_919) % 100_000;
            assert_eq!(tree.remove(&topic(number)), Some(number));
            if number % 10_000 == 0 {
                assert_eq!(found(&tree, "site/+/device/+/+").len(), tree.len());
            }
        }
        assert!(tree.is_empty());
        assert!(
            tree.heap_bytes() < 10_000,
            "{} bytes remain",
            tree.heap_bytes()
        );
    }
}

/// All matches in parts of one to a few steps; `between` may change the tree after each part.
fn found_in_parts(
    tree: &mut TopicTree<u32>,
    filter: &str,
    steps_each: usize,
    mut between: impl FnMut(&mut TopicTree<u32>),
) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let mut from = None;
    loop {
        let mut steps = steps_each;
        from = tree.visit_from(filter, from.as_ref(), &mut steps, |topic, value| {
            found.push((topic.to_owned(), *value));
            ControlFlow::Continue(())
        });
        if from.is_none() {
            return found;
        }
        between(tree);
    }
}

proptest! {
    #[test]
    fn a_walk_in_parts_shows_what_a_whole_one_shows(
        topics in prop::collection::vec(path(NAMES, 4), 0..40),
        filter in path(LEVELS, 5),
        steps in 1usize..5,
    ) {
        let mut tree = TopicTree::new(7);
        for (number, topic) in (0..).zip(&topics) {
            tree.insert(topic, number);
        }
        let whole = found(&tree, &filter);
        prop_assert_eq!(found_in_parts(&mut tree, &filter, steps, |_| {}), whole);
    }

    #[test]
    fn a_topic_that_stays_is_shown_once_however_the_tree_changes_between_parts(
        kept in prop::collection::btree_set(path(NAMES, 4), 0..20),
        passing in prop::collection::vec(path(NAMES, 4), 1..40),
        filter in path(LEVELS, 5),
        steps in 1usize..5,
    ) {
        let mut tree = TopicTree::new(7);
        let passing: Vec<_> = passing.into_iter().filter(|topic| !kept.contains(topic)).collect();
        for topic in passing.iter().chain(&kept) {
            tree.insert(topic, 0);
        }
        let expected: Vec<_> = kept.iter().filter(|topic| naive_match(&filter, topic)).collect();
        let mut turn = 0;
        let mut shown: Vec<_> = found_in_parts(&mut tree, &filter, steps, |tree| {
            turn += 1;
            for (at, topic) in passing.iter().enumerate() {
                // Every topic goes sooner or later; some come back for a while.
                if turn < 200 && (turn + at) % 3 == 0 {
                    tree.insert(topic, 0);
                } else {
                    tree.remove(topic);
                }
            }
        })
        .into_iter()
        .map(|(topic, _)| topic)
        .filter(|topic| kept.contains(topic))
        .collect();
        shown.sort();
        prop_assert_eq!(shown.iter().collect::<Vec<_>>(), expected);
    }
}
