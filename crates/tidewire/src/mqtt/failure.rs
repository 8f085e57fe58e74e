//! Why a tool ends, in words and as mosquitto's exit code.

use tidewire_client::protocol::Cause;
use tidewire_client::{ConnectError, ReasonCode, StartError, Version};

/// Exit code of everything that has no other, wrong usage among it.
const FAILED: u8 = 1;
/// Exit code of `-W`.
const TIMED_OUT: u8 = 27;

/// Why a tool ends.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: u8,
    /// What is wrong and what to do next.
    pub(crate) message: String,
}

impl Failure {
    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            code: FAILED,
            message: message.into(),
        }
    }

    /// Something failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::usage(message)
    }

    /// The time of `-W` is over.
    pub(crate) fn timed_out() -> Self {
        Self {
            code: TIMED_OUT,
            message: "timed out".to_owned(),
        }
    }

    /// There is no client.
    pub(crate) fn of_start(error: &StartError, version: Version) -> Self {
        match error {
            StartError::Connect(error) => Self::of_connection(error, version),
            other => Self::usage(other.to_string()),
        }
    }

    /// There is no connection: a refusal ends with the server's own code.
    pub(crate) fn of_connection(error: &ConnectError, version: Version) -> Self {
        let code = match error {
            ConnectError::Protocol(Cause::Refused(farewell)) => refusal(farewell.reason, version),
            _ => FAILED,
        };
        Self {
            code,
            message: error.to_string(),
        }
    }
}

fn refusal(reason: ReasonCode, version: Version) -> u8 {
    if version.is_v5() {
        return reason as u8;
    }
    reason.connack_return_code().unwrap_or(FAILED)
}
