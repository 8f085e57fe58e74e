//! `require`: modules that the host gives, and nothing else.

use mlua::{Function, Lua, Table, Value};

/// The key of the table of modules in the interpreter's registry.
const MODULES: &str = "tidewire_modules";

/// Puts `require` into place. A function that is given as a module is called once, at the first `require`.
pub(crate) fn install(lua: &Lua) -> mlua::Result<()> {
    let modules = lua.create_table()?;
    lua.set_named_registry_value(MODULES, &modules)?;
    let require = lua.create_function(move |_, name: String| {
        match modules.raw_get::<Value>(name.as_str())? {
            Value::Nil => Err(mlua::Error::runtime(unknown(&modules, &name)?)),
            Value::Function(make) => {
                let made: Value = make.call(name.as_str())?;
                let made = match made {
                    Value::Nil => Value::Boolean(true),
                    made => made,
                };
                modules.raw_set(name, &made)?;
                Ok(made)
            }
            module => Ok(module),
        }
    })?;
    lua.globals().raw_set("require", require)
}

/// Gives scripts a module.
pub(crate) fn add(lua: &Lua, name: &str, module: Value) -> mlua::Result<()> {
    let modules: Table = lua.named_registry_value(MODULES)?;
    modules.raw_set(name, module)
}

/// Gives scripts a module that is a script, run at the first `require`.
pub(crate) fn add_source(lua: &Lua, name: &str, source: &[u8]) -> mlua::Result<()> {
    let chunk = lua.load(source).set_name(format!("@{name}"));
    let make: Function = chunk
        .set_mode(mlua::chunk::ChunkMode::Text)
        .into_function()?;
    add(lua, name, Value::Function(make))
}

fn unknown(modules: &Table, name: &str) -> mlua::Result<String> {
    let mut known = Vec::new();
    for pair in modules.clone().pairs::<String, Value>() {
        known.push(pair?.0);
    }
    known.sort_unstable();
    Ok(format!(
        "there is no module `{name}`; there are: {}",
        known.join(", ")
    ))
}
