//! The filter tree against a naive matcher.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidewire_core::route::filter_tree::FilterTree;

/// MQTT's matching rules, one level at a time.
fn naive_match(filter: &str, topic: &str) -> bool {
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    let wild = |at: usize| filter[at] == "+" || (filter[at] == "#" && at + 1 == filter.len());
    if wild(0) && topic[0].starts_with('$') {
        return false;
    }
    for (at, level) in filter.iter().enumerate() {
        if *level == "#" && at + 1 == filter.len() {
            return true;
        }
        match topic.get(at) {
            Some(_) if *level == "+" => {}
            Some(text) if text == level => {}
            _ => return false,
        }
    }
    filter.len() == topic.len()
}

fn matches(tree: &FilterTree<u32>, topic: &str) -> Vec<u32> {
    let mut found = Vec::new();
    tree.for_each_match(topic, |value| found.push(*value));
    found.sort_unstable();
    found
}

fn everything(tree: &FilterTree<u32>) -> BTreeMap<String, u32> {
    let mut all = BTreeMap::new();
    tree.for_each(|filter, value| {
        assert!(
            all.insert(filter.to_owned(), *value).is_none(),
            "{filter} came twice"
        );
    });
    all
}

/// Levels that meet each other often, with everything special among them.
fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "b",
        "c",
        "",
        "$SYS",
        "$",
        "+",
        "+",
        "#",
        "a+",
        "#b",
        "ä",
        "fourteen bytes",
        "fifteen bytes..",
        "a level that is far too long to lie within its node",
    ])
}

fn path(levels: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..=levels).prop_map(|levels| levels.join("/"))
}

#[derive(Clone, Debug)]
enum Step {
    Insert(String),
    Remove(String),
    Match(String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => path(4).prop_map(Step::Insert),
        3 => path(4).prop_map(Step::Remove),
        3 => path(5).prop_map(Step::Match),
    ]
}

proptest! {
    /// [5.0 MQTT-4.7.2-1] [3.1.1 MQTT-4.7.2-1]
    #[test]
    fn any_history_leaves_the_tree_equal_to_the_naive_model(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut tree = FilterTree::new(seed);
        let mut model = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(filter) => {
                    let value = tree.get_or_insert(&filter);
                    prop_assert_eq!(*value, model.get(&filter).copied().unwrap_or_default());
                    *value = number as u32 + 1;
                    model.insert(filter, number as u32 + 1);
                }
                Step::Remove(filter) => {
                    prop_assert_eq!(tree.get(&filter), model.get(&filter));
                    prop_assert_eq!(tree.get_mut(&filter).copied(), model.get(&filter).copied());
                    prop_assert_eq!(tree.remove(&filter), model.remove(&filter));
                    prop_assert_eq!(tree.get(&filter), None);
                }
                Step::Match(topic) => {
                    let mut expected: Vec<u32> = model
                        .iter()
                        .filter(|(filter, _)| naive_match(filter, &topic))
                        .map(|(_, value)| *value)
                        .collect();
                    expected.sort_unstable();
                    prop_assert_eq!(matches(&tree, &topic), expected, "topic {}", topic);
                }
            }
            prop_assert_eq!(tree.len(), model.len());
            prop_assert_eq!(tree.is_empty(), model.is_empty());
        }
        prop_assert_eq!(everything(&tree), model);
    }

    #[test]
    fn no_text_makes_it_panic(seed in any::<u64>(), texts in prop::collection::vec("[a$+#/\u{0}é]{0,12}", 1..60)) {
        let mut tree: FilterTree<u32> = FilterTree::new(seed);
        for text in &texts {
            *tree.get_or_insert(text) += 1;
            prop_assert!(tree.get(text).is_some());
            matches(&tree, text);
        }
        for text in &texts {
            tree.remove(text);
        }
        prop_assert!(tree.is_empty());
    }

    #[test]
    fn a_clone_does_not_follow_its_original(seed in any::<u64>(), filters in prop::collection::vec(path(3), 1..40)) {
        let mut tree: FilterTree<u32> = FilterTree::new(seed);
        for filter in &filters {
            *tree.get_or_insert(filter) += 1;
        }
        let copy = tree.clone();
        let before = everything(&copy);
        for filter in &filters {
            tree.remove(filter);
        }
        prop_assert!(tree.is_empty());
        prop_assert_eq!(everything(&copy), before);
    }
}

