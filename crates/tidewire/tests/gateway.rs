//! `tidewire gateway` as people run it: the real program, brokers beside it, and whatever may happen to them.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use support::{PATIENCE, TestBroker, tidewire};
use tidewire_client::{Client, Messages, Publish, Qos, Received, Subscription};

fn needed(variable: &str) -> std::ffi::OsString {
    match std::env::var_os(variable) {
        Some(place) => place,
        None => {
            panic!("{variable} is not set; `cargo xtask test` installs what it names and sets it")
        }
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// A running program and what it wrote to standard error.
struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    ready: Json,
}

impl Process {
    fn start(command: &mut Command, says_ready: bool) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (into, stderr) = (Arc::clone(&log), child.stderr.take().expect("piped"));
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                into.lock().expect("whole").push_str(&format!("{line}\n"));
            }
        });
        let mut ready = Json::Null;
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        if says_ready {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("a line");
            ready = serde_json::from_str(&line)
                .unwrap_or_else(|_| panic!("not ready: {line}{}", log.lock().expect("whole")));
        }
        thread::spawn(move || drop(stdout.read_to_string(&mut String::new())));
        Self { child, log, ready }
    }

    fn log(&self) -> String {
        self.log.lock().expect("whole").clone()
    }

    fn wait_for_log(&self, part: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.log().contains(part) {
            assert!(Instant::now() < until, "no {part:?} in\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        let pid =
            Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("not zero");
        kill_process(pid, signal).expect("sent");
    }

    fn end(mut self, signal: Signal) -> String {
        self.signal(signal);
        self.child.wait().expect("its status");
        self.log()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("log of {}:\n{}", self.child.id(), self.log());
        }
    }
}

/// Whoever reads along.
struct Observer {
    runtime: tokio::runtime::Runtime,
    client: Client,
    messages: Messages,
}

impl Observer {
    fn new(port: u16, filter: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (client, messages) = runtime.block_on(async {
            let client = Client::builder(&format!("mqtt://127.0.0.1:{port}"))
                .connect()
                .await
                .expect("connected");
            let wanted = Subscription::new(filter)
                .qos(Qos::AtLeastOnce)
                .retain_as_published();
            let messages = client.subscribe(wanted).await.expect("subscribed");
            (client, messages)
        });
        Self {
            runtime,
            client,
            messages,
        }
    }

    fn next(&mut self, topic: &str, accept: impl Fn(&Json) -> bool) -> (Received, Json) {
        let wait = async {
            loop {
                let message = self.messages.recv().await.expect("a stream without end");
                if &*message.topic == topic {
                    let json = serde_json::from_slice(&message.payload).expect("JSON");
                    if accept(&json) {
                        return (message, json);
                    }
                }
            }
        };
        let found = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, wait).await });
        found.unwrap_or_else(|_| panic!("nothing came on {topic}"))
    }

    fn publish(&self, topic: &str, payload: &str) {
        self.runtime.block_on(async {
            let message = Publish::new(topic, payload.to_owned()).qos(Qos::AtLeastOnce);
            let mut receipt = self.client.publish(message).await.expect("accepted");
            receipt.delivered_within(PATIENCE).await.expect("delivered");
        });
    }
}

/// The program of the first seed, out of its page; `None` where the seeds are not there.
fn seed(folder: &Path) -> Option<PathBuf> {
    let seeds = support::repository().join("../shared/seeds");
    let entries = std::fs::read_dir(&seeds)
        .ok()
        .into_iter()
        .flatten()
        .flatten();
    let page = entries.map(|entry| entry.path()).find(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("000_"))
    });
    let Some(page) = page else {
        assert!(
            std::env::var_os("CI").is_none(),
            "the seeds are not at {}",
            seeds.display()
        );
        eprintln!(
            "not run: the program of the first seed is not at {}",
            seeds.display()
        );
        return None;
    };
    let text = std::fs::read_to_string(page).expect("readable");
    let (_, rest) = text.split_once("```lua\n").expect("a program");
    let (program, _) = rest.split_once("\n```").expect("its end");
    let file = folder.join("seed.lua");
    std::fs::write(&file, program).expect("written");
    Some(file)
}

fn app(file: &Path, port: u16) -> Process {
    let conf = format!(
        "{{\"server\":\"127.0.0.1\",\"port\":\"{port}\",\"username\":\"u\",\"password\":\"hunter2-secret\"}}"
    );
    let mut command = tidewire();
    command.args(["gateway", "app", "run"]).arg(file);
    command.args([
        "--name",
        "cloud",
        "--id",
        "gw7",
        "--conf",
        &conf,
        "--simulate",
        "1",
        "--log",
        "trace",
    ]);
    Process::start(&mut command, false)
}

