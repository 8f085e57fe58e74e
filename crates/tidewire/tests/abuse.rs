//! Peers that behave badly cost the broker nothing: bounded memory, closed in bounded time, others served as before.
//!
//! Each test states its bound. Memory is that of the broker's process; the pair of healthy clients runs all the while.

#[allow(dead_code, reason = "the wire tests use more of it")]
#[path = "wire/bytes.rs"]
mod bytes;
mod support;

use bytes::{Connect, V5, V311, packet, publish, subscribe, text};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use support::{PATIENCE, TestBroker, read_packet};

const MIB: u64 = 1024 * 1024;

/// Half of the round trips of the healthy pair take less than this, however busy a test machine is.
const MEDIAN_BOUND: Duration = Duration::from_millis(50);

/// And none takes longer.
const WORST_BOUND: Duration = Duration::from_secs(2);

/// A broker with these lines of configuration.
fn broker_with(configuration: &str) -> TestBroker {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("c.toml");
    std::fs::write(&file, configuration).expect("written");
    let file = file.display().to_string();
    TestBroker::with(&["--dev", "--listen", "tcp://127.0.0.1:0", "--config", &file])
}

/// Resident memory of the broker.
fn resident_bytes(broker: &TestBroker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.pid())).expect("read");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a line");
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse::<u64>().ok());
    kib.expect("a number") * 1024
}

/// Memory that the broker gained since it held `before` bytes.
fn assert_grew_less_than(broker: &TestBroker, before: u64, bound: u64) {
    let grown = resident_bytes(broker).saturating_sub(before);
    assert!(grown < bound, "grew by {grown} bytes, bound {bound}");
}

/// A connection on which this client was admitted.
fn admitted(broker: SocketAddr, connect: &Connect) -> TcpStream {
    let mut stream = TcpStream::connect(broker).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.set_nodelay(true).expect("set");
    stream.write_all(&connect.bytes()).expect("sent");
    let (first, body) = read_packet(&mut stream).expect("a CONNACK");
    assert_eq!((first, body.get(1)), (0x20, Some(&0)));
    stream
}

fn subscribed(broker: SocketAddr, connect: &Connect, filter: &str, qos: u8) -> TcpStream {
    let mut stream = admitted(broker, connect);
    stream
        .write_all(&subscribe(connect.version, filter, qos))
        .expect("sent");
    assert_eq!(read_packet(&mut stream).expect("a SUBACK").0, 0x90);
    stream
}

/// Whether the other side ends the connection before the deadline.
fn ends_before(stream: &mut TcpStream, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    let left = left.max(Duration::from_millis(1));
    stream.set_read_timeout(Some(left)).expect("set");
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                use std::io::ErrorKind::{TimedOut, WouldBlock};
                return !matches!(error.kind(), TimedOut | WouldBlock);
            }
        }
    }
}

/// A publisher and a subscriber that send a message of QoS 1 to and fro until they are stopped.
struct HealthyPair {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Duration>>,
}

impl HealthyPair {
    fn start(broker: &TestBroker) -> Self {
        let topic = "healthy/pair";
        let mut subscriber = subscribed(broker.address(), &Connect::new(V311), topic, 1);
        let mut publisher = admitted(broker.address(), &Connect::new(V311));
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            let mut round_trips = Vec::new();
            while !pause(&stopped) {
                let since = Instant::now();
                publisher
                    .write_all(&publish(V311, 0x02, topic, 1))
                    .expect("sent");
                let (first, body) = read_packet(&mut subscriber).expect("a message");
                assert_eq!(first, 0x32);
                let id = &body[2 + topic.len()..][..2];
                subscriber
                    .write_all(&[&[0x40, 2], id].concat())
                    .expect("sent");
                assert_eq!(read_packet(&mut publisher), Some((0x40, vec![0, 1])));
                round_trips.push(since.elapsed());
            }
            round_trips
        });
        Self { stop, thread }
    }

    /// Stops the pair; it was served in time all the while.
    fn assert_was_served(self) {
        drop(self.stop);
        let mut round_trips = self.thread.join().expect("every message arrived");
        round_trips.sort_unstable();
        assert!(!round_trips.is_empty());
        let median = round_trips[round_trips.len() / 2];
        let worst = round_trips[round_trips.len() - 1];
        assert!(
            median < MEDIAN_BOUND && worst < WORST_BOUND,
            "median {median:?}, worst {worst:?}"
        );
    }
}

