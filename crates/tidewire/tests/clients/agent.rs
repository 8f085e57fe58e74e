//! Third-party client libraries in processes of their own, led by JSON lines.

use crate::support::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What `cargo xtask test` says about a program's place.
pub(crate) fn provided(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: run cargo xtask test, which installs it and sets the variable"
        )
    })
}

/// A client library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    Paho,
    MqttJs,
}

/// A library, and the version of the protocol that it is told to speak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) library: Library,
    pub(crate) version: &'static str,
}

impl Kind {
    pub(crate) fn is_v5(self) -> bool {
        self.version == "5"
    }

    /// 3.1 has no Session Present in CONNACK.
    pub(crate) fn tells_session_present(self) -> bool {
        self.version != "3.1"
    }
}

/// A process with clients of one library, each under a name of the test's.
pub(crate) struct Agent {
    kind: Kind,
    port: u16,
    child: Child,
    commands: RefCell<ChildStdin>,
    events: Receiver<Json>,
    // Events that came while another one was awaited.
    waiting: RefCell<VecDeque<Json>>,
}

impl Agent {
    pub(crate) fn start(kind: Kind, port: u16) -> Self {
        let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut command = match kind.library {
            Library::Paho => {
                let mut python = Command::new(provided("TIDEWIRE_PYTHON"));
                python.arg(scripts.join("python/agent.py"));
                python.env("PYTHONDONTWRITEBYTECODE", "1");
                python
            }
            Library::MqttJs => {
                let mut node = Command::new(provided("TIDEWIRE_NODE"));
                node.arg(scripts.join("node/agent.js"));
                node.env("TIDEWIRE_NODE_PATH", provided("TIDEWIRE_NODE_PATH"));
                node
            }
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client library starts");
        let stdout = child.stdout.take().expect("piped");
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).expect("an event as JSON"));
            }
        });
        let commands = RefCell::new(child.stdin.take().expect("piped"));
        let waiting = RefCell::default();
        Self {
            kind,
            port,
            child,
            commands,
            events,
            waiting,
        }
    }

    /// Gives a command to the client of this name.
    pub(crate) fn tell(&self, name: &str, what: &str, mut command: Json) {
        command["as"] = name.into();
        command["do"] = what.into();
        let mut commands = self.commands.borrow_mut();
        writeln!(commands, "{command}").expect("the client library runs");
    }

    /// The next event of this kind of the client of this name.
    pub(crate) fn wait(&self, name: &str, event: &str) -> Json {
        let deadline = Instant::now() + PATIENCE;
        let wanted = |found: &Json| found["as"] == name && found["event"] == event;
        let mut waiting = self.waiting.borrow_mut();
        if let Some(at) = waiting.iter().position(wanted) {
            return waiting.remove(at).expect("just found");
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(found) if wanted(&found) => return found,
                Ok(found) => waiting.push_back(found),
                Err(_) => panic!("{name} has no event {event:?}; there are {waiting:?}"),
            }
        }
    }

    /// Connects a client under its name as client identifier too; returns CONNACK. `more` goes into the command.
    pub(crate) fn connect(&self, name: &str, more: Json) -> Json {
        self.tell(name, "connect", self.connect_command(name, more));
        self.wait(name, "connected")
    }

    pub(crate) fn connect_command(&self, name: &str, more: Json) -> Json {
        let mut command =
            json!({ "port": self.port, "version": self.kind.version, "client_id": name });
        for (key, value) in more.as_object().expect("an object") {
            command[key] = value.clone();
        }
        command
    }

    /// Subscribes to one filter; returns the reason code.
    pub(crate) fn subscribe(&self, name: &str, filter: &str, qos: u8) -> u64 {
        self.subscribe_with(name, json!({ "filter": filter, "qos": qos }), json!({}))
    }

    /// Subscribes to one filter with its options, and with properties.
    pub(crate) fn subscribe_with(&self, name: &str, filter: Json, properties: Json) -> u64 {
        self.tell(
            name,
            "subscribe",
            json!({ "filters": [filter], "properties": properties }),
        );
        self.wait(name, "subscribed")["reasons"][0]
            .as_u64()
            .expect("a reason")
    }

    /// Publishes and waits until the library calls it done.
    pub(crate) fn publish(&self, name: &str, topic: &str, payload: &str, qos: u8) {
        self.publish_with(
            name,
            json!({ "topic": topic, "payload": payload, "qos": qos }),
        );
    }

    /// Publishes what the command describes, waits until the library calls it done, and returns the reason code.
    pub(crate) fn publish_with(&self, name: &str, command: Json) -> u64 {
        self.tell(name, "publish", command);
        self.wait(name, "published")["reason"]
            .as_u64()
            .expect("a reason")
    }

    /// The next message of this client.
    pub(crate) fn message(&self, name: &str) -> Json {
        self.wait(name, "message")
    }

    /// The payload of the client's next message.
    pub(crate) fn payload(&self, name: &str) -> String {
        let message = self.message(name);
        message["payload"]
            .as_str()
            .unwrap_or_else(|| panic!("no payload in {message}"))
            .to_owned()
    }

    /// Ends the client's connection with DISCONNECT and waits until it is closed.
    pub(crate) fn disconnect(&self, name: &str, more: Json) {
        self.tell(name, "disconnect", more);
        self.wait(name, "closed");
    }

    /// The next event of whatever kind of whichever client; `None` if there is none in this time.
    pub(crate) fn any_event(&self, timeout: Duration) -> Option<Json> {
        let waiting = self.waiting.borrow_mut().pop_front();
        waiting.or_else(|| self.events.recv_timeout(timeout).ok())
    }

    /// `kill -STOP`
    pub(crate) fn suspend(&self) {
        self.signal(Signal::STOP);
    }

    /// `kill -CONT`
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("sent");
    }

    /// `kill -9`
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
