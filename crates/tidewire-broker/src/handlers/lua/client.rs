//! The client as scripts see it, and what they keep with its connection.

use super::convert;
use crate::handlers::foreign::View;
use std::sync::{Arc, Mutex, PoisonError};
use tidewire_handler::Client;
use tidewire_lua::mlua::{Lua, Result, Table, Value};

/// What all scripts keep with one connection: `client.data`.
#[derive(Default)]
pub(super) struct ClientData(Mutex<Option<View<'static>>>);

/// What is known of a client, for a call that outlives the question.
pub(super) struct Facts {
    fields: Vec<(&'static str, Fact)>,
    pub(super) data: Arc<ClientData>,
}

enum Fact {
    Text(Box<str>),
    Number(i64),
}

/// `client.data` is there when a script asks for it.
const DATA: &str = "
local rawset = rawset
return { __index = function(client, key)
    if key == 'data' then
        local data = {}
        rawset(client, 'data', data)
        return data
    end
end }";

/// The metatable of clients, one for each interpreter.
pub(super) fn metatable(lua: &Lua) -> Result<Table> {
    lua.load(DATA).set_name("=client").eval()
}

impl Facts {
    pub(super) fn of(client: &Client) -> Self {
        let mut fields = Vec::with_capacity(6);
        let mut text = |name, value: Option<&str>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                fields.push((name, Fact::Text(value.into())));
            }
        };
        text("id", Some(client.client_id()));
        text("username", client.username());
        text("principal", client.principal());
        text("address", Some(client.address()));
        text("listener", Some(client.listener_name()));
        if let Some(version) = client.version() {
            fields.push(("version", Fact::Number(version.level().into())));
        }
        Self {
            fields,
            data: data(client),
        }
    }

    pub(super) fn table(&self, lua: &Lua, metatable: &Table) -> Result<Table> {
        let table = lua.create_table_with_capacity(0, self.fields.len() + 1)?;
        for (name, value) in &self.fields {
            match value {
                Fact::Text(text) => table.raw_set(*name, &**text)?,
                Fact::Number(number) => table.raw_set(*name, *number)?,
            }
        }
        if let Some(data) = &*self.data.lock() {
            table.raw_set("data", convert::to_lua(lua, data)?)?;
        }
        table.set_metatable(Some(metatable.clone()))?;
        Ok(table)
    }
}

impl ClientData {
    /// Keeps what a script left in `client.data`.
    ///
    /// # Errors
    /// A sentence about what cannot be kept.
    pub(super) fn keep(&self, client: &Table) -> std::result::Result<(), String> {
        let data: Value = client.raw_get("data").map_err(|error| error.to_string())?;
        if data.is_nil() {
            return Ok(());
        }
        let view = convert::from_lua(&data).map_err(|says| format!("client.data: {says}"))?;
        *self.lock() = Some(view);
        Ok(())
    }

    /// A view is whole before it is put in place.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<View<'static>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn data(client: &Client) -> Arc<ClientData> {
    client.get::<ClientData>().unwrap_or_else(|| {
        client.set(ClientData::default());
        client.get::<ClientData>().unwrap_or_default()
    })
}
