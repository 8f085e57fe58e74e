//! Handlers in a running broker: what they decide reaches the wire, what they observe reaches them.

mod wire;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidewire_broker::{Broker, HandlerRejected, Settings, StartError};
use tidewire_codec::ReasonCode;
use tidewire_core::ServerPublish;
use tidewire_handler::{
    Authenticate, Authentication, AuthorizePublish, AuthorizeSubscribe, Client, Connected, Decide,
    Disconnected, Event, Events, ListenerChange, Refused, Registration, ServerChange, SessionEnded,
    Verdict, WillPublished, WillRefused, handler,
};
use tidewire_net::BlockingPipe;
use wire::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn settings() -> Settings {
    Settings {
        workers: 2,
        sys_interval_secs: 0,
        ..Settings::default()
    }
}

fn start(registrations: impl IntoIterator<Item = Registration>) -> Broker {
    let builder = Broker::builder().settings(settings());
    let builder = registrations
        .into_iter()
        .fold(builder, |builder, registration| {
            builder.register(registration)
        });
    builder.start().unwrap()
}

fn pipe(broker: &Broker) -> BlockingPipe {
    BlockingPipe::new(broker.handle().connect_piped().unwrap())
}

fn read(client: &mut BlockingPipe, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    client.read_exact(&mut bytes).unwrap();
    bytes
}

/// CONNECT of MQTT 3.1.1 or 5 with a user name.
fn connect_as(level: u8, client_id: &str, username: &str) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, 0b1000_0010, 0, 0];
    if level == 5 {
        body.push(0);
    }
    for text in [client_id, username] {
        body.extend((text.len() as u16).to_be_bytes());
        body.extend(text.as_bytes());
    }
    let mut packet = vec![0x10, body.len() as u8];
    packet.extend(body);
    packet
}

/// Connects with MQTT 3.1.1 and returns the client behind its CONNACK.
fn enter_as(broker: &Broker, client_id: &str, username: &str) -> BlockingPipe {
    let mut client = pipe(broker);
    client
        .write_all(&connect_as(4, client_id, username))
        .unwrap();
    assert_eq!(read(&mut client, 4), [0x20, 2, 0, 0], "{client_id}");
    client
}

/// `later`: the answer takes some time.
struct Doorman {
    later: bool,
}

handler! {
    impl Handler for Doorman {
        fn authenticate(&self, client: &Client, ask: &Authenticate<'_>) -> Decide<Authentication> {
            let name = ask.username.as_deref().unwrap_or("").to_owned();
            client.set(format!("{name} through {}", client.listener_name()));
            let verdict = match &*name {
                "mallory" => Verdict::deny("mallory stays outside"),
                "unknown" => Verdict::Continue,
                _ => Verdict::Answer(Authentication::accepted(name)),
            };
            if self.later {
                Decide::later(async move {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    verdict
                })
            } else {
                verdict.into()
            }
        }
    }
}

/// Denies topics that do not begin with the principal's name; closes on `evil`.
struct OwnTopics {
    seen: Mutex<Sender<String>>,
}

handler! {
    impl Handler for OwnTopics {
        fn authorize_publish(&self, client: &Client, ask: &AuthorizePublish<'_>) -> Decide<()> {
            let data = client.get::<String>().map_or_else(String::new, |data| (*data).clone());
            self.seen.lock().unwrap().send(data).unwrap();
            if ask.topic == "evil" {
                return Verdict::Close(tidewire_handler::Denial::new(ReasonCode::NotAuthorized, "evil")).into();
            }
            allowed(client, &ask.topic)
        }

        fn authorize_subscribe(&self, client: &Client, ask: &AuthorizeSubscribe<'_>) -> Decide<()> {
            allowed(client, &ask.filter)
        }
    }
}

fn allowed(client: &Client, topic: &str) -> Decide<()> {
    match client.principal() {
        Some(name) if topic.starts_with(name) => Decide::answer(()),
        _ => Decide::deny("not yours"),
    }
}

fn own_topics() -> (OwnTopics, Receiver<String>) {
    let (seen, told) = channel();
    (
        OwnTopics {
            seen: Mutex::new(seen),
        },
        told,
    )
}

#[test]
fn an_authenticating_handler_decides_at_once_or_later_who_comes_in() {
    for later in [false, true] {
        let broker = start([Registration::new("doorman", Doorman { later })]);
        for (username, connack) in [
            ("alice", [0x20, 2, 0, 0]),
            ("mallory", [0x20, 2, 0, 5]),
            // A handler asks for names, and has none for this one.
            ("unknown", [0x20, 2, 0, 5]),
        ] {
            let mut client = pipe(&broker);
            client.write_all(&connect_as(4, "c", username)).unwrap();
            assert_eq!(read(&mut client, 4), connack, "{username}, later: {later}");
            if connack[3] != 0 {
                assert_eq!(
                    client.read(&mut [0]).unwrap(),
                    0,
                    "a refused client is closed"
                );
            }
        }
        let counts = broker.handle().handlers()[0].counts;
        assert_eq!(
            (counts.calls, counts.waits, counts.denials),
            (3, if later { 3 } else { 0 }, 1)
        );
    }
}

