//! The broker core in conversation: the scenarios of `tests/scenarios`, each a test of its own.
//!
//! A scenario is a title with the statements that it proves, and lines that read like a conversation; every packet
//! that a client receives must be expected by a line. The words are in `words.rs`, the steps in `play.rs`.

mod net;
mod play;
mod script;
mod setup;
mod simulation;
mod store_side;
mod words;

use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let scenarios = match script::read_all(&folder) {
        Ok(scenarios) => scenarios,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let trial = |scenario: script::Scenario| {
        Trial::test(scenario.name.clone(), move || {
            play::play(&scenario).map_err(Failed::from)
        })
    };
    let lives = (0..GROUPS_OF_SEEDS).flat_map(|group| [1, 3].map(|workers| lives(workers, group)));
    let trials = scenarios.into_iter().map(trial).chain(lives).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Seeds of random lives, in groups that are a test each.
const GROUPS_OF_SEEDS: u64 = 8;
const SEEDS_IN_GROUP: u64 = 100;

fn lives(workers: u16, group: u64) -> Trial {
    let seeds = group * SEEDS_IN_GROUP..(group + 1) * SEEDS_IN_GROUP;
    let name = format!(
        "simulation::seeds_{}_to_{}_with_{workers}_workers",
        seeds.start,
        seeds.end - 1
    );
    Trial::test(name, move || {
        for seed in seeds {
            let outcome = catch_unwind(|| simulation::live(workers, seed));
            outcome
                .unwrap_or_else(|_| Err(format!("seed {seed} with {workers} workers: panic")))?;
        }
        Ok(())
    })
}
