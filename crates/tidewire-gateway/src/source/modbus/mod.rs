//! Devices that speak Modbus, over TCP or a serial line.

mod line;
mod plan;
mod poll;
mod probe;
mod register;

pub use line::ModbusUrl;
pub use probe::probe_modbus;
pub use register::Register;

pub(crate) use line::Line;
pub(crate) use plan::{Block, plan};
pub(super) use poll::run;

use std::time::Duration;

/// A device.
#[derive(Clone, PartialEq, Debug)]
pub struct ModbusSettings {
    /// The app of the device.
    pub name: Box<str>,
    /// The device's serial number.
    pub sn: Box<str>,
    /// How it is reached.
    pub url: ModbusUrl,
    /// The unit (slave) identifier.
    pub unit: u8,
    /// Time between two readings.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// The longest wait before it is asked again when it does not answer.
    pub retry_max: Duration,
    /// Registers that may lie between two that are read with one request.
    pub max_gap: u16,
    /// What is read and written.
    pub registers: Vec<Register>,
}
