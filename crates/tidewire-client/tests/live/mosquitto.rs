//! Against mosquitto, where the environment names one: `TIDEWIRE_MOSQUITTO=/usr/sbin/mosquitto`.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidewire_client::{Backoff, Client, Publish, Qos, Subscription};

use crate::broker::{PATIENCE, VERSIONS, soon};

struct Mosquitto {
    process: Child,
    port: u16,
    config: std::path::PathBuf,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.config);
    }
}

fn start(program: &std::ffi::OsStr) -> Mosquitto {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let config = std::env::temp_dir().join(format!("tidewire-client-mosquitto-{port}.conf"));
    let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n");
    std::fs::write(&config, text).expect("written");
    let process = Command::new(program)
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto starts");
    Mosquitto {
        process,
        port,
        config,
    }
}

#[tokio::test]
async fn mosquitto_takes_and_delivers_every_qos_in_every_version() {
    let Some(program) = std::env::var_os("TIDEWIRE_MOSQUITTO") else {
        eprintln!("skipped: TIDEWIRE_MOSQUITTO names no program");
        return;
    };
    let mosquitto = start(&program);
    let url = format!("mqtt://127.0.0.1:{}", mosquitto.port);
    let quick = Backoff::jittered(Duration::from_millis(20), Duration::from_millis(50));
    for version in VERSIONS {
        let builder = Client::builder(&url)
            .version(version)
            .backoff(quick.clone());
        let client = builder.start().expect("options");
        soon(client.connected()).await.expect("connected");
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
            let topic = format!("t/{qos:?}");
            let wanted = Subscription::new(&topic).qos(qos);
            let mut messages = soon(client.subscribe(wanted)).await.expect("subscribed");
            for number in 0..100 {
                let message = Publish::new(topic.clone(), number.to_string()).qos(qos);
                soon(client.publish(message)).await.expect("accepted");
            }
            for number in 0..100 {
                let message = soon(messages.recv()).await.expect("a message");
                assert_eq!(message.text(), Some(&*number.to_string()));
            }
        }
        soon(client.ping()).await.expect("an answer");
        assert_eq!(soon(client.close(PATIENCE)).await.undelivered, []);
    }
}
