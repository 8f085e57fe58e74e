//! What is told of devices and data while it happens.

use crate::model::{Event, Props, Quality, Stat, Value};

/// Something that happened to a device or its data.
#[derive(Clone, PartialEq, Debug)]
pub enum Happening {
    /// A device came.
    AddDevice {
        /// Its app.
        app: Box<str>,
        /// Its serial number.
        sn: Box<str>,
        /// What it is and has.
        props: Props,
    },
    /// A device went.
    DelDevice {
        /// Its app.
        app: Box<str>,
        /// Its serial number.
        sn: Box<str>,
    },
    /// A device is or has something else now.
    ModDevice {
        /// Its app.
        app: Box<str>,
        /// Its serial number.
        sn: Box<str>,
        /// What it is and has now.
        props: Props,
    },
    /// An input changed.
    Input(Input),
    /// An input changed, and it is urgent.
    InputEmergency(Input),
    /// Something happened.
    Event(Event),
    /// A figure.
    Stat(Stat),
}

/// An input's new value.
#[derive(Clone, PartialEq, Debug)]
pub struct Input {
    /// The app.
    pub app: Box<str>,
    /// The device.
    pub sn: Box<str>,
    /// The input.
    pub input: Box<str>,
    /// The property, as a rule `value`.
    pub prop: Box<str>,
    /// The value.
    pub value: Value,
    /// When the device had it, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Its quality.
    pub quality: Quality,
}

/// A change of the list of devices.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeviceChange {
    /// This one came.
    Added(Box<str>),
    /// This one is or has something else.
    Modified(Box<str>),
    /// This one went.
    Removed(Box<str>),
}
