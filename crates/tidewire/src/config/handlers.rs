//! The keys of `[[handler]]`: scripts, and servers behind a URL.

use super::key::{Access, Key, Kind, Reload, Section};
use super::table::{key, word};
use super::value::Value;
use super::{Config, Listener};
use std::path::PathBuf;
use tidewire_handler::{Event, Events, OnFailure};

/// One `[[handler]]`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Handler {
    /// Its name in logs and answers; empty = that of the file, or the URL.
    pub(crate) name: String,
    /// The script.
    pub(crate) lua: Option<PathBuf>,
    /// The server.
    pub(crate) url: Option<String>,
    /// Listeners whose clients it is asked about; empty = all.
    pub(crate) listeners: Vec<String>,
    /// Larger runs first.
    pub(crate) priority: u32,
    /// What follows when it fails.
    pub(crate) on_failure: OnFailure,
    /// How long an answer may take.
    pub(crate) deadline_ms: u32,
    /// Instructions of one call.
    pub(crate) max_instructions: u64,
    /// Bytes of one interpreter.
    pub(crate) max_memory_bytes: u64,
    /// Interpreters; 0 = one for each processor and one more.
    pub(crate) interpreters: u16,
    /// What the script may touch.
    pub(crate) grants: Vec<&'static str>,
    /// What the server is asked about and told.
    pub(crate) events: Events,
    /// The file with the secret of the signature.
    pub(crate) secret_file: Option<PathBuf>,
    /// Whose certificates are believed.
    pub(crate) ca_file: Option<PathBuf>,
    /// How long an answer holds that does not say so itself.
    pub(crate) cache_secs: u32,
    /// Answers that are remembered.
    pub(crate) cache_entries: u32,
    /// Whether questions about messages carry the payload.
    pub(crate) send_payload: bool,
    /// Requests at a time.
    pub(crate) max_requests: u32,
    /// Bytes of an answer.
    pub(crate) max_answer_bytes: u32,
    /// Failures in a row after which the server is left alone.
    pub(crate) breaker_failures: u32,
    /// How long it is left alone.
    pub(crate) breaker_pause_secs: u32,
    /// Events of a batch.
    pub(crate) batch_events: u32,
    /// How long a batch waits for more.
    pub(crate) batch_ms: u32,
    /// Events that wait for the server.
    pub(crate) queue_events: u32,
}

impl Default for Handler {
    fn default() -> Self {
        Self {
            name: String::new(),
            lua: None,
            url: None,
            listeners: Vec::new(),
            priority: 0,
            on_failure: OnFailure::Deny,
            deadline_ms: 2_000,
            max_instructions: 10_000_000,
            max_memory_bytes: 16 << 20,
            interpreters: 0,
            grants: Vec::new(),
            events: Events::NONE,
            secret_file: None,
            ca_file: None,
            cache_secs: 0,
            cache_entries: 10_000,
            send_payload: true,
            max_requests: 64,
            max_answer_bytes: 64 << 10,
            breaker_failures: 5,
            breaker_pause_secs: 10,
            batch_events: 100,
            batch_ms: 200,
            queue_events: 10_000,
        }
    }
}

/// Words for what follows a failure.
const POLICIES: &[(&str, OnFailure)] = &[("deny", OnFailure::Deny), ("skip", OnFailure::Skip)];

const EVENTS: [&str; Event::ALL.len()] = {
    let mut names = [""; Event::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Event::ALL[at].name();
        at += 1;
    }
    names
};

/// A row of a number.
macro_rules! number {
    ($name:ident, ($min:literal, $max:literal), $unit:literal, $doc:literal) => {
        key(
            Section::Handler,
            stringify!($name),
            Kind::Integer {
                min: $min,
                max: $max,
            },
            $unit,
            $doc,
            Access::Handler {
                get: |handler| Value::Integer(handler.$name.into()),
                set: |handler, value| handler.$name = value.narrow(),
            },
        )
    };
}

/// A row of a path.
macro_rules! path {
    ($name:ident, $reload:expr, $doc:literal) => {
        Key {
            section: Section::Handler,
            name: stringify!($name),
            kind: Kind::Path,
            unit: "",
            reload: $reload,
            doc: $doc,
            access: Access::Handler {
                get: |handler| {
                    let path = handler.$name.as_ref();
                    path.map_or(Value::Unset, |path| Value::Text(path.display().to_string()))
                },
                set: |handler, value| handler.$name = Some(PathBuf::from(value.into_text())),
            },
        }
    };
}