fn is_status(word: &'static str) -> impl Fn(&Json) -> bool {
    move |json| *json == serde_json::json!({"device": "gw7", "status": word})
}

/// What the seed's program does with any broker.
fn seed_works(file: &Path, port: u16) {
    let mut observer = Observer::new(port, "#");
    let started = Instant::now();
    let running = app(file, port);
    let (status, _) = observer.next("/status", is_status("ONLINE"));
    assert!(status.retain && status.qos == Qos::AtLeastOnce);
    let (list, json) = observer.next("/devices", |_| true);
    assert!(
        started.elapsed() >= Duration::from_secs(1),
        "the list waits a second for more changes"
    );
    assert!(list.retain && list.qos == Qos::AtLeastOnce);
    assert!(json["simulator-1"]["inputs"].is_array(), "{json}");
    let (data, json) = observer.next("/data", |_| true);
    assert!(!data.retain && data.qos == Qos::AtLeastOnce);
    let fields: BTreeSet<&str> = json
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    let expected = BTreeSet::from([
        "app",
        "input",
        "prop",
        "quality",
        "sn",
        "timestamp",
        "value",
    ]);
    assert_eq!(fields, expected);
    for kind in ["app", "sys", "output", "command"] {
        observer.publish(&format!("/{kind}/of/somebody"), "{}");
        // The program prints what it receives.
        running.wait_for_log(&format!("/{kind}/of/somebody"));
    }
    let log = running.end(Signal::KILL);
    let (status, _) = observer.next("/status", is_status("OFFLINE"));
    assert!(status.retain || status.qos == Qos::AtLeastOnce);
    assert!(
        log.contains("***") && !log.contains("hunter2-secret"),
        "{log}"
    );
    let running = app(file, port);
    observer.next("/status", is_status("ONLINE"));
    running.end(Signal::TERM);
    observer.next("/status", is_status("OFFLINE"));
}

#[test]
fn program_of_the_first_seed_runs_unmodified_with_this_broker() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(file) = seed(folder.path()) else {
        return;
    };
    let port = free_port();
    let url = format!("tcp://127.0.0.1:{port}");
    let broker = TestBroker::with(&["--dev", "--listen", &url]);
    seed_works(&file, port);
    // The broker goes and comes back: so does the app.
    let running = app(&file, port);
    Observer::new(port, "#").next("/status", is_status("ONLINE"));
    broker.stop();
    running.wait_for_log("ON_DISCONNECT");
    let _broker = TestBroker::with(&["--dev", "--listen", &url]);
    Observer::new(port, "#").next("/status", is_status("ONLINE"));
    running.end(Signal::TERM);
}

#[test]
fn program_of_the_first_seed_runs_unmodified_with_mosquitto() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(file) = seed(folder.path()) else {
        return;
    };
    let port = free_port();
    let config = folder.path().join("mosquitto.conf");
    std::fs::write(
        &config,
        format!("listener {port} 127.0.0.1\nallow_anonymous true\n"),
    )
    .expect("written");
    let mut command = Command::new(needed("TIDEWIRE_MOSQUITTO"));
    let _mosquitto = Process::start(command.arg("-c").arg(&config), false);
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "mosquitto does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    seed_works(&file, port);
}

#[test]
fn misspelt_key_and_endless_loop_are_told_and_the_gateway_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, body: &str| {
        let program = format!(
            "local app = require 'middleclass'('T')\napp.API_VER = 1\nfunction app:initialize(name, sys, conf) self._host = conf.server end\n\
             function app:start() return true end\nfunction app:run(tms) {body} end\nreturn app\n"
        );
        std::fs::write(folder.path().join(name), program).expect("written");
    };
    write("fine.lua", "print('fine runs', self._host) return 50");
    write("endless.lua", "while true do end");
    write(
        "leak.lua",
        "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
    );
    let config = folder.path().join("gateway.toml");
    let app = |name: &str, conf: &str| {
        let file = folder.path().join(format!("{name}.lua"));
        format!("[[app]]\nname = \"{name}\"\nfile = {file:?}\nconf = {conf}\n")
    };
    let text = format!(
        "[gateway]\ndata_dir = {:?}\n{}{}{}[[app]]\nname = \"typo\"\nfile = {:?}\nconf = {{ sever = \"x\" }}\n",
        folder.path().join("data"),
        app("fine", "{ server = \"here\" }"),
        app("endless", "{}"),
        app("leak", "'{}'"),
        folder.path().join("fine.lua"),
    );
    std::fs::write(&config, text).expect("written");
    let running = Process::start(
        tidewire()
            .args(["gateway", "run", "--ready", "--config"])
            .arg(&config),
        true,
    );
    running.wait_for_log("`sever`, which the program does not read; did you mean `server`?");
    running.wait_for_log("endless.lua:5: used more than");
    running.wait_for_log("leak.lua");
    let before = running.log().matches("fine runs\there").count();
    let until = Instant::now() + PATIENCE;
    while running.log().matches("fine runs\there").count() < before + 3 {
        assert!(
            Instant::now() < until,
            "the other app stands still\n{}",
            running.log()
        );
        thread::sleep(Duration::from_millis(20));
    }
    running.end(Signal::TERM);
}

