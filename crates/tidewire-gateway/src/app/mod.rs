//! Apps in Lua with FreeIOE's interface, supervised: each has a thread and an interpreter of its own, and harms only
//! itself.

mod conf;
mod host;
mod mask;
mod mqtt;
mod mqtt_table;
mod room;
mod run;

use crate::config::AppSettings;
use crate::downlink::AppControl;
use crate::hub::Hub;
use conf::{Oddity, oddities};
use host::Means;
use mask::Mask;
use room::{Bell, Room};
use run::{End, Life};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tidewire_lua::ScriptFile;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// The first wait before an app that failed is started again; doubled up to the maximum.
const RESTART_FIRST: Duration = Duration::from_secs(1);
const RESTART_MAX: Duration = Duration::from_secs(60);
/// A life that lasted so long makes the next wait the first again.
const STABLE: Duration = Duration::from_secs(60);

/// The apps of a gateway.
#[derive(Debug)]
pub struct Apps {
    gateway: Box<str>,
    hub: Arc<Hub>,
    runtime: Handle,
    slots: Mutex<BTreeMap<Box<str>, Slot>>,
}

#[derive(Debug)]
struct Slot {
    settings: AppSettings,
    state: Arc<Mutex<State>>,
    control: Option<Control>,
}

/// A running thread.
#[derive(Debug)]
struct Control {
    stop: Arc<AtomicBool>,
    bell: Arc<Bell>,
    thread: thread::JoinHandle<()>,
}

#[derive(Clone, Default, Debug)]
struct State {
    word: &'static str,
    problem: Option<String>,
    starts: u64,
}

impl Apps {
    /// Apps of these settings; those that are to start with the gateway do.
    ///
    /// Must be called on a tokio runtime.
    #[must_use]
    pub fn start(gateway: &str, hub: &Arc<Hub>, settings: &[AppSettings]) -> Arc<Self> {
        let apps = Arc::new(Self {
            gateway: gateway.into(),
            hub: Arc::clone(hub),
            runtime: Handle::current(),
            slots: Mutex::new(BTreeMap::new()),
        });
        for app in settings {
            let mut slot = Slot {
                settings: app.clone(),
                state: Arc::new(Mutex::new(State {
                    word: "stopped",
                    ..State::default()
                })),
                control: None,
            };
            if app.start {
                apps.start_slot(&mut slot);
            }
            apps.lock().insert(app.name.clone(), slot);
        }
        apps
    }

    /// Stops all of them and waits for their ends.
    pub fn stop(&self) {
        let controls: Vec<Control> = self
            .lock()
            .values_mut()
            .filter_map(|slot| slot.control.take())
            .collect();
        for control in &controls {
            control.stop.store(true, Ordering::Relaxed);
            control.bell.ring();
        }
        for control in controls {
            // A thread that panicked has said so.
            let _ = control.thread.join();
        }
    }

    /// Name, state, latest problem and number of starts of each.
    #[must_use]
    pub fn list(&self) -> Json {
        let row = |(name, slot): (&_, &Slot)| {
            let state = slot.state.lock().unwrap_or_else(PoisonError::into_inner);
            json!({"name": name, "file": slot.settings.file.display().to_string(), "state": state.word, "problem": state.problem, "starts": state.starts})
        };
        self.lock().iter().map(row).collect()
    }

    fn start_slot(&self, slot: &mut Slot) {
        if slot
            .control
            .as_ref()
            .is_some_and(|control| !control.thread.is_finished())
        {
            return;
        }
        let (stop, bell) = (Arc::new(AtomicBool::new(false)), Arc::new(Bell::default()));
        let supervisor = Supervisor {
            gateway: self.gateway.clone(),
            hub: Arc::clone(&self.hub),
            runtime: self.runtime.clone(),
            settings: slot.settings.clone(),
            state: Arc::clone(&slot.state),
            stop: Arc::clone(&stop),
            bell: Arc::clone(&bell),
        };
        let named = thread::Builder::new().name(format!("app {}", slot.settings.name));
        match named.spawn(move || supervisor.run()) {
            Ok(thread) => slot.control = Some(Control { stop, bell, thread }),
            Err(error) => {
                let mut state = slot.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.problem = Some(format!("no thread for it: {error}"));
            }
        }
    }