/// In the order of the reference.
pub(super) static KEYS: &[Key] = &[
    key(
        Section::Handler,
        "name",
        Kind::Text { max_bytes: 64 },
        "",
        "Name in logs and in `tidewire ctl`; without one it is the script's file name, or the URL. No two handlers share one.",
        Access::Handler {
            get: |handler| text(&handler.name),
            set: |handler, value| handler.name = value.into_text(),
        },
    ),
    path!(
        lua,
        Reload::OnSighup,
        "A script in Lua 5.4: a function for each event that it handles (docs/guides/lua.md). A changed file is loaded again (`watch_files` in \
         [broker], or SIGHUP); if it has a fault, the script that runs stays."
    ),
    key(
        Section::Handler,
        "url",
        Kind::Text { max_bytes: 2048 },
        "",
        "A server that is asked about `events` and told of them, by POST of JSON (docs/guides/webhooks.md): `http://...` or `https://...`. A handler has either \
         `lua` or `url`.",
        Access::Handler {
            get: |handler| handler.url.as_deref().map_or(Value::Unset, text),
            set: |handler, value| handler.url = Some(value.into_text()),
        },
    ),
    key(
        Section::Handler,
        "listener",
        Kind::Names,
        "",
        "The listener whose clients it is asked about, or a list of them. Unset, it is asked about all.",
        Access::Handler {
            get: |handler| Value::Texts(handler.listeners.clone()),
            set: |handler, value| {
                if let Value::Texts(names) = value {
                    handler.listeners = names;
                }
            },
        },
    ),
    number!(
        priority,
        (0, 1_000_000),
        "",
        "Larger runs first. Passwords and access rules have 0 and run before a handler with the same; certificates have 10."
    ),
    key(
        Section::Handler,
        "on_failure",
        Kind::Choice(&["deny", "skip"]),
        "",
        "What follows when it fails or is late: what was asked is denied, or the next handler is asked as if this one had said nothing.",
        Access::Handler {
            get: |handler| Value::Choice(word(POLICIES, &handler.on_failure)),
            set: |handler, value| {
                handler.on_failure = if value == Value::Choice("skip") {
                    OnFailure::Skip
                } else {
                    OnFailure::Deny
                };
            },
        },
    ),
    number!(
        deadline_ms,
        (1, 25_000),
        "milliseconds",
        "How long an answer may take. Below `answer_timeout_secs` in [limits], after which the broker takes it as a no."
    ),
    number!(
        max_instructions,
        (10_000, 1_000_000_000_000),
        "instructions",
        "For a script: instructions of the virtual machine that one call may execute. Ten million take about a tenth of a second."
    ),
    number!(
        max_memory_bytes,
        (1_048_576, 4_294_967_295),
        "bytes",
        "For a script: memory of one interpreter. A call that needs more fails; an interpreter that stays full begins anew."
    ),
    number!(
        interpreters,
        (0, 256),
        "interpreters",
        "For a script: how many interpreters run it. Each has global variables of its own. 0 starts one for each processor and one more, so that no worker waits \
         for another; 1 gives the script one set of global variables."
    ),
    key(
        Section::Handler,
        "grants",
        Kind::Choices(&["files", "processes", "environment"]),
        "",
        "For a script: what of the machine it may touch, with the rights of the broker: the libraries `io` and parts of `os`, `os.execute` and `io.popen`, `os.getenv`.",
        Access::Handler {
            get: |handler| Value::Choices(handler.grants.clone()),
            set: |handler, value| {
                if let Value::Choices(words) = value {
                    handler.grants = words;
                }
            },
        },
    ),
    key(
        Section::Handler,
        "events",
        Kind::Choices(&EVENTS),
        "",
        "For a server: what it is asked about and told. The first ten are asked one by one and the answer decides; the others are told in batches.",
        Access::Handler {
            get: |handler| Value::Choices(handler.events.iter().map(Event::name).collect()),
            set: |handler, value| {
                if let Value::Choices(words) = value {
                    let named = |event: &&Event| words.contains(&event.name());
                    handler.events = Event::ALL.iter().filter(named).copied().collect();
                }
            },
        },
    ),
    path!(
        secret_file,
        Reload::Restart,
        "For a server: file with the secret that requests are signed with (HMAC-SHA256 of time and body); a line break at its end does not count."
    ),
    path!(
        ca_file,
        Reload::Restart,
        "For a server: PEM file of the certificate authorities that are believed, in place of the system's."
    ),
    number!(
        cache_secs,
        (0, 86_400),
        "seconds",
        "For a server: how long an answer holds that has no `Cache-Control` itself. 0 remembers none of those."
    ),
    number!(
        cache_entries,
        (0, 10_000_000),
        "answers",
        "For a server: answers that are remembered; the one that was used least recently makes room."
    ),
    key(
        Section::Handler,
        "send_payload",
        Kind::Flag,
        "",
        "For a server: whether `authorize_publish` carries the payload. Without it a remembered answer about a topic holds for all its messages.",
        Access::Handler {
            get: |handler| Value::Flag(handler.send_payload),
            set: |handler, value| handler.send_payload = value == Value::Flag(true),
        },
    ),
    number!(
        max_requests,
        (1, 10_000),
        "requests",
        "For a server: questions at a time; further ones wait within their deadline."
    ),
    number!(
        max_answer_bytes,
        (2, 67_108_864),
        "bytes",
        "For a server: the largest answer."
    ),
    number!(
        breaker_failures,
        (1, 1_000_000),
        "failures",
        "For a server: failures in a row after which it is left alone: no answer, status 500 and above, 429."
    ),
    number!(
        breaker_pause_secs,
        (1, 3600),
        "seconds",
        "For a server: how long it is left alone, and what is asked denied at once. Then one request at a time tries."
    ),
    number!(
        batch_events,
        (1, 10_000),
        "events",
        "For a server: events of one batch."
    ),
    number!(
        batch_ms,
        (0, 60_000),
        "milliseconds",
        "For a server: how long a batch waits for further events."
    ),
    number!(
        queue_events,
        (1, 10_000_000),
        "events",
        "For a server: events that wait while it does not take any; further ones are dropped and counted."
    ),
];

