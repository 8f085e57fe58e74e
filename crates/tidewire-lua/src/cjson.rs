//! The module `cjson.safe`: it returns nil and a sentence instead of raising errors.

use crate::json::{self, ARRAY};
use mlua::{Lua, LuaString, Table, Value};

type Answer = (Value, Option<String>);

/// `encode`, `decode`, `null`, `array_mt`, `empty_array`.
pub(crate) fn module(lua: &Lua) -> mlua::Result<Table> {
    let array = lua.create_table()?;
    lua.set_named_registry_value(ARRAY, &array)?;
    let empty = lua.create_table()?;
    empty.set_metatable(Some(array.clone()))?;
    let module = lua.create_table()?;
    module.raw_set("null", Value::NULL)?;
    module.raw_set("array_mt", array)?;
    module.raw_set("empty_array", empty)?;
    module.raw_set("encode", lua.create_function(encode)?)?;
    module.raw_set("decode", lua.create_function(decode)?)?;
    Ok(module)
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the form of a function for scripts"
)]
fn encode(lua: &Lua, value: Value) -> mlua::Result<Answer> {
    Ok(match json::from_lua(lua, &value) {
        Ok(json) => (Value::String(lua.create_string(json.to_string())?), None),
        Err(says) => (Value::Nil, Some(says)),
    })
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the form of a function for scripts"
)]
fn decode(lua: &Lua, text: LuaString) -> mlua::Result<Answer> {
    Ok(match json::parse(lua, &text.as_bytes()) {
        Ok(value) => (value, None),
        Err(says) => (Value::Nil, Some(says)),
    })
}
