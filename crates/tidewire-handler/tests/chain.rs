//! Tables of what a chain makes of its handlers.

use std::future::{Future, pending, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tidewire_codec::{Properties, Publish, Qos, ReasonCode, Version};
use tidewire_handler::{
    Ask, Authenticate, Authentication, AuthorizePublish, Chain, Client, Connected, Decide, Denial,
    Event, Handler, HandlerError, Notice, OnFailure, Outcome, Peer, Publication, RegisterError,
    Registration, Run, Step, Verdict, handler,
};

/// What a scripted handler does when it is asked.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Does {
    GoesOn,
    Accepts(&'static str),
    StopsWith(&'static str),
    Stops,
    Denies,
    Closes,
    Errs,
    Panics,
    /// Ready at the first poll.
    AcceptsSoon(&'static str),
    /// Ready at the second poll.
    AcceptsLater(&'static str),
    PanicsLater,
    NeverAnswers,
}
use Does::*;

struct Scripted {
    name: &'static str,
    does: Does,
    asked: Arc<Mutex<Vec<&'static str>>>,
}

impl Scripted {
    fn verdict(&self) -> Decide<Authentication> {
        match self.does {
            GoesOn => Decide::go_on(),
            Accepts(who) => Decide::answer(Authentication::accepted(who)),
            StopsWith(who) => Decide::stop_with(Authentication::accepted(who)),
            Stops => Verdict::Stop(None).into(),
            Denies => Decide::deny_with(ReasonCode::Banned, self.name),
            Closes => Verdict::Close(Denial::new(ReasonCode::Banned, self.name)).into(),
            Errs => HandlerError::new("the database is down").into(),
            Panics => panic!("a bug in a handler"),
            AcceptsSoon(who) => {
                Decide::later(ready(Verdict::Answer(Authentication::accepted(who))))
            }
            AcceptsLater(who) => Decide::later(async move {
                yield_once().await;
                Verdict::Answer(Authentication::accepted(who))
            }),
            PanicsLater => Decide::later(async {
                yield_once().await;
                if true {
                    panic!("a bug in a future");
                }
                Verdict::Continue
            }),
            NeverAnswers => Decide::later(pending::<Verdict<Authentication>>()),
        }
    }
}

handler! {
    impl Handler for Scripted {
        fn authenticate(&self, _: &Client, _: &Authenticate<'_>) -> Decide<Authentication> {
            self.asked.lock().unwrap().push(self.name);
            self.verdict()
        }
    }
}

async fn yield_once() {
    let mut polled = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut polled, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

fn authenticate() -> Authenticate<'static> {
    Authenticate {
        client_id: "c".into(),
        username: Some("u".into()),
        password: None,
        version: Version::V5,
        method: None,
        data: None,
    }
}

fn client() -> Arc<Client> {
    Arc::new(Client::new(0, "mqtt".into(), "192.0.2.7:1"))
}

/// Drives a question to its end; a handler that is not ready at the third poll is late.
fn finish<A: Ask>(run: Run<A>) -> Outcome<A::Answer> {
    let mut pending = match run {
        Run::Done(outcome) => return outcome,
        Run::Pending(pending) => pending,
    };
    loop {
        let mut context = Context::from_waker(Waker::noop());
        let step = {
            let mut step = pin!(pending.step());
            (0..2).find_map(|_| match step.as_mut().poll(&mut context) {
                Poll::Ready(step) => Some(step),
                Poll::Pending => None,
            })
        };
        match step.unwrap_or_else(|| pending.expire()) {
            Step::Done(outcome) => return outcome,
            Step::Next => {}
        }
    }
}

fn said(outcome: &Outcome<Authentication>) -> String {
    match outcome {
        Outcome::Unanswered => "default".into(),
        Outcome::Answered(Authentication::Accepted { principal, .. }) => {
            principal.as_deref().unwrap_or("nobody").into()
        }
        Outcome::Answered(Authentication::Challenge(_)) => "challenge".into(),
        Outcome::Denied(denial) => format!("denied {:#04x}", denial.reason as u8),
        Outcome::Close(denial) => format!("closed {:#04x}", denial.reason as u8),
    }
}

/// Registers in this order, asks once; returns the outcome and who was asked, in order.
fn ask(handlers: &[(&'static str, i32, Does)], on_failure: OnFailure) -> (String, String) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let chain = Chain::new(["mqtt"]);
    for &(name, priority, does) in handlers {
        let asked = Arc::clone(&asked);
        let registration = Registration::new(name, Scripted { name, does, asked });
        let registration = registration.priority(priority).on_failure(on_failure);
        chain.add(registration).unwrap();
    }
    let outcome = finish(chain.snapshot().decide(&client(), authenticate()));
    let asked = asked.lock().unwrap().join(" ");
    (said(&outcome), asked)
}

#[test]
fn larger_priority_first_ties_by_registration_until_somebody_decides() {
    // (handlers in order of registration, outcome, who was asked)
    type Row = (
        &'static [(&'static str, i32, Does)],
        &'static str,
        &'static str,
    );
    let table: &[Row] = &[
        (&[], "default", ""),
        (&[("a", 0, GoesOn), ("b", 0, GoesOn)], "default", "a b"),
        (
            &[
                ("a", 0, GoesOn),
                ("b", 1, GoesOn),
                ("c", 0, GoesOn),
                ("d", -5, GoesOn),
                ("e", 7, GoesOn),
            ],
            "default",
            "e b a c d",
        ),
        // An answer suppresses the default; a later one counts in place of it.
        (&[("a", 0, Accepts("x")), ("b", 0, GoesOn)], "x", "a b"),
        (
            &[("a", 0, Accepts("x")), ("b", 0, Accepts("y"))],
            "y",
            "a b",
        ),
        // Stop: nobody behind is asked, the answer so far stands.
        (&[("a", 0, StopsWith("x")), ("b", 0, Denies)], "x", "a"),
        (
            &[
                ("a", 0, Accepts("x")),
                ("b", 0, Stops),
                ("c", 0, Accepts("z")),
            ],
            "x",
            "a b",
        ),
        (&[("a", 0, Stops), ("b", 0, Accepts("z"))], "default", "a"),
        // A "no" ends it whatever was answered before.
        (
            &[
                ("a", 0, Accepts("x")),
                ("b", 0, Denies),
                ("c", 0, Accepts("z")),
            ],
            "denied 0x8a",
            "a b",
        ),
        (
            &[
                ("a", 0, Accepts("x")),
                ("b", 0, Closes),
                ("c", 0, Accepts("z")),
            ],
            "closed 0x8a",
            "a b",
        ),
        (&[("a", 0, Denies), ("b", 9, StopsWith("x"))], "x", "b"),
        // Those who need time keep their turn.
        (&[("a", 0, AcceptsSoon("x")), ("b", 0, GoesOn)], "x", "a b"),
        (
            &[
                ("a", 0, AcceptsLater("x")),
                ("b", 0, AcceptsLater("y")),
                ("c", 0, GoesOn),
            ],
            "y",
            "a b c",
        ),
        (
            &[("a", 0, AcceptsLater("x")), ("b", 0, Denies)],
            "denied 0x8a",
            "a b",
        ),
    ];
    for (handlers, outcome, asked) in table {
        let got = ask(handlers, OnFailure::Deny);
        assert_eq!((&*got.0, &*got.1), (*outcome, *asked), "{handlers:?}");
    }
}

#[test]
fn a_failing_handler_denies_or_is_skipped_as_its_registration_says() {
    for failing in [Errs, Panics, PanicsLater, NeverAnswers] {
        let handlers = [("a", 0, failing), ("b", 0, Accepts("x"))];
        let (outcome, asked) = ask(&handlers, OnFailure::Deny);
        assert_eq!((&*outcome, &*asked), ("denied 0x87", "a"), "{failing:?}");
        let (outcome, asked) = ask(&handlers, OnFailure::Skip);
        assert_eq!((&*outcome, &*asked), ("x", "a b"), "{failing:?}");
    }
}

#[test]
fn failures_denials_and_waits_are_counted_for_the_handler_that_caused_them() {
    for (does, count) in [
        (Errs, "errors"),
        (Panics, "panics"),
        (PanicsLater, "panics"),
        (NeverAnswers, "timeouts"),
        (Denies, "denials"),
    ] {
        let chain = Chain::new(["mqtt"]);
        let asked = Arc::default();
        chain
            .add(Registration::new(
                "a",
                Scripted {
                    name: "a",
                    does,
                    asked,
                },
            ))
            .unwrap();
        finish(chain.snapshot().decide(&client(), authenticate()));
        let row = &chain.snapshot().rows()[0];
        let counts = row.counts;
        let each = [
            ("errors", counts.errors),
            ("panics", counts.panics),
            ("timeouts", counts.timeouts),
            ("denials", counts.denials),
        ];
        for (name, value) in each {
            assert_eq!(value, u64::from(name == count), "{does:?}: {name}");
        }
        assert_eq!(counts.calls, 1);
        assert_eq!(
            counts.waits,
            u64::from(matches!(does, PanicsLater | NeverAnswers))
        );
        assert_eq!(row.last_failure.is_some(), does != Denies, "{does:?}");
    }
}

struct Greets;
struct Reads(Arc<Mutex<Option<u32>>>);

handler! {
    impl Handler for Greets {
        fn authenticate(&self, client: &Client, _: &Authenticate<'_>) -> Decide<Authentication> {
            client.set(42_u32);
            Decide::go_on()
        }
    }
}

handler! {
    impl Handler for Reads {
        fn authorize_publish(&self, client: &Client, _: &AuthorizePublish<'_>) -> Decide<()> {
            *self.0.lock().unwrap() = client.get::<u32>().map(|number| *number);
            Decide::go_on()
        }
    }
}

fn publication() -> AuthorizePublish<'static> {
    AuthorizePublish {
        topic: "t".into(),
        payload: b"p"[..].into(),
        qos: Qos::AtMostOnce,
        retain: false,
    }
}

#[test]
fn user_data_of_one_handler_is_seen_by_another_one_in_a_later_event() {
    let chain = Chain::new(["mqtt"]);
    let seen = Arc::new(Mutex::new(None));
    chain
        .add(Registration::new("reads", Reads(Arc::clone(&seen))))
        .unwrap();
    chain.add(Registration::new("greets", Greets)).unwrap();
    let client = client();
    finish(chain.snapshot().decide(&client, authenticate()));
    finish(chain.snapshot().decide(&client, publication()));
    assert_eq!(*seen.lock().unwrap(), Some(42));
    finish(chain.snapshot().decide(&self::client(), publication()));
    assert_eq!(
        *seen.lock().unwrap(),
        None,
        "another connection has its own"
    );
}

fn scripted(does: Does) -> Registration {
    Registration::new(
        "s",
        Scripted {
            name: "s",
            does,
            asked: Arc::default(),
        },
    )
}

#[test]
fn a_question_ends_with_the_version_of_the_chain_that_it_met() {
    let chain = Arc::new(Chain::new(["mqtt"]));
    let mut reader = chain.reader();
    let first = chain.add(scripted(AcceptsLater("old"))).unwrap();
    let second = chain.add(scripted(GoesOn)).unwrap();
    let run = reader.snapshot().decide(&client(), authenticate());
    chain.replace(first, scripted(Accepts("new"))).unwrap();
    chain.replace(second, scripted(Denies)).unwrap();
    assert_eq!(said(&finish(run)), "old");
    let run = reader.snapshot().decide(&client(), authenticate());
    assert_eq!(said(&finish(run)), "denied 0x8a");
    chain.remove(second).unwrap();
    let run = reader.snapshot().decide(&client(), authenticate());
    assert_eq!(said(&finish(run)), "new");
    assert_eq!(
        chain.snapshot().rows()[0].counts.calls,
        3,
        "counters go on when a handler is replaced"
    );
    chain.remove(first).unwrap();
    assert!(!reader.snapshot().handles(None, Event::Authenticate));
    assert_eq!(chain.remove(first), Err(RegisterError::UnknownHandler));
}

#[test]
fn swapping_under_load_asks_exactly_one_handler_for_each_question() {
    const QUESTIONS: usize = 20_000;
    struct Counting(Arc<AtomicUsize>);
    handler! {
        impl Handler for Counting {
            fn authorize_publish(&self, _: &Client, _: &AuthorizePublish<'_>) -> Decide<()> {
                self.0.fetch_add(1, Ordering::Relaxed);
                Decide::answer(())
            }
        }
    }
    let chain = Arc::new(Chain::new(["mqtt"]));
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = || Registration::new("counting", Counting(Arc::clone(&asked)));
    let id = chain.add(counting()).unwrap();
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let mut reader = chain.reader();
            std::thread::spawn(move || {
                let client = client();
                for _ in 0..QUESTIONS {
                    let outcome = finish(reader.snapshot().decide(&client, publication()));
                    assert_eq!(outcome, Outcome::Answered(()));
                }
            })
        })
        .collect();
    while workers.iter().any(|worker| !worker.is_finished()) {
        chain.replace(id, counting()).unwrap();
    }
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2 * QUESTIONS);
}

