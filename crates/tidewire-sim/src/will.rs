//! Wills: each comes exactly once when it should, and never when it should not.

use crate::coverage::Coverage;
use crate::failure::{Oracle, Verdict, fail};
use crate::life::Life;
use crate::model::Number;
use std::collections::BTreeMap;
use tidewire_core::Time;

#[derive(Default, Debug)]
pub(crate) struct Wills(BTreeMap<Number, State>);

#[derive(Debug)]
struct State {
    who: usize,
    delay_secs: u32,
    fate: Fate,
    seen: u32,
    /// It may come again, as the broker crashed.
    repeats: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// Its connection is open, as far as its client knows.
    Armed,
    /// It must come, not before this time.
    Comes {
        from: Time,
        /// It has come by then; [`Time::NEVER`] while the broker may not have noticed the end of the connection.
        by: Time,
    },
    /// The broker crashed meanwhile: it must come, not before this time, unless its client comes back first.
    ComesUnlessBack { from: Time },
    /// It must not come.
    Stays,
    /// DISCONNECT is on its way: it must not come, unless the client's next CONNECT arrives before.
    StaysUnlessOvertaken,
    /// It may come or not.
    Open,
    /// The client is coming back: once it is admitted it must come, not before this time.
    ComesIfAdmitted { from: Time },
    /// The client is coming back: once it is admitted, before this time, it must not come.
    StaysIfAdmitted { before: Time },
}

impl Wills {
    pub(crate) fn arm(&mut self, number: Number, who: usize, delay_secs: u32) {
        let state = State {
            who,
            delay_secs,
            fate: Fate::Armed,
            seen: 0,
            repeats: false,
        };
        self.0.insert(number, state);
    }

    fn set(&mut self, number: Number, fate: impl FnOnce(&State) -> Fate) {
        if let Some(state) = self.0.get_mut(&number) {
            state.fate = fate(state);
        }
    }

    pub(crate) fn given_up(&mut self, number: Number) {
        self.set(number, |_| Fate::StaysUnlessOvertaken);
    }

    pub(crate) fn is_open(&mut self, number: Number) {
        self.set(number, |_| Fate::Open);
    }

    /// The connection ended without a proper DISCONNECT.
    pub(crate) fn lost(&mut self, number: Number, now: Time) {
        self.set(number, |state| Fate::Comes {
            from: now.plus_secs(state.delay_secs.into()),
            by: Time::NEVER,
        });
    }

    /// Another connection of the same client takes over \[5.0 3.1.3.2.2\].
    pub(crate) fn taken_over(
        &mut self,
        number: Number,
        admitted: bool,
        ends_session: bool,
        now: Time,
    ) {
        self.set(number, |state| {
            if !admitted {
                Fate::Open
            } else if state.delay_secs == 0 || ends_session {
                Fate::ComesIfAdmitted { from: now }
            } else {
                Fate::StaysIfAdmitted {
                    before: Time::NEVER,
                }
            }
        });
    }

    /// Whatever was under way has arrived.
    pub(crate) fn noticed(&mut self, now: Time) {
        for state in self.0.values_mut() {
            let due = now.plus_secs(u64::from(state.delay_secs) + 2);
            match &mut state.fate {
                fate @ Fate::StaysUnlessOvertaken => *fate = Fate::Stays,
                Fate::Comes { by, .. } if *by == Time::NEVER => *by = due,
                _ => {}
            }
        }
    }

    /// The broker crashed: what it had published it may publish again.
    pub(crate) fn crashed(&mut self) {
        for state in self.0.values_mut() {
            // It is published before it is noted that it was.
            if state.seen > 0 {
                state.fate = Fate::Open;
                state.repeats = true;
            }
            // DISCONNECT may not have arrived, or what it says of the will not the disk.
            if let Fate::StaysUnlessOvertaken = state.fate {
                state.fate = Fate::Open;
            }
            if let Fate::Comes { from, .. } = state.fate {
                // Whoever comes back before the broker has come round to it may cancel it.
                state.fate = Fate::ComesUnlessBack { from };
            }
        }
    }

