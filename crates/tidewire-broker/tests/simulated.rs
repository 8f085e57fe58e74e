//! The shell in a simulated world: one thread, virtual time, bytes in pieces that a seed chooses.

mod wire;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidewire_broker::simulated::{Pieces, SimClient, Simulation};
use tidewire_broker::{AnswerPort, Answerer, Settings};
use tidewire_codec::{Qos, ReasonCode};
use tidewire_core::{Answer, Authenticated, Limits, Question, ServerPublish, Ticket};
use wire::*;

fn settings(workers: usize) -> Settings {
    Settings {
        workers,
        sys_interval_secs: 0,
        ..Settings::default()
    }
}

fn simulation(workers: usize, seed: u64, pieces: Pieces) -> Simulation {
    Simulation::new(&settings(workers), seed, pieces)
}

/// A client that is connected.
fn enter_sim(sim: &mut Simulation, client_id: &str) -> SimClient {
    let client = sim.connect();
    sim.send(client, &connect(client_id));
    sim.settle();
    assert_eq!(sim.take_received(client), CONNACK, "{client_id}");
    client
}

/// A client that is connected and subscribed.
fn subscriber(sim: &mut Simulation, client_id: &str, filter: &str, qos: u8) -> SimClient {
    let client = enter_sim(sim, client_id);
    sim.send(client, &subscribe(1, filter, qos));
    sim.settle();
    assert_eq!(sim.take_received(client), suback(1, qos));
    client
}

fn payloads(received: &[u8]) -> Vec<Vec<u8>> {
    split(received)
        .into_iter()
        .map(|packet| payload(packet).1.to_vec())
        .collect()
}

#[test]
fn the_pieces_in_which_bytes_travel_change_nothing() {
    for workers in [1, 3] {
        for (pieces, seeds) in [(Pieces::Whole, 3), (Pieces::Bytes, 1), (Pieces::Seeded, 10)] {
            for seed in 0..seeds {
                let mut sim = simulation(workers, seed, pieces);
                let sub = subscriber(&mut sim, "sub", "t/+", 0);
                let publisher = sim.connect();
                let mut bytes = connect("pub");
                let sizes = [0, 1, 100, 127, 128, 5_000, 16_384, 70_000, 3];
                for size in sizes {
                    bytes.extend(publish("t/x", &vec![size as u8; size]));
                }
                bytes.extend(PINGREQ);
                sim.send(publisher, &bytes);
                sim.settle();
                let answers = sim.take_received(publisher);
                assert_eq!(
                    answers,
                    [CONNACK, PINGRESP].concat(),
                    "{workers} workers, {pieces:?}, seed {seed}"
                );
                let received = sim.take_received(sub);
                let got: Vec<usize> = payloads(&received).iter().map(Vec::len).collect();
                assert_eq!(got, sizes, "{workers} workers, {pieces:?}, seed {seed}");
            }
        }
    }
}

#[test]
fn half_a_packet_waits_for_its_other_half_and_nothing_happens_meanwhile() {
    let mut sim = simulation(1, 1, Pieces::Whole);
    let sub = subscriber(&mut sim, "sub", "t", 0);
    let publisher = enter_sim(&mut sim, "pub");
    let packet = publish("t", b"payload");
    for cut in 1..packet.len() {
        sim.send(publisher, &packet[..cut]);
        sim.settle();
        assert_eq!(sim.take_received(sub), b"", "cut at {cut}");
        sim.send(publisher, &packet[cut..]);
        sim.settle();
        assert_eq!(sim.take_received(sub), packet, "cut at {cut}");
    }
}

