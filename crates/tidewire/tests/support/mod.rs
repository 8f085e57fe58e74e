//! The real program as a test subject: a broker on a free port of this machine, its log, and its certain end.
//!
//! ```ignore
//! mod support;
//! let broker = support::TestBroker::start();
//! let client = broker.connect();
//! ```

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part of this module"
)]

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Whatever takes longer than this on this machine has gone wrong.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The program, without arguments.
pub fn tidewire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire"));
    command
        .stdin(Stdio::null())
        .env_remove("RUST_LOG")
        .env_remove("XDG_STATE_HOME");
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Finished {
    finish(tidewire().args(arguments))
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Finished {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program starts");
    Finished {
        code: status.code(),
        stdout: String::from_utf8(stdout).expect("UTF-8 on standard output"),
        stderr: String::from_utf8(stderr).expect("UTF-8 on standard error"),
    }
}

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

/// A running broker; dropped, it is stopped with SIGTERM, and killed if that does not help.
pub struct TestBroker {
    child: Child,
    ready: Json,
    log: Arc<Log>,
    // The process's standard output closes when it ends: the only event of its end that can be awaited with a limit.
    ended: mpsc::Receiver<()>,
}

impl TestBroker {
    /// A broker that writes no file, with one listener on a free port.
    pub fn start() -> Self {
        Self::with(&["--dev", "--listen", "tcp://127.0.0.1:0"])
    }

    /// A broker with these flags after `tidewire serve`; returns when clients can connect.
    pub fn with(flags: &[&str]) -> Self {
        Self::spawn(
            tidewire()
                .arg("serve")
                .args(flags)
                .args(["--ready-file", "-"]),
        )
    }

    /// A broker started by this command, which prints its readiness as the first line of standard output.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the broker starts");
        let (lines, ready) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        thread::spawn(move || {
            let mut line = String::new();
            let _ = stdout.read_line(&mut line);
            let _ = lines.send(line);
            let _ = stdout.read_to_string(&mut String::new());
            let _ = end.send(());
        });
        let log = Log::of(child.stderr.take().expect("piped"));
        let line = ready.recv_timeout(PATIENCE).unwrap_or_default();
        let ready = serde_json::from_str(&line).unwrap_or(Json::Null);
        let broker = Self {
            child,
            ready,
            log,
            ended,
        };
        assert!(!broker.ready.is_null(), "the broker is not ready: {line}");
        broker
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Port of the first listener.
    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// Address of the first listener.
    pub fn address(&self) -> SocketAddr {
        self.addresses().first().copied().expect("a listener")
    }

    /// Addresses of all listeners, in their order; one with a path has none.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let listeners = self.ready["listeners"].as_array().expect("listeners");
        let address = |listener: &Json| listener["address"].as_str()?.parse().ok();
        listeners.iter().filter_map(address).collect()
    }

    /// What the broker said when it was ready.
    pub fn ready(&self) -> &Json {
        &self.ready
    }

    /// A connection to the first listener, with a time limit on reads.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        self.log.lines().join("\n")
    }

    /// Waits until a line with `part` is logged and returns it.
    pub fn wait_for_log(&self, part: &str) -> String {
        self.log.wait_for(part)
    }

    /// Waits until a line with `part` is logged behind the first `seen` lines, and returns it.
    pub fn wait_for_line(&self, seen: usize, part: &str) -> String {
        self.log.wait_behind(seen, part)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid =
            Pid::from_raw(i32::try_from(self.pid()).expect("a process id")).expect("not zero");
        kill_process(pid, signal).expect("sent");
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(mut self) -> ExitStatus {
        self.ended.recv_timeout(PATIENCE).expect("the broker ends");
        self.child.wait().expect("its status")
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.signal(Signal::TERM);
            if self.ended.recv_timeout(PATIENCE).is_err() {
                let _ = self.child.kill();
            }
        }
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("log of the broker, process {}:\n{}", self.pid(), self.log());
        }
    }
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Log {
    fn of(stderr: impl std::io::Read + Send + 'static) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let target = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                target.lines().push(line);
                target.grown.notify_all();
            }
        });
        log
    }

    /// The lines, even where a test failed while it looked at them: its own report shows them.
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for(&self, part: &str) -> String {
        self.wait_behind(0, part)
    }

    fn wait_behind(&self, seen: usize, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lines();
        loop {
            if let Some(line) = lines.iter().skip(seen).find(|line| line.contains(part)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "no line with {part:?} in\n{}",
                lines.join("\n")
            );
            (lines, _) = self.grown.wait_timeout(lines, left).expect("whole");
        }
    }
}

/// The bytes of a CONNECT of MQTT 5.0 with a clean start and a keep alive of a minute.
pub fn connect_v5(client_id: &str) -> Vec<u8> {
    let mut packet = vec![0x10, 0];
    packet.extend_from_slice(b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00");
    packet.push(u8::try_from(client_id.len()).expect("short"));
    packet.extend_from_slice(client_id.as_bytes());
    packet[1] = u8::try_from(packet.len() - 2).expect("short");
    packet
}

/// The next packet from a stream: first byte and body; `None` at its end.
pub fn read_packet(stream: &mut impl std::io::Read) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let first = byte[0];
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        stream.read_exact(&mut byte).expect("a whole packet");
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a whole packet");
    Some((first, body))
}

/// A connection on which a client of MQTT 5.0 was admitted.
pub fn admitted_v5(broker: &TestBroker, client_id: &str) -> TcpStream {
    use std::io::Write as _;
    let mut stream = broker.connect();
    stream.write_all(&connect_v5(client_id)).expect("sent");
    let (first, body) = read_packet(&mut stream).expect("an answer");
    assert_eq!(
        (first, body.get(..2)),
        (0x20, Some([0, 0].as_slice())),
        "CONNACK with success"
    );
    stream
}

/// The repository's root folder.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