    fn stop_slot(slot: &mut Slot) -> Option<thread::JoinHandle<()>> {
        let control = slot.control.take()?;
        control.stop.store(true, Ordering::Relaxed);
        control.bell.ring();
        Some(control.thread)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AppControl for Apps {
    fn control(&self, verb: &str, app: &str, conf: &Json) -> Result<Json, String> {
        if verb == "list" {
            return Ok(self.list());
        }
        let mut slots = self.lock();
        let slot = slots
            .get_mut(app)
            .ok_or_else(|| format!("there is no app `{app}`"))?;
        match verb {
            "start" => self.start_slot(slot),
            "stop" | "restart" | "conf" => {
                if verb == "conf" {
                    slot.settings.conf = conf.clone();
                }
                if let Some(thread) = Self::stop_slot(slot) {
                    // It ends within seconds, and answers to nobody meanwhile.
                    let _ = thread.join();
                }
                if verb != "stop" {
                    self.start_slot(slot);
                }
            }
            _ => {
                return Err(
                    "known are app/list, app/start, app/stop, app/restart and app/conf".to_owned(),
                );
            }
        }
        Ok(Json::Null)
    }
}

struct Supervisor {
    gateway: Box<str>,
    hub: Arc<Hub>,
    runtime: Handle,
    settings: AppSettings,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    bell: Arc<Bell>,
}

impl Supervisor {
    fn run(&self) {
        let mut wait = RESTART_FIRST;
        while !self.stop.load(Ordering::Relaxed) {
            self.set("running", None);
            let started = Instant::now();
            let end = self.live();
            let name = &*self.settings.name;
            match end {
                End::Stopped => {
                    tracing::info!(target: "app", app = name, "stopped");
                    break;
                }
                End::Failed(why) => {
                    tracing::error!(target: "app", app = name, "{why}");
                    self.set("failed", Some(why));
                }
            }
            if started.elapsed() >= STABLE {
                wait = RESTART_FIRST;
            }
            let again = Instant::now() + wait;
            wait = (wait * 2).min(RESTART_MAX);
            while Instant::now() < again && !self.stop.load(Ordering::Relaxed) {
                self.bell.wait_until(again);
            }
        }
        let problem = self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .problem
            .take();
        self.set("stopped", problem);
    }

    fn set(&self, word: &'static str, problem: Option<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.starts += u64::from(word == "running");
        state.word = word;
        state.problem = problem;
    }

    fn live(&self) -> End {
        let script = match ScriptFile::new(&self.settings.file).read() {
            Ok(script) => script,
            Err(error) => {
                return End::Failed(format!(
                    "{} cannot be read: {error}",
                    self.settings.file.display()
                ));
            }
        };
        if let Some(end) = self.judge_conf(&String::from_utf8_lossy(script.source())) {
            return end;
        }
        let (actions, mut requests) = mpsc::channel(64);
        let room = Arc::new(Room::default());
        room.lock().conf = self.settings.conf.clone();
        let folder = self
            .settings
            .file
            .parent()
            .map(|folder| folder.display().to_string());
        let means = Means {
            app: self.settings.name.clone(),
            gateway: self.gateway.clone(),
            hub: Arc::clone(&self.hub),
            room: Arc::clone(&room),
            bell: Arc::clone(&self.bell),
            mask: Mask::of(&self.settings.conf),
            started: Instant::now(),
            runtime: self.runtime.clone(),
            actions,
            folder: folder
                .filter(|folder| !folder.is_empty())
                .unwrap_or_else(|| ".".to_owned()),
        };
        let ringer = self.ring_for_news();
        let life = Life {
            means: &means,
            script: &script,
            bell: &self.bell,
            stop: &self.stop,
            happenings: self.hub.watch(),
            requests: &mut requests,
        };
        let end = life.live();
        ringer.abort();
        // Clients are cut without a farewell: whoever watches sees the will.
        let (clients, devices) = {
            let mut desk = room.lock();
            (
                std::mem::take(&mut desk.clients),
                std::mem::take(&mut desk.devices),
            )
        };
        drop(clients);
        for sn in devices {
            self.hub.remove_device(&sn);
        }
        end
    }

    /// A key that is spelt nearly as one that the program reads would silently do nothing.
    fn judge_conf(&self, program: &str) -> Option<End> {
        for oddity in oddities(program, &self.settings.conf) {
            match oddity {
                Oddity::Misspelt(key, known) => {
                    return Some(End::Failed(format!(
                        "its configuration has `{key}`, which the program does not read; did you mean `{known}`?"
                    )));
                }
                Oddity::Unread(key) => {
                    tracing::warn!(target: "app", app = &*self.settings.name, "its configuration has `{key}`, which the program does not seem to read");
                }
            }
        }
        None
    }

    /// The scheduler sleeps until its bell rings: somebody has to ring it for news of the gateway.
    fn ring_for_news(&self) -> tokio::task::JoinHandle<()> {
        let (mut news, bell) = (self.hub.watch(), Arc::clone(&self.bell));
        self.runtime.spawn(async move {
            loop {
                match news.recv().await {
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                    _ => bell.ring(),
                }
            }
        })
    }
}
