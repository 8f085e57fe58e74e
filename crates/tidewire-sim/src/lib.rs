//! The whole broker in one thread, on virtual time, from one seed: its workers, its clients, the network between them,
//! everything that goes wrong, and oracles that judge what came of it.
//!
//! A seed makes a script, the list of a life's acts, before it is lived. So a life that went wrong can be cut short: acts
//! are left out as long as the same oracle objects. What each client must get is kept by a model that knows only what
//! the client itself can know: what it sent, what was acknowledged, what came.
//!
//! ```
//! let life = tidewire_sim::run(7);
//! assert!(life.failure.is_none(), "{life}");
//! assert!(life.coverage.count("published at QoS 2") > 0);
//! ```

mod act;
mod connection;
mod coverage;
mod crash;
mod delivery;
mod failure;
mod hear;
mod lie;
mod life;
mod machine;
mod model;
mod random;
mod retained;
mod script;
mod shrink;
mod will;

pub use coverage::Coverage;
pub use failure::{Failure, Oracle};
pub use lie::Lie;
pub use machine::Sabotage;
pub use script::Storage;

use life::{Ended, live};
use script::Script;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A life that was lived.
#[derive(Debug)]
pub struct Life {
    /// Where it came from.
    pub seed: u64,
    /// What happened in it.
    pub coverage: Coverage,
    /// What an oracle objects to.
    pub failure: Option<Failure>,
    /// What was done; of a life that went wrong, in its shortest form.
    pub trace: Vec<String>,
}

/// What a life is lived with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Setting {
    /// Where what is owed is kept.
    pub storage: Storage,
    /// What is wrong with the broker as its clients see it.
    pub lie: Option<Lie>,
    /// What is wrong with its store.
    pub sabotage: Option<Sabotage>,
}

impl Setting {
    /// A broker with a disk, which may crash.
    pub const DISK: Self = Self {
        storage: Storage::Disk,
        lie: None,
        sabotage: None,
    };
}

/// Lives the life of a seed, in memory. One that goes wrong is cut short.
#[must_use]
pub fn run(seed: u64) -> Life {
    run_with(seed, &Setting::default())
}

/// As [`run`], with more choice.
#[must_use]
pub fn run_with(seed: u64, setting: &Setting) -> Life {
    let script = Script::new(seed, setting.storage);
    let first = attempt(&script, setting);
    let Some(failure) = first.failure else {
        return Life {
            seed,
            coverage: first.coverage,
            failure: None,
            trace: first.done,
        };
    };
    let objects = |script: &Script| {
        attempt(script, setting)
            .failure
            .map(|failure| failure.oracle)
    };
    let short = shrink::shrink(&script, failure.oracle, objects);
    let last = attempt(&short, setting);
    let header = format!(
        "{} workers, pieces {:?}, room {:?}, {:?}",
        short.workers, short.pieces, short.room, setting
    );
    Life {
        seed,
        coverage: first.coverage,
        failure: last.failure.or(Some(failure)),
        trace: std::iter::once(header).chain(last.done).collect(),
    }
}

/// What an oracle objects to in a life of that seed, which is not cut short.
#[must_use]
pub fn judge(seed: u64, setting: &Setting) -> Option<Failure> {
    attempt(&Script::new(seed, setting.storage), setting).failure
}

/// A life in which the broker panics is one that goes wrong.
fn attempt(script: &Script, setting: &Setting) -> Ended {
    catch_unwind(AssertUnwindSafe(|| live(script, setting))).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = format!("the broker panicked: {}", text.unwrap_or_default());
        Ended {
            coverage: Coverage::default(),
            failure: Some(Failure {
                oracle: Oracle::Liveness,
                text,
            }),
            done: script.acts.iter().map(ToString::to_string).collect(),
        }
    })
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        match &self.failure {
            Some(failure) => writeln!(f, "seed {}: {failure}", self.seed),
            None => writeln!(f, "seed {}: all was well", self.seed),
        }
    }
}
