//! Topic names, topic filters, shared filters and their matching.

use proptest::prelude::*;
use tidewire_codec::TopicError::{self, *};
use tidewire_codec::topic::{
    MAX_LEN, SharedFilter, has_wildcards, levels, matches, split_shared, validate_filter,
    validate_name,
};

#[test]
fn names_are_strings_without_wildcards() {
    let table: &[(&[u8], Result<&str, TopicError>)] = &[
        (b"a", Ok("a")),
        (b"/", Ok("/")),
        (b"a//b/", Ok("a//b/")),
        (b"$SYS/x", Ok("$SYS/x")),
        (b" ", Ok(" ")),
        // [5.0 MQTT-1.5.4-3] [3.1.1 MQTT-1.5.3-3]
        (b"\xEF\xBB\xBF", Ok("\u{FEFF}")),
        // [5.0 MQTT-4.7.3-1] [3.1.1 MQTT-4.7.3-1]
        (b"", Err(Empty)),
        // [5.0 MQTT-4.7.0-1] [3.1.1 MQTT-4.7.1-1]
        (b"a/+", Err(WildcardInName)),
        // [5.0 MQTT-4.7.0-1] [3.1.1 MQTT-4.7.1-1]
        (b"a#", Err(WildcardInName)),
        // [5.0 MQTT-4.7.3-2] [3.1.1 MQTT-4.7.3-2]
        (b"a\0b", Err(ContainsNul)),
        (b"+\0", Err(ContainsNul)),
        (b"\xFF", Err(NotUtf8)),
        (b"\xED\xBF\xBF", Err(NotUtf8)),
    ];
    for (bytes, expected) in table {
        assert_eq!(
            validate_name(bytes),
            *expected,
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn filters_have_wildcards_in_their_places() {
    let table: &[(&str, Result<(), TopicError>)] = &[
        ("a", Ok(())),
        ("/", Ok(())),
        ("#", Ok(())),
        ("+", Ok(())),
        ("/#", Ok(())),
        ("a/#", Ok(())),
        ("+/a/#", Ok(())),
        ("/+", Ok(())),
        ("+/+", Ok(())),
        ("$SYS/#", Ok(())),
        ("$sharedfoo/a", Ok(())),
        ("$share/g/a/+", Ok(())),
        ("$share/g//", Ok(())),
        ("$share/g/#", Ok(())),
        // [5.0 MQTT-4.7.3-1] [3.1.1 MQTT-4.7.3-1]
        ("", Err(Empty)),
        // [5.0 MQTT-4.7.3-2] [3.1.1 MQTT-4.7.3-2]
        ("a\0", Err(ContainsNul)),
        // [5.0 MQTT-4.7.1-1] [3.1.1 MQTT-4.7.1-2]
        ("a#", Err(MisplacedHash)),
        // [5.0 MQTT-4.7.1-1] [3.1.1 MQTT-4.7.1-2]
        ("#/a", Err(MisplacedHash)),
        // [5.0 MQTT-4.7.1-1] [3.1.1 MQTT-4.7.1-2]
        ("a/#/", Err(MisplacedHash)),
        // [5.0 MQTT-4.7.1-1] [3.1.1 MQTT-4.7.1-2]
        ("##", Err(MisplacedHash)),
        // [5.0 MQTT-4.7.1-2] [3.1.1 MQTT-4.7.1-3]
        ("a+", Err(MisplacedPlus)),
        // [5.0 MQTT-4.7.1-2] [3.1.1 MQTT-4.7.1-3]
        ("+a/b", Err(MisplacedPlus)),
        // [5.0 MQTT-4.7.1-2] [3.1.1 MQTT-4.7.1-3]
        ("a/++/b", Err(MisplacedPlus)),
        // [5.0 MQTT-4.8.2-1]
        ("$share", Err(NoShareName)),
        // [5.0 MQTT-4.8.2-1]
        ("$share/", Err(NoShareName)),
        // [5.0 MQTT-4.8.2-1]
        ("$share//a", Err(NoShareName)),
        // [5.0 MQTT-4.8.2-2]
        ("$share/g", Err(NoSharedFilter)),
        // [5.0 MQTT-4.8.2-2]
        ("$share/g/", Err(NoSharedFilter)),
        // [5.0 MQTT-4.8.2-2]
        ("$share/+/a", Err(WildcardInShareName)),
        // [5.0 MQTT-4.8.2-2]
        ("$share/g#/a", Err(WildcardInShareName)),
        // [5.0 MQTT-4.7.1-1]
        ("$share/g/a#", Err(MisplacedHash)),
    ];
    for (filter, expected) in table {
        assert_eq!(validate_filter(filter), *expected, "{filter:?}");
    }
}

/// [5.0 MQTT-4.7.3-3] [3.1.1 MQTT-4.7.3-3]
#[test]
fn names_and_filters_end_at_65535_bytes() {
    let longest = "a".repeat(MAX_LEN);
    assert_eq!(validate_name(longest.as_bytes()), Ok(longest.as_str()));
    assert_eq!(validate_filter(&longest), Ok(()));
    let longer = "a".repeat(MAX_LEN + 1);
    assert_eq!(validate_name(longer.as_bytes()), Err(TooLong));
    assert_eq!(validate_filter(&longer), Err(TooLong));
}

#[test]
fn a_shared_filter_is_its_share_name_and_a_filter() {
    let split = |share, filter| Ok(Some(SharedFilter { share, filter }));
    assert_eq!(split_shared("$share/g/a/b"), split("g", "a/b"));
    assert_eq!(split_shared("$share/g//"), split("g", "/"));
    assert_eq!(
        split_shared("$share/g/$share/h/a"),
        split("g", "$share/h/a")
    );
    assert_eq!(split_shared("a/$share/g/b"), Ok(None));
    assert_eq!(split_shared("$Share/g/b"), Ok(None));
}

#[test]
fn matching_follows_the_examples_of_the_specification() {
    let table: &[(&str, &str, bool)] = &[
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
        ("sport/tennis/player1/#", "sport/tennis/player10", false),
        ("sport/#", "sport", true),
        ("#", "a/b/c", true),
        ("#", "/", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("a/+/b", "a//b", true),
        ("a/+/#", "a", false),
        ("a/+/#", "a/b", true),
        // [5.0 MQTT-4.7.2-1] [3.1.1 MQTT-4.7.2-1]
        ("#", "$SYS/monitor/Clients", false),
        // [5.0 MQTT-4.7.2-1] [3.1.1 MQTT-4.7.2-1]
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/monitor/Clients", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("+/$SYS", "a/$SYS", true),
        // [5.0 MQTT-4.7.3-4] [3.1.1 MQTT-4.7.3-4]
        ("ACCOUNTS", "Accounts", false),
        // [5.0 MQTT-4.7.3-4] [3.1.1 MQTT-4.7.3-4]
        ("a//b", "a/b", false),
        // One character against letter and accent. [5.0 MQTT-4.7.3-4] [3.1.1 MQTT-4.7.3-4]
        ("\u{E9}", "e\u{301}", false),
        ("/finance", "finance", false),
        ("a/", "a", false),
        ("a", "a/", false),
    ];
    for (filter, name, expected) in table {
        assert_eq!(matches(filter, name), *expected, "{filter:?} and {name:?}");
    }
}

#[test]
fn levels_are_the_parts_between_separators() {
    assert_eq!(levels("/a//").collect::<Vec<_>>(), ["", "a", "", ""]);
    assert!(has_wildcards("a/+") && has_wildcards("#") && !has_wildcards("a/b"));
}

/// Written from the text of section 4.7, by recursion over levels.
fn naive_match(filter: &[&str], name: &[&str]) -> bool {
    match (filter, name) {
        (["#"], _) => true,
        ([], []) => true,
        (["+", filter @ ..], [_, name @ ..]) => naive_match(filter, name),
        ([level, filter @ ..], [first, name @ ..]) => level == first && naive_match(filter, name),
        _ => false,
    }
}

fn naive(filter: &str, name: &str) -> bool {
    let filter: Vec<&str> = filter.split('/').collect();
    let name: Vec<&str> = name.split('/').collect();
    let begins_with_wildcard = matches!(filter.first(), Some(&"+" | &"#"));
    let begins_with_dollar = name.first().is_some_and(|level| level.starts_with('$'));
    !(begins_with_wildcard && begins_with_dollar) && naive_match(&filter, &name)
}

proptest! {
    #[test]
    fn matching_agrees_with_a_naive_reference(
        filter in "(\\$?[ab]{0,1}|\\+)(/([ab]{0,1}|\\+)){0,4}(/#)?|#",
        name in "\\$?[ab]{0,1}(/[ab]{0,1}){0,5}",
    ) {
        prop_assert_eq!(matches(&filter, &name), naive(&filter, &name));
    }

    #[test]
    fn a_filter_without_wildcards_matches_itself_alone(filter in "[a-c/$]{1,8}", name in "[a-c/$]{1,8}") {
        prop_assert_eq!(matches(&filter, &name), filter == name);
        prop_assert!(matches(&filter, &filter));
    }

    // The alphabet cannot spell `$share`, which is a name and no filter.
    #[test]
    fn a_filter_without_wildcards_is_a_name_and_the_reverse(text in "[a-c/+#$\\x00]{0,6}") {
        let is_filter = validate_filter(&text).is_ok();
        let is_name = validate_name(text.as_bytes()).is_ok();
        if is_name {
            prop_assert!(is_filter);
        }
        prop_assert_eq!(is_name, is_filter && !has_wildcards(&text));
    }
}
