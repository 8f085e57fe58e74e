//! All that can happen to a machine.

use tidewire_codec::{Packet, Properties, ReasonCode, SubscriptionOptions};

use super::open::Open;
use super::output::{Delivery, Token};
use super::publish::Publish;

/// One thing that happened. [`Machine::handle`](super::Machine::handle) takes them one at a time.
#[derive(Debug)]
pub enum Input<'a> {
    /// A transport is open: say CONNECT. A connection that was there before counts as gone.
    Open(Box<Open>),
    /// Bytes came. `handle` returns how many it has used up: whole packets only. The driver keeps the rest and offers it
    /// again together with what follows.
    Bytes(&'a [u8]),
    /// The transport is gone.
    Closed,
    /// The time of [`Machine::next_deadline`](super::Machine::next_deadline) has come (or any other time: it does no harm).
    Timeout,
    /// The driver stops reading, or goes on: while it does not read, no answer can be missed.
    Reading(Reading),
    /// Publish this. Only while [`Machine::can_publish`](super::Machine::can_publish); answered by `Published`.
    Publish {
        /// Names the answer.
        token: Token,
        /// The message.
        message: Publish,
    },
    /// Subscribe; answered by `Subscribed`.
    Subscribe {
        /// Names the answer.
        token: Token,
        /// One or more filters.
        filters: Vec<(Box<str>, SubscriptionOptions)>,
        /// Subscription identifier and user properties (MQTT 5.0).
        properties: Properties<'static>,
    },
    /// Unsubscribe; answered by `Unsubscribed`.
    Unsubscribe {
        /// Names the answer.
        token: Token,
        /// One or more filters.
        filters: Vec<Box<str>>,
    },
    /// A message was taken over, or not. Acknowledgements leave in the order in which messages came, whatever the order
    /// of these calls [5.0 section 4.6]. One for a delivery that is no more is ignored.
    Acknowledge {
        /// Which message.
        delivery: Delivery,
        /// Success, or why not; before MQTT 5.0 there is only success.
        reason: ReasonCode,
    },
    /// The next message of an enhanced authentication: the answer to `Challenge`.
    Authenticate {
        /// Authentication Data.
        data: Option<Box<[u8]>>,
    },
    /// Authenticate anew on a live connection (MQTT 5.0).
    Reauthenticate {
        /// Authentication Data of the first message.
        data: Option<Box<[u8]>>,
    },
    /// The application does not believe the server, or cannot go on with the authentication.
    AuthenticationFailed(Box<str>),
    /// Send PINGREQ now; answered by `Pong`.
    Ping,
    /// Send this packet as it is. What the server makes of it is the caller's affair.
    Raw(Packet<'static>),
    /// Say DISCONNECT and end the connection.
    Disconnect {
        /// Normal disconnection, disconnect with will, or an error.
        reason: ReasonCode,
        /// A new Session Expiry Interval, reason string, user properties (MQTT 5.0).
        properties: Properties<'static>,
    },
}

/// Whether the driver reads what the server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It does.
    On,
    /// The application is behind: it does not.
    Paused,
}
