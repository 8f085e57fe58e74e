//! The Tidewire broker as a pure state machine.
//!
//! A [`Core`] is a value. Bytes and events go in through [`Core::handle`], together with the time; what is to be done
//! comes out of reused queues: [`Core::poll_output`], [`Core::next_dirty`] with [`Core::outbound`], [`Core::take_mail`].
//! It has no clock, socket, file, thread, lock or randomness but what is passed in, so a test can play a year of a
//! broker's life in a millisecond, and the same seed gives the same life.
//!
//! # Layers
//! - `packets`: one file for each packet that a client sends; the order of checks of a PUBLISH is written in `packets::publish`.
//! - `publish`, `deliver`, `shared`, `retained`, `wills`: what happens to a message, whoever published it.
//! - [`route`]: who gets a message: two indexes and a cache.
//! - `admit`, `depart`, `session`, `outbound`: a session's life and what it owes.
//! - `conn`, `outbuf`: a connection and its outbound bytes. `wheel`: deadlines. `mail`: what workers send each other.
//!
//! # Contract
//! After each [`Core::handle`] drain [`Core::poll_output`]; once a turn take the mail, then write what
//! [`Core::next_dirty`] names. Questions leave as [`Output::Ask`] and return as [`Input::Answer`]; a connection at such
//! a gate takes no input until [`Output::Resume`].
//!
//! # Example
//! ```
//! use tidewire_core::{ConnKey, Config, Core, Input, Interest, PeerFacts, Time};
//!
//! let mut core = Core::new(Config::default());
//! let interest = Interest::new(0);
//! let conn = ConnKey { slot: 0, generation: 0 };
//! core.handle(Time::ZERO, &interest, Input::Open { conn, peer: PeerFacts::default().into() });
//! // A CONNECT of MQTT 3.1.1 with client id "a" and Clean Session.
//! let connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";
//! let used = core.handle(Time::ZERO, &interest, Input::Bytes { conn, bytes: connect });
//! assert_eq!(used, connect.len());
//! assert_eq!(core.next_dirty(), Some(conn));
//! assert_eq!(core.outbound(conn).unwrap().first(), b"\x20\x02\x00\x00"); // CONNACK, accepted
//! ```

mod ack;
mod ack_lane;
mod admission;
mod admit;
mod alias;
mod asks;
mod budget;
mod clearing;
mod command;
mod config;
mod conn;
mod consult;
mod core;
mod cursors;
mod deliver;
mod depart;
mod event;
mod groups;
mod input;
mod keeper;
mod keys;
mod mail;
mod message;
mod outbound;
mod outbuf;
mod output;
mod packets;
mod post;
mod publish;
mod qos2_ids;
mod raw;
mod report;
mod retained;
mod retained_list;
pub mod route;
mod scans;
mod send;
mod server;
mod session;
mod shared;
mod stats;
mod store;
mod subscriptions;
mod sweep;
mod time;
mod timers;
mod validity;
mod watch;
mod wheel;
mod wills;

pub use crate::core::{Core, Identity};
pub use admission::{Admission, CertificateFacts, PeerFacts, TlsFacts, WayFacts};
pub use config::{
    Authentication, Authorization, Config, Limits, ListenerPolicy, Mode, SharedStrategy,
    StoreConfig,
};
pub use event::{DisconnectCause, DropReason, Event, SessionEnd};
pub use input::{Answer, Authenticated, Command, Input, Next, ServerPublish, TransportEnd};
pub use keys::{ConnKey, MAX_WORKERS, SessionAddress, SessionKey, Ticket, WorkerId, WorkerSet};
pub use mail::Batch;
pub use message::{Message, Origin};
pub use outbuf::{OutPool, OutQueue};
pub use output::{
    AuthenticationStep, Credentials, Output, Question, Reply, SessionDetails, SessionRow,
    SubscriptionRow,
};
pub use retained_list::RetainedRow;
pub use route::interest::{Change, Epochs, Interest, InterestChange, InterestKind};
pub use stats::Stats;
pub use store::{
    Append, Durability, GroupOp, Location, MessageRecord, SessionName, StoreAnswer, StoreOp,
    StoreRequest, StoreTicket, StoredBinding, StoredCursor, StoredPage, StoredSession,
    Unavailability, UnixClock,
};
pub use time::Time;
pub use watch::Watch;
pub use wheel::Wheel;
