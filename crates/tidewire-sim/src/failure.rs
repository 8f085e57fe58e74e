//! What an oracle objects to.

use std::fmt;

/// Who objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Oracle {
    /// No acknowledged message of QoS 1 or 2 is lost.
    Lost,
    /// A message of QoS 2 comes exactly once.
    ExactlyOnce,
    /// A publisher's messages on a topic come in order.
    Order,
    /// Nothing comes that nobody sent, that was not asked for, or otherwise than was asked.
    Unasked,
    /// CONNACK tells the truth about the session.
    SessionPresent,
    /// What is retained is what was last stored.
    Retained,
    /// Wills come exactly when they should.
    Will,
    /// Limits and gauges hold.
    Budget,
    /// The protocol's rules for packets and connections.
    Protocol,
    /// The broker goes on, and all that is owed comes to an end.
    Liveness,
}

/// A life that went wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Who objects.
    pub oracle: Oracle,
    /// To what.
    pub text: String,
}

pub(crate) type Verdict<T = ()> = Result<T, Failure>;

pub(crate) fn fail<T>(oracle: Oracle, text: impl Into<String>) -> Verdict<T> {
    Err(Failure {
        oracle,
        text: text.into(),
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.oracle, self.text)
    }
}
