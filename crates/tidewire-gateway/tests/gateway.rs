//! A gateway in this process, with a broker beside it.

use serde_json::Value as Json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidewire_broker::{Broker, ListenerSettings, Settings};
use tidewire_client::{Client, Messages, Qos, Received, Subscription};
use tidewire_gateway::clock::TimeSource;
use tidewire_gateway::hub::InputPoint;
use tidewire_gateway::model::{Device, Event, EventKind, Level, Quality, Stat, Value};
use tidewire_gateway::{Config, Gateway, Hub};

/// Whatever takes longer than this has gone wrong.
const PATIENCE: Duration = Duration::from_secs(30);

fn broker() -> (Broker, String) {
    let listener = ListenerSettings::new("test", "tcp://127.0.0.1:0".parse().expect("an address"));
    let settings = Settings {
        workers: 1,
        listeners: vec![listener],
        ..Settings::default()
    };
    let broker = Broker::start(&settings).expect("a broker");
    let url = format!("mqtt://{}", broker.addresses()[0].address);
    (broker, url)
}

fn config(folder: &Path, text: &str) -> Config {
    let text = format!(
        "[gateway]\nid = \"g1\"\ndata_dir = {:?}\n{text}",
        folder.display().to_string()
    );
    match Config::read("test.toml", &text) {
        Ok(config) => config,
        Err(faults) => panic!(
            "{}",
            faults
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        ),
    }
}

fn start(config: &Config) -> (Gateway, Arc<Hub>) {
    let hub = Arc::new(Hub::new(config.hub.clone(), TimeSource::System));
    let gateway = Gateway::start(config, &hub, None).expect("a gateway");
    (gateway, hub)
}

async fn subscriber(url: &str, filter: &str) -> (Client, Messages) {
    let client = Client::builder(url).connect().await.expect("connected");
    let wanted = Subscription::new(filter)
        .qos(Qos::AtLeastOnce)
        .retain_as_published();
    let messages = client.subscribe(wanted).await.expect("subscribed");
    (client, messages)
}

