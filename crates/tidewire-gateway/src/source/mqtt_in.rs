//! Devices that publish to an MQTT server. A message is acknowledged when its values are on disk, and not before: what the
//! gateway loses in a crash, the server sends again.

use super::Surroundings;
use crate::hub::{Accepted, InputPoint};
use crate::model::{Device, Level, Props, Quality, Value};
use crate::uplink::Secret;
use serde_json::Value as Json;
use std::collections::VecDeque;
use std::time::Duration;
use tidewire_client::{Acknowledge, Client, Event, Message, Messages, Qos, Received, Subscription};

/// How long the server keeps the session while the gateway is away.
const SESSION: Duration = Duration::from_secs(7 * 24 * 3600);
/// Messages on their way from the server at once.
const RECEIVE_MAXIMUM: u16 = 1000;

/// Where data come from, and what they mean.
#[derive(Clone, PartialEq, Debug)]
pub struct MqttInSettings {
    /// The app of the devices.
    pub name: Box<str>,
    /// The server.
    pub url: String,
    /// The client identifier.
    pub client_id: Option<Box<str>>,
    /// User name.
    pub username: Option<Box<str>>,
    /// Password.
    pub password: Option<Secret>,
    /// The topic filter.
    pub filter: Box<str>,
    /// The device.
    pub sn: LevelTemplate,
    /// The input, for payloads that are one value.
    pub input: Option<LevelTemplate>,
    /// Where in the payload the value, or the object of inputs, is: a JSON pointer; empty = all of it.
    pub value: Box<str>,
    /// Where the time is: a JSON pointer.
    pub time: Option<Box<str>>,
}

/// A name with places for levels of a topic: `{1}`, `{2}`, ...
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LevelTemplate(Box<str>);

impl LevelTemplate {
    /// This text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The name for a topic; a level that it does not have is empty.
    #[must_use]
    pub fn name(&self, topic: &str) -> String {
        let mut name = self.0.to_string();
        for (at, level) in topic.split('/').enumerate() {
            name = name.replace(&format!("{{{}}}", at + 1), level);
        }
        name
    }
}

/// One value out of a message.
#[derive(Clone, PartialEq, Debug)]
struct Reading {
    input: String,
    value: Value,
}

pub(super) async fn run(settings: MqttInSettings, around: Surroundings) {
    let own_id = format!("{}-{}", around.gateway, settings.name);
    let mut builder = Client::builder(&settings.url)
        .client_id(settings.client_id.as_deref().unwrap_or(&own_id))
        .keep_session(SESSION)
        .receive_maximum(RECEIVE_MAXIMUM);
    if let Some(name) = &settings.username {
        builder = match &settings.password {
            Some(password) => builder.credentials(name, &*password.0),
            None => builder.username(name),
        };
    }
    let subscription = Subscription::new(&settings.filter)
        .qos(Qos::AtLeastOnce)
        .capacity(RECEIVE_MAXIMUM.into())
        .acknowledge(Acknowledge::Manual);
    let mut messages = builder.subscribe(subscription);
    let mut events = builder.events();
    let client = match builder.start() {
        Ok(client) => client,
        Err(error) => return tracing::error!(source = &*settings.name, "{error}"),
    };
    let mut owed: VecDeque<(Accepted, Received)> = VecDeque::new();
    loop {
        tokio::select! {
            () = around.stopped() => break,
            Some(event) = events.recv() => tell(&settings, &around, &event),
            () = committed(&around, &owed) => acknowledge(&around, &mut owed).await,
            message = next(&mut messages, &around) => {
                let accepted = take(&settings, &around, &message);
                owed.push_back((accepted, message));
            }
        }
    }
    let _ = client.close(Duration::from_secs(1)).await;
}

/// The next message, as soon as the gateway can take it.
async fn next(messages: &mut Messages, around: &Surroundings) -> Received {
    while around.hub.is_holding() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    match messages.recv().await {
        Some(message) => message,
        None => std::future::pending().await,
    }
}

async fn committed(around: &Surroundings, owed: &VecDeque<(Accepted, Received)>) {
    match owed.front() {
        Some((accepted, _)) => around.hub.committed(*accepted).await,
        None => std::future::pending().await,
    }
}

/// The oldest is durable, and with it all that came with it.
async fn acknowledge(around: &Surroundings, owed: &mut VecDeque<(Accepted, Received)>) {
    while let Some((accepted, _)) = owed.front() {
        let is_durable = around.hub.is_committed(*accepted);
        if !is_durable {
            return;
        }
        if let Some((_, message)) = owed.pop_front() {
            message.acknowledge();
        }
    }
}

fn tell(settings: &MqttInSettings, around: &Surroundings, event: &Event) {
    match event {
        Event::Connected(_) => tracing::info!(source = &*settings.name, "connected"),
        Event::Disconnected { cause, .. } => {
            tracing::warn!(source = &*settings.name, "not connected: {cause}");
            around.event(
                &settings.name,
                &settings.name,
                Level::Warning,
                cause.to_string(),
            );
        }
        _ => {}
    }
}

