//! What went wrong in a script, and where.

use std::fmt;

/// Something went wrong in a script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScriptError {
    kind: ScriptErrorKind,
    message: Box<str>,
    traceback: Option<Box<str>>,
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScriptErrorKind {
    /// The text is not Lua.
    Syntax,
    /// The script raised an error, or misused a value.
    Runtime,
    /// It executed more instructions than it may.
    Instructions,
    /// It wanted more memory than it may have.
    Memory,
    /// A value has not the type that is needed.
    Conversion,
}

impl ScriptError {
    /// An error of the host's own making.
    #[must_use]
    pub fn new(kind: ScriptErrorKind, message: &str) -> Self {
        Self {
            kind,
            message: message.into(),
            traceback: None,
        }
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ScriptErrorKind {
        self.kind
    }

    /// The calls that led there, one a line, innermost first.
    #[must_use]
    pub fn traceback(&self) -> Option<&str> {
        self.traceback.as_deref()
    }

    pub(crate) fn of(error: &mlua::Error, name: Option<&str>) -> Self {
        let kind = kind(error);
        let text = innermost(error).to_string();
        let (message, traceback) = match text.split_once("\nstack traceback:") {
            Some((message, calls)) => (message, Some(calls.trim())),
            None => (text.as_str(), None),
        };
        let message = ["runtime error: ", "syntax error: ", "memory error: "]
            .iter()
            .find_map(|prefix| message.strip_prefix(prefix))
            .unwrap_or(message);
        let place = place_in(error, traceback);
        let message = match (name, kind) {
            // Where memory ends is no place in the script.
            (Some(name), ScriptErrorKind::Memory) => {
                format!("{name}: needed more memory than it may have: {message}")
            }
            (Some(name), _) if !has_place(message) => {
                format!("{}: {message}", place.as_deref().unwrap_or(name))
            }
            _ => message.to_owned(),
        };
        Self {
            kind,
            message: message.into(),
            traceback: traceback.map(Into::into),
        }
    }

    pub(crate) fn exhausted(self) -> Self {
        Self {
            kind: ScriptErrorKind::Instructions,
            ..self
        }
    }
}

fn kind(error: &mlua::Error) -> ScriptErrorKind {
    match innermost(error) {
        mlua::Error::SyntaxError { .. } => ScriptErrorKind::Syntax,
        mlua::Error::MemoryError(_) => ScriptErrorKind::Memory,
        mlua::Error::FromLuaConversionError { .. } => ScriptErrorKind::Conversion,
        _ => ScriptErrorKind::Runtime,
    }
}

/// Whether a message says where, as in `rules.lua:12: ...`.
fn has_place(message: &str) -> bool {
    message
        .split(':')
        .skip(1)
        .any(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The innermost call of a script, as `rules.lua:12`: errors of the host's own functions do not say where they were called.
fn place_in(error: &mlua::Error, traceback: Option<&str>) -> Option<String> {
    let of_callback = match error {
        mlua::Error::CallbackError { traceback, .. } => Some(traceback.as_str()),
        _ => None,
    };
    let calls = traceback.or(of_callback)?;
    calls.lines().find_map(|call| {
        let (place, _) = call.trim().split_once(": in ")?;
        let (name, line) = place.rsplit_once(':')?;
        (line.parse::<u32>().is_ok() && name != "prelude").then(|| place.to_owned())
    })
}

/// The cause, without the wrappers of the callbacks that it passed.
fn innermost(mut error: &mlua::Error) -> &mlua::Error {
    loop {
        error = match error {
            mlua::Error::CallbackError { cause, .. } | mlua::Error::WithContext { cause, .. } => {
                cause
            }
            _ => return error,
        };
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ScriptError {}
