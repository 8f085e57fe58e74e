//! Lua 5.4 for Tidewire: the broker's handlers and the gateway's apps run in it.
//!
//! A [`Host`] is one interpreter in a sandbox. It runs what it is given under a budget of instructions and memory, says
//! where in which script something went wrong, and touches neither files nor processes unless that was granted.
//!
//! # Layers
//! - [`Script`], [`ScriptFile`]: a script's text and name, and the file that it is read from again when it changes.
//! - [`Limits`], [`Grant`]: what a script may use up, and what it may touch.
//! - [`Host`]: the interpreter. [`Task`]: a call that may pause and go on, for coroutines, timers and long work in slices.
//! - [`json`]: JSON and Lua values, also as the module `cjson.safe` for scripts.
//! - [`ScriptError`]: what went wrong, beginning with `name:line:`.
//! - [`mlua`]: the binding underneath, to give scripts further functions.
//!
//! # Contract
//! - A host is `Send`: it may move between threads, and serves one call at a time.
//! - A call that uses more instructions or memory than its [`Limits`] ends with an error. A script cannot catch that: once
//!   the instructions are used up, `pcall` and coroutines let the error through.
//! - Library functions that would run long without executing an instruction of Lua are bounded or written in Lua; finalizers
//!   and closing variables, which run uncounted, are refused. What is left: a pattern with many repetitions on a long
//!   string (`string.find` and its kin) runs to its end, and a script that adds `__close` to a metatable behind
//!   `setmetatable`'s back can evade its budget. So the budgets are for mistakes and for apps that one has chosen, not for
//!   code of strangers.
//! - A script that cannot be loaded changes nothing about one that runs: load it into a host of its own, then exchange the
//!   hosts.
//!
//! # Example
//! ```
//! use tidewire_lua::{Host, Limits, Script};
//!
//! let host = Host::new(&Limits::default(), &[])?;
//! host.run(&Script::new("rules.lua", "function double(n) return 2 * n end"))?;
//! let double = host.function("double").ok_or("no such function")?;
//! assert_eq!(host.call::<i64>(&double, 21)?, 42);
//!
//! host.run(&Script::new("endless.lua", "function spin() while true do end end"))?;
//! let spin = host.function("spin").ok_or("no such function")?;
//! let error = host.call::<()>(&spin, ()).unwrap_err();
//! assert!(error.to_string().starts_with("endless.lua:1: used more than"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cjson;
mod error;
mod host;
pub mod json;
mod limits;
mod meter;
mod modules;
mod sandbox;
mod script;
mod task;

pub use error::{ScriptError, ScriptErrorKind};
pub use host::Host;
pub use limits::{Grant, Limits};
pub use mlua;
pub use script::{Script, ScriptFile};
pub use task::{Task, Turn};
