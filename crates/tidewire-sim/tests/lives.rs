//! Lives of the simulated broker: a fixed set, some that nobody has seen, and brokers that lie.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidewire_sim::{Coverage, Lie, Oracle, Setting, judge, run, run_with};

/// Seeds of the fixed set.
const FIXED: u64 = 60;

/// Seeds that once showed a mistake, of the broker's or of the simulator's own model.
const KNOWN: [u64; 16] = [
    46,
    70,
    77,
    116,
    148,
    186,
    205,
    281,
    343,
    372,
    1_004,
    1_177,
    1_467,
    1_582,
    6_359,
    7_014_861_619_717_506,
];

fn of(lie: Lie) -> Setting {
    Setting {
        lie: Some(lie),
        ..Setting::default()
    }
}

fn live(seeds: impl IntoIterator<Item = u64>) -> Coverage {
    let mut coverage = Coverage::default();
    for seed in seeds {
        let life = run(seed);
        assert!(life.failure.is_none(), "{life}");
        coverage.add(&life.coverage);
    }
    coverage
}

/// A generator that never makes something proves nothing about it.
#[test]
fn fixed_lives_are_well_and_have_seen_everything() {
    let mut coverage = live(0..FIXED);
    coverage.add(&live(KNOWN));
    assert!(
        coverage.missing().is_empty(),
        "never: {:?}\n{coverage}",
        coverage.missing()
    );
}

/// Whoever changes something is not to be held up by what somebody else has not seen: these are lived with the long tests.
#[test]
#[ignore = "long: seeds that the clock chooses"]
fn lives_that_nobody_has_seen_are_well() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = u64::try_from(since.as_nanos() >> 8).unwrap();
    let began = Instant::now();
    for seed in first.. {
        live([seed]);
        if began.elapsed() > Duration::from_secs(8) {
            break;
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_life() {
    for seed in 0..10 {
        assert_eq!(run(seed).trace, run(seed).trace);
    }
}

/// Each oracle objects to what it is there for.
#[test]
fn every_lie_is_caught_by_its_oracle() {
    for lie in Lie::ALL {
        let oracle = match lie {
            Lie::AcknowledgesWithoutTaking => Oracle::Lost,
            Lie::DeliversTwice => Oracle::ExactlyOnce,
            Lie::Reorders => Oracle::Order,
            Lie::InventsSessions => Oracle::SessionPresent,
            Lie::ForgetsToRetain => Oracle::Retained,
            Lie::SwallowsWills | Lie::PublishesWillsAnyway => Oracle::Will,
            Lie::IgnoresReceiveMaximum => Oracle::Protocol,
        };
        let caught = (0..FIXED).any(|seed| {
            let failure = judge(seed, &of(lie));
            failure.is_some_and(|failure| failure.oracle == oracle)
        });
        assert!(
            caught,
            "{lie:?} was not caught by {oracle:?} in {FIXED} lives"
        );
    }
}

#[test]
fn a_life_that_went_wrong_is_told_in_few_acts_and_with_its_seed() {
    let lie = of(Lie::DeliversTwice);
    let wrong = (0..FIXED).find(|seed| judge(*seed, &lie).is_some());
    let life = run_with(wrong.expect("some life shows it"), &lie);
    // The script has 160 acts.
    let acts = life
        .trace
        .iter()
        .filter(|line| !line.starts_with(' '))
        .count();
    assert!(acts < 60, "{life}");
    assert!(
        life.to_string()
            .contains(&format!("seed {}: ExactlyOnce", life.seed)),
        "{life}"
    );
}
