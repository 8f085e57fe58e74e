//! The client's side of MQTT as a pure state machine: no sockets, no clock, no runtime, no randomness.
//!
//! A [`Machine`] is a value. Whatever happens goes in through [`Machine::handle`], together with the time. What there is
//! to do comes out of [`Machine::poll_output`], bytes to write out of [`Machine::transmit`], and
//! [`Machine::next_deadline`] says when the machine wants to be asked again. It keeps a session across connections:
//! `Open` begins the next one.
//!
//! MQTT 3.1, 3.1.1 and 5.0 are one machine. What a server sends never makes it panic; what a server may not send ends
//! the connection with a [`Cause`].
//!
//! ```
//! use tidewire_client::protocol::{Input, Machine, Open, Output, PacketTrace, Time};
//! use tidewire_client::{Publish, Qos, Version};
//!
//! let mut machine = Machine::new(PacketTrace::Off);
//! let now = Time::ZERO;
//! machine.handle(now, Input::Open(Open::new(Version::V311, "a").into()));
//! assert!(machine.transmit().starts_with(b"\x10\x0d\x00\x04MQTT"));
//! machine.written(machine.transmit().len());
//!
//! machine.handle(now, Input::Bytes(b"\x20\x02\x00\x00")); // CONNACK
//! assert!(matches!(machine.poll_output(), Some(Output::Connected(_))));
//!
//! let message = Publish::new("t", "hello").qos(Qos::AtLeastOnce);
//! machine.handle(now, Input::Publish { token: 7, message });
//! assert_eq!(machine.transmit(), b"\x32\x0a\x00\x01t\x00\x01hello");
//!
//! machine.handle(now, Input::Bytes(b"\x40\x02\x00\x01")); // PUBACK
//! assert!(matches!(machine.poll_output(), Some(Output::Sent { token: 7, .. })));
//! assert!(matches!(machine.poll_output(), Some(Output::Published { token: 7, result: Ok(_) })));
//! ```
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing
    )
)]

mod aliases;
mod cause;
mod handshake;
mod ids;
mod incoming;
mod input;
mod keep_alive;
mod machine;
mod open;
mod out_bytes;
mod outgoing;
mod output;
mod publish;
mod received;
mod requests;
mod server;
mod time;

pub use cause::{Cause, Farewell};
pub use input::{Input, Reading};
pub use machine::Machine;
pub use open::{Authentication, Open};
pub use output::{
    Connected, Delivery, Output, PacketTrace, PublishError, Published, RequestError, SessionOrigin,
    Token,
};
pub use publish::{Message, Publish, PublishFault};
pub use requests::check_subscription;
pub use server::ServerLimits;
pub use time::Time;
