//! The shell over real sockets, threads and pipes.

mod wire;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tidewire_broker::{AnswerPort, Answerer, Broker, ListenerSettings, Settings, StartError};
use tidewire_codec::Qos;
use tidewire_core::{Answer, Limits, Question, ServerPublish, Ticket};
use tidewire_net::BlockingPipe;
use wire::*;

/// Longer than anything takes on a busy machine: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn settings(workers: usize) -> Settings {
    let url = "tcp://127.0.0.1:0".parse().unwrap();
    Settings {
        workers,
        listeners: vec![ListenerSettings::new("mqtt", url)],
        sys_interval_secs: 0,
        ..Settings::default()
    }
}

fn start(workers: usize) -> (Broker, SocketAddr) {
    start_with(&settings(workers))
}

fn start_with(settings: &Settings) -> (Broker, SocketAddr) {
    let broker = Broker::start(settings).unwrap();
    let address = broker.addresses()[0].address;
    (broker, address)
}

fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn client(address: SocketAddr, client_id: &str) -> TcpStream {
    let mut stream = open(address);
    enter(&mut stream, client_id);
    stream
}

fn subscriber(address: SocketAddr, client_id: &str, filter: &str, qos: u8) -> TcpStream {
    let mut stream = client(address, client_id);
    subscribe_to(&mut stream, filter, qos);
    stream
}

/// Asserts that the broker closes the connection, whatever it says before.
fn assert_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[test]
fn many_publishers_reach_many_subscribers_in_order_with_any_number_of_workers() {
    const MESSAGES: u16 = 500;
    for workers in [1, 2, 4] {
        let (_broker, address) = start(workers);
        let readers: Vec<_> = (0..4)
            .map(|n| {
                let mut sub = subscriber(address, &format!("sub{n}"), "t/#", 0);
                std::thread::spawn(move || {
                    let mut next = [0u16; 4];
                    while next != [MESSAGES; 4] {
                        let packet = read_packet(&mut sub).unwrap();
                        let (_, body) = payload(&packet);
                        let from = usize::from(body[0]);
                        assert_eq!(u16::from_be_bytes([body[1], body[2]]), next[from]);
                        next[from] += 1;
                    }
                })
            })
            .collect();
        for n in 0..4u8 {
            let mut publisher = client(address, &format!("pub{n}"));
            std::thread::spawn(move || {
                for number in 0..MESSAGES {
                    let [high, low] = number.to_be_bytes();
                    publisher
                        .write_all(&publish("t/x", &[n, high, low]))
                        .unwrap();
                }
                // Open until the last message has been read, for what follows a close is not promised.
                publisher.write_all(DISCONNECT).unwrap();
                assert_closed(&mut publisher);
            });
        }
        readers
            .into_iter()
            .for_each(|reader| reader.join().unwrap());
    }
}

/// Pairs on different workers exchange one message at a time, so that every message finds its receiver's worker asleep
/// or about to fall asleep: a lost wake-up, or one that "assist" swallows, leaves a pair waiting.
#[test]
fn sparse_messages_between_sleeping_workers_are_never_stranded() {
    const ROUNDS: u32 = 2_000;
    let (_broker, address) = start(4);
    let pairs: Vec<_> = (0..6)
        .map(|pair| {
            let mut ping = subscriber(
                address,
                &format!("ping{pair}"),
                &format!("to-ping/{pair}"),
                0,
            );
            let mut pong = subscriber(
                address,
                &format!("pong{pair}"),
                &format!("to-pong/{pair}"),
                0,
            );
            let echo = std::thread::spawn(move || {
                let back = format!("to-ping/{pair}");
                for _ in 0..ROUNDS {
                    let packet = read_packet(&mut pong).unwrap();
                    pong.write_all(&publish(&back, payload(&packet).1)).unwrap();
                }
            });
            let asker = std::thread::spawn(move || {
                let there = format!("to-pong/{pair}");
                for round in 0..ROUNDS {
                    ping.write_all(&publish(&there, &round.to_be_bytes()))
                        .unwrap();
                    let packet = read_packet(&mut ping).unwrap();
                    assert_eq!(payload(&packet).1, round.to_be_bytes());
                }
            });
            [echo, asker]
        })
        .collect();
    for thread in pairs.into_iter().flatten() {
        thread.join().unwrap();
    }
}

