//! Brokers with files, and clients of them.

use crate::peer::Peer;
use crate::support::{PATIENCE, TestBroker, tidewire};
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use tidewire_codec::Version;

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
