//! `tidewire-sim`: lives of seeds, one after the other.

use clap::Parser;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tidewire_sim::{Coverage, run};

/// Lives the whole broker's lives from seeds, and says what an oracle objects to.
#[derive(Parser)]
#[command(name = "tidewire-sim")]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed; without --seeds the only one, and its life is told in full.
    #[arg(long)]
    seed: Option<u64>,
    /// Begin at a seed that the clock chooses.
    #[arg(long, conflicts_with = "seed")]
    random: bool,
    /// Stop after so many seconds.
    #[arg(long, value_name = "SECS")]
    within: Option<u64>,
    /// Print what happened how often.
    #[arg(long)]
    coverage: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let told_in_full =
        arguments.seed.is_some() && !std::env::args().any(|a| a.starts_with("--seeds"));
    if let (true, Some(seed)) = (told_in_full, arguments.seed) {
        let life = run(seed);
        println!("{life}");
        return if life.failure.is_some() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    let first = match arguments.seed {
        Some(seed) => seed,
        None if arguments.random => from_clock(),
        None => 0,
    };
    live_all(first, &arguments)
}

fn live_all(first: u64, arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let (mut coverage, mut wrong, mut lived) = (Coverage::default(), 0_u64, 0_u64);
    for seed in first..first.saturating_add(arguments.seeds) {
        if arguments
            .within
            .is_some_and(|secs| began.elapsed() >= Duration::from_secs(secs))
        {
            break;
        }
        let life = run(seed);
        coverage.add(&life.coverage);
        lived += 1;
        if life.failure.is_some() {
            wrong += 1;
            println!("{life}\nagain: cargo xtask sim --seed {seed}\n");
        }
    }
    if arguments.coverage {
        print!("{coverage}");
        println!("never: {:?}", coverage.missing());
    }
    println!(
        "{lived} lives from seed {first} on in {:.1} s, {wrong} went wrong",
        began.elapsed().as_secs_f64()
    );
    if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn from_clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(0) >> 8
}