#[test]
fn a_handler_is_asked_for_its_listeners_and_for_those_who_have_none() {
    let chain = Chain::new(["mqtt", "inside"]);
    chain.add(scripted(Denies).listener("mqtt")).unwrap();
    let at = |listener: u16, name: &str| {
        let client = Arc::new(Client::new(listener, name.into(), "192.0.2.7:1"));
        said(&finish(chain.snapshot().decide(&client, authenticate())))
    };
    assert_eq!(at(0, "mqtt"), "denied 0x8a");
    assert_eq!(at(1, "inside"), "default");
    assert!(!chain.snapshot().handles(Some(1), Event::Authenticate));
    let absent = Arc::new(Client::absent());
    let outcome = finish(chain.snapshot().decide(&absent, authenticate()));
    assert_eq!(said(&outcome), "denied 0x8a");
    let error = chain.add(scripted(Denies).listener("mqqt")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "handler `s` is for listener `mqqt`, which does not exist; there are: mqtt, inside"
    );
}

#[test]
fn later_handlers_see_what_an_earlier_one_replaced() {
    struct Stamps;
    struct Copies(Arc<Mutex<String>>);
    handler! {
        impl Handler for Stamps {
            fn publish(&self, _: &Client, ask: &Publish<'_>) -> Decide<Publication> {
                let mut stamped = ask.clone().into_owned();
                stamped.topic = format!("stamped/{}", ask.topic).into();
                Decide::answer(Publication::Replace(stamped))
            }
        }
    }
    handler! {
        impl Handler for Copies {
            fn publish(&self, _: &Client, ask: &Publish<'_>) -> Decide<Publication> {
                *self.0.lock().unwrap() = ask.topic.to_string();
                Decide::go_on()
            }
        }
    }
    let chain = Chain::new(["mqtt"]);
    let seen = Arc::new(Mutex::new(String::new()));
    chain
        .add(Registration::new("copies", Copies(Arc::clone(&seen))))
        .unwrap();
    chain
        .add(Registration::new("stamps", Stamps).priority(1))
        .unwrap();
    let publish = Publish {
        dup: false,
        qos: Qos::AtMostOnce,
        retain: false,
        topic: "t".into(),
        packet_id: None,
        properties: Properties::EMPTY,
        payload: b""[..].into(),
    };
    let outcome = finish(chain.snapshot().decide(&client(), publish));
    assert_eq!(*seen.lock().unwrap(), "stamped/t");
    assert!(
        matches!(outcome, Outcome::Answered(Publication::Replace(publish)) if publish.topic == "stamped/t")
    );
}

