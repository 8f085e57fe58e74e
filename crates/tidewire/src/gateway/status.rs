//! `tidewire gateway status`: asks a running gateway by the socket in its folder.

use super::arguments::Status as Arguments;
use super::run::SOCKET;
use crate::exit::{Failure, Status};
use serde_json::Value as Json;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub(super) fn run(arguments: &Arguments) -> Result<String, Failure> {
    let config = super::load(&arguments.config)?;
    let socket = config.data_dir.join(SOCKET);
    // The age of the oldest point is looked up because of the first question and told with the second.
    ask(&socket)?;
    std::thread::sleep(Duration::from_millis(1100));
    let status = ask(&socket)?;
    if arguments.json {
        return Ok(format!("{status:#}\n"));
    }
    Ok(describe(&status))
}

fn ask(socket: &Path) -> Result<Json, Failure> {
    let failed = |why: String| {
        let message = format!(
            "no gateway answers on {}: {why}\n  help: start it with `tidewire gateway run --config FILE`",
            socket.display()
        );
        Failure::new(Status::NoBroker, message)
    };
    let mut stream = UnixStream::connect(socket).map_err(|error| failed(error.to_string()))?;
    let limit = Some(Duration::from_secs(10));
    let answer = stream
        .set_read_timeout(limit)
        .and_then(|()| stream.set_write_timeout(limit))
        .and_then(|()| {
            stream.write_all(
                b"GET /api/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            )
        })
        .and_then(|()| {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        });
    let answer = answer.map_err(|error| failed(error.to_string()))?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).map_err(|error| failed(format!("its answer is no JSON: {error}")))
}

fn describe(status: &Json) -> String {
    let number = |place: &str| status.pointer(place).cloned().unwrap_or_default();
    let mut text = format!(
        "gateway {}, running for {} s: {} devices, {} series\n",
        status["gateway"].as_str().unwrap_or_default(),
        status["uptime_secs"],
        status["devices"],
        status["series"]
    );
    let hours = match number("/store/hours_left") {
        Json::Null => "no data come at present".to_owned(),
        hours => format!("{hours} hours left if nothing can be sent"),
    };
    let _ = writeln!(
        text,
        "store: {} of {} bytes, {} free; {hours}",
        number("/store/used_bytes"),
        number("/store/max_bytes"),
        number("/store/free_bytes")
    );
    let _ = writeln!(
        text,
        "dropped: {} oldest, {} newest, {} from a full buffer, {} of unknown series, {} events",
        number("/store/dropped_points"),
        number("/counters/dropped_newest"),
        number("/counters/dropped_buffer"),
        number("/counters/dropped_series"),
        number("/counters/dropped_events")
    );
    for uplink in status["uplinks"].as_array().into_iter().flatten() {
        let state = if uplink["connected"] == true {
            "connected"
        } else {
            "not connected"
        };
        let oldest = match &uplink["oldest_secs"] {
            Json::Null => String::new(),
            secs => format!(", the oldest {secs} s old"),
        };
        let _ = writeln!(
            text,
            "uplink {}: {state}; {} points waiting{oldest}; {} sent, {} lost",
            uplink["name"].as_str().unwrap_or_default(),
            uplink["waiting_points"],
            uplink["sent_points"],
            uplink["lost_points"]
        );
        if let Some(problem) = uplink["problem"].as_str() {
            let _ = writeln!(text, "  {problem}");
        }
    }
    text
}
