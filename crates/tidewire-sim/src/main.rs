//! `tidewire-sim`: lives of seeds, one after the other.

use clap::{Parser, ValueEnum};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tidewire_sim::{Coverage, Setting, Storage, judge, run_with};

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
    /// Where the broker keeps what it owes; without it each seed has a life in memory and one on disk, with crashes.
    #[arg(long)]
    storage: Option<StorageFlag>,
    /// Stop after so many seconds.
    #[arg(long, value_name = "SECS")]
    within: Option<u64>,
    /// Only name the lives that go wrong, and why; none is cut short.
    #[arg(long)]
    brief: bool,
    /// Print what happened how often.
    #[arg(long)]
    coverage: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum StorageFlag {
    Memory,
    Disk,
}

impl Arguments {
    fn settings(&self) -> Vec<Setting> {
        let of = |storage| Setting {
            storage,
            ..Setting::default()
        };
        match self.storage {
            Some(StorageFlag::Memory) => vec![of(Storage::Memory)],
            Some(StorageFlag::Disk) => vec![of(Storage::Disk)],
            None => vec![of(Storage::Memory), of(Storage::Disk)],
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let told_in_full =
        arguments.seed.is_some() && !std::env::args().any(|a| a.starts_with("--seeds"));
    if let (true, Some(seed)) = (told_in_full, arguments.seed) {
        return tell(seed, &arguments);
    }
    let first = match arguments.seed {
        Some(seed) => seed,
        None if arguments.random => from_clock(),
        None => 0,
    };
    live_all(first, &arguments)
}

fn tell(seed: u64, arguments: &Arguments) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for setting in arguments.settings() {
        let life = run_with(seed, &setting);
        println!("{life}");
        if life.failure.is_some() {
            code = ExitCode::FAILURE;
        }
    }
    code
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
        for setting in arguments.settings() {
            if arguments.brief {
                lived += 1;
                if let Some(failure) = judge(seed, &setting) {
                    wrong += 1;
                    println!("seed {seed}, {:?}: {failure}", setting.storage);
                }
                continue;
            }
            let life = run_with(seed, &setting);
            coverage.add(&life.coverage);
            lived += 1;
            if life.failure.is_some() {
                wrong += 1;
                let storage = format!("{:?}", setting.storage).to_lowercase();
                println!("{life}\nagain: cargo xtask sim --seed {seed} --storage {storage}\n");
            }
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
