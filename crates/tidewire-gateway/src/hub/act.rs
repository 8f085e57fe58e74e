//! What devices are asked to do.

use super::Hub;
use crate::model::Value;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Something that a device is to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Write an output.
    Output {
        /// The output.
        output: Box<str>,
        /// Its property, as a rule `value`.
        prop: Box<str>,
        /// The value.
        value: Value,
    },
    /// Carry a command out.
    Command {
        /// The command.
        command: Box<str>,
        /// Its parameters.
        param: Json,
    },
}

/// An action for whoever brought the device.
#[derive(Debug)]
pub struct Request {
    /// The device.
    pub sn: Box<str>,
    /// What it is to do.
    pub action: Action,
    /// Where the outcome goes.
    pub reply: oneshot::Sender<Result<Json, ActionError>>,
}

/// Why an action was not carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ActionError {
    /// There is no such device.
    NoDevice,
    /// The device has no such output or command.
    NoSuch,
    /// Whoever brought the device takes no actions.
    NotWritable,
    /// Too many actions wait.
    Busy,
    /// There was no answer in time. Whether it was carried out is not known.
    TimedOut,
    /// The device refused, or an answer says that it failed.
    Failed(Box<str>),
}

impl ActionError {
    /// Its word in results.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NoDevice => "no_device",
            Self::NoSuch => "no_such_output_or_command",
            Self::NotWritable => "not_writable",
            Self::Busy => "busy",
            Self::TimedOut => "timed_out",
            Self::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDevice => "there is no such device",
            Self::NoSuch => "the device has no such output or command",
            Self::NotWritable => "the device takes no actions",
            Self::Busy => "too many actions wait for this device",
            Self::TimedOut => "the device did not answer in time; whether it acted is not known",
            Self::Failed(why) => why,
        })
    }
}

impl std::error::Error for ActionError {}

/// Who takes the actions of which device.
#[derive(Debug, Default)]
pub(super) struct Actors(BTreeMap<Box<str>, mpsc::Sender<Request>>);

impl Actors {
    pub(super) fn remove(&mut self, sn: &str) {
        self.0.remove(sn);
    }
}

impl Hub {
    /// Whoever brought a device takes its actions.
    pub fn take_actions(&self, sn: &str, actor: mpsc::Sender<Request>) {
        self.lock().actors.0.insert(sn.into(), actor);
    }

    /// Has a device do something, and waits for the outcome.
    ///
    /// # Errors
    /// Why it did not.
    pub async fn act(
        &self,
        sn: &str,
        action: Action,
        limit: Duration,
    ) -> Result<Json, ActionError> {
        let actor = self.actor_of(sn, &action)?;
        let (reply, outcome) = oneshot::channel();
        let request = Request {
            sn: sn.into(),
            action,
            reply,
        };
        actor.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ActionError::Busy,
            mpsc::error::TrySendError::Closed(_) => ActionError::NotWritable,
        })?;
        match tokio::time::timeout(limit, outcome).await {
            Err(_) => Err(ActionError::TimedOut),
            Ok(Err(_)) => Err(ActionError::Failed("the device's source ended".into())),
            Ok(Ok(outcome)) => outcome,
        }
    }

    fn actor_of(&self, sn: &str, action: &Action) -> Result<mpsc::Sender<Request>, ActionError> {
        let inner = self.lock();
        let device = inner.catalogue.device(sn).ok_or(ActionError::NoDevice)?;
        let has = match action {
            Action::Output { output, .. } => device.props.has_output(output),
            Action::Command { command, .. } => device.props.has_command(command),
        };
        if !has {
            return Err(ActionError::NoSuch);
        }
        let actor = inner.actors.0.get(sn);
        actor.cloned().ok_or(ActionError::NotWritable)
    }
}