async fn next(messages: &mut Messages, topic: &str) -> (Received, Json) {
    let wait = async {
        loop {
            let message = messages.recv().await.expect("a stream without end");
            if &*message.topic == topic {
                let json = serde_json::from_slice(&message.payload).expect("JSON");
                return (message, json);
            }
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(found) => found,
        Err(_) => panic!("nothing came on {topic}"),
    }
}

fn device(hub: &Hub) {
    hub.add_device(Device {
        app: "app".into(),
        sn: "pump".into(),
        ..Device::default()
    });
}

fn bring(hub: &Hub, value: f64) {
    let series = hub.series("pump", "pressure", "value").expect("a series");
    hub.inputs(&[InputPoint {
        series,
        value: &Value::Float(value),
        quality: Quality::GOOD,
        source_ms: 1_732_724_201_500,
    }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn freeioe_payloads_have_exactly_their_fields() {
    let (_broker, url) = broker();
    let (_client, mut messages) = subscriber(&url, "#").await;
    let (_lister, mut lists) = subscriber(&url, "/devices").await;
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!(
        "[[uplink]]\nname = \"cloud\"\nurl = \"{url}\"\npayload = \"freeioe\"\nbatch_secs = 0\n"
    );
    let (gateway, hub) = start(&config(folder.path(), &text));
    let (status, json) = next(&mut messages, "/status").await;
    assert_eq!(
        json,
        serde_json::json!({"device": "g1", "status": "ONLINE"})
    );
    assert!(status.retain && status.qos == Qos::AtLeastOnce);
    device(&hub);
    bring(&hub, 4.5);
    let (data, json) = next(&mut messages, "/data").await;
    let expected = serde_json::json!({
        "app": "app", "sn": "pump", "input": "pressure", "prop": "value", "value": 4.5,
        "timestamp": 1_732_724_201.5, "quality": 0,
    });
    assert_eq!(json, expected);
    assert!(!data.retain && data.qos == Qos::AtLeastOnce);
    hub.event(Event {
        app: "app".into(),
        sn: "pump".into(),
        level: Level::Warning,
        kind: EventKind::Device,
        info: "hot".into(),
        data: serde_json::json!({"t": 90}),
        timestamp_ms: 2000,
    });
    let (_, json) = next(&mut messages, "/event").await;
    let data = serde_json::json!({"type": "DEV", "info": "hot", "data": {"t": 90}});
    assert_eq!(
        json,
        serde_json::json!({"app": "app", "sn": "pump", "level": 2, "data": data, "timestamp": 2.0})
    );
    hub.stat(Stat {
        app: "app".into(),
        sn: "pump".into(),
        stat: "bytes_out".into(),
        prop: "value".into(),
        value: Value::Int(9),
        timestamp_ms: 3000,
    });
    hub.flush();
    let (_, json) = next(&mut messages, "/statistics").await;
    let expected = serde_json::json!({
        "app": "app", "sn": "pump", "stat": "bytes_out", "prop": "value", "value": 9, "timestamp": 3.0,
    });
    assert_eq!(json, expected);
    let (list, json) = next(&mut lists, "/devices").await;
    assert!(list.retain && json["pump"].is_object(), "{json}");
    gateway.stop().await;
    let (status, json) = next(&mut messages, "/status").await;
    assert_eq!(json["status"], "OFFLINE");
    assert!(status.retain);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_server_took_is_sent_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let uplink =
        |url: &str| format!("[[uplink]]\nname = \"cloud\"\nurl = \"{url}\"\nbatch_secs = 0\n");
    let (gateway, hub) = start(&config(folder.path(), &uplink("mqtt://127.0.0.1:1")));
    device(&hub);
    for value in [1.0, 2.0, 3.0] {
        bring(&hub, value);
    }
    gateway.stop().await;
    let (_broker, url) = broker();
    let (_client, mut messages) = subscriber(&url, "tidewire/#").await;
    let (gateway, _) = start(&config(folder.path(), &uplink(&url)));
    let (_, json) = next(&mut messages, "tidewire/g1/data").await;
    let points = json["points"].as_array().expect("points");
    let values: Vec<Option<f64>> = points.iter().map(|point| point[5].as_f64()).collect();
    assert_eq!(values, [Some(1.0), Some(2.0), Some(3.0)], "{json}");
    assert_eq!(json.get("resent"), None);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_acknowledged_carried_out_once_and_answered() {
    let (_broker, url) = broker();
    let (client, mut messages) = subscriber(&url, "tidewire/g1/#").await;
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!(
        "[[uplink]]\nname = \"cloud\"\nurl = \"{url}\"\nbatch_secs = 0\n[[simulator]]\nname = \"sim\"\ninterval_ms = 60000\n"
    );
    let (gateway, _hub) = start(&config(folder.path(), &text));
    next(&mut messages, "tidewire/g1/devices").await;
    let ask = |topic: &'static str, body: &'static str| {
        let client = client.clone();
        async move {
            let message = tidewire_client::Publish::new(topic, body).qos(Qos::AtLeastOnce);
            client
                .publish(message)
                .await
                .expect("accepted")
                .delivered()
                .await
                .expect("delivered");
        }
    };
    ask(
        "tidewire/g1/output/sim-1/setpoint",
        r#"{"id":"r1","value":42.5}"#,
    )
    .await;
    let (_, json) = next(&mut messages, "tidewire/g1/ack").await;
    assert_eq!(json, serde_json::json!({"id": "r1", "ack": true}));
    let (_, json) = next(&mut messages, "tidewire/g1/result/output").await;
    assert_eq!(
        (&json["id"], &json["result"]),
        (&"r1".into(), &true.into()),
        "{json}"
    );
    // The same id again: no second acknowledgement, the same result.
    ask(
        "tidewire/g1/output/sim-1/setpoint",
        r#"{"id":"r1","value":1}"#,
    )
    .await;
    let (_, again) = next(&mut messages, "tidewire/g1/result/output").await;
    assert_eq!(again, json);
    ask(
        "tidewire/g1/command/sim-1/echo",
        r#"{"id":2,"param":{"x":1}}"#,
    )
    .await;
    let (_, json) = next(&mut messages, "tidewire/g1/result/command").await;
    assert_eq!(json["data"]["echo"], serde_json::json!({"x": 1}));
    for (topic, body, code) in [
        (
            "tidewire/g1/output/sim-9/setpoint",
            r#"{"id":3,"value":1}"#,
            "no_device",
        ),
        (
            "tidewire/g1/output/sim-1/other",
            r#"{"id":4,"value":1}"#,
            "no_such_output_or_command",
        ),
    ] {
        ask(topic, body).await;
        let (_, json) = next(&mut messages, "tidewire/g1/result/output").await;
        assert_eq!(
            (&json["result"], &json["code"]),
            (&false.into(), &code.into()),
            "{json}"
        );
    }
    ask("tidewire/g1/sys/query", r#"{"id":5,"device":"sim-1"}"#).await;
    let (_, json) = next(&mut messages, "tidewire/g1/result/sys").await;
    assert!(
        json["data"]["values"].to_string().contains("setpoint"),
        "{json}"
    );
    ask("tidewire/g1/sys/snapshot", r#"{"id":6}"#).await;
    let (_, json) = next(&mut messages, "tidewire/g1/result/sys").await;
    assert_eq!(json["data"]["points"], 4);
    ask(
        "tidewire/g1/sys/enable",
        r#"{"id":7,"data":false,"event":3}"#,
    )
    .await;
    let (_, json) = next(&mut messages, "tidewire/g1/result/sys").await;
    assert_eq!(
        (&json["data"]["data"], &json["data"]["event"]),
        (&false.into(), &3.into())
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_uplinks_have_their_own_places_in_the_log() {
    let (_first, first) = broker();
    let (second_broker, second) = broker();
    let folder = tempfile::tempdir().expect("a folder");
    let both = |second: &str| {
        format!(
            "[[uplink]]\nname = \"a\"\nurl = \"{first}\"\nbatch_secs = 0\n[[uplink]]\nname = \"b\"\nurl = \"{second}\"\nbatch_secs = 0\ncompression = \"zstd\"\n"
        )
    };
    let (_client, mut messages) = subscriber(&first, "tidewire/#").await;
    let (gateway, hub) = start(&config(folder.path(), &both("mqtt://127.0.0.1:1")));
    device(&hub);
    bring(&hub, 1.0);
    next(&mut messages, "tidewire/g1/data").await;
    let state = gateway.state();
    let is_done = || state.status()["uplinks"][0]["waiting_points"] == 0;
    while !is_done() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(state.status()["uplinks"][1]["waiting_points"], 1);
    gateway.stop().await;
    let (_client, mut messages) = subscriber(&second, "tidewire/#").await;
    let (gateway, _hub) = start(&config(folder.path(), &both(&second)));
    let wait = async {
        loop {
            let message = messages.recv().await.expect("a message");
            if &*message.topic == "tidewire/g1/data_zst" {
                return message;
            }
        }
    };
    let message = tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("compressed data");
    let payload = tidewire_gateway::pipeline::Compression::Zstd
        .expand(&message.payload, 10_000)
        .expect("zstd");
    let json: Json = serde_json::from_slice(&payload).expect("JSON");
    assert_eq!(json["points"][0][5].as_f64(), Some(1.0));
    gateway.stop().await;
    drop(second_broker);
}

#[test]
fn mistakes_in_a_file_are_told_with_their_place_and_what_to_do() {
    let text = "[gateway]\nid = \"g\"\n[[uplink]]\nname = \"a b\"\nurl = \"http://x\"\ncompresion = \"zstd\"\nbatch_points = \"7\"\norder = \"live-first\"\ndata_topic = \"{devise}\"\n[[app]]\nfile = \"x.lua\"\n[simulators]\n[page]\nlisten = \"0.0.0.0:1\"\n[[modbus]]\nsn = \"m\"\nurl = \"serial:1\"\n";
    let faults = Config::read("gw.toml", text).expect_err("mistakes");
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let all = told.join("\n");
    for part in [
        "gw.toml:4:8: `a b` cannot be the name of an uplink",
        "gw.toml:5:7:",
        "gw.toml:6:1: unknown key `compresion` in [[uplink]]\n  help: did you mean `compression`?",
        "gw.toml:7:16: `batch_points` takes a whole number from 1 to 1000000, not \"7\"\n  help: write `batch_points = 7`, without quotes",
        "gw.toml:8:9: `order` takes \"strict\" or \"live_first\", not \"live-first\"\n  help: did you mean \"live_first\"?",
        "gw.toml:9:14: `data_topic`: `{devise}` is none of",
        "gw.toml:10:1: [[app]] has no `name`",
        "gw.toml:12:2: unknown table `simulators`",
        "gw.toml:14:10: the page asks nobody for a password",
        "begins with neither tcp:// nor rtu://",
    ] {
        assert!(all.contains(part), "{part:?} is not in\n{all}");
    }
}

#[test]
fn password_is_never_shown() {
    let text =
        "[[uplink]]\nname = \"a\"\nurl = \"mqtt://x\"\nusername = \"u\"\npassword = \"s3cret\"\n";
    let config = Config::read("gw.toml", text).expect("a configuration");
    assert!(!format!("{config:?}").contains("s3cret"));
    let faults = Config::read(
        "gw.toml",
        "[[uplink]]\nname = \"a\"\nurl = \"mqtt://x\"\npassword = [\"s3cret\"]\n",
    );
    assert!(!format!("{faults:?}").contains("s3cret"));
}