#[test]
fn what_one_handler_keeps_with_a_connection_reaches_another_one_across_workers() {
    let (own, seen) = own_topics();
    let broker = start([
        Registration::new("doorman", Doorman { later: true }),
        Registration::new("own topics", own),
    ]);
    // Two workers, and client ids of both: some connections move after they have been authenticated.
    for client_id in ["a", "b", "c", "d", "e", "f"] {
        let mut client = enter_as(&broker, client_id, client_id);
        client
            .write_all(&publish_qos1(&format!("{client_id}/x"), 7, b"1"))
            .unwrap();
        assert_eq!(read(&mut client, 4), [0x40, 2, 0, 7]);
        assert_eq!(
            seen.recv_timeout(PATIENCE).unwrap(),
            format!("{client_id} through piped")
        );
    }
}

#[test]
fn a_denied_subscription_is_answered_with_a_failure_and_delivers_nothing() {
    let (own, _seen) = own_topics();
    let broker = start([
        Registration::new("doorman", Doorman { later: false }),
        Registration::new("own topics", own),
    ]);
    let mut client = enter_as(&broker, "c", "alice");
    client.write_all(&subscribe(1, "bob/#", 0)).unwrap();
    assert_eq!(read(&mut client, 5), [0x90, 3, 0, 1, 0x80]);
    client.write_all(&subscribe(2, "alice/#", 0)).unwrap();
    assert_eq!(read(&mut client, 5), [0x90, 3, 0, 2, 0]);
    for topic in ["bob/x", "alice/x"] {
        let message = ServerPublish {
            topic: topic.into(),
            payload: b"hi"[..].into(),
            qos: tidewire_codec::Qos::AtMostOnce,
            retain: false,
        };
        broker.handle().publish(message).unwrap();
    }
    assert_eq!(read(&mut client, 13), b"\x30\x0b\x00\x07alice/xhi");
}

#[test]
fn a_handler_that_closes_ends_the_connection() {
    let (own, _seen) = own_topics();
    let broker = start([
        Registration::new("doorman", Doorman { later: false }),
        Registration::new("own topics", own),
    ]);
    let mut client = enter_as(&broker, "c", "alice");
    client.write_all(&publish("evil", b"1")).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

struct Fails;

handler! {
    impl Handler for Fails {
        fn authorize_publish(&self, _: &Client, ask: &AuthorizePublish<'_>) -> Decide<()> {
            match &*ask.payload {
                b"panic" => panic!("a bug in a handler"),
                b"sleep" => Decide::later(std::future::pending::<Verdict<()>>()),
                _ => Decide::go_on(),
            }
        }
    }
}

#[test]
fn a_panicking_and_a_hanging_handler_deny_the_one_message_and_no_other() {
    let deadline = Duration::from_millis(20);
    let broker = start([Registration::new("fails", Fails).deadline(deadline)]);
    let mut other = enter_as(&broker, "other", "bob");
    for payload in ["panic", "sleep"] {
        let mut client = pipe(&broker);
        client.write_all(&connect_as(5, payload, "alice")).unwrap();
        let mut header = [0; 2];
        client.read_exact(&mut header).unwrap();
        read(&mut client, header[1].into());
        let bytes = publish_v5("t", payload.as_bytes(), 1, 7);
        client.write_all(&bytes).unwrap();
        let puback = read(&mut client, 5);
        assert_eq!((puback[0], puback[4]), (0x40, 0x87), "{payload}");
        let rest = usize::from(puback[1]) - 3;
        read(&mut client, rest);
        other.write_all(&publish_qos1("t", 1, b"fine")).unwrap();
        assert_eq!(read(&mut other, 4), [0x40, 2, 0, 1]);
    }
    let counts = broker.handle().handlers()[0].counts;
    assert_eq!((counts.panics, counts.timeouts), (1, 1));
}

fn publish_v5(topic: &str, payload: &[u8], qos: u8, id: u16) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend(topic.as_bytes());
    body.extend(id.to_be_bytes());
    body.push(0);
    body.extend(payload);
    let mut packet = vec![0x30 | qos << 1, body.len() as u8];
    packet.extend(body);
    packet
}

struct Diary(Mutex<Sender<String>>);

impl Diary {
    fn note(&self, text: String) {
        let _ = self.0.lock().unwrap().send(text);
    }
}

