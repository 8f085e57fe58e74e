//! Brokers with files, and clients of them.

use crate::peer::{Peer, connect};
use crate::support::{PATIENCE, TestBroker, tidewire};
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use tidewire_codec::{Connect, Packet, ReasonCode, Version};

/// A broker in this folder with this configuration behind its one listener.
pub(crate) fn broker(folder: &Path, config: &str) -> TestBroker {
    let listener = "[[listener]]\nname = \"mqtt\"\nurl = \"tcp://127.0.0.1:0\"\n";
    fs::write(folder.join("broker.toml"), format!("{listener}{config}")).expect("written");
    let mut command = tidewire();
    command
        .current_dir(folder)
        .args(["serve", "--dev", "--ready-file", "-"]);
    TestBroker::spawn(command.args(["--config", "broker.toml"]))
}

pub(crate) fn open(broker: &TestBroker, version: Version) -> Peer<TcpStream> {
    let stream = broker.connect();
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    Peer::over(stream, version)
}

/// Connects with MQTT 5.0.
pub(crate) fn enter(broker: &TestBroker, client_id: &str) -> Peer<TcpStream> {
    let mut peer = open(broker, Version::V5);
    peer.connect(client_id);
    peer
}

/// Connects with a user name and a password; the reason if it is refused.
pub(crate) fn enter_as(
    broker: &TestBroker,
    username: &str,
    password: &str,
) -> Result<Peer<TcpStream>, ReasonCode> {
    let mut peer = open(broker, Version::V5);
    peer.send(&Packet::Connect(Connect {
        username: Some(username.to_owned().into()),
        password: Some(password.as_bytes().to_owned().into()),
        ..connect(Version::V5, username)
    }));
    match peer.receive() {
        Packet::ConnAck(connack) if connack.reason == ReasonCode::Success => Ok(peer),
        Packet::ConnAck(connack) => Err(connack.reason),
        other => panic!("{other:?}"),
    }
}
