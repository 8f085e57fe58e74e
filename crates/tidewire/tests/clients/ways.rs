//! MQTT.js over TCP, TLS, WebSocket and WebSocket over TLS, on both paths, in every version that it speaks.

use crate::agent::provided;
use crate::support::{TestBroker, finish, run};
use std::path::Path;
use std::process::Command;

/// A broker with a listener of each kind, the web ones with a site, and certificates in a folder.
fn broker(folder: &Path) -> TestBroker {
    broker_with(folder, "")
}

/// As [`broker`], with these listeners more.
fn broker_with(folder: &Path, more: &str) -> TestBroker {
    let shown = folder.display().to_string();
    for arguments in [
        &["make-ca", "--dir", &shown][..],
        &["make-server", "--dir", &shown, "localhost", "127.0.0.1"],
    ] {
        let made = run(&[&["cert"], arguments].concat());
        assert_eq!(made.code, Some(0), "{made:?}");
    }
    let site = folder.join("site");
    std::fs::create_dir(&site).expect("a folder");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let library = Path::new(&provided("TIDEWIRE_NODE_PATH")).join("node_modules/mqtt/dist");
    for file in [
        sources.join("index.html"),
        sources.join("page.js"),
        library.join("mqtt.min.js"),
    ] {
        let name = file.file_name().expect("a name");
        std::fs::copy(&file, site.join(name)).expect("copied");
    }
    let listener = |scheme: &str| {
        let files = format!(
            "cert_file = \"{shown}/server.pem\"\nkey_file = \"{shown}/server.key\"\nws_static_folder = \"{shown}/site\"\n"
        );
        format!("[[listener]]\nname = \"{scheme}\"\nurl = \"{scheme}://127.0.0.1:0\"\n{files}")
    };
    let text: String = ["tcp", "tls", "ws", "wss"].map(listener).concat() + more;
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

#[test]
fn mqtt_js_in_chromium_speaks_with_the_port_that_its_page_came_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let elsewhere = "[[listener]]\nname = \"elsewhere\"\nurl = \"ws://127.0.0.1:0\"\n\
                     ws_origins = [\"https://elsewhere.example\"]\n";
    let broker = broker_with(folder.path(), elsewhere);
    let ports = broker.addresses();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/browser.js");
    let mut node = Command::new(provided("TIDEWIRE_NODE"));
    node.env("TIDEWIRE_NODE_PATH", provided("TIDEWIRE_NODE_PATH"));
    node.arg(&script).arg(provided("TIDEWIRE_CHROMIUM"));
    node.arg(folder.path().join("server.pem"));
    node.args([
        format!("ws://localhost:{}/mqtt", ports[4].port()),
        format!("http://localhost:{}/", ports[2].port()),
        format!("https://localhost:{}/", ports[3].port()),
    ]);
    let finished = finish(&mut node);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.stdout, "http: done\nhttps: done\n");
    broker.wait_for_log("it is not in ws_origins");
}

#[test]
fn mqtt_js_of_a_wechat_mini_program_speaks_over_the_platforms_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = broker(folder.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/wechat.js");
    for (scheme, port) in [
        ("wx", broker.addresses()[2].port()),
        ("wxs", broker.addresses()[3].port()),
    ] {
        for version in ["3", "4", "5"] {
            let mut node = Command::new(provided("TIDEWIRE_NODE"));
            node.env("TIDEWIRE_NODE_PATH", provided("TIDEWIRE_NODE_PATH"));
            node.arg(&script);
            node.args([&format!("{scheme}://localhost:{port}/mqtt"), version]);
            let finished = finish(node.arg(folder.path().join("ca.pem")));
            assert_eq!(finished.code, Some(0), "{scheme} {version}: {finished:?}");
            assert_eq!(finished.stdout, "done\n", "{scheme} {version}");
        }
    }
}
