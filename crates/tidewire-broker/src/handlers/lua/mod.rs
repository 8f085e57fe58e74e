//! Handlers in Lua.
//!
//! - `program`: a script in its interpreters, and who waits for which.
//! - `seat`: one interpreter: its functions, a call from its beginning to its end.
//! - `names`: what scripts call the events. `convert`: views as Lua values and back. `client`: the client as scripts see it. `server`: the table `server`.

mod client;
mod convert;
mod names;
mod program;
mod seat;
mod server;

use crate::handle::BrokerHandle;
use crate::handlers::foreign::{Foreign, Say, foreign_handler};
use program::{Answering, Program};
use server::Link;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tidewire_handler::{Client, Decide, Events, HandlerError, Notice};
use tidewire_lua::{Grant, Limits, Script, ScriptError, ScriptFile};

/// A script that handles events: a global function for each, named `on_` and the event's name, or, where the broker asks for a
/// permission, as the question is named: `before_connect`, `authenticate`, `authentication_step`, `authorize_publish`,
/// `authorize_subscribe`.
///
/// A function returns its verdict: nothing goes on, `true` says yes, `false` denies, a table answers. The script runs in
/// several interpreters, one for each worker, so its global variables are not shared between them; `client.data` belongs to the
/// connection, `server.shared` to all.
///
/// A call begins on the worker's own thread. One that is not done after some ten thousand instructions goes on elsewhere, in
/// slices, until it ends or its budget does: it costs its own message and no other.
///
/// ```
/// use tidewire_broker::Broker;
/// use tidewire_broker::handlers::{LuaHandler, LuaSettings};
/// use tidewire_handler::Registration;
/// use tidewire_lua::Script;
///
/// let script = Script::new("rules.lua", r#"
///     function authenticate(client, username, password)
///         return username == "alice" and password == "secret"
///     end
/// "#);
/// let rules = LuaHandler::new(&script, &LuaSettings::default())?;
/// let broker = Broker::builder()
///     .listen("tcp://127.0.0.1:0".parse()?)
///     .register_with(|handle| {
///         rules.attach(handle);
///         Registration::new("rules.lua", rules)
///     })
///     .start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LuaHandler {
    program: Arc<Program>,
}

/// What a script gets.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct LuaSettings {
    /// Bounds of one interpreter.
    pub limits: Limits,
    /// What it may touch.
    pub grants: Vec<Grant>,
    /// Interpreters; 0 = one for each processor and one more, which is right where each worker is to have its own.
    pub interpreters: usize,
}

/// Why a script cannot handle events.
#[derive(Debug)]
pub enum LuaHandlerError {
    /// The file cannot be read.
    Unreadable(io::Error),
    /// The script failed while it was loaded.
    Script(ScriptError),
    /// A function looks like a handler, and is none.
    Misspelt {
        /// The script's name.
        script: Box<str>,
        /// The function's name.
        function: Box<str>,
        /// What was probably meant.
        help: Box<str>,
    },
    /// There is no function for any event.
    NoHandler {
        /// The script's name.
        script: Box<str>,
    },
}

impl LuaHandler {
    /// A handler from a file.
    ///
    /// # Errors
    /// [`LuaHandlerError`].
    pub fn load(path: &Path, settings: &LuaSettings) -> Result<Self, LuaHandlerError> {
        let script = ScriptFile::new(path).read();
        Self::new(&script.map_err(LuaHandlerError::Unreadable)?, settings)
    }

    /// A handler from a script.
    ///
    /// # Errors
    /// [`LuaHandlerError`].
    pub fn new(script: &Script, settings: &LuaSettings) -> Result<Self, LuaHandlerError> {
        Program::new(script, settings, Link::default()).map(Self::of)
    }

    /// A new version of this handler, with the same settings, the same broker and the same `server.shared`. It is another handler:
    /// put it in the place of this one. Nothing changes if the script has a fault.
    ///
    /// # Errors
    /// [`LuaHandlerError`].
    pub fn renewed(&self, script: &Script) -> Result<Self, LuaHandlerError> {
        let program = &self.program;
        Program::new(script, program.settings(), program.link().clone()).map(Self::of)
    }

    /// Gives the script's `server` table a broker to work with; until then its functions return nil and a sentence. The handle is the
    /// one that [`register_with`](crate::BrokerBuilder::register_with) offers: another one would keep the broker for ever.
    pub fn attach(&self, broker: BrokerHandle) {
        self.program.link().attach(broker);
    }

    fn of(program: Program) -> Self {
        Self {
            program: Arc::new(program),
        }
    }
}

impl Foreign for LuaHandler {
    fn handled(&self) -> Events {
        self.program.events()
    }

    fn asked<A: Say>(&self, client: &Client, ask: &A) -> Decide<A::Answer>
    where
        A::Owned: Say<Answer = A::Answer>,
    {
        match Answering::begin(&self.program, client, ask) {
            Ok(Some(said)) => Decide::Now(understood(ask, &said)),
            Ok(None) => Decide::go_on(),
            Err(program::Unfinished::Failed(error)) => HandlerError::new(error).into(),
            Err(program::Unfinished::Later(answering)) => {
                let ask = ask.to_kept();
                Decide::Later(Box::pin(async move {
                    let finished = tokio::task::spawn_blocking(move || answering.finish());
                    let said = finished.await.map_err(HandlerError::new)?;
                    understood(&ask, &said.map_err(HandlerError::new)?)
                }))
            }
        }
    }

    fn noticed(&self, notice: &Notice) {
        self.program.tell(notice);
    }
}

fn understood<A: Say>(
    ask: &A,
    said: &crate::handlers::foreign::Said,
) -> Result<tidewire_handler::Verdict<A::Answer>, HandlerError> {
    ask.verdict(said).map_err(HandlerError::new)
}

foreign_handler!(LuaHandler);

impl fmt::Debug for LuaHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.program.fmt(f)
    }
}

/// Begins with the script's name, except for a file that cannot be read.
impl fmt::Display for LuaHandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "the script cannot be read: {error}"),
            Self::Script(error) => error.fmt(f),
            Self::Misspelt {
                script,
                function,
                help,
            } => write!(
                f,
                "{script}: function `{function}` handles no event; {help}\n  help: put `local` before a function that is for the script alone"
            ),
            Self::NoHandler { script } => write!(
                f,
                "{script}: there is no function for any event, such as `on_publish` or `authenticate`"
            ),
        }
    }
}

impl std::error::Error for LuaHandlerError {}