handler! {
    impl Handler for Diary {
        fn connected(&self, told: &Connected) {
            self.note(format!("connected {}", told.client_id));
        }
        fn disconnected(&self, told: &Disconnected) {
            self.note(format!("disconnected {}: {:?}", told.client_id, told.cause));
        }
        fn refused(&self, told: &Refused) {
            self.note(format!("refused: {}", told.text));
        }
        fn session_ended(&self, told: &SessionEnded) {
            self.note(format!("session ended {}: {:?}", told.client_id, told.cause));
        }
        fn will_published(&self, told: &WillPublished) {
            self.note(format!("will of {} to {}", told.client_id, told.topic));
        }
        fn will_refused(&self, told: &WillRefused) {
            self.note(format!("will of {} to {} refused", told.client_id, told.topic));
        }
        fn listener_started(&self, told: &ListenerChange) {
            self.note(format!("listener {} started", told.name));
        }
        fn listener_stopped(&self, told: &ListenerChange) {
            self.note(format!("listener {} stopped", told.name));
        }
        fn server_ready(&self, told: &ServerChange) {
            self.note(format!("ready with {} workers", told.workers));
        }
        fn server_stopping(&self, _: &ServerChange) {
            self.note("stopping".into());
        }
    }
}

/// CONNECT of MQTT 3.1.1, Clean Session, with a will on `topic`.
fn connect_with_will(client_id: &str, username: &str, topic: &str) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 0b1000_0110, 0, 0];
    for text in [client_id, topic, "gone", username] {
        body.extend((text.len() as u16).to_be_bytes());
        body.extend(text.as_bytes());
    }
    let mut packet = vec![0x10, body.len() as u8];
    packet.extend(body);
    packet
}

#[test]
fn observing_handlers_are_told_of_lives_and_ends_in_order() {
    let (notes, told) = channel();
    let (own, _seen) = own_topics();
    let mut settings = settings();
    settings.workers = 1;
    let broker = Broker::builder()
        .settings(settings)
        .listen("tcp://127.0.0.1:0".parse().unwrap())
        .handler(0, Diary(Mutex::new(notes)))
        .handler(0, Doorman { later: false })
        .handler(0, own)
        .start()
        .unwrap();
    let expect = |lines: &[&str]| {
        for line in lines {
            assert_eq!(told.recv_timeout(PATIENCE).unwrap(), *line);
        }
    };
    expect(&["listener mqtt started", "ready with 1 workers"]);
    for (topic, will) in [
        ("alice/will", "will of c to alice/will"),
        ("bob/will", "will of c to bob/will refused"),
    ] {
        let mut client = pipe(&broker);
        client
            .write_all(&connect_with_will("c", "alice", topic))
            .unwrap();
        read(&mut client, 4);
        drop(client);
        expect(&["connected c", "disconnected c: Transport"]);
        let mut rest = [
            told.recv_timeout(PATIENCE).unwrap(),
            told.recv_timeout(PATIENCE).unwrap(),
        ];
        rest.sort();
        assert_eq!(rest, ["session ended c: WithConnection", will]);
    }
    let mut client = pipe(&broker);
    client.write_all(&connect_as(4, "c", "mallory")).unwrap();
    read(&mut client, 4);
    expect(&["refused: mallory stays outside"]);
    drop(broker);
    expect(&["stopping", "listener mqtt stopped"]);
}

#[test]
fn handlers_are_added_replaced_and_removed_under_running_clients() {
    struct Tag(&'static str, Mutex<Sender<&'static str>>);
    handler! {
        impl Handler for Tag {
            fn authorize_publish(&self, _: &Client, _: &AuthorizePublish<'_>) -> Decide<()> {
                self.1.lock().unwrap().send(self.0).unwrap();
                Decide::go_on()
            }
        }
    }
    let (send, asked) = channel();
    let tag = |name| Registration::new(name, Tag(name, Mutex::new(send.clone())));
    let broker = Broker::builder()
        .settings(settings())
        .handlers_later(Events::NONE.with(Event::AuthorizePublish))
        .start()
        .unwrap();
    let handle = broker.handle();
    let mut client = enter_as(&broker, "c", "alice");
    let mut say = |expected: &[&str]| {
        client.write_all(&publish_qos1("t", 1, b"")).unwrap();
        assert_eq!(read(&mut client, 4), [0x40, 2, 0, 1]);
        assert_eq!(asked.try_iter().collect::<Vec<_>>(), expected);
    };
    say(&[]);
    let first = handle.add_handler(tag("first")).unwrap();
    handle.add_handler(tag("second").priority(1)).unwrap();
    say(&["second", "first"]);
    handle.replace_handler(first, tag("other")).unwrap();
    say(&["second", "other"]);
    assert_eq!(
        handle.handler_order(),
        "1. second (priority 1, all listeners): authorize_publish\n\
         2. other (priority 0, all listeners): authorize_publish\n"
    );
    handle.remove_handler(first).unwrap();
    say(&["second"]);
    // Nobody was asked who a client is until now.
    handle
        .add_handler(Registration::new("doorman", Doorman { later: false }))
        .unwrap();
    let mut refused = pipe(&broker);
    refused.write_all(&connect_as(4, "d", "mallory")).unwrap();
    assert_eq!(read(&mut refused, 4), [0x20, 2, 0, 5]);
    enter_as(&broker, "e", "bob");
}

