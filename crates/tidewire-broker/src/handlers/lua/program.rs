//! A script in its interpreters.

use super::client::Facts;
use super::seat::{Arguments, Call, Progress, Seat, is_about_memory};
use super::server::Link;
use super::{LuaHandlerError, LuaSettings};
use crate::handlers::foreign::{Fields, Said, Say, told};
use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use tidewire_codec::Version;
use tidewire_handler::{Client, Event, Events, Notice};
use tidewire_lua::{Script, ScriptError};

/// Instructions that a call executes on the worker's thread before it goes on elsewhere: some tenths of a millisecond, far more
/// than a rule needs, and less than other clients notice.
const INLINE_INSTRUCTIONS: u64 = 20_000;
/// Instructions between two looks at who else wants the interpreter.
const SLICE_INSTRUCTIONS: u64 = 50_000;

/// Numbers the threads that call scripts, so that each has an interpreter of its own as long as there are enough.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A script, loaded into several interpreters.
pub(super) struct Program {
    script: Script,
    settings: LuaSettings,
    link: Link,
    events: Events,
    seats: Box<[Mutex<Seat>]>,
    failures: AtomicU64,
}

/// A call that a question waits for.
pub(super) struct Answering {
    program: Arc<Program>,
    state: State,
}

enum State {
    /// No interpreter was free.
    Waiting(Box<Waiting>),
    /// A call in this seat.
    Begun(usize, Box<Call>),
}

/// All that a call needs to begin.
struct Waiting {
    event: Event,
    facts: Facts,
    fields: Fields<'static>,
    apart: usize,
    line: Option<String>,
}

/// Why there is no answer yet.
pub(super) enum Unfinished {
    Failed(ScriptError),
    Later(Answering),
}

impl Program {
    pub(super) fn new(
        script: &Script,
        settings: &LuaSettings,
        link: Link,
    ) -> Result<Self, LuaHandlerError> {
        let first = Seat::new(script, settings, &link)?;
        let events = first.events();
        if events.is_empty() {
            return Err(LuaHandlerError::NoHandler {
                script: script.name().into(),
            });
        }
        let wanted = match settings.interpreters {
            0 => thread::available_parallelism().map_or(1, usize::from) + 1,
            wanted => wanted,
        };
        let mut seats = vec![Mutex::new(first)];
        while seats.len() < wanted {
            seats.push(Mutex::new(Seat::new(script, settings, &link)?));
        }
        Ok(Self {
            script: script.clone(),
            settings: settings.clone(),
            link,
            events,
            seats: seats.into(),
            failures: AtomicU64::new(0),
        })
    }

    pub(super) fn events(&self) -> Events {
        self.events
    }

    pub(super) fn settings(&self) -> &LuaSettings {
        &self.settings
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Tells the script what happened, and waits for it: whoever calls this has a thread for it.
    pub(super) fn tell(self: &Arc<Self>, notice: &Notice) {
        let fields = told(notice);
        let arguments = Arguments {
            facts: None,
            fields: &fields,
            apart: 0,
            line: None,
        };
        let (index, seat) = self.any_seat();
        let begun = seat.begin(notice.event(), &arguments);
        drop(seat);
        let ended = match begun {
            Ok(Some(call)) => self.run(index, call).map(drop),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            self.note_failure(index, &error);
        }
    }

    /// A call to its end, others let in between its slices.
    fn run(&self, index: usize, mut call: Call) -> Result<Said, ScriptError> {
        loop {
            // The interpreter is free again before anything else is done.
            let progress = self.seat(index).advance(&mut call, SLICE_INSTRUCTIONS)?;
            match progress {
                Progress::Said(said) => return Ok(said),
                Progress::Paused => thread::yield_now(),
                Progress::Waits(request) => {
                    // Without the interpreter: the broker may take its time.
                    let answer = self.link.answer(&request);
                    self.seat(index).reply(&mut call, answer)?;
                }
            }
        }
    }

    /// Counts a failure, writes the first ones to the log and ever fewer of the others, and renews an interpreter that is full.
    fn note_failure(&self, index: usize, error: &ScriptError) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures.is_power_of_two() {
            tracing::warn!(target: "tidewire::lua", failures, "{error}");
        }
        if !is_about_memory(error) {
            return;
        }
        let mut seat = self.seat(index);
        if seat.is_full() {
            match Seat::new(&self.script, &self.settings, &self.link) {
                Ok(fresh) => {
                    *seat = fresh;
                    tracing::warn!(target: "tidewire::lua", script = self.script.name(), "memory was used up: the script begins anew");
                }
                Err(error) => tracing::error!(target: "tidewire::lua", "{error}"),
            }
        }
    }

