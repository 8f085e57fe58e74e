//! JSON and Lua values.
//!
//! An object becomes a table with text keys, an array a sequence, `null` the light userdata that scripts know as
//! `json.null`. The other way round a table is an array if its keys are 1 to n, or if its metatable is `json.array_mt`, and
//! otherwise an object; an empty table is an object. Objects are written with their keys sorted, and numbers without a
//! fraction as whole numbers.

use mlua::{Lua, Table, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};
use std::fmt;

/// How deep tables may be nested.
pub const DEPTH_MAX: usize = 100;

/// How much JSON one value may become. A table that is reached on several ways counts each time: a few can stand for very many.
pub const SIZE_MAX_BYTES: usize = 16 << 20;

/// What a value counts besides its text.
const VALUE_BYTES: usize = 16;

/// Whole numbers up to here are exact in a float, and are written without a fraction.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The key of the metatable of arrays in the interpreter's registry.
pub(crate) const ARRAY: &str = "tidewire_json_array";

/// A JSON value as a Lua value.
///
/// # Errors
/// There is no memory left for it.
pub fn to_lua(lua: &Lua, json: &Json) -> mlua::Result<Value> {
    ToLua(lua).deserialize(json).map_err(mlua::Error::external)
}

/// The text of a JSON value as a Lua value. What it takes counts as the script's memory from the first byte.
///
/// # Errors
/// A sentence about what is not JSON, with its line and column.
pub fn parse(lua: &Lua, text: &[u8]) -> Result<Value, String> {
    let mut read = serde_json::Deserializer::from_slice(text);
    let value = ToLua(lua).deserialize(&mut read);
    let value = value.and_then(|value| read.end().map(|()| value));
    value.map_err(|error| error.to_string())
}

/// A Lua value as a JSON value.
///
/// # Errors
/// A sentence about what JSON has no word for: a function, text that is not UTF-8, a number that is none, a table that contains
/// itself or is too deep, keys that are neither text nor numbers.
pub fn from_lua(lua: &Lua, value: &Value) -> Result<Json, String> {
    let mut reader = FromLua {
        array: lua.named_registry_value(ARRAY).ok(),
        left_bytes: SIZE_MAX_BYTES,
    };
    reader.value(value, DEPTH_MAX)
}

/// A value on its way to JSON.
struct FromLua {
    /// The metatable of arrays.
    array: Option<Table>,
    left_bytes: usize,
}

impl FromLua {
    fn value(&mut self, value: &Value, depth: usize) -> Result<Json, String> {
        self.charge(VALUE_BYTES)?;
        match value {
            Value::Nil => Ok(Json::Null),
            value if *value == Value::NULL => Ok(Json::Null),
            Value::Boolean(flag) => Ok(Json::Bool(*flag)),
            Value::Integer(whole) => Ok(Json::Number((*whole).into())),
            Value::Number(number) => of_number(*number),
            Value::String(text) => match text.to_str() {
                Ok(text) => {
                    self.charge(text.len())?;
                    Ok(Json::String(text.to_owned()))
                }
                Err(_) => {
                    Err("text that is not UTF-8 has no form in JSON; encode it first".to_owned())
                }
            },
            Value::Table(table) => self.table(table, depth),
            other => Err(format!("a {} has no form in JSON", other.type_name())),
        }
    }

    fn table(&mut self, table: &Table, depth: usize) -> Result<Json, String> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(format!(
                "tables are nested deeper than {DEPTH_MAX}; does one contain itself?"
            ));
        };
        let length = table.raw_len();
        let marked = self.array.is_some() && table.metatable() == self.array;
        let mut pairs = Vec::new();
        for pair in table.clone().pairs::<Value, Value>() {
            pairs.push(pair.map_err(|error| error.to_string())?);
        }
        if marked || length > 0 && pairs.len() == length {
            let items = (1..=length).map(|place| {
                let item = table.raw_get(place).map_err(|error| error.to_string())?;
                self.value(&item, depth)
            });
            return items.collect::<Result<_, _>>().map(Json::Array);
        }
        let mut members = Map::new();
        for (key, value) in &pairs {
            let key = key_of(key)?;
            self.charge(key.len())?;
            members.insert(key, self.value(value, depth)?);
        }
        Ok(Json::Object(members))
    }

    fn charge(&mut self, bytes: usize) -> Result<(), String> {
        match self.left_bytes.checked_sub(bytes) {
            Some(left) => {
                self.left_bytes = left;
                Ok(())
            }
            None => Err(format!(
                "the value takes more than {SIZE_MAX_BYTES} bytes as JSON"
            )),
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "whole and within the exact range"
)]
fn of_number(number: f64) -> Result<Json, String> {
    if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
        return Ok(Json::Number((number as i64).into()));
    }
    Number::from_f64(number)
        .map(Json::Number)
        .ok_or_else(|| "JSON has no infinite numbers, and none that are not numbers".to_owned())
}

fn key_of(key: &Value) -> Result<String, String> {
    match key {
        Value::String(text) => match text.to_str() {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err("a key that is not UTF-8 has no form in JSON".to_owned()),
        },
        Value::Integer(whole) => Ok(whole.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("a {} is no key in JSON", other.type_name())),
    }
}

/// Makes Lua values of what a deserializer finds.
#[derive(Clone, Copy)]
struct ToLua<'a>(&'a Lua);

impl<'de> DeserializeSeed<'de> for ToLua<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ToLua<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::NULL)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Boolean(flag))
    }

    fn visit_i64<E>(self, whole: i64) -> Result<Value, E> {
        Ok(Value::Integer(whole))
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "Lua has no larger whole numbers either"
    )]
    fn visit_u64<E>(self, whole: u64) -> Result<Value, E> {
        Ok(i64::try_from(whole).map_or(Value::Number(whole as f64), Value::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.0
            .create_string(text)
            .map(Value::String)
            .map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let table = self.0.create_table().map_err(A::Error::custom)?;
        while let Some(item) = items.next_element_seed(self)? {
            table.raw_push(item).map_err(A::Error::custom)?;
        }
        let array: Option<Table> = self
            .0
            .named_registry_value(ARRAY)
            .map_err(A::Error::custom)?;
        table.set_metatable(array).map_err(A::Error::custom)?;
        Ok(Value::Table(table))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let table = self.0.create_table().map_err(A::Error::custom)?;
        while let Some(key) = members.next_key::<String>()? {
            let member = members.next_value_seed(self)?;
            table.raw_set(key, member).map_err(A::Error::custom)?;
        }
        Ok(Value::Table(table))
    }
}
