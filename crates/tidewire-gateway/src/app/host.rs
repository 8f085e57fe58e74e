//! The gateway's functions for apps: what `sys.lua` is built on.

use super::mask::Mask;
use super::mqtt_table;
use super::room::{Bell, Room, Timer};
use crate::hub::{Action, Hub, InputPoint, Request};
use crate::model::{Device, Event, EventKind, Level, Props, Quality, Stat, Value as Reading};
use mlua::{Function, IntoLuaMulti, Lua, LuaString, Table, Value};
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidewire_lua::{json, mlua};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// How long a device may take for an action.
const ACTION_LIMIT: Duration = Duration::from_secs(30);

/// What the functions work on.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) app: Box<str>,
    pub(super) gateway: Box<str>,
    pub(super) hub: Arc<Hub>,
    pub(super) room: Arc<Room>,
    pub(super) bell: Arc<Bell>,
    pub(super) mask: Mask,
    pub(super) started: Instant,
    pub(super) runtime: Handle,
    pub(super) actions: mpsc::Sender<Request>,
    pub(super) folder: String,
}

type Answer = (Value, Option<String>);

/// The table `host`.
pub(super) fn table(lua: &Lua, means: &Means) -> mlua::Result<Table> {
    let host = lua.create_table()?;
    host.set("id", &*means.gateway)?;
    host.set("name", &*means.app)?;
    host.set("dir", means.folder.as_str())?;
    time_and_log(lua, &host, means)?;
    configuration(lua, &host, means)?;
    devices(lua, &host, means)?;
    data(lua, &host, means)?;
    reports(lua, &host, means)?;
    actions(lua, &host, means)?;
    mqtt_table::add(lua, &host, means)?;
    Ok(host)
}

fn time_and_log(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
    let hub = Arc::clone(&means.hub);
    host.set(
        "time",
        lua.create_function(move |_, ()| Ok(hub.now_ms() as f64 / 1000.0))?,
    )?;
    let started = means.started;
    host.set(
        "uptime_ms",
        lua.create_function(move |_, ()| Ok(started.elapsed().as_millis() as i64))?,
    )?;
    let of = means.clone();
    let log = move |_: &Lua, (level, text): (String, LuaString)| {
        say(&of.app, &level, &of.mask.apply(&text.to_string_lossy()));
        Ok(())
    };
    host.set("log", lua.create_function(log)?)?;
    let of = means.clone();
    let timer = move |_: &Lua, (ms, call): (f64, Function)| {
        let mut desk = of.room.lock();
        let id = desk.id();
        let at = Instant::now() + Duration::from_secs_f64(ms.clamp(0.0, 1e12) / 1000.0);
        desk.timers.push(Timer { at, id, call });
        Ok(id)
    };
    host.set("timer", lua.create_function(timer)?)?;
    let of = means.clone();
    let cancel = move |_: &Lua, id: u64| {
        of.room.lock().timers.retain(|timer| timer.id != id);
        Ok(())
    };
    host.set("cancel", lua.create_function(cancel)?)?;
    let of = means.clone();
    host.set(
        "fork",
        lua.create_function(move |_, call: Function| {
            of.room.lock().forks.push(call);
            Ok(())
        })?,
    )?;
    let of = means.clone();
    host.set(
        "stop",
        lua.create_function(move |_, why: String| {
            of.room.lock().stop = Some(why);
            Ok(())
        })?,
    )?;
    let matches = |_: &Lua, (filter, topic): (String, String)| {
        Ok(tidewire_client::codec::topic::matches(&filter, &topic))
    };
    host.set("topic_matches", lua.create_function(matches)?)
}

/// A line of an app's log.
pub(super) fn say(app: &str, level: &str, text: &str) {
    match level {
        "trace" => tracing::trace!(target: "app", app, "{text}"),
        "debug" => tracing::debug!(target: "app", app, "{text}"),
        "info" | "notice" => tracing::info!(target: "app", app, "{text}"),
        "warning" | "warn" => tracing::warn!(target: "app", app, "{text}"),
        _ => tracing::error!(target: "app", app, "{text}"),
    }
}