#[test]
fn packets_fed_byte_by_byte_are_understood() {
    let (_broker, address) = start(2);
    let mut stream = open(address);
    let bytes = [
        connect("a"),
        subscribe(7, "t", 0),
        publish("t", b"hello"),
        PINGREQ.to_vec(),
    ]
    .concat();
    for byte in bytes {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(read_packet(&mut stream).unwrap(), CONNACK);
    assert_eq!(read_packet(&mut stream).unwrap(), suback(7, 0));
    // The message may take a way through another worker, so nothing says which of these comes first.
    let mut rest = [
        read_packet(&mut stream).unwrap(),
        read_packet(&mut stream).unwrap(),
    ];
    rest.sort();
    assert_eq!(rest, [publish("t", b"hello"), PINGRESP.to_vec()]);
}

#[test]
fn large_messages_pass_whole_and_in_order() {
    let (_broker, address) = start(2);
    let mut sub = subscriber(address, "sub", "t", 1);
    let sizes = [65_000, 1_500_000, 10, 65_536, 200_000, 16_384, 0, 1_999_000];
    let writer = std::thread::spawn(move || {
        let mut publisher = client(address, "pub");
        for (id, &size) in (1..).zip(&sizes) {
            let body: Vec<u8> = (0..size)
                .map(|n: usize| (n + usize::from(id)) as u8)
                .collect();
            publisher.write_all(&publish_qos1("t", id, &body)).unwrap();
        }
        for id in 1..=sizes.len() {
            assert_eq!(read_packet(&mut publisher).unwrap(), puback(id as u16));
        }
    });
    for (id, size) in (1..).zip(sizes) {
        let packet = read_packet(&mut sub).unwrap();
        let (given, body) = payload(&packet);
        let expected: Vec<u8> = (0..size).map(|n: usize| (n + id) as u8).collect();
        assert!(body == expected, "message {id} of {size} bytes");
        sub.write_all(&puback(given.unwrap())).unwrap();
    }
    writer.join().unwrap();
}

/// Resident memory of this process, in bytes.
#[cfg(target_os = "linux")]
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[cfg(target_os = "linux")]
#[test]
fn announcing_256_megabytes_costs_the_broker_nothing() {
    let limits = Limits {
        max_packet_size_bytes: 268_435_460,
        ..Limits::default()
    };
    let (broker, address) = start_with(&Settings {
        limits,
        ..settings(2)
    });
    let mut witness = client(address, "witness");
    let before = resident_bytes();
    let liars: Vec<_> = (0..100)
        .map(|n| {
            let mut liar = client(address, &format!("liar{n}"));
            liar.write_all(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, b't'])
                .unwrap();
            liar.write_all(&[0; 1000]).unwrap();
            liar
        })
        .collect();
    // What a connection sends is handled in order, so the answers to these say that the headers have been read.
    witness.write_all(PINGREQ).unwrap();
    assert_eq!(read_packet(&mut witness).unwrap(), PINGRESP);
    let grown = resident_bytes().saturating_sub(before);
    assert!(
        grown < 40 * 1024 * 1024,
        "{grown} bytes for {} announcements",
        liars.len()
    );
    assert_eq!(broker.handle().stats().unwrap().sessions_connected, 101);
}

#[test]
fn a_reader_that_never_reads_does_not_hold_up_the_others() {
    let limits = Limits {
        max_outbound_bytes: 1024 * 1024,
        ..Limits::default()
    };
    let (broker, address) = start_with(&Settings {
        limits,
        ..settings(2)
    });
    let _stuck: Vec<_> = (0..3)
        .map(|n| subscriber(address, &format!("stuck{n}"), "t", 0))
        .collect();
    let mut quick = subscriber(address, "quick", "t", 0);
    let mut publisher = client(address, "pub");
    let packet = publish("t", &[7; 4_000]);
    // 40 MB: far beyond what sockets and budgets of the three hold. The window keeps the quick reader within its own.
    for _ in 0..1_000 {
        publisher.write_all(&packet.repeat(10)).unwrap();
        for _ in 0..10 {
            assert_eq!(read_packet(&mut quick).unwrap().len(), packet.len());
        }
    }
    let stats = broker.handle().stats().unwrap();
    assert!(
        stats.dropped_outbound_full > 10_000,
        "{}",
        stats.dropped_outbound_full
    );
}

