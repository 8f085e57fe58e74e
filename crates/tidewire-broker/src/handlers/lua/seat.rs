//! One interpreter.

use super::client::{self, ClientData, Facts};
use super::names::{function_name, suspicious};
use super::server::{self, Link, Request};
use super::{LuaHandlerError, LuaSettings, convert};
use crate::handlers::foreign::{Fields, Said, View};
use std::sync::Arc;
use tidewire_handler::{Event, Events};
use tidewire_lua::mlua::{Function, MultiValue, Table, Value};
use tidewire_lua::{Host, Script, ScriptError, ScriptErrorKind, Task, Turn};

/// An interpreter with a script in it.
pub(super) struct Seat {
    host: Host,
    /// By the event's number.
    functions: Vec<Option<Function>>,
    client: Table,
}

/// A call under way. It belongs to the seat where it began.
pub(super) struct Call {
    task: Task,
    /// The client that the script was given, and where what it keeps goes.
    client: Option<(Table, Arc<ClientData>)>,
    next: MultiValue,
    /// What the call waits for, if it was given up to somebody who may wait.
    waits: Option<Request>,
}

/// How far a call has come.
pub(super) enum Progress {
    Said(Said),
    Paused,
    Waits(Request),
}

/// What a function is called with.
pub(super) struct Arguments<'a> {
    pub(super) facts: Option<&'a Facts>,
    pub(super) fields: &'a Fields<'a>,
    /// So many fields are arguments of their own.
    pub(super) apart: usize,
    pub(super) line: Option<&'a str>,
}

impl Seat {
    pub(super) fn new(
        script: &Script,
        settings: &LuaSettings,
        link: &Link,
    ) -> Result<Self, LuaHandlerError> {
        let host =
            Host::new(&settings.limits, &settings.grants).map_err(LuaHandlerError::Script)?;
        let name: Box<str> = script.name().into();
        host.on_print(
            move |line| tracing::info!(target: "tidewire::lua", script = &*name, "{line}"),
        )
        .map_err(LuaHandlerError::Script)?;
        let furnished =
            server::install(host.lua(), link).and_then(|()| client::metatable(host.lua()));
        let client = furnished.map_err(|error| LuaHandlerError::Script(host.error(&error)))?;
        let before = host.functions();
        host.run(script).map_err(LuaHandlerError::Script)?;
        for function in host.functions() {
            if before.contains(&function) {
                continue;
            }
            if let Some(help) = suspicious(&function) {
                return Err(LuaHandlerError::Misspelt {
                    script: script.name().into(),
                    function: function.into(),
                    help: help.into(),
                });
            }
        }
        let functions = Event::ALL
            .iter()
            .map(|event| host.function(&function_name(*event)));
        Ok(Self {
            functions: functions.collect(),
            client,
            host,
        })
    }

    pub(super) fn events(&self) -> Events {
        let handled = Event::ALL.iter().filter(|event| {
            self.functions
                .get(**event as usize)
                .is_some_and(Option::is_some)
        });
        handled.copied().collect()
    }

    /// Whether so little memory is left that only a fresh interpreter helps.
    pub(super) fn is_full(&self) -> bool {
        let _ = self.host.collect_garbage();
        self.host.used_bytes() > self.host.limits().memory_bytes / 4 * 3
    }

    /// A call of the event's function; `None` = there is none.
    pub(super) fn begin(
        &self,
        event: Event,
        arguments: &Arguments<'_>,
    ) -> Result<Option<Call>, ScriptError> {
        let Some(Some(function)) = self.functions.get(event as usize) else {
            return Ok(None);
        };
        let task = self.host.task(function.clone())?;
        let (next, client) = self
            .values(arguments)
            .map_err(|error| self.host.error(&error))?;
        Ok(Some(Call {
            task,
            client,
            next,
            waits: None,
        }))
    }

    #[allow(clippy::type_complexity, reason = "two parts of one call")]
    fn values(
        &self,
        arguments: &Arguments<'_>,
    ) -> tidewire_lua::mlua::Result<(MultiValue, Option<(Table, Arc<ClientData>)>)> {
        let lua = self.host.lua();
        let mut values = MultiValue::with_capacity(4);
        let mut client = None;
        if let Some(facts) = arguments.facts {
            let table = facts.table(lua, &self.client)?;
            values.push_back(Value::Table(table.clone()));
            client = Some((table, Arc::clone(&facts.data)));
        }
        for (_, view) in arguments.fields.iter().take(arguments.apart) {
            values.push_back(convert::to_lua(lua, view)?);
        }
        if arguments.fields.len() > arguments.apart {
            let rest = lua.create_table_with_capacity(0, arguments.fields.len() + 1)?;
            for (key, view) in arguments.fields.iter().skip(arguments.apart) {
                rest.raw_set(&**key, convert::to_lua(lua, view)?)?;
            }
            if let Some(line) = arguments.line {
                rest.raw_set("json", line)?;
            }
            values.push_back(Value::Table(rest));
        }
        Ok((values, client))
    }

    /// Goes on with a call for at most so many instructions.
    pub(super) fn advance(&self, call: &mut Call, slice: u64) -> Result<Progress, ScriptError> {
        let next = std::mem::take(&mut call.next);
        match self.host.resume(&mut call.task, slice, next)? {
            Turn::Paused => Ok(Progress::Paused),
            Turn::Yielded(values) => match server::request(&values) {
                Some(Ok(request)) => Ok(Progress::Waits(request)),
                Some(Err(says)) => self.reply(call, Err(says)).map(|()| Progress::Paused),
                // Nobody waits for anything else: the script goes on at once.
                None => Ok(Progress::Paused),
            },
            Turn::Ended(values) => {
                if let Some((client, data)) = &call.client {
                    data.keep(client).map_err(|says| self.failure(&says))?;
                }
                self.said(&values).map(Progress::Said)
            }
        }
    }

    /// Gives a call what it waited for: a value, or nil and a sentence.
    pub(super) fn reply(
        &self,
        call: &mut Call,
        answer: Result<View<'static>, String>,
    ) -> Result<(), ScriptError> {
        let lua = self.host.lua();
        let values = match answer {
            Ok(view) => convert::to_lua(lua, &view).map(|value| (value, Value::Nil)),
            Err(says) => lua
                .create_string(says)
                .map(|says| (Value::Nil, Value::String(says))),
        };
        let (value, error) = values.map_err(|error| self.host.error(&error))?;
        call.next.push_back(value);
        call.next.push_back(error);
        Ok(())
    }

    fn said(&self, values: &MultiValue) -> Result<Said, ScriptError> {
        let value = match values.front() {
            Some(value) => convert::from_lua(value).map_err(|says| self.failure(&says))?,
            None => View::Null,
        };
        let text = match values.get(1) {
            Some(Value::String(text)) => Some(text.to_string_lossy()),
            _ => None,
        };
        let code = match values.get(2) {
            Some(Value::Integer(code)) => Some(*code),
            _ => None,
        };
        Ok(Said { value, text, code })
    }

    fn failure(&self, says: &str) -> ScriptError {
        self.host
            .error(&tidewire_lua::mlua::Error::runtime(says.to_owned()))
    }
}

impl Call {
    pub(super) fn wait_for(&mut self, request: Request) {
        self.waits = Some(request);
    }

    pub(super) fn waits_for(&mut self) -> Option<Request> {
        self.waits.take()
    }
}

/// Whether an interpreter may have no memory left after this.
pub(super) fn is_about_memory(error: &ScriptError) -> bool {
    error.kind() == ScriptErrorKind::Memory
}