#[test]
fn swapping_handlers_under_load_loses_no_message_and_asks_about_none_twice() {
    const MESSAGES: usize = 3000;
    struct Counting(Arc<AtomicUsize>, bool);
    handler! {
        impl Handler for Counting {
            fn authorize_publish(&self, _: &Client, _: &AuthorizePublish<'_>) -> Decide<()> {
                self.0.fetch_add(1, Ordering::Relaxed);
                if self.1 {
                    Decide::later(async {
                        tokio::task::yield_now().await;
                        Verdict::Answer(())
                    })
                } else {
                    Decide::answer(())
                }
            }
        }
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = |later| Registration::new("counting", Counting(Arc::clone(&asked), later));
    let broker = start([counting(false)]);
    let handle = broker.handle();
    let id = handle.handlers()[0].id;
    let mut subscriber = enter_as(&broker, "sub", "bob");
    subscriber.write_all(&subscribe(1, "t", 0)).unwrap();
    assert_eq!(read(&mut subscriber, 5), suback(1, 0));
    let mut publisher = enter_as(&broker, "pub", "alice");
    let sender = std::thread::spawn(move || {
        for number in 0..MESSAGES {
            let payload = (number as u16).to_be_bytes();
            publisher
                .write_all(&publish_qos1("t", 1, &payload))
                .unwrap();
            assert_eq!(read(&mut publisher, 4), puback(1));
        }
    });
    let mut swaps = 0;
    while !sender.is_finished() {
        swaps += 1;
        handle
            .replace_handler(id, counting(swaps % 2 == 0))
            .unwrap();
    }
    sender.join().unwrap();
    for number in 0..MESSAGES {
        let message = read_packet(&mut subscriber).unwrap();
        assert_eq!(
            payload(&message).1,
            (number as u16).to_be_bytes(),
            "in order, each once"
        );
    }
    assert_eq!(asked.load(Ordering::Relaxed), MESSAGES);
    assert!(swaps > 2, "{swaps}");
}

#[test]
fn a_broker_without_handlers_says_so_to_who_adds_one() {
    let broker = Broker::start(&settings()).unwrap();
    let refused = broker
        .handle()
        .add_handler(Registration::new("doorman", Doorman { later: false }));
    assert_eq!(refused, Err(HandlerRejected::NotExtensible));
}

#[test]
fn an_authenticating_handler_opens_a_listener_beyond_loopback_for_those_whom_it_knows() {
    let listen = || {
        Broker::builder()
            .settings(settings())
            .listen("tcp://0.0.0.0:0".parse().unwrap())
    };
    assert!(matches!(
        listen().start(),
        Err(StartError::OpenToAll { .. })
    ));
    let watcher = Registration::new("own topics", own_topics().0);
    assert!(matches!(
        listen().register(watcher).start(),
        Err(StartError::OpenToAll { .. })
    ));
    let elsewhere = listen()
        .listener(tidewire_broker::ListenerSettings::new(
            "inside",
            "tcp://127.0.0.1:0".parse().unwrap(),
        ))
        .register(Registration::new("doorman", Doorman { later: false }).listener("inside"));
    assert!(matches!(
        elsewhere.start(),
        Err(StartError::OpenToAll { .. })
    ));
    let broker = listen()
        .handler(0, Doorman { later: false })
        .start()
        .unwrap();
    let handlers = broker.handle().handlers();
    // Without its doorman the listener lets nobody in.
    broker.handle().remove_handler(handlers[0].id).unwrap();
    let port = broker.addresses()[0].address.port();
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.write_all(&connect_as(4, "c", "alice")).unwrap();
    let mut connack = [0; 4];
    socket.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 5]);
}

#[test]
fn a_slow_observer_holds_no_message_up_and_what_it_misses_is_counted() {
    struct Stuck(Arc<Mutex<()>>);
    handler! {
        impl Handler for Stuck {
            fn session_ended(&self, _: &SessionEnded) {
                drop(self.0.lock().unwrap());
            }
        }
    }
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap();
    let broker = start([Registration::new("stuck", Stuck(Arc::clone(&gate)))]);
    let mut rounds = 0;
    while broker.handle().notices_dropped() == 0 {
        // Clean Session on the same client id ends a session with each CONNECT.
        drop(enter_as(&broker, "c", "alice"));
        rounds += 1;
        assert!(rounds < 100_000, "the queue is bounded");
    }
    drop(closed);
}
