//! The broker core in conversation: the scenarios of `tests/scenarios`, each a test of its own.
//!
//! A scenario is a title with the statements that it proves, and lines that read like a conversation; every packet
//! that a client receives must be expected by a line. The words are in `words.rs`, the steps in `play.rs`.

mod net;
mod play;
mod script;
mod setup;
mod words;

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
    libtest_mimic::run(&arguments, scenarios.into_iter().map(trial).collect()).exit_code()
}
