//! One life of an app: its program loaded, its callbacks called one after the other, its coroutines resumed.

use super::host::{Means, lossy, seconds, table};
use super::room::{Bell, Room};
use crate::hub::{Action, ActionError, Happening, Request};
use mlua::{Function, IntoLuaMulti, Lua, MultiValue, Table, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tidewire_lua::{Host, Limits, Script, ScriptError, ScriptErrorKind, Task, Turn, json, mlua};
use tokio::sync::{broadcast, mpsc};

/// Instructions that an app may execute without ever waiting: about two seconds.
const BURST: u64 = 200_000_000;
/// Instructions after which another coroutine of the app has its turn.
const SLICE: u64 = 2_000_000;
/// Bytes that an app may hold.
const MEMORY_BYTES: usize = 128 << 20;
/// How long `close` may take.
const CLOSING: Duration = Duration::from_secs(5);
/// The longest that the scheduler sleeps.
const IDLE: Duration = Duration::from_secs(1);

/// What an app needs beside its means.
pub(super) struct Life<'a> {
    pub(super) means: &'a Means,
    pub(super) script: &'a Script,
    pub(super) bell: &'a Arc<Bell>,
    pub(super) stop: &'a AtomicBool,
    pub(super) happenings: broadcast::Receiver<Arc<Happening>>,
    pub(super) requests: &'a mut mpsc::Receiver<Request>,
}

/// A coroutine and when it goes on.
struct Running {
    task: Task,
    wake_at: Instant,
    /// Whether the bell wakes it, too.
    hears: bool,
    purpose: Purpose,
}

/// What a coroutine is for.
enum Purpose {
    /// Nothing waits for it.
    Callback,
    /// `start`: the app runs if it returns true.
    Start,
    /// `run`: returns when to be called again.
    Run,
    /// `close`.
    Close,
    /// A device of the app is to act.
    Act(Option<Request>),
}

/// Why a life ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Somebody wanted it, or the app itself.
    Stopped,
    /// It failed.
    Failed(String),
}

struct Scheduler<'a> {
    host: &'a Host,
    room: &'a Room,
    app: Table,
    tasks: Vec<Running>,
    run_at: Option<Instant>,
    interval_ms: i64,
    is_closing: bool,
    is_closed: bool,
    means: &'a Means,
}

impl Life<'_> {
    /// Lives until it is told to stop or fails.
    pub(super) fn live(mut self) -> End {
        match self.try_live() {
            Ok(()) => End::Stopped,
            Err(error) => {
                let text = match error.traceback() {
                    Some(calls) => format!("{error}\n{calls}"),
                    None => error.to_string(),
                };
                End::Failed(self.means.mask.apply(&text))
            }
        }
    }

    fn try_live(&mut self) -> Result<(), ScriptError> {
        let limits = Limits {
            instructions: BURST,
            memory_bytes: MEMORY_BYTES,
        };
        let host = Host::new(&limits, &[])?;
        let (app_name, mask) = (self.means.app.clone(), self.means.mask.clone());
        host.on_print(move |line| super::host::say(&app_name, "info", &mask.apply(line)))?;
        let sys = furnish(&host, self.means)?;
        let app = load(&host, self.script, self.means, sys)?;
        let mut scheduler = Scheduler {
            host: &host,
            room: &self.means.room,
            app,
            tasks: Vec::new(),
            run_at: None,
            interval_ms: 1000,
            is_closing: false,
            is_closed: false,
            means: self.means,
        };
        scheduler.method("start", Purpose::Start, ())?;
        let mut closing_until = None;
        while !scheduler.is_closed {
            let was_rung = self.bell.wait_until(scheduler.next_wake());
            if self.stop.load(Ordering::Relaxed) || self.means.room.lock().stop.is_some() {
                let now = Instant::now();
                let until = *closing_until.get_or_insert(now + CLOSING);
                scheduler.close(if self.stop.load(Ordering::Relaxed) {
                    "stop"
                } else {
                    "exit"
                })?;
                if now >= until {
                    return Ok(());
                }
            } else {
                self.news(&mut scheduler)?;
            }
            scheduler.turn(was_rung)?;
        }
        Ok(())
    }

    /// What happened in the gateway becomes calls of the app's handler.
    fn news(&mut self, scheduler: &mut Scheduler<'_>) -> Result<(), ScriptError> {
        loop {
            match self.happenings.try_recv() {
                Ok(happening) => scheduler.tell(&happening)?,
                Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                    tracing::warn!(target: "app", app = &*self.means.app, missed, "the app is too slow for the data");
                }
                Err(_) => break,
            }
        }
        while let Ok(request) = self.requests.try_recv() {
            scheduler.act(request)?;
        }
        Ok(())
    }
}

