//! One interpreter.

use crate::error::{ScriptError, ScriptErrorKind};
use crate::limits::{Grant, Limits};
use crate::meter::Meter;
use crate::script::Script;
use crate::task::{Task, Turn};
use crate::{cjson, modules, sandbox};
use mlua::chunk::ChunkMode;
use mlua::{FromLuaMulti, Function, IntoLua, IntoLuaMulti, Lua, MultiValue, Value};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// An interpreter in its sandbox. See the crate's page for what it promises.
pub struct Host {
    lua: Lua,
    meter: Arc<Meter>,
    limits: Limits,
    /// The script that was run last, for errors that have no place of their own.
    name: OnceLock<Box<str>>,
}

impl Host {
    /// A fresh interpreter, with the module `cjson.safe` (also as `cjson` and `json`). `print` does nothing until
    /// [`on_print`](Self::on_print).
    ///
    /// # Errors
    /// The limit of memory is too small for an interpreter: about 64 KiB are needed.
    pub fn new(limits: &Limits, grants: &[Grant]) -> Result<Self, ScriptError> {
        let of = |error: mlua::Error| ScriptError::of(&error, None);
        let lua = sandbox::open(grants).map_err(of)?;
        let meter = Meter::install(&lua, limits.instructions).map_err(of)?;
        let host = Self {
            lua,
            meter,
            limits: limits.clone(),
            name: OnceLock::new(),
        };
        host.meter.begin(limits.instructions);
        host.furnish().map_err(of)?;
        host.lua.set_memory_limit(limits.memory_bytes).map_err(of)?;
        Ok(host)
    }

    fn furnish(&self) -> mlua::Result<()> {
        modules::install(&self.lua)?;
        sandbox::enclose(&self.lua, &self.meter)?;
        let json = cjson::module(&self.lua)?;
        for name in ["cjson", "cjson.safe", "json"] {
            modules::add(&self.lua, name, Value::Table(json.clone()))?;
        }
        let nothing = self.lua.create_function(|_, _: MultiValue| Ok(()))?;
        self.lua.globals().raw_set("print", nothing)
    }

    /// The interpreter itself, to give scripts further functions.
    #[must_use]
    pub fn lua(&self) -> &Lua {
        &self.lua
    }

    /// The limits that it was made with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bytes that the interpreter holds.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.lua.used_memory()
    }

    /// What `print` does with a line.
    ///
    /// # Errors
    /// There is no memory left for it.
    pub fn on_print(&self, print: impl Fn(&str) + Send + 'static) -> Result<(), ScriptError> {
        let printed = self.lua.create_function(move |_, values: MultiValue| {
            let texts: mlua::Result<Vec<String>> = values.iter().map(Value::to_string).collect();
            print(&texts?.join("\t"));
            Ok(())
        });
        printed
            .and_then(|print| self.lua.globals().raw_set("print", print))
            .map_err(|error| self.error(&error))
    }

    /// Gives scripts a module for `require`.
    ///
    /// # Errors
    /// There is no memory left for it.
    pub fn module(&self, name: &str, module: impl IntoLua) -> Result<(), ScriptError> {
        let added = module.into_lua(&self.lua);
        added
            .and_then(|module| modules::add(&self.lua, name, module))
            .map_err(|error| self.error(&error))
    }

    /// Gives scripts a module that is itself a script; it runs at the first `require`, and what it returns is the module.
    ///
    /// # Errors
    /// [`ScriptErrorKind::Syntax`].
    pub fn module_source(&self, script: &Script) -> Result<(), ScriptError> {
        modules::add_source(&self.lua, script.name(), script.source())
            .map_err(|error| ScriptError::of(&error, Some(script.name())))
    }

    /// Runs a script from its first line to its last, under the budget of a call, and gives what it returns. Text only.
    ///
    /// # Errors
    /// [`ScriptError`].
    pub fn run(&self, script: &Script) -> Result<MultiValue, ScriptError> {
        let _ = self.name.set(script.name().into());
        let chunk = self
            .lua
            .load(script.source())
            .set_name(format!("@{}", script.name()));
        let main = chunk.set_mode(ChunkMode::Text).into_function();
        self.call(&main.map_err(|error| self.error(&error))?, ())
    }

    /// The global function of this name.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<Function> {
        self.lua.globals().raw_get(name).ok()
    }

    /// The names of all global functions that scripts have defined, sorted.
    #[must_use]
    pub fn functions(&self) -> Vec<String> {
        let globals = self.lua.globals();
        let pairs = globals.pairs::<String, Value>();
        let mut names: Vec<String> = pairs
            .filter_map(Result::ok)
            .filter(|(_, value)| matches!(value, Value::Function(it) if it.info().what != "C"))
            .map(|(name, _)| name)
            .collect();
        names.sort_unstable();
        names
    }

    /// Calls a function, under a budget of its own.
    ///
    /// # Errors
    /// [`ScriptError`]; [`ScriptErrorKind::Conversion`] if what it returns is not an `R`.
    pub fn call<R: FromLuaMulti>(
        &self,
        function: &Function,
        arguments: impl IntoLuaMulti,
    ) -> Result<R, ScriptError> {
        self.meter.begin(self.limits.instructions);
        function
            .call(arguments)
            .map_err(|error| self.ended_by(&error))
    }

    /// A call that may pause. It begins with the first [`resume`](Self::resume).
    ///
    /// # Errors
    /// [`ScriptErrorKind::Memory`].
    pub fn task(&self, function: Function) -> Result<Task, ScriptError> {
        let thread = self.lua.create_thread(function);
        let thread = thread.map_err(|error| self.error(&error))?;
        Ok(Task::new(thread, self.limits.instructions))
    }

    /// Begins a task or goes on with it, until it ends, yields or has executed `slice` instructions. Arguments are those of
    /// the function at the beginning, and what `coroutine.yield` returns later; a paused task has no use for any.
    ///
    /// # Errors
    /// [`ScriptError`]: the task has ended then.
    pub fn resume(
        &self,
        task: &mut Task,
        slice: u64,
        arguments: impl IntoLuaMulti,
    ) -> Result<Turn, ScriptError> {
        self.meter.begin(task.left);
        self.meter.pause_after(slice, task.address());
        let values = task.thread.resume::<MultiValue>(arguments);
        let reading = self.meter.read();
        task.left = reading.left;
        let values = values.map_err(|error| self.ended_by(&error))?;
        Ok(if !task.thread.is_resumable() {
            Turn::Ended(values)
        } else if reading.paused && values.is_empty() {
            Turn::Paused
        } else {
            Turn::Yielded(values)
        })
    }

    /// Frees what is no longer reachable. Worth it after a call that ran out of memory.
    ///
    /// # Errors
    /// [`ScriptErrorKind::Memory`].
    pub fn collect_garbage(&self) -> Result<(), ScriptError> {
        self.meter.begin(self.limits.instructions);
        self.lua.gc_collect().map_err(|error| self.error(&error))
    }

    /// An error of the interpreter as the person who wrote the script needs it.
    #[must_use]
    pub fn error(&self, error: &mlua::Error) -> ScriptError {
        ScriptError::of(error, self.name.get().map(|name| &**name))
    }

    fn ended_by(&self, error: &mlua::Error) -> ScriptError {
        let error = self.error(error);
        if self.meter.read().exhausted && error.kind() == ScriptErrorKind::Runtime {
            error.exhausted()
        } else {
            error
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("script", &self.name.get())
            .field("limits", &self.limits)
            .field("used_bytes", &self.used_bytes())
            .finish_non_exhaustive()
    }
}
