//! Views as Lua values, and back.

use crate::handlers::foreign::{Fields, View};
use std::borrow::Cow;
use tidewire_lua::mlua::{Lua, Result, Table, Value};

/// How deep a verdict's tables may be nested.
const DEPTH_MAX: usize = 8;
/// Values of a verdict, or of what is kept for a client.
const VALUES_MAX: usize = 10_000;

pub(super) fn to_lua(lua: &Lua, view: &View<'_>) -> Result<Value> {
    Ok(match view {
        View::Null => Value::Nil,
        View::Flag(flag) => Value::Boolean(*flag),
        View::Number(number) => Value::Integer(*number),
        View::Fraction(number) => Value::Number(*number),
        View::Text(text) => Value::String(lua.create_string(&**text)?),
        View::Bytes(bytes) => Value::String(lua.create_string(&**bytes)?),
        View::List(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for (place, item) in (1..).zip(items) {
                table.raw_set(place, to_lua(lua, item)?)?;
            }
            Value::Table(table)
        }
        View::Map(members) => Value::Table(table(lua, members)?),
    })
}

/// Named values as a table.
pub(super) fn table(lua: &Lua, fields: &Fields<'_>) -> Result<Table> {
    let table = lua.create_table_with_capacity(0, fields.len())?;
    for (key, value) in fields {
        if *value != View::Null {
            table.raw_set(&**key, to_lua(lua, value)?)?;
        }
    }
    Ok(table)
}

/// What a script returned, or left behind.
///
/// # Errors
/// A sentence about what has no meaning outside of Lua.
pub(super) fn from_lua(value: &Value) -> std::result::Result<View<'static>, String> {
    let mut left = VALUES_MAX;
    of(value, DEPTH_MAX, &mut left)
}

fn of(value: &Value, depth: usize, left: &mut usize) -> std::result::Result<View<'static>, String> {
    let Some(fewer) = left.checked_sub(1) else {
        return Err(format!("a table with more than {VALUES_MAX} values"));
    };
    *left = fewer;
    Ok(match value {
        Value::Nil => View::Null,
        other if *other == Value::NULL => View::Null,
        Value::Boolean(flag) => View::Flag(*flag),
        Value::Integer(number) => View::Number(*number),
        Value::Number(number) => fraction(*number),
        Value::String(text) => match text.to_str() {
            Ok(text) => View::Text(Cow::Owned(text.to_owned())),
            Err(_) => View::Bytes(Cow::Owned(text.as_bytes().to_vec())),
        },
        Value::Table(table) => of_table(table, depth, left)?,
        other => return Err(format!("a {} has no meaning here", other.type_name())),
    })
}

#[allow(clippy::cast_possible_truncation, reason = "whole and small")]
fn fraction(number: f64) -> View<'static> {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        View::Number(number as i64)
    } else {
        View::Fraction(number)
    }
}

fn of_table(
    table: &Table,
    depth: usize,
    left: &mut usize,
) -> std::result::Result<View<'static>, String> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(format!("a table nested deeper than {DEPTH_MAX}"));
    };
    let length = table.raw_len();
    if length > 0 {
        let mut items = Vec::new();
        for place in 1..=length {
            let item: Value = table.raw_get(place).map_err(|error| error.to_string())?;
            items.push(of(&item, depth, left)?);
        }
        return Ok(View::List(items));
    }
    let mut members = Vec::new();
    for pair in table.clone().pairs::<Value, Value>() {
        let (key, value) = pair.map_err(|error| error.to_string())?;
        let Value::String(key) = key else {
            return Err(format!("a {} is no key here", key.type_name()));
        };
        members.push((Cow::Owned(key.to_string_lossy()), of(&value, depth, left)?));
    }
    // The order of a Lua table is nobody's intention.
    members.sort_by(|(left, _): &(Cow<'static, str>, _), (right, _)| left.cmp(right));
    Ok(View::Map(members))
}
