//! The Modbus source with pymodbus' server, over TCP and over a serial line.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tidewire_gateway::clock::TimeSource;
use tidewire_gateway::hub::{Action, ActionError};
use tidewire_gateway::model::{Quality, Sample, Value};
use tidewire_gateway::source::{ModbusUrl, probe_modbus};
use tidewire_gateway::{Config, Gateway, Hub};

/// Whatever takes longer than this has gone wrong.
const PATIENCE: Duration = Duration::from_secs(30);

struct Server(Child);

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let python = std::env::var_os("TIDEWIRE_PYTHON");
        let Some(python) = python else {
            panic!(
                "TIDEWIRE_PYTHON is not set; `cargo xtask test` installs what it names and sets it"
            )
        };
        let script =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/python/modbus_server.py");
        let mut child = Command::new(python)
            .arg(script)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), "ready");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

const REGISTERS: &str = r#"
[[modbus.register]]
input = "five"
address = 5
writable = true
[[modbus.register]]
input = "float"
address = 10
type = "f32"
[[modbus.register]]
input = "swapped"
address = 12
type = "u32"
order = "cdab"
[[modbus.register]]
input = "scaled"
address = 20
scale = 0.1
unit = "°C"
[[modbus.register]]
input = "missing"
address = 200
[[modbus.register]]
input = "read_only"
table = "input"
address = 7
[[modbus.register]]
input = "coil"
table = "coil"
address = 3
writable = true
[[modbus.register]]
input = "discrete"
table = "discrete"
address = 2
"#;

fn config(folder: &std::path::Path, url: &str) -> Config {
    let text = format!(
        "[gateway]\ndata_dir = {:?}\n[[modbus]]\nsn = \"plc\"\nurl = \"{url}\"\ninterval_ms = 50\nretry_max_secs = 1\n{REGISTERS}",
        folder.display().to_string()
    );
    match Config::read("test.toml", &text) {
        Ok(config) => config,
        Err(faults) => panic!("{faults:?}"),
    }
}

fn start(config: &Config) -> (Gateway, Arc<Hub>) {
    let hub = Arc::new(Hub::new(config.hub.clone(), TimeSource::System));
    let gateway = Gateway::start(config, &hub, None).expect("a gateway");
    (gateway, hub)
}

async fn sample(hub: &Hub, input: &str, accept: impl Fn(&Sample) -> bool) -> Sample {
    let wait = async {
        loop {
            let series = hub.series("plc", input, "value");
            if let Some(sample) = series.and_then(|series| hub.newest(series)).filter(&accept) {
                return sample;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(sample) => sample,
        Err(_) => panic!("{input} never came"),
    }
}

fn write(output: &str, value: Value) -> Action {
    Action::Output {
        output: output.into(),
        prop: "value".into(),
        value,
    }
}

async fn reads_and_writes(hub: &Hub) {
    for (input, value) in [
        ("five", Value::Int(5)),
        ("float", Value::Float(21.6)),
        ("swapped", Value::Int(65_538)),
        ("scaled", Value::Float(21.7)),
        ("read_only", Value::Int(7)),
        ("coil", Value::Bool(false)),
        ("discrete", Value::Bool(true)),
    ] {
        let found = sample(hub, input, |sample| sample.quality == Quality::GOOD).await;
        assert_eq!(found.value, value, "{input}");
    }
    let bad = sample(hub, "missing", |_| true).await;
    assert_eq!(bad.quality, Quality::BAD);
    hub.act("plc", write("five", Value::Int(55)), PATIENCE)
        .await
        .expect("written");
    sample(hub, "five", |sample| sample.value == Value::Int(55)).await;
    hub.act("plc", write("coil", Value::Bool(true)), PATIENCE)
        .await
        .expect("written");
    sample(hub, "coil", |sample| sample.value == Value::Bool(true)).await;
    let too_large = hub
        .act("plc", write("five", Value::Int(70_000)), PATIENCE)
        .await;
    assert!(
        matches!(too_large, Err(ActionError::Failed(_))),
        "{too_large:?}"
    );
    let unknown = hub
        .act("plc", write("float", Value::Int(1)), PATIENCE)
        .await;
    assert_eq!(unknown, Err(ActionError::NoSuch));
}

#[tokio::test(flavor = "multi_thread")]
async fn registers_are_read_and_written_over_tcp_and_a_device_that_is_gone_comes_back() {
    let port = free_port().to_string();
    let server = Server::start(&["tcp", &port]);
    let folder = tempfile::tempdir().expect("a folder");
    let (gateway, hub) = start(&config(folder.path(), &format!("tcp://127.0.0.1:{port}")));
    reads_and_writes(&hub).await;
    drop(server);
    let offline = sample(&hub, "five", |sample| sample.quality == Quality::OFFLINE).await;
    assert_eq!(
        offline.value,
        Value::Int(55),
        "the last value stays, with its quality"
    );
    let _server = Server::start(&["tcp", &port]);
    sample(&hub, "five", |sample| {
        sample.value == Value::Int(5) && sample.quality == Quality::GOOD
    })
    .await;
    let told: Vec<String> = hub
        .events()
        .iter()
        .map(|event| event.info.to_string())
        .collect();
    assert!(
        told.iter().any(|info| info == "the device answers again"),
        "{told:?}"
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registers_are_read_and_written_over_a_serial_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    let end = |path: &std::path::Path| format!("pty,raw,echo=0,link={}", path.display());
    let Some(socat) = std::env::var_os("TIDEWIRE_SOCAT") else {
        panic!("TIDEWIRE_SOCAT is not set; `cargo xtask test` installs what it names and sets it")
    };
    let line = Command::new(socat)
        .args([end(&ours), end(&theirs)])
        .spawn()
        .expect("socat runs");
    let _line = Server(line);
    let until = std::time::Instant::now() + PATIENCE;
    while !(ours.exists() && theirs.exists()) {
        assert!(std::time::Instant::now() < until, "socat makes no line");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let _server = Server::start(&["rtu", &theirs.display().to_string()]);
    let url = format!("rtu://{}?baud=19200", ours.display());
    let (gateway, hub) = start(&config(folder.path(), &url));
    reads_and_writes(&hub).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probe_lists_what_a_device_answers() {
    let port = free_port().to_string();
    let _server = Server::start(&["tcp", &port]);
    let url = ModbusUrl::parse(&format!("tcp://127.0.0.1:{port}")).expect("a URL");
    let text = probe_modbus(&url, 1, 15, 40, PATIENCE)
        .await
        .expect("answers");
    for line in [
        "holding 20: 217 (0x00d9)",
        "holding: 40 of 40 addresses answer",
        "input: 35 of 40 addresses answer",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let nowhere = ModbusUrl::parse("tcp://127.0.0.1:1").expect("a URL");
    assert!(probe_modbus(&nowhere, 1, 0, 1, PATIENCE).await.is_err());
}