/// Rows of the specification's section 4.7 and its corner cases: filter, topic, whether they match.
///
/// [5.0 MQTT-4.7.2-1] [5.0 MQTT-4.7.3-4] [3.1.1 MQTT-4.7.2-1] [3.1.1 MQTT-4.7.3-4]
#[test]
fn filters_match_as_the_specification_says() {
    let rows = [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        (
            "sport/tennis/player1/#",
            "sport/tennis/player1/ranking",
            true,
        ),
        (
            "sport/tennis/player1/#",
            "sport/tennis/player1/score/wimbledon",
            true,
        ),
        ("sport/#", "sport", true),
        ("#", "sport", true),
        ("#", "/", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+", "/finance", false),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+/tennis/#", "sport/tennis", true),
        ("#", "$SYS/broker", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("+", "$SYS", false),
        ("+/#", "$SYS", false),
        ("$SYS/#", "$SYS/monitor", true),
        ("$SYS/#", "$SYS", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("a/+/#", "a", false),
        ("a/+/#", "a/b", true),
        ("a/#", "a/$b", true),
        ("a/+", "a/$b", true),
        ("ACCOUNTS", "Accounts", false),
        ("caf\u{e9}", "caf\u{e9}", true),
        ("caf\u{e9}", "cafe\u{301}", false),
        ("a//+", "a/b", false),
        ("a/./+", "a/b", false),
        ("a", "a/", false),
        ("a/", "a", false),
    ];
    for (filter, topic, expected) in rows {
        let mut tree: FilterTree<u32> = FilterTree::new(7);
        *tree.get_or_insert(filter) = 1;
        assert_eq!(
            !matches(&tree, topic).is_empty(),
            expected,
            "{filter} on {topic}"
        );
        assert_eq!(
            naive_match(filter, topic),
            expected,
            "model: {filter} on {topic}"
        );
    }
}

#[test]
fn every_combination_of_names_and_plus_over_sixteen_levels_matches_once_each() {
    const DEPTH: u32 = 16;
    let mut tree: FilterTree<u32> = FilterTree::new(1);
    for pattern in 0_u32..1 << DEPTH {
        let levels: Vec<&str> = (0..DEPTH)
            .map(|bit| if pattern >> bit & 1 == 1 { "+" } else { "x" })
            .collect();
        *tree.get_or_insert(&levels.join("/")) = pattern;
    }
    let topic = vec!["x"; DEPTH as usize].join("/");
    let found = matches(&tree, &topic);
    assert!(found.into_iter().eq(0..1 << DEPTH));
}

#[test]
fn filters_and_topics_deeper_than_any_stack_are_served() {
    const DEPTH: usize = 30_000;
    let mut tree: FilterTree<u32> = FilterTree::new(1);
    for depth in 1..=DEPTH {
        let filter = format!("{}#", "+/".repeat(depth % 300));
        *tree.get_or_insert(&filter) += 1;
    }
    let deep = vec!["+"; DEPTH].join("/");
    *tree.get_or_insert(&deep) = 1_000;
    let topic = vec!["level"; DEPTH].join("/");
    assert_eq!(matches(&tree, &topic).len(), 301);
    assert_eq!(tree.remove(&deep), Some(1_000));
    assert_eq!(matches(&tree, &topic).len(), 300);
}

fn mixed_filter(number: u32) -> String {
    match number % 4 {
        0 => format!("site/{}/device/{number}/state", number % 97),
        1 => format!("site/{}/device/{number}/+", number % 97),
        2 => format!("site/{}/device/{number}/#", number % 97),
        _ => format!("+/{}/+/{number}/a long level text of {number}", number % 97),
    }
}

#[test]
fn removing_a_hundred_thousand_filters_leaves_nothing_behind() {
    let mut tree: FilterTree<u32> = FilterTree::new(3);
    for round in 0..3 {
        for number in 0..100_000 {
            *tree.get_or_insert(&mixed_filter(number)) = number;
        }
        assert_eq!(tree.len(), 100_000);
        for number in 0..100_000 {
            let number = (number * 7_919) % 100_000;
            assert_eq!(
                tree.remove(&mixed_filter(number)),
                Some(number),
                "round {round}"
            );
        }
        assert!(tree.is_empty());
        assert!(
            tree.heap_bytes() < 10_000,
            "{} bytes remain",
            tree.heap_bytes()
        );
    }
}

#[test]
fn the_survivors_of_a_burst_keep_their_values_and_cost_what_they_would_alone() {
    let mut burst: FilterTree<u32> = FilterTree::new(3);
    let mut alone: FilterTree<u32> = FilterTree::new(3);
    for number in 0..50_000 {
        *burst.get_or_insert(&mixed_filter(number)) = number;
    }
    for number in 0..50_000 {
        if number % 100 < 4 {
            *alone.get_or_insert(&mixed_filter(number)) = number;
        } else {
            burst.remove(&mixed_filter(number));
        }
    }
    assert_eq!(everything(&burst), everything(&alone));
    assert!(burst.heap_bytes() < alone.heap_bytes() * 5);
    for number in (0..50_000).step_by(50) {
        let topic = format!("site/{}/device/{number}/state", number % 97);
        assert_eq!(matches(&burst, &topic), matches(&alone, &topic));
    }
}

#[test]
fn a_steady_size_under_churn_is_steady_memory() {
    let mut tree: FilterTree<u32> = FilterTree::new(3);
    let mut peak = 0;
    for number in 0..300_000_u32 {
        *tree.get_or_insert(&mixed_filter(number)) = number;
        if number >= 1_000 {
            tree.remove(&mixed_filter(number - 1_000));
        }
        if number == 10_000 {
            peak = tree.heap_bytes();
        }
    }
    assert_eq!(tree.len(), 1_000);
    assert!(
        tree.heap_bytes() <= peak * 3 / 2,
        "{} after {peak}",
        tree.heap_bytes()
    );
}

#[test]
fn the_order_of_a_walk_depends_on_history_alone() {
    let list = |seed| {
        let mut tree: FilterTree<u32> = FilterTree::new(seed);
        for number in 0..1_000 {
            *tree.get_or_insert(&mixed_filter(number)) = number;
        }
        let mut seen = Vec::new();
        tree.for_each(|filter, _| seen.push(filter.to_owned()));
        seen
    };
    assert_eq!(list(11), list(12));
}

/// The filters of the measurement: a quarter each exact, `+`, `#` and both, spread over 1,000 sites.
fn measured_filter(number: u32) -> String {
    let site = number % 1_000;
    match number / 1_000 % 4 {
        0 => format!("plant/site{site}/device{number}/temperature"),
        1 => format!("plant/site{site}/device{number}/+"),
        2 => format!("plant/site{site}/device{number}/#"),
        _ => format!("plant/+/device{number}/sensor/#"),
    }
}

/// Prints nanoseconds a match and bytes a filter:
/// `cargo test --release -p tidewire-core --test filter_tree -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn measure_matches() {
    const FILTERS: u32 = 100_000;
    let mut tree: FilterTree<u64> = FilterTree::new(0x5EED);
    let start = std::time::Instant::now();
    for number in 0..FILTERS {
        *tree.get_or_insert(&measured_filter(number)) += 1;
    }
    let nanos = start.elapsed().as_nanos() / u128::from(FILTERS);
    println!(
        "{nanos} ns an insert, {} bytes a filter",
        tree.heap_bytes() / FILTERS as usize
    );
    // 125,000 devices, a fifth of them without a filter of their own, and 8 topics of each.
    const DEVICES: u32 = 125_000;
    let ends = [
        "temperature",
        "sensor",
        "sensor/a",
        "state",
        "battery",
        "position/x",
        "up",
        "log",
    ];
    let topic = |number: u32| {
        let device = number.wrapping_mul(7_919) % DEVICES;
        let end = ends[(number / DEVICES) as usize];
        format!("plant/site{}/device{device}/{end}", device % 1_000)
    };
    let topics: Vec<String> = (0..8 * DEVICES).map(topic).collect();
    for (name, topics) in [("distinct", &topics[..]), ("repeated", &topics[..1_000])] {
        let rounds = 1_000_000 / topics.len();
        let mut found = 0;
        let start = std::time::Instant::now();
        for _ in 0..rounds {
            for topic in topics {
                tree.for_each_match(topic, |value| found += value);
            }
        }
        let nanos = start.elapsed().as_nanos() / 1_000_000;
        println!("{nanos} ns a match of {name} topics ({found} found)");
    }
}

/// Prints nanoseconds a visited node in the shapes that were made to hurt.
#[test]
#[ignore = "a measurement"]
fn measure_adversarial_shapes() {
    let mut tree: FilterTree<u32> = FilterTree::new(1);
    for pattern in 0_u32..1 << 16 {
        let levels: Vec<&str> = (0..16)
            .map(|bit| if pattern >> bit & 1 == 1 { "+" } else { "x" })
            .collect();
        *tree.get_or_insert(&levels.join("/")) = pattern;
    }
    let topic = ["x"; 16].join("/");
    let start = std::time::Instant::now();
    let found = matches(&tree, &topic).len();
    println!("{found} of 65536 filters found in {:?}", start.elapsed());

    let mut tree: FilterTree<u32> = FilterTree::new(1);
    for depth in 0..15_000 {
        *tree.get_or_insert(&format!("{}#", "+/".repeat(depth))) = 1;
    }
    let topic = ["x"; 15_000].join("/");
    let start = std::time::Instant::now();
    let found = matches(&tree, &topic).len();
    println!("{found} of 15000 filters found in {:?}", start.elapsed());
}
