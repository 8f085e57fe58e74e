//! Acknowledged means stored, with the real process: publishers at full speed, `kill -9` at a random moment, restart,
//! again and again; then the sessions are drained, and nothing that was acknowledged may be missing.

mod peer;
#[path = "../support/mod.rs"]
mod support;

use peer::{Publisher, Subscriber};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;
use support::TestBroker;

const PUBLISHERS: usize = 3;

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_broker_is_killed() {
    kill_and_restart(3, 1);
}

#[test]
#[ignore = "long: a hundred kills take minutes"]
fn nothing_that_was_acknowledged_is_lost_in_a_hundred_kills() {
    kill_and_restart(100, 7);
}

fn start(folder: &Path) -> TestBroker {
    let folder = folder.to_str().expect("UTF-8");
    TestBroker::with(&["--data", folder, "--listen", "tcp://127.0.0.1:0"])
}

fn kill_and_restart(cycles: u32, seed: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut broker = start(folder.path());
    let mut subscribers: Vec<Subscriber> = [("away", 1), ("away", 2), ("here", 1), ("here", 2)]
        .map(|(name, qos)| Subscriber::subscribe(broker.address(), name, qos))
        .into();
    let mut publishers: Vec<Publisher> = (0..PUBLISHERS)
        .flat_map(|number| [1, 2].map(|qos| Publisher::new(number, qos)))
        .collect();
    let mut random = seed;
    for _ in 0..cycles {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let wait = Duration::from_millis(100 + (random >> 33) % 700);
        let address = broker.address();
        let dead = thread::scope(|scope| {
            for publisher in &mut publishers {
                scope.spawn(move || publisher.run(address, true));
            }
            for subscriber in subscribers.iter_mut().filter(|s| s.is_here()) {
                scope.spawn(move || subscriber.run(address, None));
            }
            // The moment is random; nothing is awaited.
            thread::sleep(wait);
            broker.signal(Signal::KILL);
            broker
        });
        drop(dead);
        broker = start(folder.path());
    }
    finish(&mut publishers, &mut subscribers, broker.address());
}

/// Everybody comes to an end, and what they know is compared.
fn finish(publishers: &mut [Publisher], subscribers: &mut [Subscriber], address: SocketAddr) {
    thread::scope(|scope| {
        for publisher in publishers.iter_mut() {
            scope.spawn(move || publisher.run(address, false));
        }
    });
    assert!(
        publishers.iter().all(Publisher::is_done),
        "a publisher waits for ever"
    );
    let goal = |qos| {
        let same = publishers
            .iter()
            .filter(move |publisher| publisher.qos == qos);
        same.map(|publisher| publisher.acked.len()).sum::<usize>()
    };
    let goals = [goal(1), goal(2)];
    thread::scope(|scope| {
        for subscriber in subscribers.iter_mut() {
            let goal = goals[usize::from(subscriber.qos) - 1];
            scope.spawn(move || subscriber.run(address, Some(goal)));
        }
    });
    assert!(goals.iter().all(|goal| *goal > 0), "nothing was published");
    for subscriber in subscribers {
        for publisher in publishers.iter().filter(|p| p.qos == subscriber.qos) {
            check(publisher, subscriber);
        }
    }
}

fn check(publisher: &Publisher, subscriber: &Subscriber) {
    let got = subscriber.of(&publisher.topic());
    let mut seen = BTreeSet::new();
    let first: Vec<u32> = got.iter().copied().filter(|n| seen.insert(*n)).collect();
    let missing: Vec<_> = publisher.acked.difference(&seen).take(5).collect();
    let who = format!("{subscriber} of {}", publisher.topic());
    assert!(
        missing.is_empty(),
        "{who}: acknowledged and lost: {missing:?}, ..."
    );
    assert!(first.is_sorted(), "{who}: out of order");
    if publisher.qos == 2 {
        assert_eq!(got.len(), first.len(), "{who}: doubled at QoS 2");
    }
}