#[test]
fn observers_are_told_in_order_and_one_that_panics_keeps_it_from_nobody() {
    struct Notes(&'static str, Arc<Mutex<Vec<String>>>);
    handler! {
        impl Handler for Notes {
            fn connected(&self, told: &Connected) {
                self.1.lock().unwrap().push(format!("{} {}", self.0, told.client_id));
                assert_ne!(self.0, "bad");
            }
        }
    }
    let chain = Chain::new(["mqtt", "inside"]);
    let notes = Arc::new(Mutex::new(Vec::new()));
    for (name, priority) in [("last", -1), ("bad", 1), ("first", 2)] {
        let handler = Notes(name, Arc::clone(&notes));
        chain
            .add(
                Registration::new(name, handler)
                    .priority(priority)
                    .listener("mqtt"),
            )
            .unwrap();
    }
    let connected = |listener| {
        Notice::Connected(Connected {
            client_id: "c".into(),
            peer: Peer {
                listener,
                address: "192.0.2.7:1".into(),
            },
            version: Version::V5,
            session_present: false,
            keep_alive_secs: 0,
        })
    };
    chain.snapshot().observe(&connected(0));
    chain.snapshot().observe(&connected(1));
    assert_eq!(*notes.lock().unwrap(), ["first c", "bad c", "last c"]);
    let panics: Vec<u64> = chain
        .snapshot()
        .rows()
        .iter()
        .map(|row| row.counts.panics)
        .collect();
    assert_eq!(panics, [0, 1, 0]);
}

#[test]
fn the_effective_order_is_printed() {
    let chain = Chain::new(["mqtt", "inside"]);
    chain.add(scripted(GoesOn)).unwrap();
    chain
        .add(
            Registration::new("greets", Greets)
                .priority(5)
                .listener("inside"),
        )
        .unwrap();
    chain
        .add(Registration::new("reads", Reads(Arc::default())))
        .unwrap();
    assert_eq!(
        chain.snapshot().to_string(),
        "1. greets (priority 5, inside): authenticate\n\
         2. s (priority 0, all listeners): authenticate\n\
         3. reads (priority 0, all listeners): authorize_publish\n"
    );
}

#[test]
fn a_pending_question_names_the_handler_and_its_deadline() {
    let chain = Chain::new(["mqtt"]);
    chain
        .add(scripted(NeverAnswers).deadline(Duration::from_millis(7)))
        .unwrap();
    let Run::Pending(pending) = chain.snapshot().decide(&client(), authenticate()) else {
        panic!("it never answers");
    };
    assert_eq!(
        (pending.handler(), pending.deadline()),
        ("s", Duration::from_millis(7))
    );
}

#[test]
fn a_handler_lists_the_events_whose_methods_it_has() {
    let events: Vec<Event> = Greets.events().iter().collect();
    assert_eq!(events, [Event::Authenticate]);
}
