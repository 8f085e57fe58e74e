//! The table `server`: what a script can make the broker do.

use super::convert;
use crate::handle::BrokerHandle;
use crate::handlers::foreign::{View, with_changes};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tidewire_codec::{Packet, Properties, Publish, Qos, ReasonCode, topic};
use tidewire_core::{SessionDetails, SessionRow};
use tidewire_lua::mlua::{Lua, LuaString, MultiValue, Result, Table, Value};

/// Keys of `server.shared` in all.
pub(super) const SHARED_KEYS_MAX: usize = 10_000;
/// Clients that `server.clients` lists at most.
const CLIENTS_MAX: usize = 5_000;
/// Clients that are asked for at a time.
const PAGE: usize = 1_000;

/// What a script's interpreters share, and what its next version inherits.
#[derive(Clone, Default)]
pub(super) struct Link {
    broker: Arc<OnceLock<BrokerHandle>>,
    shared: Arc<Mutex<BTreeMap<Vec<u8>, View<'static>>>>,
}

/// What a script waits for the broker to say. A worker must not wait for itself: the call goes on elsewhere.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Request {
    Clients,
    Inspect(String),
    Disconnect(String, ReasonCode, String),
    Send(String, Box<Publish<'static>>),
}

type Answer<T> = (Option<T>, Option<String>);

impl Link {
    pub(super) fn attach(&self, broker: BrokerHandle) {
        let _ = self.broker.set(broker);
    }

    fn broker(&self) -> std::result::Result<&BrokerHandle, String> {
        let broker = self.broker.get();
        broker.ok_or_else(|| "the script has no broker".to_owned())
    }

    /// Answers what a script waits for.
    pub(super) fn answer(&self, request: &Request) -> std::result::Result<View<'static>, String> {
        let broker = self.broker()?;
        let answer = match request {
            Request::Clients => return clients(broker),
            Request::Inspect(client_id) => broker
                .inspect(client_id)
                .map(|sessions| View::List(sessions.iter().map(session).collect())),
            Request::Disconnect(client_id, reason, text) => {
                broker.disconnect(client_id, *reason, text).map(number)
            }
            Request::Send(client_id, publish) => broker
                .send(client_id, &Packet::Publish((**publish).clone()))
                .map(number),
        };
        answer.map_err(|error| error.to_string())
    }

    /// The entries are whole between any two operations.
    fn shared(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, View<'static>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn clients(broker: &BrokerHandle) -> std::result::Result<View<'static>, String> {
    let mut clients = Vec::new();
    let mut cursor = None;
    loop {
        let page = broker.clients(cursor, PAGE);
        let page = page.map_err(|error| error.to_string())?;
        clients.extend(page.rows.iter().map(row));
        cursor = page.next;
        if cursor.is_none() || clients.len() >= CLIENTS_MAX {
            clients.truncate(CLIENTS_MAX);
            return Ok(View::List(clients));
        }
    }
}

fn row(row: &SessionRow) -> View<'static> {
    let text = |text: &str| View::Text(Cow::Owned(text.to_owned()));
    let mut fields = vec![
        ("client_id".into(), text(&row.client_id)),
        ("connected".into(), View::Flag(row.peer.is_some())),
        ("version".into(), View::Number(row.version.level().into())),
        ("subscriptions".into(), number(row.subscriptions)),
        ("inflight".into(), number(row.inflight)),
        ("queued".into(), number(row.queued)),
    ];
    if let Some(principal) = &row.principal {
        fields.push(("principal".into(), text(principal)));
    }
    if let Some(peer) = &row.peer {
        fields.push(("address".into(), text(&peer.address)));
    }
    View::Map(fields)
}

fn session(details: &SessionDetails) -> View<'static> {
    let View::Map(mut fields) = row(&details.row) else {
        return View::Null;
    };
    let filters = details
        .subscriptions
        .iter()
        .map(|subscription| View::Text(Cow::Owned(subscription.filter.to_string())));
    fields.push(("filters".into(), View::List(filters.collect())));
    View::Map(fields)
}

fn number(number: usize) -> View<'static> {
    View::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

/// What waits is a function of Lua, since only Lua can yield from itself. Its arguments are checked when the host has them.
const WAITING: &str = "
local yield = coroutine.yield
local function waiting(word) return function(...) return yield(word, ...) end end
return waiting('clients'), waiting('inspect'), waiting('disconnect'), waiting('send')";

/// Puts the table into place.
pub(super) fn install(lua: &Lua, link: &Link) -> Result<()> {
    let server = lua.create_table()?;
    let publishing = link.clone();
    let publish = lua.create_function(
        move |_, (topic, payload, options): (String, Option<LuaString>, Value)| {
            let published = message(topic, payload.as_ref(), &options).and_then(|publish| {
                let published = publishing.broker()?.publish_packet(publish);
                published.map_err(|error| error.to_string())
            });
            Ok(answer(published))
        },
    )?;
    server.raw_set("publish", publish)?;
    let log = lua.create_function(|_, (level, text): (String, String)| log(&level, &text))?;
    server.raw_set("log", log)?;
    let waiting: (Value, Value, Value, Value) = lua.load(WAITING).set_name("=server").eval()?;
    server.raw_set("clients", waiting.0)?;
    server.raw_set("inspect", waiting.1)?;
    server.raw_set("disconnect", waiting.2)?;
    server.raw_set("send", waiting.3)?;
    server.raw_set("shared", shared(lua, link)?)?;
    lua.globals().raw_set("server", server)
}