impl Handler {
    /// The name, given or made.
    pub(crate) fn title(&self) -> String {
        match (&*self.name, &self.lua, &self.url) {
            ("", Some(path), _) => {
                let file = path.file_name().unwrap_or(path.as_os_str());
                file.to_string_lossy().into_owned()
            }
            ("", None, Some(url)) => url.clone(),
            (name, _, _) => name.to_owned(),
        }
    }

    /// What is wrong with it on its own, and what to do.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        match (&self.lua, &self.url) {
            (None, None) => Some((
                "the handler has neither `lua` nor `url`",
                "write `lua = \"rules.lua\"`, or `url = \"https://...\"` and `events`".to_owned(),
            )),
            (Some(_), Some(_)) => Some((
                "the handler has `lua` and `url`",
                "make two handlers of it".to_owned(),
            )),
            (None, Some(_)) if self.events.is_empty() => Some((
                "the handler has no `events`",
                "write `events = [\"authenticate\", \"connected\"]`, for instance".to_owned(),
            )),
            (Some(_), None) if !self.events.is_empty() => Some((
                "`events` are for a `url`",
                "remove them: a script handles the events that it has functions for".to_owned(),
            )),
            _ => None,
        }
    }

    /// Whether it may say who this listener's clients are. Of a script only the broker knows for certain, when it has run.
    fn may_authenticate(&self, listener: &Listener) -> bool {
        let here = self.listeners.is_empty() || self.listeners.contains(&listener.name);
        let script = |path: &PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        here && match &self.lua {
            Some(path) => script(path).contains("authenticate"),
            None => self.events.contains(Event::Authenticate),
        }
    }
}

impl Config {
    /// Whether some `[[handler]]` may say who this listener's clients are.
    pub(super) fn handlers_authenticate(&self, listener: &Listener) -> bool {
        let mut handlers = self.handlers.iter();
        handlers.any(|handler| handler.may_authenticate(listener))
    }
}

fn text(text: &str) -> Value {
    if text.is_empty() {
        Value::Unset
    } else {
        Value::Text(text.to_owned())
    }
}