fn take(settings: &MqttInSettings, around: &Surroundings, message: &Message) -> Accepted {
    let (readings, time_ms) = read(settings, &message.topic, &message.payload);
    if readings.is_empty() {
        tracing::debug!(
            source = &*settings.name,
            topic = &*message.topic,
            "a message holds no value"
        );
        return around.hub.inputs(&[]);
    }
    let sn = settings.sn.name(&message.topic);
    if around.hub.device(&sn).is_none() {
        around.hub.add_device(Device {
            app: settings.name.clone(),
            sn: sn.as_str().into(),
            props: Props::default(),
        });
    }
    let source_ms = time_ms.unwrap_or_else(|| around.hub.now_ms());
    let points: Vec<InputPoint<'_>> = readings
        .iter()
        .filter_map(|reading| {
            Some(InputPoint {
                series: around.hub.series(&sn, &reading.input, "value")?,
                value: &reading.value,
                quality: Quality::GOOD,
                source_ms,
            })
        })
        .collect();
    around.hub.inputs(&points)
}

/// The values in a message, and their time.
fn read(settings: &MqttInSettings, topic: &str, payload: &[u8]) -> (Vec<Reading>, Option<i64>) {
    let json: Option<Json> = serde_json::from_slice(payload).ok();
    let time = settings.time.as_deref();
    let time_ms = time
        .and_then(|at| json.as_ref()?.pointer(at))
        .and_then(Json::as_f64)
        .map(millis);
    let found = match &json {
        Some(json) => json.pointer(&settings.value).cloned(),
        // What is no JSON is text.
        None if settings.value.is_empty() => std::str::from_utf8(payload).ok().map(Json::from),
        None => None,
    };
    let readings = match (&settings.input, found) {
        (_, None) => Vec::new(),
        (Some(input), Some(value)) => vec![Reading {
            input: input.name(topic),
            value: Value::of_json(&value),
        }],
        (None, Some(Json::Object(inputs))) => inputs
            .into_iter()
            .filter(|(_, value)| !value.is_object() && !value.is_array())
            .map(|(input, value)| Reading {
                input,
                value: Value::of_json(&value),
            })
            .collect(),
        (None, Some(_)) => Vec::new(),
    };
    (readings, time_ms)
}

/// Seconds or milliseconds: no device measures in the year 5138 or later.
fn millis(time: f64) -> i64 {
    let ms = if time.abs() < 1e11 {
        time * 1000.0
    } else {
        time
    };
    ms.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> MqttInSettings {
        MqttInSettings {
            name: "mqtt".into(),
            url: String::new(),
            client_id: None,
            username: None,
            password: None,
            filter: "#".into(),
            sn: LevelTemplate::new("{2}"),
            input: None,
            value: "".into(),
            time: None,
        }
    }

    fn names(readings: &[Reading]) -> Vec<(&str, Value)> {
        readings
            .iter()
            .map(|r| (r.input.as_str(), r.value.clone()))
            .collect()
    }

    #[test]
    fn object_of_inputs_and_single_values_are_read() {
        let mut mapping = settings();
        let (found, time) = read(
            &mapping,
            "plant/pump",
            br#"{"t":21.5,"on":true,"nested":{}}"#,
        );
        assert_eq!(
            names(&found),
            [("on", Value::Bool(true)), ("t", Value::Float(21.5))]
        );
        assert_eq!(time, None);
        mapping.value = "/data/v".into();
        mapping.time = Some("/at".into());
        mapping.input = Some(LevelTemplate::new("{3}"));
        let (found, time) = read(
            &mapping,
            "plant/pump/speed",
            br#"{"at":1732724201.5,"data":{"v":7}}"#,
        );
        assert_eq!(names(&found), [("speed", Value::Int(7))]);
        assert_eq!(time, Some(1_732_724_201_500));
        assert_eq!(mapping.sn.name("plant/pump/speed"), "pump");
    }

    #[test]
    fn payloads_that_are_no_json_are_text_or_nothing() {
        let mut mapping = settings();
        assert_eq!(read(&mapping, "a/b", b"open").0, []);
        mapping.input = Some(LevelTemplate::new("state"));
        assert_eq!(
            names(&read(&mapping, "a/b", b"open").0),
            [("state", Value::Text("open".into()))]
        );
        assert_eq!(read(&mapping, "a/b", &[0xff]).0, []);
        mapping.value = "/v".into();
        assert_eq!(read(&mapping, "a/b", b"open").0, []);
    }

    #[test]
    fn times_in_milliseconds_are_told_from_seconds() {
        assert_eq!(millis(1_732_724_201.25), 1_732_724_201_250);
        assert_eq!(millis(1_732_724_201_250.0), 1_732_724_201_250);
    }
}
