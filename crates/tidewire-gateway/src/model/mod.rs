//! What a gateway knows of apps, devices and their data.

mod device;
mod event;
mod value;

pub use device::{Command, Device, Input, Output, Props};
pub use event::{Event, EventKind, Level, Stat};
pub use value::{Quality, Sample, Value, ValueRef};
