//! How each peer is configured: in the same spirit for all.
//!
//! One listener on loopback, anonymous clients, everything in memory, no limit on queued or unacknowledged messages
//! that a scenario's window could reach, warnings and errors only in the log. All else is the peer's default.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Peer, PeerKind};
use crate::encode::Version;
use crate::error::{BenchError, Result};

/// The command that starts `peer` on `port`; what files it needs are written to `scratch`.
pub(super) fn command(peer: &Peer, port: u16, version: Version, scratch: &Path) -> Result<Command> {
    let mut command = Command::new(&peer.program);
    match peer.kind {
        PeerKind::Tidewire => {
            command.args([
                "serve",
                "--dev",
                "--listen",
                &format!("tcp://127.0.0.1:{port}"),
            ]);
        }
        PeerKind::Mosquitto => {
            command
                .arg("-c")
                .arg(write(scratch, "mosquitto.conf", &mosquitto(port))?);
        }
        PeerKind::Rumqttd => {
            command
                .arg("-c")
                .arg(write(scratch, "rumqttd.toml", &rumqttd(port, version))?);
        }
        PeerKind::Raw => {
            command.args(["raw", "--listen", &format!("127.0.0.1:{port}")]);
        }
    }
    command.current_dir(scratch);
    Ok(command)
}

fn mosquitto(port: u16) -> String {
    format!(
        "listener {port} 127.0.0.1\n\
         allow_anonymous true\n\
         persistence false\n\
         max_queued_messages 0\n\
         max_inflight_messages 0\n\
         log_dest stderr\n\
         log_type error\n\
         log_type warning\n"
    )
}

/// rumqttd serves each protocol version on a listener of its own.
fn rumqttd(port: u16, version: Version) -> String {
    let section = match version {
        Version::V311 => "v4",
        Version::V5 => "v5",
    };
    format!(
        "id = 0\n\
         [router]\n\
         id = 0\n\
         max_connections = 40000\n\
         max_outgoing_packet_count = 1000\n\
         max_segment_size = 104857600\n\
         max_segment_count = 10\n\
         [{section}.1]\n\
         name = \"bench\"\n\
         listen = \"127.0.0.1:{port}\"\n\
         next_connection_delay_ms = 0\n\
         [{section}.1.connections]\n\
         connection_timeout_ms = 60000\n\
         max_payload_size = 2097152\n\
         max_inflight_count = 1000\n\
         dynamic_filters = true\n"
    )
}

fn write(scratch: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = scratch.join(name);
    std::fs::write(&path, text).map_err(BenchError::file("writing", path.clone()))?;
    Ok(path)
}