fn furnish(host: &Host, means: &Means) -> Result<Value, ScriptError> {
    for name in ["middleclass", "class"] {
        host.module_source(&Script::new(name, include_str!("class.lua")))?;
    }
    let lua = host.lua();
    let of = |error: mlua::Error| host.error(&error);
    let functions = table(lua, means).map_err(of)?;
    let made: (Value, Value, Value) = lua
        .load(include_str!("sys.lua"))
        .set_name("=sys")
        .call(functions)
        .map_err(of)?;
    let (sys, mosquitto, event) = made;
    host.module("mosquitto", mosquitto)?;
    host.module("app.event", event)?;
    Ok(sys)
}

fn wrong(text: &str) -> ScriptError {
    ScriptError::new(ScriptErrorKind::Runtime, text)
}

/// Runs the program, which returns a class, and makes the app from it.
fn load(host: &Host, script: &Script, means: &Means, sys: Value) -> Result<Table, ScriptError> {
    let returned = host.run(script)?;
    let Some(Value::Table(class)) = returned.into_iter().next() else {
        return Err(wrong(
            "the program must return its app: end it with `return app`",
        ));
    };
    let of = |error: mlua::Error| host.error(&error);
    match class.get::<Value>("API_VER").map_err(of)? {
        Value::Integer(1..) | Value::Number(_) => {}
        _ => return Err(wrong("the app has no API_VER: write `app.API_VER = 1`")),
    }
    let make: Value = class.get("new").map_err(of)?;
    let Value::Function(make) = make else {
        return Err(wrong(
            "what the program returns is no class: it has no `new`",
        ));
    };
    let lua = host.lua();
    let conf = json::to_lua(lua, &means.room.lock().conf.clone()).map_err(of)?;
    host.call(&make, (class, &*means.app, sys, conf))
}

