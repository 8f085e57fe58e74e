use super::{Access, TomlRules, Verdict, Wish};
use tidewire_codec::Qos;

const FILE: &str = r#"
[groups]
operators = ["alice", "bob"]

[[rule]]
deny = ["publish", "subscribe"]
topics = ["plant/+/lock"]

[[rule]]
allow = ["publish", "subscribe"]
topics = ["plant/#"]
groups = ["operators"]
users = ["carol"]
addresses = ["192.0.2.0/24"]

[[rule]]
allow = ["publish"]
topics = ["devices/%c/#", "users/%u/x"]
qos = [0, 1]
retain = false

[[rule]]
allow = ["subscribe"]
topics = ["news/#"]
anonymous = true
listeners = ["lobby"]

[[rule]]
deny = ["subscribe"]
topics = ["rooms/%c"]

[[rule]]
allow = ["subscribe"]
topics = ["rooms/+"]
client_ids = ["c", "+"]
"#;

fn client(user: Option<&'static str>, wish: Wish<'static>) -> Access<'static> {
    Access {
        user,
        client_id: "c",
        address: "192.0.2.7".parse().ok(),
        listener: "mqtt",
        wish,
    }
}

fn publish(topic: &'static str) -> Wish<'static> {
    Wish::Publish {
        topic,
        qos: Qos::AtLeastOnce,
        retain: false,
    }
}

fn subscribe(filter: &'static str) -> Wish<'static> {
    Wish::Subscribe {
        filter,
        qos: Qos::AtLeastOnce,
    }
}

fn rules() -> TomlRules {
    TomlRules::parse(FILE).unwrap()
}

/// The line of the rule that allows, negative for one that denies, 0 for none.
fn line(access: &Access<'_>) -> i64 {
    match rules().judge(access) {
        Verdict::Allowed { line } => i64::try_from(line).unwrap(),
        Verdict::Denied { line: Some(line) } => -i64::try_from(line).unwrap(),
        Verdict::Denied { line: None } => 0,
    }
}

#[test]
fn the_first_rule_that_fits_decides_and_is_named() {
    let table = [
        (client(Some("alice"), publish("plant/a")), 9),
        (client(Some("carol"), publish("plant/a")), 9),
        (client(Some("dave"), publish("plant/a")), 0),
        (client(None, publish("plant/a")), 0),
        (client(Some("alice"), publish("plant/a/lock")), -5),
        (client(Some("alice"), subscribe("plant/a/#")), -5),
        (client(Some("alice"), subscribe("plant/a/b/#")), 9),
        (client(Some("alice"), subscribe("#")), -5),
        (client(None, publish("devices/c/up")), 16),
        (client(None, publish("devices/d/up")), 0),
        (client(None, subscribe("devices/c/up")), 0),
        (client(Some("erin"), publish("users/erin/x")), 16),
        (client(None, publish("users/erin/x")), 0),
        (client(Some("erin"), subscribe("rooms/c")), -28),
        (client(Some("erin"), subscribe("rooms/d")), 32),
    ];
    for (access, expected) in table {
        assert_eq!(line(&access), expected, "{access:?}");
    }
}

#[test]
fn every_condition_of_a_rule_counts() {
    let operator = client(Some("alice"), publish("plant/a"));
    assert_eq!(line(&operator), 9);
    let address = "198.51.100.1".parse().ok();
    assert_eq!(
        line(&Access {
            address,
            ..operator.clone()
        }),
        0
    );
    assert_eq!(
        line(&Access {
            address: None,
            ..operator
        }),
        0
    );

    let lobby = Access {
        listener: "lobby",
        ..client(None, subscribe("news/today"))
    };
    assert_eq!(line(&lobby), 22);
    assert_eq!(
        line(&Access {
            listener: "mqtt",
            ..lobby.clone()
        }),
        0
    );
    assert_eq!(
        line(&Access {
            user: Some("alice"),
            ..lobby
        }),
        0
    );

    let device = |qos, retain| {
        let topic = "devices/c/up";
        line(&client(None, Wish::Publish { topic, qos, retain }))
    };
    assert_eq!(device(Qos::AtMostOnce, false), 16);
    assert_eq!(device(Qos::ExactlyOnce, false), 0);
    assert_eq!(device(Qos::AtMostOnce, true), 0);
}

#[test]
fn names_that_would_change_a_topic_are_allowed_nothing() {
    for name in ["+", "#", "a/b", "%u", ""] {
        for topic in ["users/+/x", "users/a/b/x", "users//x"] {
            let access = client(Some(name), publish(topic));
            assert_eq!(line(&access), 0, "{access:?}");
        }
        let access = Access {
            client_id: name,
            ..client(None, publish("devices/+/x"))
        };
        assert_eq!(line(&access), 0, "{access:?}");
    }
    // Where a rule denies, such a name is denied more rather than less.
    let access = Access {
        client_id: "+",
        ..client(None, subscribe("rooms/d"))
    };
    assert_eq!(line(&access), -28);
}

#[test]
fn a_faulty_file_is_refused_with_line_and_reason() {
    let table = [
        (
            "[[rule]]\nallow = [\"publish\"]\n",
            "1: missing field `topics`",
        ),
        (
            "\n[[rule]]\ntopics = [\"a\"]\n",
            "2: a rule has either `allow` or `deny`, with \"publish\", \"subscribe\" or both",
        ),
        (
            "[[rule]]\nallow = []\ntopics = [\"a\"]\n",
            "1: the list of actions is empty: the rule would fit nothing",
        ),
        (
            "[[rule]]\nallow = [\"publish\"]\ntopics = []\n",
            "1: `topics` is empty: the rule would fit nothing",
        ),
        (
            "[[rule]]\nallow = [\"publish\"]\ntopics = [\"a/#/b\"]\n",
            "1: `a/#/b` is no topic filter: # must be alone in the last level",
        ),
        (
            "[[rule]]\nallow = [\"publish\"]\ntopics = [\"a\"]\ngroups = [\"x\"]\n",
            "1: there is no group `x`; write `x = [\"a user\"]` below [groups]",
        ),
        (
            "[[rule]]\nallow = [\"publish\"]\ntopics = [\"a\"]\nqos = [3]\n",
            "1: `qos`: 3 is none of 0, 1, 2",
        ),
    ];
    for (text, message) in table {
        assert_eq!(
            TomlRules::parse(text).unwrap_err().to_string(),
            message,
            "{text}"
        );
    }
    let typo = TomlRules::parse("[[rule]]\nallow = [\"publish\"]\ntopic = [\"a\"]\n").unwrap_err();
    assert!(
        typo.to_string().starts_with("3: unknown field `topic`"),
        "{typo}"
    );
    assert!(
        TomlRules::parse("[[rule]\n")
            .unwrap_err()
            .to_string()
            .starts_with("1: ")
    );
    assert!(
        TomlRules::parse("").is_ok(),
        "no rules: everything is denied"
    );
}
