//! The JSON view of packets: keys, their order, and what is absent.

use std::path::Path;
use tidewire_codec::{
    Ack, Connect, Packet, PacketId, Properties, Property, Publish, Qos, ReasonCode, Subscribe,
    Subscription, SubscriptionOptions, Version, Will,
};
use tidewire_handler::json;

fn connect() -> Connect<'static> {
    Connect {
        version: Version::V311,
        clean_start: true,
        keep_alive_secs: 10,
        properties: Properties::EMPTY,
        client_id: "Simps_60e5aa0c4284f".into(),
        will: Some(Will {
            qos: Qos::AtMostOnce,
            retain: false,
            properties: Properties::EMPTY,
            topic: "simps-mqtt/user001/delete".into(),
            payload: b"byebye"[..].into(),
        }),
        username: None,
        password: None,
    }
}

/// The line that the seed of the server framework shows, from its text.
#[test]
fn a_connect_is_the_line_of_the_seed() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/seeds");
    let seed = std::fs::read_dir(&seeds).ok().and_then(|entries| {
        let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        paths.find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("004_"))
        })
    });
    let Some(seed) = seed else {
        let name = "a_connect_is_the_line_of_the_seed";
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "the seeds are not beside the repository, and CI must not skip {name}"
        );
        eprintln!("not run: {name} (the seeds are not beside the repository)");
        return;
    };
    let text = std::fs::read_to_string(seed).unwrap();
    let shown = text
        .lines()
        .find_map(|line| line.strip_prefix("string(234) \"")?.strip_suffix('"'));
    let shown = shown.expect("the seed shows the line of a CONNECT");
    assert_eq!(shown.len(), 234);
    assert_eq!(json::connect(&connect()), shown);
    assert_eq!(
        json::packet(&Packet::Connect(connect()), Version::V311),
        shown
    );
}

#[test]
fn each_packet_has_its_keys_in_their_order() {
    let id = PacketId::new(7).unwrap();
    let publish = |qos, packet_id, payload: &'static [u8]| {
        Packet::Publish(Publish {
            dup: false,
            qos,
            retain: true,
            topic: "a/ü".into(),
            packet_id,
            properties: Properties::EMPTY,
            payload: payload.into(),
        })
    };
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: id,
        properties: Properties::EMPTY.with(Property::SubscriptionIdentifier(9)),
        filters: vec![Subscription {
            filter: "a/#".into(),
            options: SubscriptionOptions {
                qos: Qos::AtLeastOnce,
                ..SubscriptionOptions::default()
            },
        }],
    });
    let mut v5 = connect();
    v5.version = Version::V5;
    v5.will = None;
    v5.password = Some(b"\xFF\x00"[..].into());
    v5.properties = Properties::EMPTY
        .with(Property::SessionExpiryInterval(60))
        .with(Property::UserProperty("k", "1"))
        .with(Property::UserProperty("k", "\"2\"\n"));
    let table = [
        (
            publish(Qos::AtMostOnce, None, b"hi"),
            r#"{"type":3,"dup":0,"qos":0,"retain":1,"topic":"a\/ü","message":"hi"}"#,
        ),
        (
            publish(Qos::AtLeastOnce, Some(id), b"\xFEab"),
            r#"{"type":3,"dup":0,"qos":1,"retain":1,"topic":"a\/ü","message_id":7,"message_base64":"\/mFi"}"#,
        ),
        (
            subscribe.clone(),
            r#"{"type":8,"message_id":7,"topics":[{"filter":"a\/#","qos":1,"no_local":0,"retain_as_published":0,"retain_handling":0}],"properties":{"subscription_identifier":[9]}}"#,
        ),
        (
            Packet::PubAck(Ack {
                packet_id: id,
                reason: ReasonCode::NotAuthorized,
                properties: Properties::EMPTY.with(Property::ReasonString("no")),
            }),
            r#"{"type":4,"message_id":7,"code":135,"properties":{"reason_string":"no"}}"#,
        ),
        (Packet::PingReq, r#"{"type":12}"#),
        (
            Packet::Connect(v5),
            r#"{"type":1,"protocol_name":"MQTT","protocol_level":5,"clean_session":1,"user_name":"","password_base64":"\/wA=","keep_alive":10,"client_id":"Simps_60e5aa0c4284f","properties":{"session_expiry_interval":60,"user_property":[["k","1"],["k","\"2\"\n"]]}}"#,
        ),
    ];
    for (packet, line) in table {
        assert_eq!(json::packet(&packet, Version::V5), line);
    }
    assert_eq!(
        json::packet(&subscribe, Version::V311),
        r#"{"type":8,"message_id":7,"topics":[{"filter":"a\/#","qos":1}],"properties":{"subscription_identifier":[9]}}"#
    );
}