impl Scheduler<'_> {
    fn lua(&self) -> &Lua {
        self.host.lua()
    }

    /// Begins a call of one of the app's own functions.
    fn method(
        &mut self,
        name: &str,
        purpose: Purpose,
        arguments: impl IntoLuaMulti,
    ) -> Result<(), ScriptError> {
        let of = |error: mlua::Error| self.host.error(&error);
        let mut given = arguments.into_lua_multi(self.lua()).map_err(of)?;
        let method: Value = self.app.get(name).map_err(of)?;
        let Value::Function(method) = method else {
            return match purpose {
                Purpose::Start => Err(wrong("the app has no `start`")),
                purpose => self.ended(purpose, &MultiValue::new()),
            };
        };
        given.push_front(Value::Table(self.app.clone()));
        self.spawn(method, purpose, given)
    }

    /// Begins a call, and goes on with it until it waits.
    fn spawn(
        &mut self,
        function: Function,
        purpose: Purpose,
        arguments: MultiValue,
    ) -> Result<(), ScriptError> {
        let task = self.host.task(function)?;
        let running = Running {
            task,
            wake_at: Instant::now(),
            hears: false,
            purpose,
        };
        self.resume(running, arguments)
    }

    fn resume(&mut self, mut running: Running, arguments: MultiValue) -> Result<(), ScriptError> {
        match self.host.resume(&mut running.task, SLICE, arguments) {
            Ok(Turn::Ended(values)) => self.ended(running.purpose, &values),
            Ok(Turn::Paused) => {
                running.wake_at = Instant::now();
                self.tasks.push(running);
                Ok(())
            }
            Ok(Turn::Yielded(values)) => {
                running.task.refill(BURST);
                let mut values = values.into_iter();
                let kind = values.next().and_then(|value| lossy(&value));
                let ms = values
                    .next()
                    .and_then(|value| value.as_number())
                    .unwrap_or(0.0);
                running.hears = kind.as_deref() == Some("bell");
                running.wake_at =
                    Instant::now() + Duration::from_secs_f64(ms.clamp(0.0, 1e12) / 1000.0);
                self.tasks.push(running);
                Ok(())
            }
            Err(error) => self.failed(running.purpose, error),
        }
    }

    /// A callback that fails harms nobody; an app that loops, leaks or cannot start does not go on.
    fn failed(&mut self, purpose: Purpose, error: ScriptError) -> Result<(), ScriptError> {
        let is_fatal = matches!(
            error.kind(),
            ScriptErrorKind::Instructions | ScriptErrorKind::Memory
        );
        if is_fatal || matches!(purpose, Purpose::Start) {
            return Err(error);
        }
        super::host::say(
            &self.means.app,
            "error",
            &self.means.mask.apply(&error.to_string()),
        );
        if let Purpose::Act(Some(request)) = purpose {
            let _ = request
                .reply
                .send(Err(ActionError::Failed(error.to_string().into())));
            return Ok(());
        }
        self.ended(purpose, &MultiValue::new())
    }

    fn ended(&mut self, purpose: Purpose, values: &MultiValue) -> Result<(), ScriptError> {
        let first = values.front().cloned().unwrap_or(Value::Nil);
        match purpose {
            Purpose::Callback => {}
            Purpose::Start => {
                if matches!(first, Value::Boolean(false) | Value::Nil) {
                    let why = values.get(1).and_then(lossy).unwrap_or_default();
                    return Err(wrong(&format!("`start` did not return true: {why}")));
                }
                self.run_at = Some(Instant::now());
            }
            Purpose::Run => {
                if let Some(ms) = first.as_number() {
                    self.interval_ms = (ms as i64).max(1);
                }
                let wait = Duration::from_millis(u64::try_from(self.interval_ms).unwrap_or(1));
                self.run_at = Some(Instant::now() + wait);
            }
            Purpose::Close => self.is_closed = true,
            Purpose::Act(request) => {
                if let Some(request) = request {
                    let outcome =
                        match first {
                            Value::Boolean(false) | Value::Nil => {
                                let why = values.get(1).and_then(lossy);
                                Err(ActionError::Failed(
                                    why.unwrap_or_else(|| "the app did not act".to_owned())
                                        .into(),
                                ))
                            }
                            other => Ok(json::from_lua(self.lua(), &other)
                                .unwrap_or(serde_json::Value::Null)),
                        };
                    // Whoever asked has gone: nobody to tell.
                    let _ = request.reply.send(outcome);
                }
            }
        }
        Ok(())
    }

    fn next_wake(&self) -> Instant {
        let mut next = Instant::now() + IDLE;
        for running in &self.tasks {
            next = next.min(running.wake_at);
        }
        let desk = self.room.lock();
        for timer in &desk.timers {
            next = next.min(timer.at);
        }
        if !desk.forks.is_empty() {
            return Instant::now();
        }
        self.run_at.map_or(next, |at| next.min(at))
    }

    /// Whatever is due.
    fn turn(&mut self, was_rung: bool) -> Result<(), ScriptError> {
        let now = Instant::now();
        if !self.is_closing {
            // Taken first: the desk must be free while Lua runs.
            let forks = std::mem::take(&mut self.room.lock().forks);
            for call in forks {
                self.spawn(call, Purpose::Callback, MultiValue::new())?;
            }
            for call in self.due_timers(now) {
                self.spawn(call, Purpose::Callback, MultiValue::new())?;
            }
            if self.run_at.is_some_and(|at| now >= at) {
                self.run_at = None;
                let interval = self.interval_ms;
                self.method("run", Purpose::Run, interval)?;
            }
        }
        let is_due = |running: &Running| now >= running.wake_at || (was_rung && running.hears);
        let tasks = std::mem::take(&mut self.tasks);
        let (due, waiting): (Vec<_>, Vec<_>) = tasks.into_iter().partition(is_due);
        self.tasks = waiting;
        for running in due {
            self.resume(running, MultiValue::new())?;
        }
        Ok(())
    }

    fn due_timers(&self, now: Instant) -> Vec<Function> {
        let mut desk = self.room.lock();
        let timers = std::mem::take(&mut desk.timers);
        let (mut due, waiting): (Vec<_>, Vec<_>) =
            timers.into_iter().partition(|timer| now >= timer.at);
        desk.timers = waiting;
        drop(desk);
        due.sort_by_key(|timer| (timer.at, timer.id));
        due.into_iter().map(|timer| timer.call).collect()
    }

    /// Timers and coroutines end; `close` is called once.
    fn close(&mut self, reason: &str) -> Result<(), ScriptError> {
        if std::mem::replace(&mut self.is_closing, true) {
            return Ok(());
        }
        self.tasks.clear();
        {
            let mut desk = self.room.lock();
            desk.timers.clear();
            desk.forks.clear();
        }
        self.method("close", Purpose::Close, reason)
    }

    fn handler(&self, name: &str) -> Option<Function> {
        let handler = self.room.lock().handler.clone()?;
        handler.get(name).ok()
    }

    fn tell(&mut self, happening: &Happening) -> Result<(), ScriptError> {
        let (name, arguments) = match self.arguments(happening) {
            Ok(Some(call)) => call,
            Ok(None) => return Ok(()),
            Err(error) => return Err(self.host.error(&error)),
        };
        match self.handler(name) {
            Some(function) => self.spawn(function, Purpose::Callback, arguments),
            None => Ok(()),
        }
    }

    fn arguments(&self, happening: &Happening) -> mlua::Result<Option<(&'static str, MultiValue)>> {
        let lua = self.lua();
        if self.room.lock().handler.is_none() {
            return Ok(None);
        }
        let value = |value: &crate::model::Value| json::to_lua(lua, &value.borrowed().to_json());
        Ok(Some(match happening {
            Happening::AddDevice { app, sn, props } => {
                let props = json::to_lua(lua, &props.to_json())?;
                ("on_add_device", (&**app, &**sn, props).into_lua_multi(lua)?)
            }
            Happening::DelDevice { app, sn } => {
                ("on_del_device", (&**app, &**sn).into_lua_multi(lua)?)
            }
            Happening::ModDevice { app, sn, props } => {
                let props = json::to_lua(lua, &props.to_json())?;
                ("on_mod_device", (&**app, &**sn, props).into_lua_multi(lua)?)
            }
            Happening::Input(input) | Happening::InputEmergency(input) => {
                let name = match happening {
                    Happening::Input(_) => "on_input",
                    _ => "on_input_em",
                };
                let time = seconds(input.timestamp_ms);
                let names = (&*input.app, &*input.sn, &*input.input, &*input.prop);
                let all = (
                    names.0,
                    names.1,
                    names.2,
                    names.3,
                    value(&input.value)?,
                    time,
                    input.quality.0,
                );
                (name, all.into_lua_multi(lua)?)
            }
            Happening::Event(event) => {
                let data = json::to_lua(lua, &event.data())?;
                let all = (
                    &*event.app,
                    &*event.sn,
                    event.level.number(),
                    data,
                    seconds(event.timestamp_ms),
                );
                ("on_event", all.into_lua_multi(lua)?)
            }
            Happening::Stat(stat) => {
                let time = seconds(stat.timestamp_ms);
                let all = (
                    &*stat.app,
                    &*stat.sn,
                    &*stat.stat,
                    &*stat.prop,
                    value(&stat.value)?,
                    time,
                );
                ("on_stat", all.into_lua_multi(lua)?)
            }
        }))
    }

    /// A device of the app is to act.
    fn act(&mut self, request: Request) -> Result<(), ScriptError> {
        let of = |error: mlua::Error| self.host.error(&error);
        let lua = self.lua();
        let (name, arguments) = match &request.action {
            Action::Output {
                output,
                prop,
                value,
            } => {
                let value = json::to_lua(lua, &value.borrowed().to_json()).map_err(of)?;
                let now = seconds(self.means.hub.now_ms());
                let all = (
                    &*self.means.gateway,
                    &*request.sn,
                    &**output,
                    &**prop,
                    value,
                    now,
                );
                ("on_output", all.into_lua_multi(lua).map_err(of)?)
            }
            Action::Command { command, param } => {
                let param = json::to_lua(lua, param).map_err(of)?;
                let all = (&*self.means.gateway, &*request.sn, &**command, param);
                ("on_command", all.into_lua_multi(lua).map_err(of)?)
            }
        };
        match self.handler(name) {
            Some(function) => self.spawn(function, Purpose::Act(Some(request)), arguments),
            None => {
                let _ = request.reply.send(Err(ActionError::NotWritable));
                Ok(())
            }
        }
    }
}