/// A way to a broker that can be cut.
struct Line {
    port: u16,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    fn to(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let line = Self {
            port: listener.local_addr().expect("its address").port(),
            is_cut: Arc::default(),
            open: Arc::default(),
        };
        let (is_cut, open) = (Arc::clone(&line.is_cut), Arc::clone(&line.open));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(other) = TcpStream::connect(("127.0.0.1", broker)) else {
                    continue;
                };
                for (from, to) in [(&stream, &other), (&other, &stream)] {
                    let (mut from, mut to) = (
                        from.try_clone().expect("cloned"),
                        to.try_clone().expect("cloned"),
                    );
                    thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
                }
                open.lock().expect("whole").extend([stream, other]);
            }
        });
        line
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().expect("whole").drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

/// What came, by series.
#[derive(Default)]
struct Arrived {
    series: BTreeMap<String, Vec<i64>>,
    repeated: usize,
    repeated_unmarked: usize,
}

impl Arrived {
    fn take(&mut self, json: &Json) {
        for point in json["points"].as_array().expect("points") {
            let name = format!("{}/{}", point[1], point[2]);
            let number = point[5].as_i64().expect("a number");
            let seen = self.series.entry(name).or_default();
            // A counter: whatever is not beyond the last has come before.
            if seen.last().is_some_and(|last| number <= *last)
                && seen.binary_search(&number).is_ok()
            {
                self.repeated += 1;
                self.repeated_unmarked += usize::from(json["resent"] != true);
            } else {
                seen.push(number);
            }
        }
    }

    fn least(&self) -> i64 {
        self.series
            .values()
            .filter_map(|seen| seen.last().copied())
            .min()
            .unwrap_or(-1)
    }
}

/// Devices, inputs and interval give 1,000 points a second.
fn lossy_config(folder: &Path, port: u16) -> PathBuf {
    let config = folder.join("gateway.toml");
    let text = format!(
        "[gateway]\nid = \"g\"\ndata_dir = {:?}\n[pipeline]\ncommit_ms = 20\n\
         [store]\nmax_bytes = 262144\nmin_free_bytes = 0\nsegment_bytes = 16384\nwhen_full = \"hold\"\n\
         [[uplink]]\nname = \"up\"\nurl = \"mqtt://127.0.0.1:{port}\"\nbatch_secs = 0.2\nbatch_points = 200\n\
         [[simulator]]\nname = \"sim\"\ndevices = 5\ninputs = 20\ninterval_ms = 100\nshape = \"counter\"\n",
        folder.join("data")
    );
    std::fs::write(&config, text).expect("written");
    config
}

