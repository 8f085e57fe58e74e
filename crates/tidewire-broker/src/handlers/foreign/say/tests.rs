//! Tables: what is said, and the verdict that it is.

use super::{Said, Say};
use crate::handlers::foreign::View;
use serde_json::{Value as Json, json};
use tidewire_codec::{
    PacketId, Properties, Publish, Qos, ReasonCode, Subscribe, Subscription, SubscriptionOptions,
    Version,
};
use tidewire_handler::{
    Authenticate, Authentication, AuthorizePublish, Codes, Deliver, Delivery, Denial, Origin,
    Publication, Verdict,
};

fn said(value: Json) -> Said {
    Said {
        value: View::from_json(value).unwrap(),
        text: None,
        code: None,
    }
}

fn verdict<S: Say>(ask: &S, value: Json) -> Result<Verdict<S::Answer>, String> {
    ask.verdict(&said(value))
}

fn authenticate() -> Authenticate<'static> {
    Authenticate {
        client_id: "c".into(),
        username: Some("alice".into()),
        password: None,
        version: Version::V5,
        method: None,
        data: None,
    }
}

fn publish() -> Publish<'static> {
    Publish {
        dup: false,
        qos: Qos::AtLeastOnce,
        retain: false,
        topic: "a/b".into(),
        packet_id: PacketId::new(7),
        properties: Properties::EMPTY,
        payload: b"12"[..].into(),
    }
}

#[test]
fn who_may_come_in_is_said_in_few_words() {
    let ask = authenticate();
    let accepted = |principal: &str| Ok(Verdict::Answer(Authentication::accepted(principal)));
    assert_eq!(verdict(&ask, json!(null)), Ok(Verdict::Continue));
    assert_eq!(verdict(&ask, json!({})), Ok(Verdict::Continue));
    assert_eq!(verdict(&ask, json!(true)), accepted("alice"));
    assert_eq!(
        verdict(&ask, json!({ "principal": "bob" })),
        accepted("bob")
    );
    assert_eq!(
        verdict(&ask, json!({ "principal": "bob", "stop": true })),
        Ok(Verdict::Stop(Some(Authentication::accepted("bob"))))
    );
    assert_eq!(
        verdict(&ask, json!({ "principal": "bob", "valid_secs": 60 })),
        Ok(Verdict::Answer(Authentication::Accepted {
            principal: Some("bob".into()),
            data: None,
            valid_secs: Some(60),
        }))
    );
    for wrong in [
        json!({ "principal": "bob", "valid_secs": -1 }),
        json!({ "valid_secs": 60 }),
    ] {
        assert!(verdict(&ask, wrong.clone()).is_err(), "{wrong}");
    }
    assert_eq!(
        verdict(&ask, json!({ "principal": false })),
        Ok(Verdict::Answer(Authentication::anonymous()))
    );
    assert_eq!(
        verdict(&ask, json!({ "challenge_base64": "/w==" })),
        Ok(Verdict::Answer(Authentication::Challenge(
            b"\xFF"[..].into()
        )))
    );
    assert_eq!(
        verdict(&ask, json!(false)),
        Ok(Verdict::Deny(Denial {
            reason: ReasonCode::BadUserNameOrPassword,
            text: None
        }))
    );
    let banned = Said {
        value: View::Flag(false),
        text: Some("banned".to_owned()),
        code: Some(0x8A),
    };
    assert_eq!(
        ask.verdict(&banned),
        Ok(Verdict::Deny(Denial::new(ReasonCode::Banned, "banned")))
    );
}

#[test]
fn a_message_is_replaced_in_part_or_ends_its_way() {
    let ask = publish();
    let replaced = |changed: Publish<'static>| Ok(Verdict::Answer(Publication::Replace(changed)));
    assert_eq!(
        verdict(&ask, json!({ "topic": "x", "payload": "9" })),
        replaced(Publish {
            topic: "x".into(),
            payload: b"9"[..].into(),
            ..publish()
        })
    );
    assert_eq!(
        verdict(&ask, json!({ "retain": true })),
        replaced(Publish {
            retain: true,
            ..publish()
        })
    );
    assert_eq!(
        verdict(&ask, json!({ "acknowledge": true })),
        Ok(Verdict::Answer(Publication::Acknowledge(
            ReasonCode::Success
        )))
    );
    assert_eq!(
        verdict(&ask, json!({ "deny": 0x99, "text": "not JSON" })),
        Ok(Verdict::Deny(Denial::new(
            ReasonCode::PayloadFormatInvalid,
            "not JSON"
        )))
    );
    assert_eq!(
        verdict(&ask, json!({ "close": true })),
        Ok(Verdict::Close(Denial {
            reason: ReasonCode::NotAuthorized,
            text: None
        }))
    );
    let deliver = Deliver {
        publish: publish(),
        origin: Origin::Server,
    };
    assert_eq!(
        verdict(&deliver, json!({ "suppress": true })),
        Ok(Verdict::Answer(Delivery::Suppress))
    );
}

#[test]
fn a_subscription_gets_one_code_for_each_filter() {
    let ask = Subscribe {
        packet_id: PacketId::new(1).unwrap(),
        properties: Properties::EMPTY,
        filters: vec![
            Subscription {
                filter: "a".into(),
                options: SubscriptionOptions::default(),
            };
            2
        ],
    };
    assert_eq!(
        verdict(&ask, json!({ "codes": [0, 0x87] })),
        Ok(Verdict::Answer(Codes::from(vec![
            ReasonCode::Success,
            ReasonCode::NotAuthorized
        ])))
    );
    assert_eq!(
        verdict(&ask, json!({ "codes": [0] })),
        Err("`codes` has 1 reason codes for 2 filters".to_owned())
    );
}

#[test]
fn what_is_not_understood_is_an_error_and_never_a_yes() {
    let ask = AuthorizePublish {
        topic: "a".into(),
        payload: b""[..].into(),
        qos: Qos::AtMostOnce,
        retain: false,
    };
    for (value, says) in [
        (
            json!({ "denny": true }),
            "a verdict about authorize_publish has no `denny`; did you mean `deny`?",
        ),
        (
            json!({ "topic": "b" }),
            "a verdict about authorize_publish has no `topic`, but deny, close, text, stop",
        ),
        (
            json!({ "deny": "yes" }),
            "`deny` is true or a reason code, not text",
        ),
        (json!({ "deny": 3 }), "3 is no reason code of MQTT 5.0"),
        (
            json!({ "stop": 1 }),
            "`stop` is true or false, not a number",
        ),
        (
            json!(1),
            "a number is no verdict: return nothing, true, false or a table",
        ),
        (
            json!("ok"),
            "text is no verdict: return nothing, true, false or a table",
        ),
        (
            json!([1]),
            "a list is no verdict: return nothing, true, false or a table",
        ),
    ] {
        assert_eq!(verdict(&ask, value), Err(says.to_owned()));
    }
}
