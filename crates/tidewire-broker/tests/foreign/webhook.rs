//! Servers behind a URL that are asked and told.

use crate::hook_server::{HookServer, Reply, Sent};
use crate::lua::enter_as;
use crate::peer::{Peer, builder, connect, enter, open, publish};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tidewire_broker::Broker;
use tidewire_broker::handlers::{WebhookHandler, WebhookSettings};
use tidewire_broker::http_client::{HttpLimits, url};
use tidewire_codec::{Connect, Packet, Properties, Publish, Qos, ReasonCode, Version, Will};
use tidewire_handler::{Event, Events, OnFailure, Registration};
use tidewire_net::BlockingPipe;

pub(crate) fn settings(server: &HookServer, events: &[Event]) -> WebhookSettings {
    let events: Events = events.iter().copied().collect();
    WebhookSettings {
        limits: HttpLimits {
            deadline: Duration::from_secs(20),
            ..HttpLimits::default()
        },
        ..WebhookSettings::new(url(&server.url("/hook")).unwrap(), events)
    }
}

pub(crate) fn registration(settings: &WebhookSettings) -> Registration {
    let handler = WebhookHandler::new(settings).unwrap();
    Registration::new("webhook", handler).deadline(Duration::from_secs(60))
}

fn start(settings: &WebhookSettings) -> Broker {
    builder().register(registration(settings)).start().unwrap()
}

fn body(sent: &Sent) -> Json {
    serde_json::from_str(&sent.body).unwrap()
}

fn last_failure(broker: &Broker) -> String {
    let rows = broker.handle().handlers();
    rows[0].last_failure.clone().unwrap_or_default().into()
}