#[test]
fn nothing_is_lost_when_the_gateway_is_killed_the_line_is_cut_and_the_log_is_full() {
    let is_long = std::env::var_os("TIDEWIRE_LONG").is_some();
    let (rounds, outage) = if is_long {
        (30, Duration::from_secs(20))
    } else {
        (2, Duration::from_secs(3))
    };
    let folder = tempfile::tempdir().expect("a folder");
    let broker = TestBroker::start();
    let line = Line::to(broker.port());
    let mut observer = Observer::new(broker.port(), "tidewire/g/data");
    let config = lossy_config(folder.path(), line.port);
    let start = || {
        Process::start(
            tidewire()
                .args(["gateway", "run", "--ready", "--config"])
                .arg(&config),
            true,
        )
    };
    let mut gateway = start();
    let mut received = Arrived::default();
    let mut until = |received: &mut Arrived, least: i64| {
        let deadline = Instant::now() + PATIENCE;
        while received.least() < least {
            assert!(Instant::now() < deadline, "stands at {}", received.least());
            let (_, json) = observer.next("tidewire/g/data", |_| true);
            received.take(&json);
        }
    };
    let mut goal = 5;
    for round in 0..rounds {
        until(&mut received, goal);
        line.cut();
        // Time passes on purpose: that is what an outage is.
        thread::sleep(outage / 3);
        gateway.end(Signal::KILL);
        gateway = start();
        thread::sleep(outage * 2 / 3);
        line.mend();
        goal = received.least() + 20;
        until(&mut received, goal);
        // Once more, while it sends.
        if round % 2 == 0 {
            gateway.end(Signal::KILL);
            gateway = start();
        }
    }
    until(&mut received, goal + 10);
    let log = gateway.end(Signal::TERM);
    assert_eq!(received.series.len(), 100, "{log}");
    for (name, seen) in &received.series {
        let whole: Vec<i64> = (0..=*seen.last().expect("some")).collect();
        assert_eq!(*seen, whole, "{name}");
    }
    assert_eq!(received.repeated_unmarked, 0);
    // At most what was on its way, for each kill and cut.
    let bound = 16 * 200 * (rounds * 2 + 1);
    assert!(
        received.repeated <= bound,
        "{} repetitions",
        received.repeated
    );
}

#[test]
fn page_shows_devices_uplinks_and_events_in_a_browser_and_controls_apps() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = TestBroker::start();
    let program = "local app = require 'middleclass'('T')\napp.API_VER = 1\nfunction app:initialize(name, sys) self._sys = sys end\n\
         function app:start()\n local dev = self._sys:data_api():add_device('<b>pump</b>', {}, {{name='t', unit='C'}})\n dev:set_input_prop('t', 'value', 21.5, nil, 0)\n \
         dev:fire_event(3, 'DEV', 'too <i>hot</i>', {})\n return true end\nfunction app:run() return 1000 end\nreturn app\n";
    std::fs::write(folder.path().join("app.lua"), program).expect("written");
    let config = folder.path().join("gateway.toml");
    let text = format!(
        "[gateway]\nid = \"page-test\"\ndata_dir = {:?}\n[page]\nlisten = \"127.0.0.1:0\"\n[[uplink]]\nname = \"up\"\nurl = \"mqtt://127.0.0.1:{}\"\n\
         [[app]]\nname = \"thermo\"\nfile = {:?}\n[[simulator]]\n",
        folder.path().join("data"),
        broker.port(),
        folder.path().join("app.lua")
    );
    std::fs::write(&config, text).expect("written");
    let running = Process::start(
        tidewire()
            .args(["gateway", "run", "--ready", "--config"])
            .arg(&config),
        true,
    );
    let address = running.ready["page"]
        .as_str()
        .expect("an address")
        .to_owned();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/node/gateway_page.js");
    let output = Command::new(needed("TIDEWIRE_NODE"))
        .arg(script)
        .env("PAGE", format!("http://{address}/"))
        .env("CHROMIUM", needed("TIDEWIRE_CHROMIUM"))
        .env(
            "NODE_PATH",
            PathBuf::from(needed("TIDEWIRE_NODE_PATH")).join("node_modules"),
        )
        .output()
        .expect("node runs");
    let says = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{says}");
    // What a page elsewhere could do through the browser.
    for (request, expected) in [
        ("GET /api/status HTTP/1.1\r\nhost: evil.example\r\n", "403"),
        (
            "POST /api/apps/thermo/stop HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n",
            "403",
        ),
        ("GET /metrics HTTP/1.1\r\nhost: localhost\r\n", "200"),
    ] {
        let mut stream = TcpStream::connect(&address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream
            .write_all(format!("{request}connection: close\r\n\r\n").as_bytes())
            .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{request}");
        assert!(
            expected != "200"
                || answer.contains("tidewire_gateway_uplink_connected{uplink=\"up\"} 1"),
            "{answer}"
        );
    }
    let status = support::finish(
        tidewire()
            .args(["gateway", "status", "--config"])
            .arg(&config),
    );
    assert!(status.stdout.contains("uplink up: connected"), "{status:?}");
    running.end(Signal::TERM);
    let status = support::finish(
        tidewire()
            .args(["gateway", "status", "--config"])
            .arg(&config),
    );
    assert_eq!(status.code, Some(5), "{status:?}");
}

#[test]
fn reference_in_docs_is_what_the_program_prints() {
    let printed = support::run(&["gateway", "config-reference"]).stdout;
    let path = support::repository().join("docs/gateway-configuration.md");
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == printed,
        "write it anew: cargo run -- gateway config-reference > docs/gateway-configuration.md"
    );
}
