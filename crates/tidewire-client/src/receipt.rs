//! What `publish` returns: a message's way from acceptance to delivery.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tidewire_codec::PacketId;

use crate::protocol::{Publish, PublishError, PublishFault, Published};

/// Proof that the client has accepted a message. Dropping it changes nothing for the message.
#[derive(Debug)]
pub struct Receipt(Arc<ReceiptCell>);

#[derive(Debug, Default)]
pub(crate) struct ReceiptCell(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    packet_id: Option<PacketId>,
    result: Option<Result<Published, DeliveryError>>,
    waiting: Option<Waker>,
}

impl Receipt {
    pub(crate) fn new(cell: Arc<ReceiptCell>) -> Self {
        Self(cell)
    }

    /// The packet identifier, once the message is on its way; never one at QoS 0. It may change when the session is
    /// lost and the message is sent anew.
    #[must_use]
    pub fn packet_id(&self) -> Option<PacketId> {
        self.0.lock().packet_id
    }

    /// The outcome, if there is one already.
    #[must_use]
    pub fn try_delivered(&self) -> Option<Result<Published, DeliveryError>> {
        self.0.lock().result
    }

    /// Waits for the outcome: the server's acknowledgement, at QoS 0 that the message was written. May be dropped and
    /// called again.
    ///
    /// # Errors
    /// Why the message was not delivered.
    pub async fn delivered(&mut self) -> Result<Published, DeliveryError> {
        poll_fn(|context| {
            let mut state = self.0.lock();
            match state.result {
                Some(result) => Poll::Ready(result),
                None => {
                    state.waiting = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// As [`delivered`](Self::delivered), for a time at most; the message goes on all the same.
    ///
    /// # Errors
    /// [`DeliveryError::TimedOut`], or why the message was not delivered.
    pub async fn delivered_within(&mut self, limit: Duration) -> Result<Published, DeliveryError> {
        tokio::time::timeout(limit, self.delivered())
            .await
            .unwrap_or(Err(DeliveryError::TimedOut))
    }
}

impl ReceiptCell {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sent(&self, packet_id: PacketId) {
        self.lock().packet_id = Some(packet_id);
    }

    pub(crate) fn settle(&self, result: Result<Published, DeliveryError>) {
        let mut state = self.lock();
        if state.result.is_none() {
            state.result = Some(result);
            if let Some(waker) = state.waiting.take() {
                drop(state);
                waker.wake();
            }
        }
    }
}

/// Why a message was accepted and yet not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryError {
    /// Not yet: the wait has ended, the message goes on.
    TimedOut,
    /// The connection that it could be sent on, or the server, did not take it.
    Failed(PublishError),
    /// It waited too long without being sent.
    Expired,
    /// It made room for a newer one, as the outbox's policy says.
    Dropped,
    /// There was no connection, and the options say not to keep messages of QoS 0 then.
    Offline,
    /// The session was lost after it was sent, and the options say not to send it again.
    SessionLost,
    /// The client was closed before.
    Closed,
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "the message is not delivered yet",
            Self::Failed(error) => return write!(f, "{error}"),
            Self::Expired => "the message waited too long without being sent",
            Self::Dropped => "the message was dropped from the full outbox",
            Self::Offline => "there is no connection, and messages of QoS 0 are not kept",
            Self::SessionLost => {
                "the server lost the session; nobody knows whether it had the message"
            }
            Self::Closed => "the client was closed before the message was delivered",
        })
    }
}

impl std::error::Error for DeliveryError {}

/// A message that was not accepted, given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The message.
    pub message: Publish,
    /// Why.
    pub why: Rejection,
}

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The outbox is full.
    Full,
    /// The outbox's disk has failed: a restart is needed, and perhaps another disk.
    Storage,
    /// The client is closed, or closing.
    Closed,
    /// The message cannot be published with this version of the protocol.
    Invalid(PublishFault),
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Rejection::Full => f.write_str("the outbox is full"),
            Rejection::Storage => f.write_str(
                "the outbox cannot be written any more; look at its disk and start the program again",
            ),
            Rejection::Closed => f.write_str("the client is closed"),
            Rejection::Invalid(fault) => write!(f, "{fault}"),
        }
    }
}

impl std::error::Error for Rejected {}