fn configuration(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
    let of = means.clone();
    let get = move |lua: &Lua, ()| {
        let conf = of.room.lock().conf.clone();
        json::to_lua(lua, &conf)
    };
    host.set("conf", lua.create_function(get)?)?;
    let of = means.clone();
    let set = move |lua: &Lua, conf: Value| match json::from_lua(lua, &conf) {
        Ok(conf) => {
            of.room.lock().conf = conf;
            Ok((Value::Boolean(true), None))
        }
        Err(why) => Ok((Value::Nil, Some(why))),
    };
    host.set("set_conf", lua.create_function(set)?)?;
    let of = means.clone();
    let handler = move |_: &Lua, (handler, _watch): (Option<Table>, bool)| {
        of.room.lock().handler = handler;
        Ok(())
    };
    host.set("set_handler", lua.create_function(handler)?)
}

fn props(lua: &Lua, value: &Value) -> Result<Props, String> {
    json::from_lua(lua, value).map(|json| Props::of_json(&json))
}

fn refused(why: String) -> mlua::Result<Answer> {
    Ok((Value::Nil, Some(why)))
}

fn devices(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
    let of = means.clone();
    let add = move |lua: &Lua, (sn, given): (String, Value)| match props(lua, &given) {
        Ok(props) => {
            let sn: Box<str> = sn.into();
            of.hub.add_device(Device {
                app: of.app.clone(),
                sn: sn.clone(),
                props,
            });
            of.hub.take_actions(&sn, of.actions.clone());
            of.room.lock().devices.push(sn);
            Ok((Value::Boolean(true), None))
        }
        Err(why) => refused(why),
    };
    host.set("add_device", lua.create_function(add)?)?;
    let of = means.clone();
    let modify = move |lua: &Lua, (sn, given): (String, Value)| match props(lua, &given) {
        Ok(props) => {
            of.hub.modify_device(&sn, props);
            Ok((Value::Boolean(true), None))
        }
        Err(why) => refused(why),
    };
    host.set("mod_device", lua.create_function(modify)?)?;
    let of = means.clone();
    let remove = move |_: &Lua, sn: String| {
        of.hub.remove_device(&sn);
        of.room.lock().devices.retain(|known| **known != *sn);
        Ok(true)
    };
    host.set("del_device", lua.create_function(remove)?)?;
    let of = means.clone();
    let list = move |lua: &Lua, ()| json::to_lua(lua, &of.hub.device_list());
    host.set("list_devices", lua.create_function(list)?)?;
    let of = means.clone();
    let get = move |lua: &Lua, sn: String| match of.hub.device(&sn) {
        Some(device) => json::to_lua(lua, &device.props.to_json()),
        None => Ok(Value::Nil),
    };
    host.set("device", lua.create_function(get)?)?;
    let of = means.clone();
    let values = move |lua: &Lua, sn: String| {
        let rows = of.hub.live(&sn).into_iter().map(|live| {
            let sample = live.sample;
            let row = serde_json::json!({"value": sample.value.borrowed().to_json(), "timestamp": seconds(sample.source_ms), "quality": sample.quality.0});
            (live.input.to_string(), row)
        });
        json::to_lua(lua, &Json::Object(rows.collect()))
    };
    host.set("values", lua.create_function(values)?)
}

/// Seconds with their fraction, as apps count the time.
pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn reading(value: &Value) -> Reading {
    match value {
        Value::Boolean(flag) => Reading::Bool(*flag),
        Value::Integer(number) => Reading::Int(*number),
        Value::Number(number) => Reading::Float(*number),
        Value::String(text) => Reading::Text(text.to_string_lossy().as_str().into()),
        _ => Reading::Null,
    }
}

fn millis(hub: &Hub, timestamp: Option<f64>) -> i64 {
    timestamp.map_or_else(|| hub.now_ms(), |secs| (secs * 1000.0).round() as i64)
}

type InputArguments = (
    String,
    String,
    String,
    Value,
    Option<f64>,
    Option<i32>,
    bool,
);

