//! What handlers of every kind have in common: order, stop, close, failure, exchange. Each row runs in Lua and over HTTP.

use crate::hook_server::{HookServer, Reply};
use crate::peer::{builder, enter};
use crate::webhook;
use serde_json::Value as Json;
use std::sync::Arc;
use tidewire_broker::handlers::{LuaHandler, LuaSettings};
use tidewire_codec::{Packet, Qos, ReasonCode, Version};
use tidewire_handler::{Event, OnFailure, Registration};
use tidewire_lua::Script;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Lua,
    Http,
}

/// A handler that says the same about every message. `!` is a fault.
fn saying(kind: Kind, says: &str, servers: &mut Vec<HookServer>) -> Registration {
    match kind {
        Kind::Lua => {
            let source = if says == "!" {
                "function on_publish() error('broken') end".to_owned()
            } else {
                format!(
                    "local json = require 'json'\nfunction on_publish(client, packet)\n  local text = ([==[{says}]==]):gsub('@', packet.payload)\n  return json.decode(text) end"
                )
            };
            let handler = LuaHandler::new(&Script::new("x.lua", source), &LuaSettings::default());
            Registration::new("lua", handler.unwrap())
        }
        Kind::Http => {
            let says = says.to_owned();
            let server = HookServer::start(move |sent| {
                let body: Json = serde_json::from_str(&sent.body).unwrap();
                let payload = body["packet"]["message"].as_str().unwrap();
                if says == "!" {
                    Reply::Answer(500, String::new())
                } else {
                    Reply::Answer(200, says.replace('@', payload))
                }
            });
            let settings = webhook::settings(&server, &[Event::Publish]);
            servers.push(server);
            webhook::registration(&settings)
        }
    }
}

/// What came of a message "0": what a reader gets of it, and the reason in its PUBACK; `None` = the connection is closed.
fn outcome(registrations: Vec<Registration>) -> (Option<String>, Option<ReasonCode>) {
    let broker = registrations
        .into_iter()
        .fold(builder(), |builder, registration| {
            builder.register(registration)
        })
        .start()
        .unwrap();
    let handle = broker.handle();
    let mut reader = enter(&broker, Version::V5, "reader");
    reader.subscribe("#", Qos::AtMostOnce);
    let mut writer = enter(&broker, Version::V5, "writer");
    writer.publish("t", "0", Qos::AtLeastOnce, 1);
    let reason = match writer.try_receive() {
        Some(Packet::PubAck(ack)) => Some(ack.reason),
        Some(Packet::Disconnect(_)) | None => None,
        Some(other) => panic!("{other:?}"),
    };
    // The server's own messages pass no handler: this one ends the wait.
    let end = tidewire_core::ServerPublish {
        topic: "end".into(),
        payload: b"end"[..].into(),
        qos: Qos::AtMostOnce,
        retain: false,
    };
    handle.publish(end).unwrap();
    let got = match reader.message() {
        (topic, _) if topic == "end" => None,
        (_, payload) => Some(payload),
    };
    (got, reason)
}

type Row = (
    &'static str,
    &'static [(&'static str, i32, OnFailure)],
    Option<&'static str>,
    Option<ReasonCode>,
);

const DENY: OnFailure = OnFailure::Deny;
const SKIP: OnFailure = OnFailure::Skip;

const TABLE: &[Row] = &[
    (
        "nothing goes on",
        &[("null", 0, DENY)],
        Some("0"),
        Some(ReasonCode::Success),
    ),
    (
        "an answer replaces",
        &[(r#"{"payload":"@1"}"#, 0, DENY)],
        Some("01"),
        Some(ReasonCode::Success),
    ),
    (
        "ties run in order of registration",
        &[
            (r#"{"payload":"@1"}"#, 0, DENY),
            (r#"{"payload":"@2"}"#, 0, DENY),
        ],
        Some("012"),
        Some(ReasonCode::Success),
    ),
    (
        "the larger priority runs first",
        &[
            (r#"{"payload":"@1"}"#, 1, DENY),
            (r#"{"payload":"@2"}"#, 2, DENY),
        ],
        Some("021"),
        Some(ReasonCode::Success),
    ),
    (
        "whoever stops is the last",
        &[
            (r#"{"payload":"@1","stop":true}"#, 0, DENY),
            ("false", 0, DENY),
        ],
        Some("01"),
        Some(ReasonCode::Success),
    ),
    (
        "a denial ends it",
        &[
            (r#"{"deny":151}"#, 0, DENY),
            (r#"{"payload":"@2"}"#, 0, DENY),
        ],
        None,
        Some(ReasonCode::QuotaExceeded),
    ),
    (
        "an answer in place of the broker's",
        &[(r#"{"acknowledge":true}"#, 0, DENY)],
        None,
        Some(ReasonCode::Success),
    ),
    (
        "closing closes",
        &[(r#"{"close":true}"#, 0, DENY)],
        None,
        None,
    ),
    (
        "a fault denies",
        &[("!", 0, DENY)],
        None,
        Some(ReasonCode::NotAuthorized),
    ),
    (
        "a fault is skipped where that is said",
        &[("!", 0, SKIP), (r#"{"payload":"@2"}"#, 0, DENY)],
        Some("02"),
        Some(ReasonCode::Success),
    ),
];

#[test]
fn every_row_holds_for_every_kind_of_handler() {
    for kind in [Kind::Lua, Kind::Http] {
        for (name, handlers, payload, reason) in TABLE {
            let mut servers = Vec::new();
            let registrations = handlers.iter().map(|(says, priority, policy)| {
                saying(kind, says, &mut servers)
                    .priority(*priority)
                    .on_failure(*policy)
            });
            let (got, answer) = outcome(registrations.collect());
            assert_eq!(
                (got.as_deref(), answer),
                (*payload, *reason),
                "{name}, {kind:?}"
            );
        }
    }
}

/// A handler is exchanged while messages pass: none is lost, none handled twice.
#[test]
fn handlers_are_exchanged_while_messages_pass() {
    const MESSAGES: usize = 400;
    for kind in [Kind::Lua, Kind::Http] {
        let mut servers = Vec::new();
        let first = saying(kind, r#"{"payload":"@a"}"#, &mut servers);
        let broker = builder().register(first).start().unwrap();
        let handle = broker.handle();
        let id = handle.handlers()[0].id;
        let mut reader = enter(&broker, Version::V5, "reader");
        reader.subscribe("#", Qos::AtMostOnce);
        let mut writer = enter(&broker, Version::V5, "writer");
        let versions: Arc<[&str]> = [r#"{"payload":"@b"}"#, r#"{"payload":"@c"}"#].into();
        for number in 0..MESSAGES {
            writer.publish("t", &number.to_string(), Qos::AtMostOnce, 0);
            if number % 100 == 50 {
                let says = versions[number / 100 % 2];
                let next = saying(kind, says, &mut servers);
                handle.replace_handler(id, next).unwrap();
            }
        }
        for number in 0..MESSAGES {
            let (_, payload) = reader.message();
            let seen = payload.trim_end_matches(['a', 'b', 'c']);
            assert_eq!(seen, number.to_string(), "{kind:?}");
            assert_eq!(
                payload.len(),
                seen.len() + 1,
                "{kind:?}: once and no more: {payload}"
            );
        }
    }
}
