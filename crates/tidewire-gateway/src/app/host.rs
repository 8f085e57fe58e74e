//! The gateway's functions for apps: what `sys.lua` is built on.

use super::mask::Mask;
use super::mqtt::{Callback, Failure, MqttClient, Opened, code, qos};
use super::room::{Bell, Room, Timer};
use crate::hub::{Action, Hub, InputPoint, Request};
use crate::model::{Device, Event, EventKind, Level, Props, Quality, Stat, Value as Reading};
use mlua::{Function, IntoLuaMulti, Lua, LuaString, MultiValue, Table, Value};
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidewire_client::{Tls, Version};
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
    actions(lua, &host, means)?;
    mqtt_options(lua, &host, means)?;
    mqtt(lua, &host, means)?;
    Ok(host)
}

fn time_and_log(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
    let hub = Arc::clone(&means.hub);
    host.set("time", lua.create_function(move |_, ()| Ok(hub.now_ms() as f64 / 1000.0))?)?;
    let started = means.started;
    host.set("uptime_ms", lua.create_function(move |_, ()| Ok(started.elapsed().as_millis() as i64))?)?;
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
    host.set("fork", lua.create_function(move |_, call: Function| Ok(of.room.lock().forks.push(call)))?)?;
    let of = means.clone();
    host.set("stop", lua.create_function(move |_, why: String| Ok(of.room.lock().stop = Some(why)))?)?;
    let matches = |_: &Lua, (filter, topic): (String, String)| Ok(tidewire_client::codec::topic::matches(&filter, &topic));
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
    let handler = move |_: &Lua, (handler, _watch): (Option<Table>, bool)| Ok(of.room.lock().handler = handler);
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
            of.hub.add_device(Device { app: of.app.clone(), sn: sn.clone(), props });
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

type InputArguments = (String, String, String, Value, Option<f64>, Option<i32>, bool);

fn data(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
    let of = means.clone();
    let input = move |_: &Lua, (sn, input, prop, value, timestamp, quality, is_urgent): InputArguments| {
        let Some(series) = of.hub.series(&sn, &input, &prop) else {
            return refused(format!("there is no device {sn}, or there are too many series"));
        };
        let value = reading(&value);
        let source_ms = millis(&of.hub, timestamp);
        let point = InputPoint { series, value: &value, quality: Quality(quality.unwrap_or(0)), source_ms };
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
        let newest = of.hub.series(&sn, &input, &prop).and_then(|series| of.hub.newest(series));
        let Some(sample) = newest else { return Value::Nil.into_lua_multi(lua) };
        let value = json::to_lua(lua, &sample.value.borrowed().to_json())?;
        (value, seconds(sample.source_ms), sample.quality.0).into_lua_multi(lua)
    };
    host.set("get_input", lua.create_function(get)?)?;
    let of = means.clone();
    let event = move |lua: &Lua, (sn, level, kind, info, data, timestamp): (String, i64, String, String, Value, Option<f64>)| {
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
    let stat = move |_: &Lua, (sn, stat, prop, value, timestamp): (String, String, String, Value, Option<f64>)| {
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
    host.set("flush", lua.create_function(move |_, ()| Ok(of.hub.flush()))?)
}

fn actions(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
    let of = means.clone();
    let act = move |lua: &Lua, (sn, kind, name, prop, value): (String, String, String, String, Value)| {
        let action = if kind == "output" {
            Action::Output { output: name.into(), prop: prop.into(), value: reading(&value) }
        } else {
            Action::Command { command: name.into(), param: json::from_lua(lua, &value).unwrap_or(Json::Null) }
        };
        let ticket = {
            let mut desk = of.room.lock();
            let ticket = desk.id();
            desk.tickets.insert(ticket, None);
            ticket
        };
        let (hub, room, bell) = (Arc::clone(&of.hub), Arc::clone(&of.room), Arc::clone(&of.bell));
        of.runtime.spawn(async move {
            let outcome = hub.act(&sn, action, ACTION_LIMIT).await.map_err(|error| error.to_string());
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

/// `true`, or nil, a number and a sentence, as lua-mosquitto answers.
fn answered(lua: &Lua, outcome: Result<Value, Failure>) -> mlua::Result<MultiValue> {
    match outcome {
        Ok(value) => value.into_lua_multi(lua),
        Err((number, text)) => (Value::Nil, number, text).into_lua_multi(lua),
    }
}

fn no_client() -> Failure {
    (code::INVALID, "the client was destroyed".to_owned())
}

/// Text, if it is some.
pub(super) fn lossy(value: &Value) -> Option<String> {
    value.as_string().map(|text| text.to_string_lossy())
}

/// A port may be text: `"1883"`.
fn port(value: &Value) -> Result<u16, Failure> {
    let number = match value {
        Value::Integer(number) => u16::try_from(*number).ok(),
        Value::Number(number) if number.fract() == 0.0 => u16::try_from(*number as i64).ok(),
        Value::String(text) => text.to_string_lossy().trim().parse().ok(),
        _ => None,
    };
    number.filter(|port| *port > 0).ok_or_else(|| (code::INVALID, "the port is not a number from 1 to 65535".to_owned()))
}

fn mqtt_options(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
    let of = means.clone();
    let new = move |_: &Lua, (client_id, clean): (String, bool)| {
        let client = MqttClient::new(client_id, clean, Arc::clone(&of.bell));
        let mut desk = of.room.lock();
        let number = i64::try_from(desk.id()).unwrap_or(i64::MAX);
        desk.clients.insert(number, client);
        Ok(number)
    };
    host.set("mqtt_new", lua.create_function(new)?)?;
    let of = means.clone();
    let set = move |lua: &Lua, (number, what, rest): (i64, String, mlua::Variadic<Value>)| {
        let mut desk = of.room.lock();
        let outcome = match desk.clients.get_mut(&number) {
            Some(client) => set_option(client, &what, &rest),
            None => Err(no_client()),
        };
        answered(lua, outcome.map(|()| Value::Boolean(true)))
    };
    host.set("mqtt_set", lua.create_function(set)?)
}

fn set_option(client: &mut MqttClient, what: &str, given: &[Value]) -> Result<(), Failure> {
    let text = |at: usize| match given.get(at) {
        Some(Value::String(text)) => Some(text.to_string_lossy()),
        Some(Value::Integer(number)) => Some(number.to_string()),
        _ => None,
    };
    let options = &mut client.options;
    match what {
        "version" => {
            options.version = match text(0).as_deref() {
                Some("3") => Version::V31,
                Some("4") => Version::V311,
                Some("5") => Version::V5,
                _ => return Err((code::INVALID, "the version is none of 3, 4 and 5".to_owned())),
            }
        }
        "login" => options.login = text(0).map(|name| (name, text(1))),
        "will" => {
            let payload = match given.get(1) {
                Some(Value::String(bytes)) => bytes.as_bytes().to_vec(),
                _ => Vec::new(),
            };
            let level = given.get(2).and_then(Value::as_integer).unwrap_or(0);
            let retain = matches!(given.get(3), Some(Value::Boolean(true)));
            options.will = text(0).map(|topic| (topic, payload, qos(level), retain));
        }
        "tls" => {
            let mut tls = Tls::new();
            if let Some(file) = text(0) {
                tls = tls.ca_file(file);
            }
            if let Some(folder) = text(1) {
                tls = tls.ca_folder(folder);
            }
            if let (Some(cert), Some(key)) = (text(2), text(3)) {
                tls = tls.identity(cert, key);
            }
            options.tls = Some(tls);
        }
        _ => options.insecure = matches!(given.first(), Some(Value::Boolean(true))),
    }
    Ok(())
}

/// A function on one client that answers as lua-mosquitto does.
fn on_client<A: mlua::FromLuaMulti + 'static>(
    lua: &Lua,
    means: &Means,
    work: impl Fn(&mut MqttClient, A) -> Result<Value, Failure> + Send + 'static,
) -> mlua::Result<Function>
where
    (i64, A): mlua::FromLuaMulti,
{
    let room = Arc::clone(&means.room);
    lua.create_function(move |lua, (number, given): (i64, A)| {
        // Taken out meanwhile: closing a connection waits, and others may need the desk.
        let client = room.lock().clients.remove(&number);
        let Some(mut client) = client else { return answered(lua, Err(no_client())) };
        let outcome = work(&mut client, given);
        room.lock().clients.insert(number, client);
        answered(lua, outcome)
    })
}

fn mqtt(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
    let done = || Ok(Value::Boolean(true));
    let connect = move |client: &mut MqttClient, given: MultiValue| {
        let mut given = given.into_iter();
        let address = given.next().and_then(|value| lossy(&value)).unwrap_or_default();
        let port = port(&given.next().unwrap_or(Value::Nil))?;
        let keep_alive = given.next().and_then(|value| value.as_integer()).unwrap_or(60);
        client.connect(&address, port, u64::try_from(keep_alive).unwrap_or(60)).and_then(|()| done())
    };
    host.set("mqtt_connect", on_client(lua, means, connect)?)?;
    let publish = |client: &mut MqttClient, given: MultiValue| {
        let mut given = given.into_iter();
        let topic = given.next().and_then(|value| lossy(&value)).unwrap_or_default();
        let payload = match given.next() {
            Some(Value::String(bytes)) => bytes.as_bytes().to_vec(),
            Some(Value::Nil) | None => Vec::new(),
            Some(other) => other.to_string().unwrap_or_default().into_bytes(),
        };
        let level = given.next().and_then(|value| value.as_integer()).unwrap_or(0);
        let retain = matches!(given.next(), Some(Value::Boolean(true)));
        client.publish(&topic, payload, qos(level), retain).map(Value::Integer)
    };
    host.set("mqtt_publish", on_client(lua, means, publish)?)?;
    let subscribe = |client: &mut MqttClient, given: MultiValue| {
        let mut given = given.into_iter();
        let filter = given.next().and_then(|value| lossy(&value)).unwrap_or_default();
        let level = given.next().and_then(|value| value.as_integer()).unwrap_or(0);
        client.subscribe(&filter, qos(level)).map(Value::Integer)
    };
    host.set("mqtt_subscribe", on_client(lua, means, subscribe)?)?;
    let unsubscribe = |client: &mut MqttClient, _: MultiValue| client.unsubscribe().map(Value::Integer);
    host.set("mqtt_unsubscribe", on_client(lua, means, unsubscribe)?)?;
    let disconnect = move |client: &mut MqttClient, _: MultiValue| client.disconnect().and_then(|()| done());
    host.set("mqtt_disconnect", on_client(lua, means, disconnect)?)?;
    let of = means.clone();
    let destroy = move |_: &Lua, number: i64| {
        let client = of.room.lock().clients.remove(&number);
        Ok(client.is_some())
    };
    host.set("mqtt_destroy", lua.create_function(destroy)?)?;
    let of = means.clone();
    let opened = move |lua: &Lua, number: i64| {
        let opened = of.room.lock().clients.get(&number).map(MqttClient::opened);
        match opened {
            Some(Opened::Waiting) => "waiting".into_lua_multi(lua),
            Some(Opened::Open) => "open".into_lua_multi(lua),
            Some(Opened::Failed(number, text)) => ("failed", number, text).into_lua_multi(lua),
            None => ("failed", code::INVALID, "the client was destroyed").into_lua_multi(lua),
        }
    };
    host.set("mqtt_opened", lua.create_function(opened)?)?;
    let of = means.clone();
    let lost = move |_: &Lua, number: i64| Ok(of.room.lock().clients.get(&number).is_none_or(MqttClient::is_lost));
    host.set("mqtt_is_lost", lua.create_function(lost)?)?;
    let of = means.clone();
    let poll = move |lua: &Lua, number: i64| {
        let callback = of.room.lock().clients.get(&number).and_then(MqttClient::poll);
        arguments(lua, callback)
    };
    host.set("mqtt_poll", lua.create_function(poll)?)
}

/// A callback's name and arguments.
fn arguments(lua: &Lua, callback: Option<Callback>) -> mlua::Result<MultiValue> {
    match callback {
        None => Value::Nil.into_lua_multi(lua),
        Some(Callback::Connect { is_success, code, text }) => ("ON_CONNECT", is_success, code, text).into_lua_multi(lua),
        Some(Callback::Disconnect { is_success, code, text }) => ("ON_DISCONNECT", is_success, code, text).into_lua_multi(lua),
        Some(Callback::Publish(mid)) => ("ON_PUBLISH", mid).into_lua_multi(lua),
        Some(Callback::Subscribe(mid, granted)) => ("ON_SUBSCRIBE", mid, granted).into_lua_multi(lua),
        Some(Callback::Unsubscribe(mid)) => ("ON_UNSUBSCRIBE", mid).into_lua_multi(lua),
        Some(Callback::Message { topic, payload, qos, retain }) => {
            let payload = lua.create_string(payload)?;
            ("ON_MESSAGE", 0, topic, payload, qos, retain).into_lua_multi(lua)
        }
    }
}
