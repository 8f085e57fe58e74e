//! What an app's functions and its scheduler share.

use super::mqtt::MqttClient;
use mlua::{Function, Table};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tidewire_lua::mlua;

/// Wakes the scheduler.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_one();
    }

    /// Waits until it rings, or for the time.
    pub(super) fn wait_until(&self, until: Instant) -> bool {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if std::mem::take(&mut *rung) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            rung = self
                .heard
                .wait_timeout(rung, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// A function and when to call it.
pub(super) struct Timer {
    pub(super) at: Instant,
    pub(super) id: u64,
    pub(super) call: Function,
}

/// What a device made of a request.
pub(super) type Acted = Result<Json, String>;

/// The app's side of the gateway.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) timers: Vec<Timer>,
    pub(super) next_id: u64,
    pub(super) forks: Vec<Function>,
    pub(super) handler: Option<Table>,
    pub(super) stop: Option<String>,
    pub(super) tickets: BTreeMap<u64, Option<Acted>>,
    pub(super) conf: Json,
    pub(super) clients: HashMap<i64, MqttClient>,
    /// Devices that the app brought, to be taken away with it.
    pub(super) devices: Vec<Box<str>>,
}

/// The desk behind its lock. It is never held while Lua runs.
#[derive(Default)]
pub(super) struct Room(Mutex<Desk>);

impl Room {
    pub(super) fn lock(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    pub(super) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
