//! The functions under the module `mosquitto`.

use super::host::{Means, lossy};
use super::mqtt::{Callback, Failure, MqttClient, Opened, code, qos};
use mlua::{Function, IntoLuaMulti, Lua, MultiValue, Table, Value};
use std::sync::Arc;
use tidewire_client::{Tls, Version};
use tidewire_lua::mlua;

/// Adds them to the table `host`.
pub(super) fn add(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
    mqtt_options(lua, host, means)?;
    connections(lua, host, means)?;
    polling(lua, host, means)
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

/// A port may be text: `"1883"`.
fn port(value: &Value) -> Result<u16, Failure> {
    let number = match value {
        Value::Integer(number) => u16::try_from(*number).ok(),
        Value::Number(number) if number.fract() == 0.0 => u16::try_from(*number as i64).ok(),
        Value::String(text) => text.to_string_lossy().trim().parse().ok(),
        _ => None,
    };
    number.filter(|port| *port > 0).ok_or_else(|| {
        (
            code::INVALID,
            "the port is not a number from 1 to 65535".to_owned(),
        )
    })
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
                _ => {
                    return Err((
                        code::INVALID,
                        "the version is none of 3, 4 and 5".to_owned(),
                    ));
                }
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
        let Some(mut client) = client else {
            return answered(lua, Err(no_client()));
        };
        let outcome = work(&mut client, given);
        room.lock().clients.insert(number, client);
        answered(lua, outcome)
    })
}

fn connections(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
    let done = || Ok(Value::Boolean(true));
    let connect = move |client: &mut MqttClient, given: MultiValue| {
        let mut given = given.into_iter();
        let address = given
            .next()
            .and_then(|value| lossy(&value))
            .unwrap_or_default();
        let port = port(&given.next().unwrap_or(Value::Nil))?;
        let keep_alive = given
            .next()
            .and_then(|value| value.as_integer())
            .unwrap_or(60);
        client
            .connect(&address, port, u64::try_from(keep_alive).unwrap_or(60))
            .and_then(|()| done())
    };
    host.set("mqtt_connect", on_client(lua, means, connect)?)?;
    let publish = |client: &mut MqttClient, given: MultiValue| {
        let mut given = given.into_iter();
        let topic = given
            .next()
            .and_then(|value| lossy(&value))
            .unwrap_or_default();
        let payload = match given.next() {
            Some(Value::String(bytes)) => bytes.as_bytes().to_vec(),
            Some(Value::Nil) | None => Vec::new(),
            Some(other) => other.to_string().unwrap_or_default().into_bytes(),
        };
        let level = given
            .next()
            .and_then(|value| value.as_integer())
            .unwrap_or(0);
        let retain = matches!(given.next(), Some(Value::Boolean(true)));
        client
            .publish(&topic, payload, qos(level), retain)
            .map(Value::Integer)
    };
    host.set("mqtt_publish", on_client(lua, means, publish)?)?;
    let subscribe = |client: &mut MqttClient, given: MultiValue| {
        let mut given = given.into_iter();
        let filter = given
            .next()
            .and_then(|value| lossy(&value))
            .unwrap_or_default();
        let level = given
            .next()
            .and_then(|value| value.as_integer())
            .unwrap_or(0);
        client.subscribe(&filter, qos(level)).map(Value::Integer)
    };
    host.set("mqtt_subscribe", on_client(lua, means, subscribe)?)?;
    let unsubscribe =
        |client: &mut MqttClient, _: MultiValue| client.unsubscribe().map(Value::Integer);
    host.set("mqtt_unsubscribe", on_client(lua, means, unsubscribe)?)?;
    let disconnect =
        move |client: &mut MqttClient, _: MultiValue| client.disconnect().and_then(|()| done());
    host.set("mqtt_disconnect", on_client(lua, means, disconnect)?)?;
    Ok(())
}

fn polling(lua: &Lua, host: &Table, means: &Means) -> mlua::Result<()> {
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
    let lost = move |_: &Lua, number: i64| {
        Ok(of
            .room
            .lock()
            .clients
            .get(&number)
            .is_none_or(MqttClient::is_lost))
    };
    host.set("mqtt_is_lost", lua.create_function(lost)?)?;
    let of = means.clone();
    let poll = move |lua: &Lua, number: i64| {
        let callback = of
            .room
            .lock()
            .clients
            .get(&number)
            .and_then(MqttClient::poll);
        arguments(lua, callback)
    };
    host.set("mqtt_poll", lua.create_function(poll)?)
}

/// A callback's name and arguments.
fn arguments(lua: &Lua, callback: Option<Callback>) -> mlua::Result<MultiValue> {
    match callback {
        None => Value::Nil.into_lua_multi(lua),
        Some(Callback::Connect {
            is_success,
            code,
            text,
        }) => ("ON_CONNECT", is_success, code, text).into_lua_multi(lua),
        Some(Callback::Disconnect {
            is_success,
            code,
            text,
        }) => ("ON_DISCONNECT", is_success, code, text).into_lua_multi(lua),
        Some(Callback::Publish(mid)) => ("ON_PUBLISH", mid).into_lua_multi(lua),
        Some(Callback::Subscribe(mid, granted)) => {
            ("ON_SUBSCRIBE", mid, granted).into_lua_multi(lua)
        }
        Some(Callback::Unsubscribe(mid)) => ("ON_UNSUBSCRIBE", mid).into_lua_multi(lua),
        Some(Callback::Message {
            topic,
            payload,
            qos,
            retain,
        }) => {
            let payload = lua.create_string(payload)?;
            ("ON_MESSAGE", 0, topic, payload, qos, retain).into_lua_multi(lua)
        }
    }
}
