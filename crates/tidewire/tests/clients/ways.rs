//! MQTT.js over TCP, TLS, WebSocket and WebSocket over TLS, on both paths, in every version that it speaks.

use crate::agent::provided;
use crate::support::{TestBroker, finish, run};
use std::path::Path;
use std::process::Command;

/// A broker with a listener of each kind, and certificates in a folder.
fn broker(folder: &Path) -> TestBroker {
    let shown = folder.display().to_string();
    for arguments in [
        &["make-ca", "--dir", &shown][..],
        &["make-server", "--dir", &shown, "localhost", "127.0.0.1"],
    ] {
        let made = run(&[&["cert"], arguments].concat());
        assert_eq!(made.code, Some(0), "{made:?}");
    }
    let listener = |scheme: &str| {
        let files =
            format!("cert_file = \"{shown}/server.pem\"\nkey_file = \"{shown}/server.key\"\n");
        format!("[[listener]]\nname = \"{scheme}\"\nurl = \"{scheme}://127.0.0.1:0\"\n{files}")
    };
    let text: String = ["tcp", "tls", "ws", "wss"].map(listener).concat();
    let file = folder.join("c.toml");
    std::fs::write(&file, text).expect("written");
    TestBroker::with(&["--dev", "--config", &file.display().to_string()])
}

/// It asks for the sub-protocol `mqttv3.1` in MQTT 3.1 and for `mqtt` in the others.
#[test]
fn mqtt_js_has_the_same_result_on_every_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = broker(folder.path());
    let ports: Vec<u16> = broker
        .addresses()
        .iter()
        .map(|address| address.port())
        .collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/ways.js");
    let ca = folder.path().join("ca.pem");
    for (scheme, port, path) in [
        ("mqtt", ports[0], ""),
        ("mqtts", ports[1], ""),
        ("ws", ports[2], "/"),
        ("ws", ports[2], "/mqtt"),
        ("wss", ports[3], "/"),
        ("wss", ports[3], "/mqtt"),
    ] {
        for version in ["3", "4", "5"] {
            let url = format!("{scheme}://localhost:{port}{path}");
            let mut node = Command::new(provided("TIDEWIRE_NODE"));
            node.env("TIDEWIRE_NODE_PATH", provided("TIDEWIRE_NODE_PATH"));
            node.arg(&script).args([&url, version]).arg(&ca);
            let finished = finish(&mut node);
            assert_eq!(finished.code, Some(0), "{url} {version}: {finished:?}");
            assert_eq!(finished.stdout, "done\n", "{url} {version}");
        }
    }
}