#[test]
fn connections_that_come_and_go_are_all_accounted_for() {
    let (broker, address) = start(2);
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            std::thread::spawn(move || {
                for round in 0..100 {
                    let mut stream = subscriber(address, &format!("c{thread}-{round}"), "t", 0);
                    match round % 3 {
                        0 => stream.write_all(DISCONNECT).unwrap(),
                        1 => stream.write_all(&[0x00]).unwrap(),
                        _ => stream.shutdown(std::net::Shutdown::Write).unwrap(),
                    }
                    assert_closed(&mut stream);
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let stats = broker.handle().stats().unwrap();
    assert_eq!(
        (stats.connections, stats.sessions, stats.subscriptions),
        (0, 0, 0)
    );
    assert_eq!(
        (stats.connections_opened, stats.connects_accepted),
        (400, 400)
    );
}

/// The broker's last word arrives even if the client had sent more than the broker wanted to read.
#[test]
fn a_farewell_survives_bytes_that_nobody_reads() {
    let (_broker, address) = start(1);
    for _ in 0..20 {
        let mut stream = open(address);
        let mut bytes = connect_v5("a");
        bytes.extend(connect_v5("a"));
        bytes.extend(vec![0; 200_000]);
        stream.write_all(&bytes).unwrap();
        assert_eq!(read_packet(&mut stream).unwrap()[0], 0x20);
        let farewell = read_packet(&mut stream).unwrap();
        assert_eq!(
            (farewell[0], farewell[2]),
            (0xE0, 0x82),
            "DISCONNECT, protocol error"
        );
    }
}

#[test]
fn a_full_listener_closes_newcomers_until_somebody_leaves() {
    let mut settings = settings(2);
    settings.listeners[0].max_connections = 2;
    let (_broker, address) = start_with(&settings);
    let mut first = client(address, "first");
    let _second = client(address, "second");
    assert_closed(&mut open(address));
    first.write_all(DISCONNECT).unwrap();
    assert_closed(&mut first);
    let mut third = open(address);
    // The place is free once the broker has dropped its side, which the first client's end of stream shows.
    enter(&mut third, "third");
}

#[test]
fn shutdown_tells_every_client_flushes_and_frees_the_port() {
    let (broker, address) = start(3);
    let mut clients: Vec<_> = (0..20)
        .map(|n| {
            let mut stream = open(address);
            stream.write_all(&connect_v5(&format!("c{n}"))).unwrap();
            assert_eq!(read_packet(&mut stream).unwrap()[0], 0x20);
            stream
        })
        .collect();
    let handle = broker.handle();
    let stopper = std::thread::spawn(move || handle.shutdown(PATIENCE));
    for stream in &mut clients {
        let farewell = read_packet(stream).unwrap();
        assert_eq!((farewell[0], farewell[2]), (0xE0, 0x8B));
        assert_closed(stream);
    }
    drop(clients);
    let report = stopper.join().unwrap();
    assert_eq!(
        (report.connections, report.cut, report.failure),
        (20, 0, None)
    );
    assert_eq!(report.stats.connects_accepted, 20);
    assert!(broker.wait().is_ok());
    assert_eq!(
        TcpStream::connect(address).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    let mut again = settings(1);
    again.listeners[0].url = format!("tcp://{address}").parse().unwrap();
    start_with(&again);
}

#[test]
fn a_stopped_brokers_handle_says_so_and_does_not_hang() {
    let (broker, _) = start(2);
    let handle = broker.handle();
    drop(broker);
    assert!(handle.stats().is_err());
    assert!(handle.clients(None, 10).is_err());
    assert!(handle.kick("a").is_err());
    assert!(handle.connect_piped().is_err());
    handle.shutdown(Duration::ZERO);
}

#[test]
fn listeners_that_cannot_be_opened_say_which_and_why() {
    let (_broker, address) = start(1);
    let error = |url: &str, allow_anonymous| {
        let mut listener = ListenerSettings::new("front", url.parse().unwrap());
        listener.allow_anonymous = allow_anonymous;
        let settings = Settings {
            workers: 1,
            listeners: vec![listener],
            ..Settings::default()
        };
        Broker::start(&settings).map(drop)
    };
    let in_use = error(&format!("tcp://{address}"), false).unwrap_err();
    assert!(matches!(in_use, StartError::Bind { .. }));
    let text = in_use.to_string();
    assert!(
        text.contains("`front`") && text.contains("in use"),
        "{text}"
    );

    let open = error("tcp://0.0.0.0:0", false).unwrap_err();
    assert!(matches!(open, StartError::OpenToAll { .. }));
    assert!(
        open.to_string().contains("allow_anonymous = true"),
        "{open}"
    );
    assert!(error("tcp://0.0.0.0:0", true).is_ok());

    let twins =
        ["a", "a"].map(|name| ListenerSettings::new(name, "tcp://127.0.0.1:0".parse().unwrap()));
    let settings = Settings {
        listeners: twins.into(),
        ..Settings::default()
    };
    assert!(matches!(
        Broker::start(&settings),
        Err(StartError::DuplicateListener { .. })
    ));
}

#[test]
fn connections_within_the_process_and_over_tcp_meet() {
    let (broker, address) = start(2);
    let mut piped: Vec<_> = (0..4)
        .map(|n| {
            let mut client = BlockingPipe::new(broker.handle().connect_piped().unwrap());
            client.set_read_timeout(Some(PATIENCE));
            enter(&mut client, &format!("piped{n}"));
            subscribe_to(&mut client, "t", 0);
            client
        })
        .collect();
    let mut tcp = subscriber(address, "tcp", "t", 0);
    let big = publish("t", &[5; 300_000]);
    let (copy, mut first) = (big.clone(), piped.remove(0));
    let writer = std::thread::spawn(move || {
        // Its own messages come back while it writes; the pipe holds fewer bytes than one of them.
        for _ in 0..5 {
            first.write_all(&copy).unwrap();
            assert!(read_packet(&mut first).unwrap() == copy);
        }
    });
    for _ in 0..5 {
        assert!(read_packet(&mut tcp).unwrap() == big);
        for client in &mut piped {
            assert!(read_packet(client).unwrap() == big);
        }
    }
    writer.join().unwrap();
    drop(piped);
    let rows = broker.handle().clients(None, 100).unwrap().rows;
    assert!(rows.iter().any(|row| &*row.client_id == "tcp"));
}

#[test]
fn the_handle_lists_publishes_and_kicks() {
    let (broker, address) = start(3);
    let handle = broker.handle();
    let mut clients: Vec<_> = (0..25)
        .map(|n| subscriber(address, &format!("c{n}"), "news", 0))
        .collect();
    let mut listed = Vec::new();
    let mut cursor = None;
    loop {
        let page = handle.clients(cursor, 4).unwrap();
        assert!(page.rows.len() <= 4);
        listed.extend(page.rows.into_iter().map(|row| row.client_id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    listed.sort();
    listed.dedup();
    assert_eq!(listed.len(), 25);
    handle
        .publish(ServerPublish {
            topic: "news".into(),
            payload: (*b"hello").into(),
            qos: Qos::AtMostOnce,
            retain: false,
        })
        .unwrap();
    for stream in &mut clients {
        assert_eq!(read_packet(stream).unwrap(), publish("news", b"hello"));
    }
    assert_eq!(handle.kick("c3").unwrap(), 1);
    assert_eq!(handle.kick("nobody").unwrap(), 0);
    assert_closed(&mut clients[3]);
    assert_eq!(handle.stats().unwrap().sessions_connected, 24);
}

/// Panics when it is asked about a client named `bomb`.
struct Fuse;

impl Answerer for Fuse {
    fn ask(&mut self, _: Ticket, question: Question, _: &AnswerPort) -> Option<Answer> {
        match question {
            Question::Authenticate(credentials) if &*credentials.client_id == "bomb" => {
                panic!("boom")
            }
            Question::Authenticate(_) => Some(Answer::Authenticated(Default::default())),
            _ => Some(Answer::Allowed),
        }
    }
}

#[test]
fn a_panic_in_one_worker_stops_the_broker_in_an_orderly_way() {
    let broker = Broker::start_with(&settings(3), &mut |_| Box::new(Fuse)).unwrap();
    let address = broker.addresses()[0].address;
    let mut others: Vec<_> = (0..12)
        .map(|n| {
            let mut stream = open(address);
            stream.write_all(&connect_v5(&format!("c{n}"))).unwrap();
            assert_eq!(read_packet(&mut stream).unwrap()[0], 0x20);
            stream
        })
        .collect();
    open(address).write_all(&connect("bomb")).unwrap();
    let waiter = std::thread::spawn(move || broker.wait());
    // Those of the lost worker are cut; the others are told.
    let told = others
        .iter_mut()
        .filter_map(|stream| read_packet(stream).ok())
        .filter(|packet| packet[2] == 0x8B)
        .count();
    assert!(told >= 1, "nobody was told");
    drop(others);
    let failure = waiter.join().unwrap().unwrap_err();
    assert_eq!(&*failure.text, "panicked: boom");
}
