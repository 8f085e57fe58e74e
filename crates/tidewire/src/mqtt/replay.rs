//! `--replay`: publishes what `sub --json` has written.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tidewire_client::codec::Carrier;
use tidewire_client::{Publish, Qos, Version};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::time::Instant;

use super::Failure;
use super::json::Json;
use super::options::Options;
use super::payload::PayloadFormat;
use super::properties;
use super::publish::Publisher;

/// Publishes line after line, at the pace of the recording unless `--rate` gives another.
pub(crate) async fn run(
    publisher: &mut Publisher,
    options: &mut Options,
    file: &Path,
) -> Result<(), Failure> {
    let mut lines = BufReader::new(open(file).await?).lines();
    let unreadable = |error| Failure::failed(format!("{} cannot be read: {error}", file.display()));
    let began = Instant::now();
    let mut first: Option<Timestamp> = None;
    let mut number = 0_u64;
    while let Some(line) = lines.next_line().await.map_err(unreadable)? {
        number += 1;
        if line.trim().is_empty() {
            continue;
        }
        let recorded = read(&line, options)
            .map_err(|what| Failure::usage(format!("{}:{number}: {what}", file.display())))?;
        if let (Some(at), false) = (recorded.at, publisher.has_pace()) {
            let since = at.duration_since(*first.get_or_insert(at));
            let since = Duration::try_from(since).unwrap_or(Duration::ZERO);
            tokio::time::sleep_until(began + since).await;
        }
        publisher.publish(recorded.message).await?;
    }
    Ok(())
}

async fn open(file: &Path) -> Result<Box<dyn AsyncRead + Unpin + Send>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(tokio::io::stdin()));
    }
    let opened = tokio::fs::File::open(file).await;
    let opened = opened
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    Ok(Box::new(opened))
}

struct Recorded {
    at: Option<Timestamp>,
    message: Publish,
}

fn read(line: &str, options: &Options) -> Result<Recorded, String> {
    let Some(Json::Object(members)) = Json::parse(line.as_bytes()) else {
        return Err("this is no JSON object; `sub --json` writes them".to_owned());
    };
    let member = |name: &str| {
        members
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value)
    };
    let text = |name: &str| match member(name) {
        Some(Json::Text(text)) => String::from_utf8(text.clone()).ok(),
        _ => None,
    };
    let number = |name: &str| match member(name) {
        Some(Json::Number(number)) => *number,
        Some(Json::Bool(true)) => 1.0,
        _ => 0.0,
    };
    let topic = options.topics.first().cloned().or_else(|| text("topic"));
    let topic = topic.ok_or("`topic` is missing")?;
    let format = text("format").unwrap_or_else(|| "text".to_owned());
    let format = PayloadFormat::of_name(&format).map_err(|failure| failure.message)?;
    let payload = match member("payload") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Text(text)) if format != PayloadFormat::Json => format
            .read(text.clone())
            .map_err(|failure| failure.message)?,
        Some(value) => value.compact(),
    };
    let qos = match number("qos") {
        0.0 => Qos::AtMostOnce,
        1.0 => Qos::AtLeastOnce,
        _ => Qos::ExactlyOnce,
    };
    let mut message = Publish::new(topic, payload).qos(qos);
    if number("retain") > 0.0 {
        message = message.retained();
    }
    if let (Some(Json::Object(given)), Version::V5) = (member("properties"), options.server.version)
    {
        message = message.properties(&properties_of(given)?);
    }
    let at = text("tst").and_then(|text| Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.fZ%z", text).ok());
    Ok(Recorded { at, message })
}

fn properties_of(
    given: &[(String, Json)],
) -> Result<tidewire_client::codec::Properties<'static>, String> {
    let mut found = properties::Given::default();
    let mut add = |values: &[String]| found.add(values).map_err(|failure| failure.message);
    let publish = "publish".to_owned();
    for (name, value) in given {
        match value {
            Json::Object(pairs) => {
                for (key, value) in pairs {
                    let user = "user-property".to_owned();
                    add(&[publish.clone(), user, key.clone(), plain(value)])?;
                }
            }
            // The server's own, of the connection that was recorded.
            _ if matches!(name.as_str(), "subscription-identifier" | "topic-alias") => {}
            value => add(&[publish.clone(), name.clone(), plain(value)])?,
        }
    }
    found
        .take(Carrier::PublishFromClient)
        .map_err(|failure| failure.message)
}

fn plain(value: &Json) -> String {
    match value {
        Json::Text(text) => String::from_utf8_lossy(text).into_owned(),
        other => String::from_utf8_lossy(&other.compact()).into_owned(),
    }
}