/// A moment between two messages; whether the test is over.
fn pause(stopped: &Receiver<()>) -> bool {
    let waited = stopped.recv_timeout(Duration::from_millis(2));
    !matches!(waited, Err(RecvTimeoutError::Timeout))
}

/// Lets this process, and the broker that it starts, have some thousand connections.
fn allow_many_connections() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("up to the hard limit");
}

/// Bound: the time-out of 2 s and another 3 s; 4 MiB for 150 peers.
///
/// [3.1 MQTT31-CONNECT-11]
#[test]
fn peer_without_a_whole_connect_is_closed_in_time() {
    let broker = broker_with("[limits]\nconnect_timeout_secs = 2\n");
    let healthy = HealthyPair::start(&broker);
    let before = resident_bytes(&broker);
    let since = Instant::now();
    let connect = Connect::new(V311).bytes();
    let mut silent: Vec<_> = (0..50).map(|_| broker.connect()).collect();
    let mut half: Vec<_> = (0..50).map(|_| broker.connect()).collect();
    for stream in &mut half {
        stream
            .write_all(&connect[..connect.len() / 2])
            .expect("sent");
    }
    let mut slow: Vec<_> = (0..50).map(|_| broker.connect()).collect();
    let (_open, never) = channel::<()>();
    // A byte every 400 ms keeps a connection busy and does not extend its time.
    for byte in connect.chunks(1).take(5) {
        for stream in &mut slow {
            let _ = stream.write_all(byte);
        }
        let _ = never.recv_timeout(Duration::from_millis(400));
    }
    assert_grew_less_than(&broker, before, 4 * MIB);
    let deadline = since + Duration::from_secs(5);
    for (kind, streams) in [
        ("silent", &mut silent),
        ("half", &mut half),
        ("slow", &mut slow),
    ] {
        for stream in streams {
            assert!(
                ends_before(stream, deadline),
                "a {kind} peer is still connected"
            );
        }
    }
    assert!(
        since.elapsed() >= Duration::from_millis(1900),
        "closed before its time"
    );
    healthy.assert_was_served();
}

/// Bound: 4 MiB for 400 peers that announce 100 GiB, closed within 5 s.
#[test]
fn announced_length_beyond_the_limit_costs_nothing() {
    const HUGE: [u8; 4] = [0xFF, 0xFF, 0xFF, 0x7F];
    let broker = TestBroker::start();
    let healthy = HealthyPair::start(&broker);
    let before = resident_bytes(&broker);
    let mut peers = Vec::new();
    for _ in 0..200 {
        let mut stranger = broker.connect();
        stranger
            .write_all(&[&[0x10], HUGE.as_slice()].concat())
            .expect("sent");
        let mut client = admitted(broker.address(), &Connect::new(V5));
        client
            .write_all(&[&[0x30], HUGE.as_slice(), &[0, 1, b'a']].concat())
            .expect("sent");
        peers.extend([stranger, client]);
    }
    assert_grew_less_than(&broker, before, 4 * MIB);
    let deadline = Instant::now() + Duration::from_secs(5);
    assert!(peers.iter_mut().all(|peer| ends_before(peer, deadline)));
    healthy.assert_was_served();
}

/// Bound: 8 MiB, 20 KiB each, for 400 peers that announce 220 MiB and send a hundred bytes each.
#[test]
fn announced_length_within_the_limit_takes_memory_as_its_bytes_arrive() {
    let broker = TestBroker::start();
    let healthy = HealthyPair::start(&broker);
    let before = resident_bytes(&broker);
    let mut peers = Vec::new();
    for _ in 0..200 {
        let mut stranger = broker.connect();
        let connect = packet(0x10, &[&[0; 65000]]);
        stranger.write_all(&connect[..100]).expect("sent");
        let mut client = admitted(broker.address(), &Connect::new(V311));
        let message = packet(0x30, &[&text("a"), &[b'x'; 1024 * 1024]]);
        client.write_all(&message[..100]).expect("sent");
        peers.extend([stranger, client]);
    }
    // What a healthy client sends now is handled after all of that.
    drop(admitted(broker.address(), &Connect::new(V311)));
    assert_grew_less_than(&broker, before, 8 * MIB);
    healthy.assert_was_served();
}

