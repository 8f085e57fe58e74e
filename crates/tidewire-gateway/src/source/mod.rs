//! Where data come from.

mod modbus;
mod mqtt_in;
mod simulator;
mod system;

pub use modbus::{ModbusSettings, ModbusUrl, Register, probe_modbus};
pub use mqtt_in::{LevelTemplate, MqttInSettings};
pub use simulator::SimulatorSettings;
pub use system::SystemSettings;

use crate::Hub;
use crate::model::{Event, EventKind, Level};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// A source.
#[derive(Clone, PartialEq, Debug)]
pub enum SourceSettings {
    /// Devices that do not exist.
    Simulator(SimulatorSettings),
    /// The machine itself.
    System(SystemSettings),
    /// An MQTT server.
    MqttIn(MqttInSettings),
    /// A Modbus device.
    Modbus(ModbusSettings),
}

/// What every source gets.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) gateway: Box<str>,
    pub(crate) hub: Arc<Hub>,
    /// A folder for what a source must remember.
    pub(crate) folder: PathBuf,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Surroundings {
    /// Waits until the gateway stops.
    pub(crate) async fn stopped(&self) {
        let mut stop = self.stop.clone();
        // The sender is gone: it stops, too.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    pub(crate) fn event(&self, app: &str, sn: &str, level: Level, info: String) {
        self.hub.event(Event {
            app: app.into(),
            sn: sn.into(),
            level,
            kind: EventKind::Communication,
            info: info.into(),
            data: serde_json::Value::Null,
            timestamp_ms: self.hub.now_ms(),
        });
    }
}

impl SourceSettings {
    /// Runs until the gateway stops.
    pub(crate) async fn run(self, around: Surroundings) {
        match self {
            Self::Simulator(settings) => simulator::run(settings, around).await,
            Self::System(settings) => system::run(settings, around).await,
            Self::MqttIn(settings) => mqtt_in::run(settings, around).await,
            Self::Modbus(settings) => modbus::run(settings, around).await,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Simulator(settings) => &settings.name,
            Self::System(settings) => &settings.name,
            Self::MqttIn(settings) => &settings.name,
            Self::Modbus(settings) => &settings.name,
        }
    }
}