    pub(crate) fn timers_are_late(&mut self) {
        for state in self.0.values_mut() {
            if let Fate::Comes { by, .. } = &mut state.fate {
                *by = Time::NEVER;
            }
        }
    }

    /// A client without a connection comes back: wills of it that wait are cancelled, or come now if its session ends by it.
    pub(crate) fn returns(&mut self, who: usize, clean_start: bool, now: Time) {
        for state in self.of(who) {
            if state.fate == Fate::StaysUnlessOvertaken {
                state.fate = Fate::Open;
            }
            if let Fate::ComesUnlessBack { .. } = state.fate {
                state.fate = Fate::Open;
            }
            let Fate::Comes { from, by } = state.fate else {
                continue;
            };
            // With its session a will that waits comes at once.
            if clean_start && now < by {
                state.fate = Fate::ComesIfAdmitted { from: now };
            } else if now < from && state.delay_secs > 0 {
                state.fate = Fate::StaysIfAdmitted { before: from };
            } else if now < by && state.delay_secs > 0 {
                state.fate = Fate::Open;
            }
        }
    }

    pub(crate) fn admitted(&mut self, who: usize, now: Time) {
        for state in self.of(who) {
            state.fate = match state.fate {
                Fate::ComesIfAdmitted { from } => Fate::Comes { from, by: now },
                Fate::StaysIfAdmitted { before } if now < before => Fate::Stays,
                Fate::StaysIfAdmitted { .. } => Fate::Open,
                other => other,
            };
        }
    }

    /// The client did not hear whether it was admitted.
    pub(crate) fn not_admitted(&mut self, who: usize) {
        for state in self.of(who) {
            if let Fate::ComesIfAdmitted { .. } | Fate::StaysIfAdmitted { .. } = state.fate {
                state.fate = Fate::Open;
            }
        }
    }

    fn of(&mut self, who: usize) -> impl Iterator<Item = &mut State> {
        self.0
            .values_mut()
            .filter(move |state| state.who == who && state.seen == 0)
    }

    fn come(&mut self, number: Number, now: Time, coverage: &mut Coverage) -> Verdict {
        let Some(state) = self.0.get_mut(&number) else {
            return fail(Oracle::Unasked, format!("will {number} is nobody's"));
        };
        state.seen += 1;
        if state.seen > 1 && !state.repeats {
            return fail(
                Oracle::Will,
                format!("will {number} of {} came twice", state.who),
            );
        }
        coverage.saw(if state.delay_secs == 0 {
            "will published at once"
        } else {
            "will published after its delay"
        });
        match state.fate {
            Fate::Stays | Fate::StaysUnlessOvertaken => fail(
                Oracle::Will,
                format!("will {number} of {} came and should not", state.who),
            ),
            Fate::Comes { from, .. } | Fate::ComesUnlessBack { from } if now < from => fail(
                Oracle::Will,
                format!(
                    "will {number} of {} came at {} ms, not due before {} ms",
                    state.who,
                    now.as_millis(),
                    from.as_millis()
                ),
            ),
            _ => Ok(()),
        }
    }
}

impl Life {
    /// The watcher got a will.
    pub(crate) fn will_came(&mut self, number: Number) -> Verdict {
        if self.is_always(crate::lie::Lie::SwallowsWills) {
            return Ok(());
        }
        let now = self.now();
        self.wills.come(number, now, &mut self.coverage)
    }

    pub(crate) fn wills_have_come(&mut self) -> Verdict {
        for (number, state) in &self.wills.0 {
            let must = matches!(
                state.fate,
                Fate::Comes { .. } | Fate::ComesUnlessBack { .. }
            );
            if must && state.seen == 0 {
                return fail(
                    Oracle::Will,
                    format!("will {number} of {} has not come", state.who),
                );
            }
            self.coverage.saw_if(
                "will cancelled by a return",
                state.fate == Fate::Stays && state.delay_secs > 0,
            );
        }
        Ok(())
    }
}