    /// This thread's own interpreter, or another one that is free.
    fn free_seat(&self) -> Option<(usize, MutexGuard<'_, Seat>)> {
        let own = own_number();
        (0..self.seats.len()).find_map(|distance| {
            let index = (own + distance) % self.seats.len();
            match self.seats.get(index)?.try_lock() {
                Ok(seat) => Some((index, seat)),
                Err(TryLockError::Poisoned(poisoned)) => Some((index, poisoned.into_inner())),
                Err(TryLockError::WouldBlock) => None,
            }
        })
    }

    fn any_seat(&self) -> (usize, MutexGuard<'_, Seat>) {
        self.free_seat().unwrap_or_else(|| {
            let index = own_number() % self.seats.len();
            (index, self.seat(index))
        })
    }

    /// Panics leave a seat usable: what they interrupted is one call.
    fn seat(&self, index: usize) -> MutexGuard<'_, Seat> {
        self.seats[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answering {
    /// Puts a question to the script; `None` = it has no function for it.
    pub(super) fn begin<A: Say>(
        program: &Arc<Program>,
        client: &Client,
        ask: &A,
    ) -> Result<Option<Said>, Unfinished> {
        let facts = Facts::of(client);
        let fields = ask.fields();
        let line = if may_be_shown(A::EVENT) {
            ask.packet_line(client.version().unwrap_or(Version::V5))
        } else {
            None
        };
        let Some((index, seat)) = program.free_seat() else {
            let fields = fields
                .iter()
                .map(|(name, view)| (name.to_string().into(), view.clone().into_owned()))
                .collect();
            return Err(later(
                program,
                State::Waiting(Box::new(Waiting {
                    event: A::EVENT,
                    facts,
                    fields,
                    apart: A::ARGUMENTS,
                    line,
                })),
            ));
        };
        let arguments = Arguments {
            facts: Some(&facts),
            fields: &fields,
            apart: A::ARGUMENTS,
            line: line.as_deref(),
        };
        let begun = seat.begin(A::EVENT, &arguments).and_then(|call| {
            let Some(mut call) = call else {
                return Ok(None);
            };
            let progress = seat.advance(&mut call, INLINE_INSTRUCTIONS)?;
            Ok(Some((call, progress)))
        });
        drop(seat);
        match begun {
            Ok(None) => Ok(None),
            Ok(Some((_, Progress::Said(said)))) => Ok(Some(said)),
            Ok(Some((call, Progress::Paused))) => {
                Err(later(program, State::Begun(index, Box::new(call))))
            }
            Ok(Some((mut call, Progress::Waits(request)))) => {
                call.wait_for(request);
                Err(later(program, State::Begun(index, Box::new(call))))
            }
            Err(error) => {
                program.note_failure(index, &error);
                Err(Unfinished::Failed(error))
            }
        }
    }

    /// Waits for the answer.
    pub(super) fn finish(self) -> Result<Said, ScriptError> {
        let Self { program, state } = self;
        let (index, ended) = match state {
            State::Begun(index, mut call) => {
                let replied = match call.waits_for() {
                    Some(request) => {
                        let answer = program.link.answer(&request);
                        program.seat(index).reply(&mut call, answer)
                    }
                    None => Ok(()),
                };
                (index, replied.and_then(|()| program.run(index, *call)))
            }
            State::Waiting(waiting) => {
                let (index, seat) = program.any_seat();
                let begun = seat.begin(waiting.event, &waiting.arguments());
                drop(seat);
                let ended = match begun {
                    Ok(Some(call)) => program.run(index, call),
                    Ok(None) => Ok(Said::nothing()),
                    Err(error) => Err(error),
                };
                (index, ended)
            }
        };
        if let Err(error) = &ended {
            program.note_failure(index, error);
        }
        ended
    }
}

impl Waiting {
    fn arguments(&self) -> Arguments<'_> {
        Arguments {
            facts: Some(&self.facts),
            fields: &self.fields,
            apart: self.apart,
            line: self.line.as_deref(),
        }
    }
}

fn later(program: &Arc<Program>, state: State) -> Unfinished {
    Unfinished::Later(Answering {
        program: Arc::clone(program),
        state,
    })
}

/// Packets that are rare enough to be written as JSON each time.
fn may_be_shown(event: Event) -> bool {
    matches!(
        event,
        Event::Connect | Event::Subscribe | Event::Unsubscribe
    )
}

fn own_number() -> usize {
    THREAD.with(|own| {
        own.get().unwrap_or_else(|| {
            let number = THREADS.fetch_add(1, Ordering::Relaxed);
            own.set(Some(number));
            number
        })
    })
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LuaHandler")
            .field("script", &self.script.name())
            .field(
                "events",
                &self.events.iter().map(Event::name).collect::<Vec<_>>(),
            )
            .field("interpreters", &self.seats.len())
            .finish_non_exhaustive()
    }
}
