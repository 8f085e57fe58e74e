//! What is sent.

use crate::handlers::foreign::{Fields, Say, View, members_to_json, told};
use serde_json::Value as Json;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};
use tidewire_codec::Version;
use tidewire_handler::{Client, Event, Notice};

/// Fields that are no part of the packet beside them.
const BESIDE_PACKET: [&str; 1] = ["origin"];
/// What a question may be asked without.
const PAYLOAD: [&str; 2] = ["payload", "payload_base64"];

/// A question: `v`, `event`, `client`, then the fields, or the packet in the form of
/// [`tidewire_handler::json`] in place of those that it shows.
pub(super) fn question<A: Say>(client: &Client, ask: &A, with_payload: bool) -> String {
    let mut body = begun(A::EVENT);
    put(&mut body, "client", &client_json(client));
    let line = ask.packet_line(client.version().unwrap_or(Version::V5));
    let fields = ask.fields();
    match line {
        Some(line) => {
            let beside: Fields<'_> = fields
                .into_iter()
                .filter(|(name, _)| BESIDE_PACKET.contains(&&**name))
                .collect();
            put_fields(&mut body, &beside);
            let _ = write!(body, ",\"packet\":{line}");
        }
        None => {
            let shown: Fields<'_> = fields
                .into_iter()
                .filter(|(name, _)| with_payload || !PAYLOAD.contains(&&**name))
                .collect();
            put_fields(&mut body, &shown);
        }
    }
    body.push('}');
    body
}

/// Something that happened, one object of a batch.
pub(super) fn notice(notice: &Notice) -> String {
    let mut body = begun(notice.event());
    put(&mut body, "time_ms", &Json::from(now_ms()));
    put_fields(&mut body, &told(notice));
    body.push('}');
    body
}

/// A batch of such objects.
pub(super) fn batch(notices: &[String]) -> String {
    format!("{{\"v\":1,\"events\":[{}]}}", notices.join(","))
}

/// The same question for whoever asks again from another port.
pub(super) fn without_port(body: &str, client: &Client) -> String {
    match client.address().rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => body.replacen(
            &Json::from(client.address()).to_string(),
            &Json::from(host).to_string(),
            1,
        ),
        _ => body.to_owned(),
    }
}

fn begun(event: Event) -> String {
    format!("{{\"v\":1,\"event\":\"{}\"", event.name())
}

fn put(body: &mut String, key: &str, value: &Json) {
    // Writing into a String cannot fail.
    let _ = write!(body, ",\"{key}\":{value}");
}

fn put_fields(body: &mut String, fields: &Fields<'_>) {
    for (key, value) in members_to_json(fields) {
        put(body, &key, &value);
    }
}

fn client_json(client: &Client) -> Json {
    let mut fields: Fields<'_> = vec![
        ("id".into(), View::text(client.client_id())),
        ("username".into(), View::maybe(client.username())),
        ("principal".into(), View::maybe(client.principal())),
        ("address".into(), View::text(client.address())),
        ("listener".into(), View::text(client.listener_name())),
    ];
    if let Some(version) = client.version() {
        fields.push(("version".into(), View::Number(version.level().into())));
    }
    Json::Object(members_to_json(&fields))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
