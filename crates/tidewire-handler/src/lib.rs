//! The extension contract of the Tidewire MQTT broker.
//!
//! A [`Handler`] is asked before things happen and told after they have. It is what an author of an extension depends on;
//! the broker's core does not know it, and it knows of the broker nothing but packets.
//!
//! # Layers
//! - `event`: the table of all events, from which [`Handler`], [`Event`] and [`Notice`] are made.
//! - `asked`, `decide`: what a deciding handler is asked and what it may say. `told`: what an observing one is told.
//! - `client`: the connection that a question is about, and the data that handlers keep with it.
//! - `registration`, `chain`: who is asked in which order, changed while running. `run`: a question's way through.
//! - `controller`: raw listeners, which have a [`Controller`] in the place of a broker.
//! - [`json`]: packets as JSON.
//!
//! # Contract
//! - **Deciding** handlers run in order: larger priority first (default 0), ties in order of registration. Each may go on,
//!   answer (later handlers may answer otherwise), stop, deny, or close the connection. The broker's own answer is given
//!   only if none has answered.
//! - A deciding handler that panics, errs or is late denies or is skipped, as its [`Registration`] says, and is counted.
//! - **Observing** handlers are told after the fact and hold nothing up.
//! - An event that nobody handles costs one branch ([`Snapshot::handles`]).
//! - Nothing here waits or starts a thread, and a clock is read only to measure handlers ([`Latency`]). [`Snapshot::decide`] polls a handler that needs time once and
//!   hands back the rest as [`Pending`].
//!
//! # Example
//! ```
//! use std::sync::Arc;
//! use tidewire_handler::{
//!     AuthorizePublish, Chain, Client, Decide, Outcome, Registration, Run, handler,
//! };
//! # use tidewire_codec::Qos;
//!
//! struct OwnTopicsOnly;
//!
//! handler! {
//!     impl Handler for OwnTopicsOnly {
//!         fn authorize_publish(&self, client: &Client, ask: &AuthorizePublish<'_>) -> Decide<()> {
//!             match client.principal() {
//!                 Some(name) if ask.topic.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')) => {
//!                     Decide::answer(())
//!                 }
//!                 _ => Decide::deny("publish below your own name"),
//!             }
//!         }
//!     }
//! }
//!
//! let chain = Chain::new(["mqtt"]);
//! chain.add(Registration::new("own topics", OwnTopicsOnly).priority(10))?;
//!
//! let client = Arc::new(Client::new(0, "mqtt".into(), "192.0.2.7:50123"));
//! client.identify(Some("alice".into()));
//! let ask = AuthorizePublish {
//!     topic: "alice/door".into(),
//!     payload: b"open"[..].into(),
//!     qos: Qos::AtMostOnce,
//!     retain: false,
//! };
//! assert!(matches!(chain.snapshot().decide(&client, ask), Run::Done(Outcome::Answered(()))));
//! # Ok::<(), tidewire_handler::RegisterError>(())
//! ```

mod asked;
mod chain;
mod client;
mod controller;
mod decide;
mod event;
pub mod json;
mod latency;
mod registration;
mod run;
mod told;

pub use asked::{
    Ask, Authenticate, Authentication, AuthenticationStage, AuthenticationStep, AuthorizePublish,
    AuthorizeSubscribe, BeforeConnect, Codes, Deliver, Delivery, Publication, Put,
};
pub use chain::{Chain, ChainReader, HandlerId, HandlerRow, RegisterError, Snapshot};
pub use client::{About, Certificate, Client};
pub use controller::{Bell, Connection, Controller, LaterReply, PushError, Reply, dispatch};
pub use decide::{Decide, Denial, HandlerError, LaterVerdict, Verdict};
#[doc(hidden)]
pub use event::by_method;
pub use event::{Event, EventKind, Events, Handler, Notice};
pub use latency::Latency;
pub use registration::{Counts, OnFailure, Registration, Scope};
pub use run::{Outcome, Pending, Run, Step};
pub use told::{
    Acknowledged, Connected, DisconnectCause, Disconnected, DropReason, Dropped, ListenerChange,
    Origin, Peer, Pinged, Published, Refused, RetainedChanged, ServerChange, SessionEnd,
    SessionEnded, Subscribed, Unsubscribed, WillArmed, WillPublished, WillRefused, WorkerChange,
};