/// Bound: 16 MiB for 128 MiB flooded to one that never reads.
fn flood_one_that_never_reads(qos: u8) {
    const MESSAGES: u32 = 32 * 1024;
    let broker = broker_with(
        "[limits]\nmax_outbound_bytes = 1048576\nmax_queued_messages = 1000\nmax_inflight_messages = 100\nmax_mailbox_bytes = 1048576\n",
    );
    let healthy = HealthyPair::start(&broker);
    let before = resident_bytes(&broker);
    // Alive by its keep alive of a minute, so that the flood finds it connected.
    let _never_reads = subscribed(broker.address(), &Connect::new(V311), "flood", qos);
    let mut publisher = admitted(broker.address(), &Connect::new(V311));
    let mut acknowledgements = publisher.try_clone().expect("a second handle");
    let payload = vec![b'x'; 4096];
    let id: &[u8] = if qos == 0 { &[] } else { &[0, 1] };
    let message = packet(0x30 | qos << 1, &[&text("flood"), id, &payload]);
    let reader = thread::spawn(move || {
        let expected = if qos == 0 { 0 } else { MESSAGES };
        let mut got = 0;
        loop {
            match read_packet(&mut acknowledgements) {
                Some((0x40, _)) => got += 1,
                Some((0xD0, _)) => return got == expected,
                other => panic!("{other:?}"),
            }
        }
    });
    let mut most = 0;
    for number in 0..MESSAGES {
        publisher
            .write_all(&message)
            .expect("the publisher is served");
        if number % 1024 == 0 {
            most = most.max(resident_bytes(&broker).saturating_sub(before));
        }
    }
    publisher.write_all(&[0xC0, 0]).expect("sent");
    assert!(
        reader.join().expect("served to the end"),
        "every message is acknowledged"
    );
    assert!(most < 16 * MIB, "grew by {most} bytes");
    healthy.assert_was_served();
}

#[test]
fn subscriber_that_never_reads_qos_0_costs_a_bounded_queue() {
    flood_one_that_never_reads(0);
}

#[test]
fn subscriber_that_never_reads_qos_1_costs_a_bounded_queue() {
    flood_one_that_never_reads(1);
}

/// Bound: the keep alive of 1 s, half of it, and 5 s for the rest.
#[test]
fn subscriber_that_never_reads_is_closed_when_its_keep_alive_is_over() {
    let broker = broker_with("[limits]\nmax_outbound_bytes = 1048576\nclose_timeout_secs = 1\n");
    let mut connect = Connect::new(V311).client_id("never-reads").bytes();
    connect[10..12].copy_from_slice(&[0, 1]);
    let mut never_reads = broker.connect();
    never_reads.write_all(&connect).expect("sent");
    assert_eq!(read_packet(&mut never_reads).expect("a CONNACK").0, 0x20);
    never_reads
        .write_all(&subscribe(V311, "flood", 0))
        .expect("sent");
    assert_eq!(read_packet(&mut never_reads).expect("a SUBACK").0, 0x90);
    let since = Instant::now();
    let mut publisher = admitted(broker.address(), &Connect::new(V311));
    let message = packet(0x30, &[&text("flood"), &[b'x'; 4096]]);
    for _ in 0..4096 {
        publisher.write_all(&message).expect("sent");
    }
    broker.wait_for_log("(keep alive timeout (0x8D)) client_id=never-reads");
    let deadline = since + Duration::from_secs(7);
    assert!(ends_before(&mut never_reads, deadline));
}

/// Bound: 8 MiB for a peer that asks as much as it can and reads no answer, whether it is then closed or left waiting.
fn ask_and_never_read(name: &str, question: &[u8]) {
    const BYTES: usize = 32 * 1024 * 1024;
    let broker = broker_with("[limits]\nmax_outbound_bytes = 1048576\n");
    let healthy = HealthyPair::start(&broker);
    let before = resident_bytes(&broker);
    let mut peer = admitted(broker.address(), &Connect::new(V311));
    // A write that waits so long is held back by the broker, which reads no more: the end of the attack as well.
    peer.set_write_timeout(Some(Duration::from_secs(1)))
        .expect("set");
    let block = question.repeat(64 * 1024 / question.len());
    let mut most = 0;
    for _ in 0..BYTES / block.len() {
        if peer.write_all(&block).is_err() {
            break;
        }
        most = most.max(resident_bytes(&broker).saturating_sub(before));
    }
    drop(admitted(broker.address(), &Connect::new(V311)));
    most = most.max(resident_bytes(&broker).saturating_sub(before));
    assert!(most < 8 * MIB, "{name}: grew by {most} bytes");
    healthy.assert_was_served();
}