/// What a script that yielded waits for; `None` = it yielded something of its own.
///
/// # Errors
/// A sentence about wrong arguments, for the script.
pub(super) fn request(values: &MultiValue) -> Option<std::result::Result<Request, String>> {
    let Some(Value::String(word)) = values.front() else {
        return None;
    };
    let text = |place: usize| match values.get(place) {
        Some(Value::String(text)) => Ok(text.to_string_lossy()),
        _ => Err("the first argument is a client id".to_owned()),
    };
    Some(match &*word.as_bytes() {
        b"clients" => Ok(Request::Clients),
        b"inspect" => text(1).map(Request::Inspect),
        b"disconnect" => text(1).and_then(|client_id| {
            let reason = match values.get(2) {
                Some(Value::Integer(code)) => u8::try_from(*code)
                    .ok()
                    .and_then(ReasonCode::from_u8)
                    .ok_or_else(|| format!("{code} is no reason code of MQTT 5.0"))?,
                _ => ReasonCode::AdministrativeAction,
            };
            Ok(Request::Disconnect(
                client_id,
                reason,
                text(3).unwrap_or_default(),
            ))
        }),
        b"send" => text(1).and_then(|client_id| {
            let topic = text(2).map_err(|_| "the second argument is a topic".to_owned())?;
            let payload = match values.get(3) {
                Some(Value::String(payload)) => Some(payload),
                _ => None,
            };
            let options = values.get(4).unwrap_or(&Value::Nil);
            let publish = message(topic, payload, options)?;
            Ok(Request::Send(client_id, Box::new(publish)))
        }),
        _ => return None,
    })
}

fn answer(result: std::result::Result<(), String>) -> Answer<bool> {
    match result {
        Ok(()) => (Some(true), None),
        Err(says) => (None, Some(says)),
    }
}

/// A message of the script's. Sent to one client it has no packet identifier, so that its quality of service is 0 there.
fn message(
    topic: String,
    payload: Option<&LuaString>,
    options: &Value,
) -> std::result::Result<Publish<'static>, String> {
    if let Err(error) = topic::validate_name(topic.as_bytes()) {
        return Err(format!("`{topic}` is no topic name: {error}"));
    }
    let mut publish = Publish {
        dup: false,
        qos: Qos::AtMostOnce,
        retain: false,
        topic: Cow::Owned(topic),
        packet_id: None,
        properties: Properties::EMPTY,
        payload: Cow::Owned(payload.map_or_else(Vec::new, |bytes| bytes.as_bytes().to_vec())),
    };
    let options = match convert::from_lua(options)? {
        View::Map(options) => options,
        View::Null => Vec::new(),
        other => return Err(format!("options are a table, not {}", other.noun())),
    };
    for (key, value) in options {
        match (&*key, value) {
            ("qos", View::Number(number)) => {
                publish.qos = u8::try_from(number)
                    .ok()
                    .and_then(|number| Qos::try_from(number).ok())
                    .ok_or_else(|| format!("{number} is no quality of service: 0, 1 or 2"))?;
            }
            ("retain", View::Flag(flag)) => publish.retain = flag,
            ("properties", changes) => {
                publish.properties = with_changes(&Properties::EMPTY, &changes)?;
            }
            _ => {
                return Err(format!(
                    "`{key}`: options are `qos`, a number, `retain`, true or false, and `properties`, a table"
                ));
            }
        }
    }
    Ok(publish)
}

fn log(level: &str, text: &str) -> Result<()> {
    match level {
        "error" => tracing::error!(target: "tidewire::lua", "{text}"),
        "warn" => tracing::warn!(target: "tidewire::lua", "{text}"),
        "info" => tracing::info!(target: "tidewire::lua", "{text}"),
        "debug" => tracing::debug!(target: "tidewire::lua", "{text}"),
        _ => {
            return Err(tidewire_lua::mlua::Error::runtime(format!(
                "`{level}` is no level: error, warn, info, debug"
            )));
        }
    }
    Ok(())
}

fn shared(lua: &Lua, link: &Link) -> Result<Table> {
    let table = lua.create_table()?;
    let getting = link.clone();
    let get = lua.create_function(move |lua, key: LuaString| {
        let shared = getting.shared();
        let found = shared.get(&*key.as_bytes());
        found.map_or(Ok(Value::Nil), |view| convert::to_lua(lua, view))
    })?;
    let setting = link.clone();
    let set = lua.create_function(move |_, (key, value): (LuaString, Value)| {
        Ok(answer(convert::from_lua(&value).and_then(|view| {
            put(&mut setting.shared(), &key.as_bytes(), view)
        })))
    })?;
    let adding = link.clone();
    let add = lua.create_function(move |_, (key, by): (LuaString, Option<i64>)| {
        let mut shared = adding.shared();
        let before = shared.get(&*key.as_bytes()).and_then(View::as_number);
        let sum = before.unwrap_or(0).saturating_add(by.unwrap_or(1));
        Ok(match put(&mut shared, &key.as_bytes(), View::Number(sum)) {
            Ok(()) => (Some(sum), None),
            Err(says) => (None, Some(says)),
        })
    })?;
    table.raw_set("get", get)?;
    table.raw_set("set", set)?;
    table.raw_set("add", add)?;
    Ok(table)
}

fn put(
    shared: &mut BTreeMap<Vec<u8>, View<'static>>,
    key: &[u8],
    view: View<'static>,
) -> std::result::Result<(), String> {
    if view == View::Null {
        shared.remove(key);
    } else if shared.len() >= SHARED_KEYS_MAX && !shared.contains_key(key) {
        return Err(format!(
            "server.shared holds {SHARED_KEYS_MAX} keys, and no more"
        ));
    } else {
        shared.insert(key.to_vec(), view);
    }
    Ok(())
}
