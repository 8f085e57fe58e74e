//! The core's conversations and random lives once more, with a store: in memory, and durable on a disk that a test can see.
//! What a client hears must be the same.

#[path = "../../../tidewire-core/tests/behaviour/net.rs"]
mod net;
#[path = "../../../tidewire-core/tests/behaviour/play.rs"]
mod play;
#[path = "../../../tidewire-core/tests/behaviour/script.rs"]
mod script;
#[path = "../../../tidewire-core/tests/behaviour/setup.rs"]
mod setup;
#[path = "../../../tidewire-core/tests/behaviour/simulation.rs"]
mod simulation;
mod store_side;
#[path = "../../../tidewire-core/tests/behaviour/words.rs"]
mod words;

use libtest_mimic::{Arguments, Failed, Trial};
use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;
use store_side::{Kind, with_store};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tidewire-core/tests/scenarios");
    let mut trials = Vec::new();
    for kind in [Kind::Memory, Kind::Durable] {
        let scenarios = match script::read_all(&folder) {
            Ok(scenarios) => scenarios,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        };
        let scenarios = scenarios
            .into_iter()
            .filter(|scenario| !IN_MEMORY_ONLY.contains(&&*scenario.name));
        trials.extend(scenarios.map(|scenario| {
            let name = format!("{kind:?}::{}", scenario.name);
            Trial::test(name, move || {
                with_store(kind, || play::play(&scenario)).map_err(Failed::from)
            })
        }));
        for group in 0..GROUPS_OF_SEEDS {
            trials.extend([1, 3].map(|workers| lives(kind, workers, group)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Conversations about what absent clients may hold of the memory: with a store they hold none of it.
const IN_MEMORY_ONLY: [&str; 1] = [
    "memory-budget::the_queue_of_an_absent_client_pauses_nobody_and_grows_no_further_than_half_of_the_budget",
];

/// Seeds of random lives, in groups that are a test each.
const GROUPS_OF_SEEDS: u64 = 2;
const SEEDS_IN_GROUP: u64 = 50;

fn lives(kind: Kind, workers: u16, group: u64) -> Trial {
    let seeds = group * SEEDS_IN_GROUP..(group + 1) * SEEDS_IN_GROUP;
    let name = format!(
        "{kind:?}::simulation::seeds_{}_to_{}_with_{workers}_workers",
        seeds.start,
        seeds.end - 1
    );
    Trial::test(name, move || {
        for seed in seeds {
            let live = || with_store(kind, || simulation::live(workers, seed));
            catch_unwind(live)
                .unwrap_or_else(|_| Err(format!("seed {seed} with {workers} workers: panic")))?;
        }
        Ok(())
    })
}
