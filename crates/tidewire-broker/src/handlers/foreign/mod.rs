//! What handlers have in common that are not written in Rust: scripts and servers behind a URL.
//!
//! - `view`: a value that both Lua and JSON have a form for. `question`, `told`: what is asked and told, as views.
//! - `say`: a verdict, understood from a view. `properties`: those of MQTT 5.0, there and back.
//! - `names`: what a misspelt name was meant to be.
//! - `handle`: the [`Handler`](tidewire_handler::Handler) that hands all events to one function for each kind.

mod handle;
mod names;
mod properties;
mod question;
mod say;
mod told;
mod view;

pub(super) use handle::{Foreign, foreign_handler};
pub(super) use names::closest;
#[cfg(feature = "lua")]
pub(super) use properties::with_changes;
pub(super) use question::Fields;
pub(super) use say::{Said, Say};
pub(super) use told::told;
pub(super) use view::View;
#[cfg(feature = "http")]
pub(super) use view::members_to_json;