#[test]
fn a_turn_reads_once_and_writes_once_per_connection() {
    let mut sim = simulation(1, 1, Pieces::Whole);
    let subs: Vec<_> = (0..10)
        .map(|n| subscriber(&mut sim, &format!("sub{n}"), "t", 0))
        .collect();
    let publisher = enter_sim(&mut sim, "pub");
    let before = sim.transport_calls();
    sim.send(publisher, &publish("t", b"0123456789abcdef").repeat(500));
    sim.settle();
    // One read, which does not fill the buffer and so is not followed by another; one write for each subscriber.
    assert_eq!(sim.transport_calls() - before, 1 + 10);
    for sub in subs {
        assert_eq!(split(&sim.take_received(sub)).len(), 500);
    }
}

/// A connection's home is the worker of its client id: what it sent behind CONNECT must follow it there.
#[test]
fn bytes_that_follow_connect_move_with_the_connection() {
    for seed in 0..20 {
        let mut sim = simulation(4, seed, Pieces::Seeded);
        let clients: Vec<_> = (0..32)
            .map(|n| {
                let client = sim.connect();
                let topic = format!("own/{n}");
                let mut bytes = connect(&format!("client-{n}"));
                bytes.extend(subscribe(1, &topic, 0));
                for number in 0..5u8 {
                    bytes.extend(publish(&topic, &[number]));
                }
                bytes.extend(publish(&topic, &vec![9; 40_000]));
                sim.send(client, &bytes);
                client
            })
            .collect();
        sim.settle();
        for client in clients {
            let received = sim.take_received(client);
            let packets = split(&received);
            assert_eq!(packets[..2], [CONNACK, &suback(1, 0)]);
            let rest: Vec<_> = packets[2..]
                .iter()
                .map(|packet| payload(packet).1)
                .collect();
            assert_eq!(rest[..5], [[0], [1], [2], [3], [4]]);
            assert_eq!(rest[5], vec![9; 40_000]);
            assert_eq!(rest.len(), 6);
        }
    }
}

#[test]
fn messages_between_workers_arrive_once_and_in_order() {
    for seed in 0..30 {
        let mut sim = simulation(3, seed, Pieces::Seeded);
        let subs: Vec<_> = (0..6)
            .map(|n| subscriber(&mut sim, &format!("sub{n}"), "a/#", 1))
            .collect();
        let publishers: Vec<_> = (0..4)
            .map(|n| enter_sim(&mut sim, &format!("pub{n}")))
            .collect();
        for number in 0..60u16 {
            for (n, &publisher) in publishers.iter().enumerate() {
                let [high, low] = number.to_be_bytes();
                sim.send(
                    publisher,
                    &publish_qos1(&format!("a/{n}"), number + 1, &[n as u8, high, low]),
                );
            }
        }
        sim.settle();
        for publisher in publishers {
            let acks: Vec<_> = (1..=60).flat_map(puback).collect();
            assert_eq!(sim.take_received(publisher), acks, "seed {seed}");
        }
        for sub in subs {
            let received = sim.take_received(sub);
            let mut next = [0u16; 4];
            for packet in split(&received) {
                let (_, body) = payload(packet);
                let from = usize::from(body[0]);
                assert_eq!(
                    u16::from_be_bytes([body[1], body[2]]),
                    next[from],
                    "seed {seed}"
                );
                next[from] += 1;
            }
            assert_eq!(next, [60; 4], "seed {seed}");
        }
    }
}

#[test]
fn a_client_that_never_reads_holds_a_bounded_queue_and_delays_nobody() {
    let max_outbound_bytes = 256 * 1024;
    let limits = Limits {
        max_outbound_bytes,
        ..Limits::default()
    };
    for workers in [1, 2] {
        let mut sim = Simulation::new(
            &Settings {
                limits: limits.clone(),
                ..settings(workers)
            },
            3,
            Pieces::Seeded,
        );
        let slow = subscriber(&mut sim, "slow", "t", 0);
        let quick = subscriber(&mut sim, "quick", "t", 0);
        let publisher = enter_sim(&mut sim, "pub");
        sim.stop_reading(slow);
        for _ in 0..100 {
            sim.send(publisher, &publish("t", &[1; 1_000]).repeat(20));
            sim.settle();
            assert_eq!(split(&sim.take_received(quick)).len(), 20);
        }
        assert!(sim.stats().dropped_outbound_full > 1_000);
        sim.start_reading(slow);
        sim.settle();
        let late = sim.take_received(slow);
        split(&late);
        // Its share of the queue and of the transport's own buffer.
        assert!(
            late.len() <= max_outbound_bytes as usize + 65_536 + 2_000,
            "{}",
            late.len()
        );
        assert!(
            late.len() >= max_outbound_bytes as usize - 2_000,
            "{}",
            late.len()
        );
    }
}

