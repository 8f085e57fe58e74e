//! What is taken away from a fresh interpreter, and what is put in its place.

use crate::limits::Grant;
use crate::meter::Meter;
use mlua::{Lua, LuaOptions, StdLib, Table, Value};
use std::sync::Arc;

/// Replaces what could escape the budget; see there.
const PRELUDE: &str = include_str!("prelude.lua");

/// Globals that read files or load what is not text.
const NEVER: [&str; 2] = ["dofile", "loadfile"];
/// What remains of `os` in any case; `os.exit` and `os.setlocale` are about the process and never do.
const OS_ALWAYS: [&str; 4] = ["clock", "date", "difftime", "time"];
const OS_FILES: [&str; 3] = ["remove", "rename", "tmpname"];

/// An interpreter with libraries, and without any way out of them.
pub(crate) fn open(grants: &[Grant]) -> mlua::Result<Lua> {
    let mut libraries = StdLib::COROUTINE
        | StdLib::TABLE
        | StdLib::STRING
        | StdLib::UTF8
        | StdLib::MATH
        | StdLib::OS;
    if grants.contains(&Grant::Files) || grants.contains(&Grant::Processes) {
        libraries |= StdLib::IO;
    }
    // A caught panic would keep pcall from being paused; no function here panics.
    let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
    let globals = lua.globals();
    for name in NEVER {
        globals.raw_set(name, Value::Nil)?;
    }
    reduce_os(&globals, grants)?;
    reduce_io(&globals, grants)?;
    let string: Table = globals.get("string")?;
    string.raw_set("dump", Value::Nil)?;
    Ok(lua)
}

/// Puts the prelude's functions into place.
pub(crate) fn enclose(lua: &Lua, meter: &Arc<Meter>) -> mlua::Result<()> {
    let meter = Arc::clone(meter);
    let spent = lua.create_function(move |_, error: Value| {
        if !meter.read().exhausted {
            return Ok(());
        }
        Err(match error {
            Value::Error(error) => *error,
            _ => mlua::Error::runtime("used more instructions than one call may"),
        })
    })?;
    lua.load(PRELUDE).set_name("=prelude").call::<()>(spent)
}

fn reduce_os(globals: &Table, grants: &[Grant]) -> mlua::Result<()> {
    let os: Table = globals.get("os")?;
    let kept = |name: &str| {
        OS_ALWAYS.contains(&name)
            || grants.contains(&Grant::Files) && OS_FILES.contains(&name)
            || grants.contains(&Grant::Processes) && name == "execute"
            || grants.contains(&Grant::Environment) && name == "getenv"
    };
    retain(&os, kept)
}

fn reduce_io(globals: &Table, grants: &[Grant]) -> mlua::Result<()> {
    let Some(io) = globals.get::<Option<Table>>("io")? else {
        return Ok(());
    };
    retain(&io, |name| match name {
        "popen" => grants.contains(&Grant::Processes),
        _ => grants.contains(&Grant::Files),
    })
}

fn retain(table: &Table, kept: impl Fn(&str) -> bool) -> mlua::Result<()> {
    for pair in table.clone().pairs::<String, Value>() {
        let (name, _) = pair?;
        if !kept(&name) {
            table.raw_set(name, Value::Nil)?;
        }
    }
    Ok(())
}
