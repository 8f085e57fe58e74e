//! Brokers to compare with: finding or fetching them, starting and always stopping them.

mod config;
mod install;
mod process;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use serde::Serialize;

use crate::engine::Protocol;
use crate::error::{BenchError, Result};
use crate::scenario::Plan;

pub use process::Broker;

/// The brokers this crate can configure and start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerKind {
    /// Tidewire's own `serve`.
    Tidewire,
    /// Eclipse Mosquitto.
    Mosquitto,
    /// Bytebeam's rumqttd.
    Rumqttd,
    /// This program's forwarder without MQTT.
    Raw,
}

impl PeerKind {
    /// Every kind, in the order of the help text.
    pub const ALL: [Self; 4] = [Self::Tidewire, Self::Mosquitto, Self::Rumqttd, Self::Raw];

    /// The name a person types.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tidewire => "tidewire",
            Self::Mosquitto => "mosquitto",
            Self::Rumqttd => "rumqttd",
            Self::Raw => "raw",
        }
    }

    /// What it speaks.
    #[must_use]
    pub fn protocol(self) -> Protocol {
        if self == Self::Raw {
            Protocol::Raw
        } else {
            Protocol::Mqtt
        }
    }
}

/// A peer as named on the command line: `NAME` or `NAME=PROGRAM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSpec {
    /// Which broker.
    pub kind: PeerKind,
    /// Its program, if it is not to be searched.
    pub program: Option<PathBuf>,
}

impl FromStr for PeerSpec {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, program) = match text.split_once('=') {
            Some((name, program)) => (name, Some(PathBuf::from(program))),
            None => (text, None),
        };
        let kind = PeerKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                let known = PeerKind::ALL.map(PeerKind::name).join(", ");
                format!("no peer is called `{name}`; there are {known}, each also as NAME=PROGRAM")
            })?;
        Ok(Self { kind, program })
    }
}

impl fmt::Display for PeerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.program {
            None => f.write_str(self.kind.name()),
            Some(program) => write!(f, "{}={}", self.kind.name(), program.display()),
        }
    }
}

/// Whether a missing peer is fetched from its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// Install what is missing.
    Allowed,
    /// Only use what is there.
    Never,
}

/// A broker that can be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// Which broker.
    pub kind: PeerKind,
    /// What a report calls it: name and version.
    pub label: String,
    /// Its program.
    pub program: PathBuf,
}

impl Peer {
    /// Finds the program, fetching it if that is allowed.
    ///
    /// # Errors
    /// When it is nowhere and cannot be fetched; the text says what to do.
    pub fn locate(spec: &PeerSpec, fetch: Fetch) -> Result<Self> {
        let program = match &spec.program {
            Some(program) if program.is_file() => program.clone(),
            Some(program) => {
                let reason = format!("there is no file {}", program.display());
                return Err(BenchError::PeerUnavailable {
                    peer: spec.kind.name().into(),
                    reason,
                });
            }
            None => install::find_or_fetch(spec.kind, fetch)?,
        };
        let label = match version(spec.kind, &program) {
            Some(version) => format!("{} {version}", spec.kind.name()),
            None => spec.kind.name().to_owned(),
        };
        Ok(Self {
            kind: spec.kind,
            label,
            program,
        })
    }

    /// Whether it can serve this load at all.
    #[must_use]
    pub fn suits(&self, plan: &Plan) -> bool {
        self.kind != PeerKind::Raw || plan.suits_raw()
    }
}

/// The version a program claims; `None` if it does not say.
fn version(kind: PeerKind, program: &Path) -> Option<String> {
    let flag = if kind == PeerKind::Mosquitto {
        "-h"
    } else {
        "--version"
    };
    let output = Command::new(program)
        .arg(flag)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words = text.lines().next()?.split_ascii_whitespace();
    words
        .rev()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_name_and_perhaps_a_program() {
        let plain: PeerSpec = "mosquitto".parse().unwrap();
        assert_eq!(
            plain,
            PeerSpec {
                kind: PeerKind::Mosquitto,
                program: None
            }
        );
        let pathed: PeerSpec = "tidewire=/x/y=z".parse().unwrap();
        assert_eq!(pathed.program, Some(PathBuf::from("/x/y=z")));
        assert_eq!(pathed.to_string(), "tidewire=/x/y=z");
        assert!(
            "mosquito"
                .parse::<PeerSpec>()
                .unwrap_err()
                .contains("mosquitto")
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_said_so() {
        let spec: PeerSpec = "mosquitto=/nowhere/mosquitto".parse().unwrap();
        let error = Peer::locate(&spec, Fetch::Never).unwrap_err().to_string();
        assert!(error.contains("/nowhere/mosquitto"), "{error}");
    }
}