/// More mail than a worker may leave waiting at a peer, by its number or its bytes: it stops reading its publisher until
/// the peer has caught up.
#[test]
fn a_worker_whose_peer_is_behind_holds_back_and_loses_nothing() {
    const MESSAGES: u32 = 100_000;
    for seed in 0..4 {
        let limits = Limits {
            max_mailbox_bytes: if seed % 2 == 0 { u64::MAX } else { 65_536 },
            ..Limits::default()
        };
        let settings = Settings {
            limits,
            ..settings(2)
        };
        let mut sim = Simulation::new(&settings, seed, Pieces::Whole);
        let subs: Vec<_> = (0..4)
            .map(|n| subscriber(&mut sim, &format!("s{n}"), "#", 0))
            .collect();
        let publisher = enter_sim(&mut sim, "pub");
        let bytes: Vec<u8> = (0..MESSAGES)
            .flat_map(|number| {
                publish(
                    if number % 2 == 0 { "a" } else { "b/c" },
                    &number.to_be_bytes(),
                )
            })
            .collect();
        sim.send(publisher, &bytes);
        sim.settle();
        for sub in subs {
            let received = sim.take_received(sub);
            let mut expected = 0u32;
            for packet in split(&received) {
                assert_eq!(payload(packet).1, expected.to_be_bytes(), "seed {seed}");
                expected += 1;
            }
            assert_eq!(expected, MESSAGES, "seed {seed}");
        }
    }
}

#[test]
fn publishers_paused_by_the_memory_budget_go_on_when_there_is_room_and_nothing_is_lost() {
    let limits = Limits {
        max_worker_bytes: 300_000,
        max_outbound_bytes: 64 * 1024,
        max_inflight_messages: 20,
        ..Limits::default()
    };
    for seed in 0..5 {
        let mut sim = Simulation::new(
            &Settings {
                limits: limits.clone(),
                ..settings(1)
            },
            seed,
            Pieces::Seeded,
        );
        let slow = subscriber(&mut sim, "slow", "t", 1);
        let publisher = enter_sim(&mut sim, "pub");
        sim.stop_reading(slow);
        for number in 1..=1_000u16 {
            let mut body = number.to_be_bytes().to_vec();
            body.resize(1_000, 0);
            sim.send(publisher, &publish_qos1("t", number, &body));
        }
        sim.settle();
        assert!(sim.stats().publishers_paused > 0);
        sim.take_received(publisher);
        sim.start_reading(slow);
        let mut next = 1;
        while next <= 1_000 {
            sim.settle();
            let received = sim.take_received(slow);
            assert!(
                !received.is_empty(),
                "stuck before message {next}, seed {seed}"
            );
            for packet in split(&received) {
                let (id, body) = payload(packet);
                assert_eq!(u16::from_be_bytes([body[0], body[1]]), next);
                next += 1;
                sim.send(slow, &puback(id.unwrap()));
            }
        }
    }
}