#[test]
fn pings_whose_answers_nobody_reads_cost_a_bounded_queue() {
    ask_and_never_read("PINGREQ", &[0xC0, 0]);
}

#[test]
fn publishes_whose_acknowledgements_nobody_reads_cost_a_bounded_queue() {
    ask_and_never_read("PUBLISH", &publish(V311, 0x02, "a", 1));
}

#[test]
fn subscriptions_whose_answers_nobody_reads_cost_a_bounded_queue() {
    ask_and_never_read("SUBSCRIBE", &subscribe(V311, "a", 0));
}

/// Bound: 24 MiB, of which 4 MiB are the retained messages, for 500 requests that ask for 2 GiB of them.
#[test]
fn retained_messages_that_nobody_reads_cost_a_bounded_queue() {
    let broker = TestBroker::start();
    let healthy = HealthyPair::start(&broker);
    let before = resident_bytes(&broker);
    let mut publisher = admitted(broker.address(), &Connect::new(V311));
    for number in 0..256 {
        let topic = text(format!("kept/{number}"));
        publisher
            .write_all(&packet(0x31, &[&topic, &[b'x'; 16384]]))
            .expect("sent");
    }
    for qos in [0, 1] {
        let mut peer = admitted(broker.address(), &Connect::new(V311));
        peer.set_write_timeout(Some(Duration::from_secs(1)))
            .expect("set");
        for _ in 0..250 {
            if peer.write_all(&subscribe(V311, "kept/#", qos)).is_err() {
                break;
            }
        }
        publisher.write_all(&[0xC0, 0]).expect("sent");
        assert_eq!(read_packet(&mut publisher), Some((0xD0, vec![])));
        assert_grew_less_than(&broker, before, 24 * MIB);
    }
    healthy.assert_was_served();
}

/// Bound: 4 MiB, 2 KiB for each of 2,000; closed within 3 s after the time-out of 3 s.
#[test]
fn two_thousand_half_open_connections_cost_little_and_end() {
    allow_many_connections();
    let broker = broker_with("[limits]\nconnect_timeout_secs = 3\n");
    let healthy = HealthyPair::start(&broker);
    let before = resident_bytes(&broker);
    let mut peers: Vec<_> = (0..2000).map(|_| broker.connect()).collect();
    let since = Instant::now();
    for (number, peer) in peers.iter_mut().enumerate() {
        if number % 2 == 0 {
            peer.write_all(&[0x10]).expect("sent");
        }
    }
    drop(admitted(broker.address(), &Connect::new(V311)));
    assert_grew_less_than(&broker, before, 4 * MIB);
    let deadline = since + Duration::from_secs(6);
    let ended = peers
        .iter_mut()
        .filter_map(|peer| ends_before(peer, deadline).then_some(()))
        .count();
    assert_eq!(ended, 2000);
    healthy.assert_was_served();
}

/// Bound: the second and third thousand of short lives add less than 4 MiB to what the first one left.
#[test]
fn storm_of_short_connections_leaves_nothing_behind() {
    let broker = broker_with("[log]\nfilter = \"error\"\n");
    let healthy = HealthyPair::start(&broker);
    let address = broker.address();
    let storm = || {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..250).for_each(|number| short_life(address, number)));
            }
        });
        // Whatever the storm left to do is done before this new client is served by each worker.
        (0..8).for_each(|_| drop(admitted(address, &Connect::new(V311))));
        resident_bytes(&broker)
    };
    let after_one = storm();
    storm();
    storm();
    assert_grew_less_than(&broker, after_one, 4 * MIB);
    healthy.assert_was_served();
}

/// One connection of the storm: by turns polite, abrupt, with a will, and in the middle of a packet.
fn short_life(broker: SocketAddr, number: u32) {
    let connect = match number % 2 {
        0 => Connect::new(V311),
        _ => Connect::new(V5).flags(0x06).will(&[], "storm/will"),
    };
    let mut stream = subscribed(broker, &connect, "storm/#", 1);
    stream
        .write_all(&publish(connect.version, 0x02, "storm/a", 1))
        .expect("sent");
    match number % 4 {
        0 => stream.write_all(&[0xE0, 0]).expect("sent"),
        1 => stream.write_all(&[0x30, 100, 0]).expect("sent"),
        _ => {}
    }
}
