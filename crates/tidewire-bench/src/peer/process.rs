//! A broker process: started on a free loopback port, stopped whenever this value goes away.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::{Peer, config};
use crate::encode::Version;
use crate::engine::{Endpoint, Interrupt};
use crate::error::{BenchError, Result};

/// How long a broker may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// How long it may take to end when asked, before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two looks at a process that is starting or ending; neither tells us itself.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Lines of its output that an error shows.
const STDERR_TAIL_LINES: usize = 20;

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    label: String,
    child: Child,
    endpoint: Endpoint,
    scratch: Scratch,
}

/// A folder of its own that goes away with it.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tidewire-bench-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).map_err(BenchError::file("creating", path.clone()))?;
        Ok(Self(path))
    }

    fn log(&self) -> PathBuf {
        self.0.join("stderr")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _may_be_gone = fs::remove_dir_all(&self.0);
    }
}

impl Broker {
    /// Starts `peer` for clients of `version`; returns once it accepts connections.
    ///
    /// # Errors
    /// When it cannot be started, or ends or stays silent instead of listening.
    pub fn start(peer: &Peer, version: Version, interrupt: &Interrupt) -> Result<Self> {
        let scratch = Scratch::new()?;
        let addr = free_port()?;
        let log = scratch.log();
        let log_file = File::create(&log).map_err(BenchError::file("creating", log))?;
        let child = config::command(peer, addr.port(), version, &scratch.0)?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file)
            .spawn()
            .map_err(BenchError::file("starting", peer.program.clone()))?;
        let endpoint = Endpoint {
            addr,
            protocol: peer.kind.protocol(),
        };
        let mut broker = Self {
            label: peer.label.clone(),
            child,
            endpoint,
            scratch,
        };
        broker.await_listening(interrupt)?;
        Ok(broker)
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails if it has ended, with the end of what it wrote.
    ///
    /// # Errors
    /// [`BenchError::BrokerDied`].
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.died(status.to_string())),
            Err(error) => Err(BenchError::io("looking at the broker")(error)),
        }
    }

    /// Turns `error` into the broker's death if that is what caused it.
    pub fn explain(&mut self, error: BenchError) -> BenchError {
        if !matches!(
            error,
            BenchError::ConnectionLost { .. } | BenchError::Io { .. }
        ) {
            return error;
        }
        // Its sockets close before the process can be reaped.
        let end = Instant::now() + Duration::from_millis(500);
        while Instant::now() < end {
            if let Err(died) = self.check_alive() {
                return died;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        error
    }

    fn await_listening(&mut self, interrupt: &Interrupt) -> Result<()> {
        let end = Instant::now() + START_TIMEOUT;
        loop {
            interrupt.check()?;
            self.check_alive()?;
            if TcpStream::connect(self.endpoint.addr).is_ok() {
                return Ok(());
            }
            if Instant::now() >= end {
                let status = format!("silent for {} s", START_TIMEOUT.as_secs());
                return Err(self.died(status));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn died(&self, status: String) -> BenchError {
        let text = fs::read(self.scratch.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let stderr_tail = lines[lines.len().saturating_sub(STDERR_TAIL_LINES)..].join("\n");
        BenchError::BrokerDied {
            peer: self.label.clone(),
            status,
            stderr_tail,
        }
    }

    fn ask_to_end(&mut self) {
        #[cfg(unix)]
        {
            use nix::sys::signal::{Signal, kill};
            use nix::unistd::Pid;
            let _ended_already = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        }
        let end = Instant::now() + STOP_TIMEOUT;
        while cfg!(unix) && Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.ask_to_end();
        }
        // Without effect on a process that has been waited for.
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A loopback address whose port was free a moment ago.
fn free_port() -> Result<SocketAddr> {
    let listener =
        TcpListener::bind("127.0.0.1:0").map_err(BenchError::io("finding a free port"))?;
    listener
        .local_addr()
        .map_err(BenchError::io("finding a free port"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::PeerKind;

    fn peer(program: &str) -> Peer {
        Peer {
            kind: PeerKind::Mosquitto,
            label: "fake".into(),
            program: program.into(),
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_broker_that_ends_at_once_is_reported_with_what_it_wrote() {
        let started = Broker::start(&peer("/bin/cat"), Version::V311, &Interrupt::default());
        let error = started.unwrap_err();
        let BenchError::BrokerDied {
            peer, stderr_tail, ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!(peer, "fake");
        assert!(!stderr_tail.is_empty(), "cat has no option -c");
    }

    #[test]
    fn a_program_that_cannot_be_started_is_named() {
        let started = Broker::start(
            &peer("/nowhere/broker"),
            Version::V311,
            &Interrupt::default(),
        );
        assert!(started.unwrap_err().to_string().contains("/nowhere/broker"));
    }
}