#[test]
fn a_packet_beyond_the_limit_ends_its_connection_at_its_header() {
    let mut sim = simulation(1, 1, Pieces::Whole);
    let before = sim.connect();
    sim.send(before, &[0x10, 0xFF, 0xFF, 0xFF, 0x7F]);
    let admitted = enter_sim(&mut sim, "a");
    sim.send(admitted, &[0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
    sim.settle();
    assert!(sim.is_closed(before) && sim.is_closed(admitted));
}

/// [5.0 MQTT-3.1.2-22] [3.1.1 MQTT-3.1.2-24]
#[test]
fn silence_of_one_and_a_half_keep_alives_ends_the_connection_at_that_time() {
    let mut sim = simulation(2, 1, Pieces::Whole);
    let client = sim.connect();
    sim.send(client, &connect_with("a", 4, 2, 10));
    sim.settle();
    sim.advance(Duration::from_millis(14_900));
    assert!(!sim.is_closed(client));
    sim.advance(Duration::from_millis(1_200));
    assert!(sim.is_closed(client));
}

#[test]
fn a_peer_that_sends_no_connect_is_closed_in_bounded_time() {
    let mut sim = simulation(1, 1, Pieces::Whole);
    let silent = sim.connect();
    let slow = sim.connect();
    for byte in connect("slow").iter().take(11) {
        sim.send(slow, &[*byte]);
        sim.advance(Duration::from_secs(1));
    }
    assert!(sim.is_closed(silent) && sim.is_closed(slow));
    assert_eq!(sim.stats().connections, 0);
}

#[test]
fn a_closing_connection_that_takes_nothing_is_cut_after_the_close_timeout() {
    let mut sim = simulation(1, 1, Pieces::Whole);
    let sub = subscriber(&mut sim, "sub", "t", 0);
    let publisher = enter_sim(&mut sim, "pub");
    sim.stop_reading(sub);
    sim.send(publisher, &publish("t", &[0; 1000]).repeat(200));
    sim.settle();
    // A second CONNECT: the broker closes, but has bytes to write that nobody takes.
    sim.send(sub, &connect("sub"));
    sim.settle();
    assert!(!sim.is_closed(sub));
    assert_eq!(sim.stats().connections, 2);
    sim.advance(Duration::from_secs(6));
    assert!(sim.is_closed(sub));
    assert_eq!(sim.stats().connections, 1);
}

/// [5.0 MQTT-3.1.4-3] [3.1.1 MQTT-3.1.4-2]
#[test]
fn a_takeover_closes_the_elder_connection_wherever_it_came_in() {
    for seed in 0..20 {
        let mut sim = simulation(3, seed, Pieces::Seeded);
        let mut last = enter_sim(&mut sim, "same");
        for _ in 0..10 {
            let next = enter_sim(&mut sim, "same");
            assert!(sim.is_closed(last), "seed {seed}");
            last = next;
        }
        assert_eq!(sim.stats().sessions_connected, 1);
    }
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let mut sim = simulation(2, 5, Pieces::Seeded);
    for round in 0..20 {
        let clients: Vec<_> = (0..50)
            .map(|n| {
                let client = sim.connect();
                sim.send(client, &connect(&format!("c{n}")));
                sim.send(client, &subscribe(1, &format!("t/{n}"), 0));
                client
            })
            .collect();
        for (n, &client) in clients.iter().enumerate() {
            match (n + round) % 3 {
                0 => sim.send(client, DISCONNECT),
                1 => sim.send(client, b"\x00not MQTT"),
                _ => {}
            }
            sim.close(client);
        }
        sim.settle();
        assert!(clients.iter().all(|&client| sim.is_closed(client)));
    }
    sim.advance(Duration::from_secs(2));
    let stats = sim.stats();
    assert_eq!(
        (stats.connections, stats.sessions, stats.subscriptions),
        (0, 0, 0)
    );
    assert_eq!(stats.connections_opened, 1_000);
}

#[test]
fn sys_topics_are_retained_and_updated_at_their_interval() {
    let settings = Settings {
        sys_interval_secs: 10,
        ..settings(2)
    };
    let mut sim = Simulation::new(&settings, 1, Pieces::Whole);
    sim.advance(Duration::from_secs(1));
    let client = enter_sim(&mut sim, "dashboard");
    sim.send(client, &subscribe(1, "$SYS/broker/clients/connected", 0));
    sim.send(client, &subscribe(2, "$SYS/broker/version", 0));
    sim.settle();
    let received = sim.take_received(client);
    let said: Vec<_> = split(&received)
        .into_iter()
        .filter(|packet| packet[0] & 0xF0 == 0x30)
        .collect();
    assert_eq!(said.len(), 2);
    assert!(said.iter().all(|packet| packet[0] & 1 == 1), "retained");
    assert_eq!(payload(said[0]).1, b"0");
    assert!(payload(said[1]).1.starts_with(b"tidewire version "));
    sim.advance(Duration::from_secs(10));
    assert_eq!(
        sim.take_received(client),
        publish("$SYS/broker/clients/connected", b"1")
    );
}

#[test]
fn shutdown_tells_every_client_and_ends_when_all_have_gone() {
    for workers in [1, 3] {
        let mut sim = simulation(workers, 2, Pieces::Seeded);
        let polite: Vec<_> = (0..6)
            .map(|n| {
                let client = sim.connect();
                sim.send(client, &connect_v5(&format!("c{n}")));
                sim.settle();
                sim.take_received(client);
                client
            })
            .collect();
        sim.begin_shutdown(Duration::from_secs(5));
        sim.settle();
        for &client in &polite {
            let received = sim.take_received(client);
            let farewell = split(&received);
            assert_eq!(
                (farewell.len(), farewell[0][0], farewell[0][2]),
                (1, 0xE0, 0x8B),
                "DISCONNECT 0x8B"
            );
            assert!(sim.is_closed(client));
            sim.close(client);
        }
        sim.settle();
        assert!(sim.has_ended());
    }
}

#[test]
fn the_servers_own_messages_reach_subscribers_of_all_workers() {
    let mut sim = simulation(3, 2, Pieces::Whole);
    let subs: Vec<_> = (0..9)
        .map(|n| subscriber(&mut sim, &format!("s{n}"), "news/#", 0))
        .collect();
    for worker in 0..3 {
        sim.publish(
            worker,
            ServerPublish {
                topic: "news/x".into(),
                payload: (*b"hello").into(),
                qos: Qos::AtMostOnce,
                retain: false,
            },
        );
    }
    sim.settle();
    for sub in subs {
        assert_eq!(
            sim.take_received(sub),
            publish("news/x", b"hello").repeat(3)
        );
    }
}

/// Answers some questions at once, some later, and never lets topics below `secret` pass.
struct Slow {
    waiting: Arc<Mutex<Vec<(AnswerPort, Ticket, Answer)>>>,
    asked: usize,
}

impl Answerer for Slow {
    fn ask(&mut self, ticket: Ticket, question: Question, port: &AnswerPort) -> Option<Answer> {
        let answer = match &question {
            Question::Authenticate(_) => Answer::Authenticated(Authenticated::default()),
            Question::AuthorizePublish { topic, .. } if topic.starts_with("secret") => {
                Answer::Denied {
                    reason: ReasonCode::NotAuthorized,
                    text: None,
                }
            }
            _ => Answer::Allowed,
        };
        self.asked += 1;
        if self.asked.is_multiple_of(3) {
            return Some(answer);
        }
        self.waiting
            .lock()
            .unwrap()
            .push((port.clone(), ticket, answer));
        None
    }
}

#[test]
fn input_waits_at_a_gate_until_it_is_answered_and_then_goes_on_in_order() {
    for workers in [1, 3] {
        for seed in 0..10 {
            let waiting = Arc::new(Mutex::new(Vec::new()));
            let mut make = |_| -> Box<dyn Answerer> {
                Box::new(Slow {
                    waiting: Arc::clone(&waiting),
                    asked: 0,
                })
            };
            let mut sim =
                Simulation::with_answerers(&settings(workers), seed, Pieces::Seeded, &mut make);
            let client = sim.connect();
            let mut bytes = connect("gated");
            bytes.extend(subscribe(1, "#", 0));
            for number in 0..40u8 {
                let topic = if number % 4 == 0 { "secret/t" } else { "t" };
                bytes.extend(publish(topic, &vec![number; 1 + usize::from(number) * 700]));
            }
            sim.send(client, &bytes);
            let mut answered = BTreeSet::new();
            loop {
                sim.settle();
                let answers = std::mem::take(&mut *waiting.lock().unwrap());
                if answers.is_empty() {
                    break;
                }
                // One connection has at most one question open, whatever it has sent behind it.
                assert_eq!(answers.len(), 1);
                for (port, ticket, answer) in answers {
                    answered.insert(ticket);
                    port.answer(ticket, answer.clone());
                    // A second answer to the same question is ignored.
                    port.answer(ticket, answer);
                }
            }
            assert!(answered.len() > 20);
            let received = sim.take_received(client);
            let packets = split(&received);
            assert_eq!(packets[..2], [CONNACK, &suback(1, 0)]);
            let got: Vec<u8> = packets[2..]
                .iter()
                .map(|packet| payload(packet).1[0])
                .collect();
            let expected: Vec<u8> = (0..40).filter(|number| number % 4 != 0).collect();
            assert_eq!(got, expected, "{workers} workers, seed {seed}");
        }
    }
}

/// A flood at a gate is not read: it stays with the sender.
#[test]
fn a_gate_holds_no_more_than_one_buffer() {
    let waiting = Arc::new(Mutex::new(Vec::new()));
    let mut make = |_| -> Box<dyn Answerer> {
        Box::new(Slow {
            waiting: Arc::clone(&waiting),
            asked: 0,
        })
    };
    let mut sim = Simulation::with_answerers(&settings(1), 1, Pieces::Whole, &mut make);
    let client = sim.connect();
    let mut bytes = connect("gated");
    bytes.extend(publish("t", &[0; 1000]).repeat(1000));
    sim.send(client, &bytes);
    let before = sim.transport_calls();
    sim.settle();
    assert_eq!(
        sim.transport_calls() - before,
        1,
        "one read, and then the gate is closed"
    );
}

/// Nobody answers, so whoever has said CONNECT waits at the gate: what an unadmitted peer can make the broker hold is one
/// buffer, whatever it announces and sends.
#[test]
fn a_stranger_at_a_gate_cannot_have_a_packet_collected_that_no_stranger_may_send() {
    for announced in [300_000usize, 0x0FFF_FFFF] {
        let waiting = Arc::new(Mutex::new(Vec::new()));
        let mut make = |_| -> Box<dyn Answerer> {
            Box::new(Slow {
                waiting: Arc::clone(&waiting),
                asked: 0,
            })
        };
        let mut sim = Simulation::with_answerers(&settings(1), 1, Pieces::Whole, &mut make);
        let client = sim.connect();
        let large = publish("t", &vec![7; announced.min(300_000)]);
        let mut bytes = connect("gated");
        if announced > 300_000 {
            bytes.extend([0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
        }
        bytes.extend(&large);
        let before = sim.transport_calls();
        sim.send(client, &bytes);
        sim.settle();
        if announced > 300_000 {
            assert!(sim.is_closed(client), "no client may send so much");
            continue;
        }
        assert_eq!(sim.transport_calls() - before, 1, "one read, no more");
        // Admitted, it may: the packet is collected now.
        let answers = std::mem::take(&mut *waiting.lock().unwrap());
        for (port, ticket, answer) in answers {
            port.answer(ticket, answer);
        }
        sim.settle();
        assert_eq!(sim.take_received(client), CONNACK);
        sim.send(client, PINGREQ);
        sim.settle();
        for (port, ticket, answer) in std::mem::take(&mut *waiting.lock().unwrap()) {
            port.answer(ticket, answer);
        }
        sim.settle();
        assert_eq!(sim.take_received(client), PINGRESP);
    }
}

/// What stands behind a CONNECT that moves is looked at by the new worker at once: once it was collected in whole before.
#[test]
fn a_packet_beyond_the_limit_behind_a_moving_connect_ends_its_connection_at_its_header() {
    for header in [
        [0x30, 0xFF, 0xFF, 0xFF, 0x7F],
        [0x30, 0xFF, 0xFF, 0xFF, 0xFF],
    ] {
        let mut sim = simulation(4, 1, Pieces::Whole);
        let clients: Vec<_> = (0..16)
            .map(|n| {
                let client = sim.connect();
                let mut bytes = connect(&format!("client-{n}"));
                bytes.extend(header);
                sim.send(client, &bytes);
                client
            })
            .collect();
        sim.settle();
        for client in clients {
            assert_eq!(sim.take_received(client), CONNACK);
            assert!(sim.is_closed(client));
        }
    }
}

/// Clients that published once and went while the memory budget paused them once stayed for ever.
#[test]
fn a_paused_connection_notices_that_its_peer_has_gone() {
    let limits = Limits {
        max_worker_bytes: 100_000,
        pause_timeout_secs: 3_600,
        ..Limits::default()
    };
    for seed in 0..5 {
        let settings = Settings {
            limits: limits.clone(),
            ..settings(1)
        };
        let mut sim = Simulation::new(&settings, seed, Pieces::Seeded);
        let slow = subscriber(&mut sim, "slow", "t", 0);
        sim.stop_reading(slow);
        let flood = enter_sim(&mut sim, "flood");
        for _ in 0..400 {
            sim.send(flood, &publish("t", &[0; 1_000]));
        }
        sim.settle();
        let paused = sim.stats().publishers_paused;
        assert!(paused > 0);
        for n in 0..50 {
            let client = enter_sim(&mut sim, &format!("c{n}"));
            sim.send(client, &publish("t", b"x"));
            if n % 2 == 0 {
                sim.settle();
            }
            sim.close(client);
        }
        sim.settle();
        assert!(sim.stats().publishers_paused > paused);
        assert_eq!(sim.stats().connections, 2, "seed {seed}");
    }
}

/// The operating system has no descriptor left: one try each quarter of a second, and everybody is let in once it has.
#[test]
fn refused_accepts_are_retried_at_leisure() {
    let mut sim = simulation(1, 1, Pieces::Whole);
    sim.refuse_accepts(true);
    let clients: Vec<_> = (0..100).map(|_| sim.connect()).collect();
    for (n, &client) in clients.iter().enumerate() {
        sim.send(client, &connect(&format!("c{n}")));
    }
    sim.settle();
    let before = sim.turns();
    sim.advance(Duration::from_secs(10));
    assert!(
        sim.turns() - before <= 10 * 4 + 2,
        "{} turns",
        sim.turns() - before
    );
    sim.refuse_accepts(false);
    sim.advance(Duration::from_secs(1));
    for client in clients {
        assert_eq!(sim.take_received(client), CONNACK);
    }
}

#[test]
fn a_seed_gives_the_same_life_again() {
    let life = |seed| {
        let mut sim = simulation(3, seed, Pieces::Seeded);
        let sub = subscriber(&mut sim, "sub", "#", 1);
        let publishers: Vec<_> = (0..5)
            .map(|n| enter_sim(&mut sim, &format!("p{n}")))
            .collect();
        for (id, &publisher) in (1..).zip(&publishers) {
            sim.send(publisher, &publish_qos1("t", id, &[id as u8; 3000]));
        }
        sim.settle();
        (sim.turns(), sim.transport_calls(), sim.take_received(sub))
    };
    assert_eq!(life(1), life(1));
    assert_ne!(life(1).0, life(2).0);
}