fn acknowledged(peer: &mut Peer<BlockingPipe>, topic: &str, payload: &str) -> ReasonCode {
    peer.publish(topic, payload, Qos::AtLeastOnce, 1);
    match peer.receive() {
        Packet::PubAck(ack) => ack.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_decides_who_comes_in_and_what_becomes_of_messages() {
    let server = HookServer::start(|sent| {
        let body = body(sent);
        let answer = match body["event"].as_str().unwrap() {
            "authenticate" => json!(body["password"] == "secret"),
            "authorize_publish" => match body["topic"].as_str().unwrap() {
                "open" => return Reply::Answer(204, String::new()),
                "shut" => return Reply::Answer(403, String::new()),
                _ => json!({}),
            },
            "publish" => {
                json!({ "topic": "seen", "payload": body["packet"]["message"].as_str().unwrap().to_uppercase() })
            }
            other => panic!("{other}"),
        };
        Reply::Answer(200, answer.to_string())
    });
    let events = [Event::Authenticate, Event::AuthorizePublish, Event::Publish];
    let broker = start(&settings(&server, &events));
    let refused = enter_as(&broker, "a", "alice", "wrong").err();
    assert_eq!(
        refused.map(|(reason, _)| reason),
        Some(ReasonCode::BadUserNameOrPassword)
    );
    let mut alice = enter_as(&broker, "a", "alice", "secret").unwrap();
    alice.subscribe("#", Qos::AtMostOnce);
    assert_eq!(
        acknowledged(&mut alice, "shut", "x"),
        ReasonCode::NotAuthorized
    );
    alice.publish("open", "hello", Qos::AtMostOnce, 0);
    assert_eq!(
        alice.message(),
        ("seen".to_owned(), "HELLO".to_owned()),
        "{}",
        last_failure(&broker)
    );
    let sent = server.unread();
    let ask = sent
        .iter()
        .map(body)
        .find(|body| body["event"] == "authorize_publish")
        .unwrap();
    let client = json!({ "id": "a", "username": "alice", "principal": "alice", "address": ask["client"]["address"], "listener": "piped", "version": 5 });
    assert_eq!(ask["client"], client);
    assert_eq!(
        (&ask["v"], &ask["topic"], &ask["payload"], &ask["qos"]),
        (&json!(1), &json!("shut"), &json!("x"), &json!(1))
    );
}

/// The line of the seed of the server framework: the packet of a CONNECT in the question about it.
#[test]
fn a_connect_is_sent_in_the_form_of_the_json_view() {
    let server = HookServer::start(|_| Reply::Answer(204, String::new()));
    let broker = start(&settings(&server, &[Event::Connect]));
    let mut peer = open(&broker, Version::V311);
    peer.send(&Packet::Connect(Connect {
        keep_alive_secs: 10,
        will: Some(Will {
            qos: Qos::AtMostOnce,
            retain: false,
            properties: Properties::EMPTY,
            topic: "simps-mqtt/user001/delete".into(),
            payload: b"byebye"[..].into(),
        }),
        ..connect(Version::V311, "Simps_60e5aa0c4284f")
    }));
    assert!(matches!(peer.receive(), Packet::ConnAck(_)));
    let sent = server.sent().unwrap();
    let line = r#""packet":{"type":1,"protocol_name":"MQTT","protocol_level":4,"clean_session":1,"will":{"qos":0,"retain":0,"topic":"simps-mqtt\/user001\/delete","message":"byebye"},"user_name":"","password":"","keep_alive":10,"client_id":"Simps_60e5aa0c4284f"}}"#;
    assert!(sent.body.ends_with(line), "{}", sent.body);
}

#[test]
fn a_request_is_signed() {
    let server = HookServer::start(|_| Reply::Answer(204, String::new()));
    let broker = start(&WebhookSettings {
        secret: Some(b"key"[..].into()),
        ..settings(&server, &[Event::BeforeConnect])
    });
    enter(&broker, Version::V5, "client");
    let sent = server.sent().unwrap();
    let signed = format!("{}.{}", sent.fields["x-tidewire-timestamp"], sent.body);
    // By another implementation.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signed");
    std::fs::write(&file, signed).unwrap();
    let openssl = std::process::Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", "key", "-r"])
        .arg(&file)
        .output()
        .unwrap();
    let digest = String::from_utf8(openssl.stdout).unwrap();
    let digest = digest.split(' ').next().unwrap();
    assert_eq!(sent.fields["x-tidewire-signature"], format!("v1={digest}"));
    assert_eq!(sent.fields["content-type"], "application/json");
    assert_eq!(sent.path, "/hook");
}

#[test]
fn an_answer_is_remembered_as_long_as_it_says() {
    let server = HookServer::start(|sent| {
        let kept = "HTTP/1.1 200 OK\r\nCache-Control: private, max-age=3600\r\nContent-Length: 4\r\n\r\ntrue";
        match body(sent)["topic"].as_str().unwrap() {
            "kept" => Reply::Raw(kept.as_bytes().to_vec()),
            _ => Reply::Answer(204, String::new()),
        }
    });
    let broker = start(&WebhookSettings {
        send_payload: false,
        ..settings(&server, &[Event::AuthorizePublish])
    });
    let mut client = enter(&broker, Version::V5, "client");
    for number in 0..20 {
        assert_eq!(
            acknowledged(&mut client, "kept", &number.to_string()),
            ReasonCode::NoMatchingSubscribers
        );
    }
    for _ in 0..3 {
        acknowledged(&mut client, "fresh", "");
    }
    let topics: Vec<Json> = server
        .unread()
        .iter()
        .map(|sent| body(sent)["topic"].clone())
        .collect();
    assert_eq!(topics, ["kept", "fresh", "fresh", "fresh"]);
    assert!(last_failure(&broker).is_empty());
}

/// What a server does in place of an answer.
type Fault = Box<dyn Fn() -> Reply + Send + Sync>;

/// Down, slow, and lying in several ways: what was asked is denied, or passed on where the registration says so.
#[test]
fn a_server_that_fails_denies_or_is_skipped() {
    let answer = |status, text: &str| {
        let text = text.to_owned();
        move || Reply::Answer(status, text.clone())
    };
    let faults: Vec<(&str, Fault, &str)> = vec![
        (
            "error",
            Box::new(answer(500, "")),
            "status 500, but a verdict is 200 with JSON, 204, 401 or 403",
        ),
        (
            "elsewhere",
            Box::new(answer(302, "")),
            "status 302, but a verdict is 200 with JSON, 204, 401 or 403",
        ),
        (
            "not JSON",
            Box::new(answer(200, "<html>")),
            "the answer is not JSON: expected value at line 1 column 1",
        ),
        (
            "a wrong key",
            Box::new(answer(200, "{\"alow\":true}")),
            "a verdict about authorize_publish has no `alow`, but deny, close, text, stop",
        ),
        (
            "a number",
            Box::new(answer(200, "1")),
            "a number is no verdict: return nothing, true, false or a table",
        ),
        (
            "too much",
            Box::new(answer(200, &" ".repeat(70_000))),
            "an answer of more than 65536 bytes",
        ),
        (
            "no HTTP",
            Box::new(|| Reply::Raw(b"+OK\r\n".to_vec())),
            "no whole answer: ",
        ),
        (
            "silence",
            Box::new(|| Reply::Silence),
            "no answer within 300 ms",
        ),
    ];
    for (name, fault, says) in faults {
        let server = HookServer::start(move |_| fault());
        let mut settings = settings(&server, &[Event::AuthorizePublish]);
        if name == "silence" {
            settings.limits.deadline = Duration::from_millis(300);
        }
        for (policy, expected) in [
            (OnFailure::Deny, ReasonCode::NotAuthorized),
            (OnFailure::Skip, ReasonCode::NoMatchingSubscribers),
        ] {
            let registration = registration(&settings).on_failure(policy);
            let broker = builder().register(registration).start().unwrap();
            let mut client = enter(&broker, Version::V5, "client");
            assert_eq!(acknowledged(&mut client, "t", ""), expected, "{name}");
            let failure = last_failure(&broker);
            assert!(failure.starts_with(says), "{name}: {failure}");
        }
    }
}

#[test]
fn a_server_that_is_down_is_left_alone_and_asked_again_later() {
    let down = Arc::new(AtomicBool::new(true));
    let calls = Arc::new(AtomicU32::new(0));
    let (state, counted) = (Arc::clone(&down), Arc::clone(&calls));
    let server = HookServer::start(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let status = if state.load(Ordering::SeqCst) {
            503
        } else {
            204
        };
        Reply::Answer(status, String::new())
    });
    let broker = start(&WebhookSettings {
        breaker_failures: 3,
        breaker_pause: Duration::from_millis(500),
        ..settings(&server, &[Event::AuthorizePublish])
    });
    let mut client = enter(&broker, Version::V5, "client");
    while last_failure(&broker)
        != "not asked: the server failed before and is left alone for a while"
    {
        assert_eq!(
            acknowledged(&mut client, "t", ""),
            ReasonCode::NotAuthorized
        );
    }
    assert!(calls.load(Ordering::SeqCst) >= 3);
    down.store(false, Ordering::SeqCst);
    while acknowledged(&mut client, "t", "") == ReasonCode::NotAuthorized {}
}

/// A slow server costs the client that waits for it, and no other.
#[test]
fn nobody_waits_for_somebody_elses_server() {
    let server = HookServer::start(|sent| match body(sent)["topic"].as_str().unwrap() {
        "slow" => Reply::Silence,
        _ => Reply::Answer(204, String::new()),
    });
    let broker = start(&settings(&server, &[Event::AuthorizePublish]));
    let mut waits = enter(&broker, Version::V5, "waits");
    let mut other = enter(&broker, Version::V5, "other");
    other.subscribe("#", Qos::AtMostOnce);
    waits.publish("slow", "", Qos::AtMostOnce, 0);
    for number in 0..10 {
        other.publish("t", &number.to_string(), Qos::AtMostOnce, 0);
        assert_eq!(other.message().1, number.to_string());
    }
}

#[test]
fn what_happens_is_sent_in_batches_and_again_until_it_is_taken() {
    let refusals = Arc::new(AtomicU32::new(2));
    let left = Arc::clone(&refusals);
    let server = HookServer::start(move |_| {
        let refuse = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
        Reply::Answer(if refuse.is_ok() { 503 } else { 200 }, String::new())
    });
    let events = [Event::Connected, Event::Published, Event::Disconnected];
    let broker = start(&WebhookSettings {
        batch_events: 4,
        batch_time: Duration::from_secs(5),
        ..settings(&server, &events)
    });
    let mut client = enter(&broker, Version::V5, "client");
    for number in 0..6 {
        client.send(&Packet::Publish(Publish {
            payload: vec![number, 0xFF].into(),
            ..publish("t", "", Qos::AtMostOnce, 0)
        }));
    }
    client.ping();
    drop(client);
    let mut deliveries = Vec::new();
    let mut seen = Vec::new();
    while seen.len() < 8 {
        let sent = server.sent().unwrap();
        deliveries.push(sent.fields["x-tidewire-delivery"].clone());
        if deliveries.len() > 2 {
            let body = body(&sent);
            seen.extend(body["events"].as_array().unwrap().clone());
        }
    }
    assert_eq!(
        deliveries[0], deliveries[2],
        "a batch that is sent again has the same name"
    );
    let names: Vec<&str> = seen
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    let expected = [
        "connected",
        "published",
        "published",
        "published",
        "published",
        "published",
        "published",
        "disconnected",
    ];
    assert_eq!(names, expected);
    let payloads: Vec<&Json> = seen[1..7]
        .iter()
        .map(|event| &event["payload_base64"])
        .collect();
    assert_eq!(
        payloads,
        [
            &json!("AP8="),
            &json!("Af8="),
            &json!("Av8="),
            &json!("A/8="),
            &json!("BP8="),
            &json!("Bf8=")
        ]
    );
    assert!(seen[0]["time_ms"].as_u64().unwrap() > 1_700_000_000_000);
}

#[test]
fn a_full_queue_drops_what_is_new_and_counts_it_and_the_end_sends_the_rest() {
    let server = HookServer::start(|_| Reply::Answer(200, String::new()));
    let mut settings = settings(&server, &[Event::Connected]);
    settings.queue_events = 3;
    settings.batch_events = 1000;
    settings.batch_time = Duration::from_secs(3600);
    let handler = Arc::new(WebhookHandler::new(&settings).unwrap());
    let registration = Registration::shared("webhook", Arc::clone(&handler) as _);
    let broker = builder().register(registration).start().unwrap();
    let mut clients = Vec::new();
    while handler.dropped() == 0 {
        // One is taken off the queue when the batch begins, so that the number is not certain.
        clients.push(enter(&broker, Version::V5, &format!("c{}", clients.len())));
        if clients.len() > 2000 {
            break;
        }
    }
    drop(clients);
    broker.handle().shutdown(Duration::from_secs(5));
    handler.finish(Duration::from_secs(20));
    let sent = server.sent().unwrap();
    assert!(!body(&sent)["events"].as_array().unwrap().is_empty());
}
