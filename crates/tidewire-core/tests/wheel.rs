//! The timer wheel against a sorted list.

use std::time::Duration;

use proptest::prelude::*;
use tidewire_core::{Time, Wheel};

const TICK_MICROS: u64 = Wheel::<u32>::TICK_MICROS;
const YEAR_MICROS: u64 = 365 * 24 * 3_600 * 1_000_000;

fn fired(wheel: &mut Wheel<u32>, now: u64) -> Vec<u32> {
    let mut fired = Vec::new();
    wheel.expire(Time::from_micros(now), &mut fired);
    fired
}

/// Distances from a tick to centuries, in microseconds.
fn distance() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..3 * TICK_MICROS,
        0..100_000_u64,
        0..10_000_000_u64,
        0..4_000_000_000_u64,
        0..300 * YEAR_MICROS,
        // Just before and after the borders between levels.
        (0_u32..8, 0_u64..3)
            .prop_map(|(level, off)| ((1_u64 << (6 * level)) + off - 1) * TICK_MICROS),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Schedule(u64),
    SchedulePast(u64),
    Advance(u64),
    ToNext,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => distance().prop_map(Step::Schedule),
        1 => distance().prop_map(Step::SchedulePast),
        2 => distance().prop_map(Step::Advance),
        2 => Just(Step::ToNext),
    ]
}

proptest! {
    #[test]
    fn items_fire_once_never_early_and_less_than_a_tick_late(
        start in prop_oneof![Just(0), distance()],
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut wheel = Wheel::new();
        let mut waiting: Vec<(u64, u32)> = Vec::new();
        let mut now = start;
        for (number, step) in steps.into_iter().enumerate() {
            let number = number as u32;
            match step {
                Step::Schedule(distance) => {
                    wheel.schedule(Time::from_micros(now + distance), number);
                    waiting.push((now + distance, number));
                    prop_assert_eq!(wheel.len(), waiting.len());
                    continue;
                }
                Step::SchedulePast(distance) => {
                    let at = now.saturating_sub(distance);
                    wheel.schedule(Time::from_micros(at), number);
                    waiting.push((at, number));
                    continue;
                }
                Step::Advance(distance) => now += distance,
                Step::ToNext => {
                    let next = wheel.next_deadline().map(Time::as_micros);
                    prop_assert_eq!(next.is_some(), !waiting.is_empty());
                    now = now.max(next.unwrap_or(now));
                    let due = waiting.iter().any(|(at, _)| at.div_ceil(TICK_MICROS) <= now / TICK_MICROS);
                    prop_assert_eq!(due, next.is_some());
                }
            }
            let early = wheel.next_deadline().is_some_and(|next| next.as_micros() <= now);
            let got = fired(&mut wheel, now);
            prop_assert_eq!(early, !got.is_empty());
            for item in got {
                let place = waiting.iter().position(|(_, waits)| *waits == item);
                prop_assert!(place.is_some(), "{} fired twice", item);
                let (at, _) = waiting.swap_remove(place.unwrap_or_default());
                prop_assert!(at <= now, "{} early", at - now);
            }
            for (at, _) in &waiting {
                prop_assert!(at.div_ceil(TICK_MICROS) > now / TICK_MICROS, "{} overdue", at);
            }
            prop_assert_eq!(wheel.len(), waiting.len());
            prop_assert_eq!(wheel.is_empty(), waiting.is_empty());
        }
    }

    #[test]
    fn one_jump_fires_in_the_order_of_the_deadlines(distances in prop::collection::vec(distance(), 1..200)) {
        let mut wheel = Wheel::new();
        for (number, distance) in distances.iter().enumerate() {
            wheel.schedule(Time::from_micros(*distance), number as u32);
        }
        let order = fired(&mut wheel, 400 * YEAR_MICROS);
        prop_assert_eq!(order.len(), distances.len());
        let ticks: Vec<u64> = order.iter().map(|at| distances[*at as usize].div_ceil(TICK_MICROS)).collect();
        prop_assert!(ticks.is_sorted());
    }
}

#[test]
fn deadlines_in_whole_milliseconds_fire_exactly() {
    let mut wheel = Wheel::new();
    let at = Time::from_micros(5_000_000).saturating_add(Duration::from_millis(1));
    wheel.schedule(at, 1);
    assert_eq!(wheel.next_deadline(), Some(at));
    assert!(fired(&mut wheel, at.as_micros() - 1).is_empty());
    assert_eq!(fired(&mut wheel, at.as_micros()), [1]);
    assert_eq!(wheel.next_deadline(), None);
}

#[test]
fn the_longest_session_expiry_and_the_end_of_time_are_in_range() {
    let mut wheel = Wheel::new();
    let longest = u64::from(u32::MAX) * 1_000_000;
    wheel.schedule(Time::from_micros(u64::MAX), 2);
    wheel.schedule(Time::from_micros(longest), 1);
    assert_eq!(wheel.next_deadline(), Some(Time::from_micros(longest)));
    assert!(fired(&mut wheel, longest - 1).is_empty());
    assert_eq!(fired(&mut wheel, longest), [1]);
    assert_eq!(wheel.next_deadline(), Some(Time::from_micros(u64::MAX)));
    assert!(fired(&mut wheel, u64::MAX - 1_000).is_empty());
}

#[test]
fn a_clock_that_steps_back_fires_nothing() {
    let mut wheel = Wheel::new();
    assert!(fired(&mut wheel, 10_000_000).is_empty());
    wheel.schedule(Time::from_micros(5_000_000), 1);
    assert!(fired(&mut wheel, 9_000_000).is_empty());
    assert_eq!(fired(&mut wheel, 10_000_000), [1]);
}

#[test]
fn a_burst_leaves_no_memory_behind() {
    let mut wheel = Wheel::new();
    let mut now = 0;
    for round in 0..3_u64 {
        for number in 0..100_000 {
            wheel.schedule(Time::from_micros(now + u64::from(number) * 7_919), number);
        }
        assert!(wheel.heap_bytes() > 1_600_000, "round {round}");
        now += 100_000 * 7_919;
        assert_eq!(fired(&mut wheel, now).len(), 100_000);
        assert!(wheel.is_empty());
        assert!(
            wheel.heap_bytes() < 30_000,
            "{} bytes remain",
            wheel.heap_bytes()
        );
    }
}

#[test]
fn what_is_kept_fires_on_time_and_what_is_not_never() {
    let mut wheel = Wheel::new();
    for number in 0..10_000u64 {
        wheel.schedule(Time::from_millis(number * 977 % 1_000_003), number);
    }
    wheel.retain(|at, number| {
        assert_eq!(at, Time::from_millis(number * 977 % 1_000_003));
        number % 10 == 0
    });
    assert_eq!(wheel.len(), 1_000);
    let mut fired = Vec::new();
    while let Some(deadline) = wheel.next_deadline() {
        let before = fired.len();
        wheel.expire(deadline, &mut fired);
        assert!(fired.len() > before);
    }
    assert!(fired.iter().all(|number| number % 10 == 0));
    assert_eq!(fired.len(), 1_000);
}