fn data(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
    let of = means.clone();
    let input =
        move |_: &Lua, (sn, input, prop, value, timestamp, quality, is_urgent): InputArguments| {
            let Some(series) = of.hub.series(&sn, &input, &prop) else {
                return refused(format!(
                    "there is no device {sn}, or there are too many series"
                ));
            };
            let value = reading(&value);
            let source_ms = millis(&of.hub, timestamp);
            let point = InputPoint {
                series,
                value: &value,
                quality: Quality(quality.unwrap_or(0)),
                source_ms,
            };
            if is_urgent {
                of.hub.input_emergency(point);
            } else {
                of.hub.inputs(&[point]);
            }
            Ok((Value::Boolean(true), None))
        };
    host.set("input", lua.create_function(input)?)?;
    let of = means.clone();
    let get = move |lua: &Lua, (sn, input, prop): (String, String, String)| {
        let newest = of
            .hub
            .series(&sn, &input, &prop)
            .and_then(|series| of.hub.newest(series));
        let Some(sample) = newest else {
            return Value::Nil.into_lua_multi(lua);
        };
        let value = json::to_lua(lua, &sample.value.borrowed().to_json())?;
        (value, seconds(sample.source_ms), sample.quality.0).into_lua_multi(lua)
    };
    host.set("get_input", lua.create_function(get)?)?;
    Ok(())
}

fn reports(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
    let of = means.clone();
    let event = move |lua: &Lua,
                      (sn, level, kind, info, data, timestamp): (
        String,
        i64,
        String,
        String,
        Value,
        Option<f64>,
    )| {
        of.hub.event(Event {
            app: of.app.clone(),
            sn: sn.into(),
            level: Level::of_number(level),
            kind: EventKind::of_word(&kind),
            info: of.mask.apply(&info).into(),
            data: json::from_lua(lua, &data).unwrap_or(Json::Null),
            timestamp_ms: millis(&of.hub, timestamp),
        });
        Ok(true)
    };
    host.set("event", lua.create_function(event)?)?;
    let of = means.clone();
    let stat = move |_: &Lua,
                     (sn, stat, prop, value, timestamp): (
        String,
        String,
        String,
        Value,
        Option<f64>,
    )| {
        of.hub.stat(Stat {
            app: of.app.clone(),
            sn: sn.into(),
            stat: stat.into(),
            prop: prop.into(),
            value: reading(&value),
            timestamp_ms: millis(&of.hub, timestamp),
        });
        Ok(true)
    };
    host.set("stat", lua.create_function(stat)?)?;
    let of = means.clone();
    host.set(
        "flush",
        lua.create_function(move |_, ()| {
            of.hub.flush();
            Ok(())
        })?,
    )
}

fn actions(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
    let of = means.clone();
    let act =
        move |lua: &Lua, (sn, kind, name, prop, value): (String, String, String, String, Value)| {
            let action = if kind == "output" {
                Action::Output {
                    output: name.into(),
                    prop: prop.into(),
                    value: reading(&value),
                }
            } else {
                Action::Command {
                    command: name.into(),
                    param: json::from_lua(lua, &value).unwrap_or(Json::Null),
                }
            };
            let ticket = {
                let mut desk = of.room.lock();
                let ticket = desk.id();
                desk.tickets.insert(ticket, None);
                ticket
            };
            let (hub, room, bell) = (
                Arc::clone(&of.hub),
                Arc::clone(&of.room),
                Arc::clone(&of.bell),
            );
            of.runtime.spawn(async move {
                let outcome = hub
                    .act(&sn, action, ACTION_LIMIT)
                    .await
                    .map_err(|error| error.to_string());
                room.lock().tickets.insert(ticket, Some(outcome));
                bell.ring();
            });
            Ok(ticket)
        };
    host.set("act", lua.create_function(act)?)?;
    let of = means.clone();
    let acted = move |lua: &Lua, ticket: u64| {
        let outcome = {
            let mut desk = of.room.lock();
            match desk.tickets.get(&ticket) {
                Some(None) => return (false, Value::Nil, Value::Nil).into_lua_multi(lua),
                _ => desk.tickets.remove(&ticket).flatten(),
            }
        };
        match outcome {
            Some(Ok(result)) => (true, true, json::to_lua(lua, &result)?).into_lua_multi(lua),
            Some(Err(why)) => (true, Value::Nil, why).into_lua_multi(lua),
            None => (true, Value::Nil, "there is no such action").into_lua_multi(lua),
        }
    };
    host.set("acted", lua.create_function(acted)?)
}

/// Text, if it is some.
pub(super) fn lossy(value: &Value) -> Option<String> {
    value.as_string().map(|text| text.to_string_lossy())
}
