//! What a chain costs for each message: an event that nobody handles, one handler that is ready at once, one that waits.
//!
//! `cargo run --release -p tidewire-handler --example cost`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use tidewire_codec::Qos;
use tidewire_handler::{
    AuthorizePublish, Chain, Client, Decide, Event, Outcome, Registration, Run, Verdict, handler,
};

const ROUNDS: u32 = 20_000_000;

struct Ready;
struct Soon;

handler! {
    impl Handler for Ready {
        fn authorize_publish(&self, _: &Client, ask: &AuthorizePublish<'_>) -> Decide<()> {
            if ask.topic.len() > 100 { Decide::deny("too long") } else { Decide::answer(()) }
        }
    }
}

handler! {
    impl Handler for Soon {
        fn authorize_publish(&self, _: &Client, _: &AuthorizePublish<'_>) -> Decide<()> {
            Decide::later(async { Verdict::Answer(()) })
        }
    }
}

fn main() {
    let chain = Arc::new(Chain::new(["mqtt"]));
    let mut reader = chain.reader();
    let client = Arc::new(Client::new(0, "mqtt".into(), "192.0.2.7:50123"));
    let listener = client.listener();
    let publish = || AuthorizePublish {
        topic: black_box("plant/line-3/press-1/pressure").into(),
        payload: black_box(b"3.2 bar").into(),
        qos: Qos::AtMostOnce,
        retain: false,
    };
    measure("nobody handles it", || {
        black_box(
            reader
                .snapshot()
                .handles(black_box(listener), Event::AuthorizePublish),
        );
    });
    let mut put = |what: &str| {
        measure(what, || {
            let snapshot = reader.snapshot();
            if snapshot.handles(listener, Event::AuthorizePublish) {
                let run = snapshot.decide(&client, publish());
                assert!(matches!(run, Run::Done(Outcome::Answered(()))));
            }
        });
    };
    let id = chain.add(Registration::new("ready", Ready)).ok();
    put("one handler, ready at once");
    if let Some(id) = id {
        let _ = chain.replace(id, Registration::new("soon", Soon));
    }
    put("one handler, a future that is ready at its first poll");
}

fn measure(what: &str, mut once: impl FnMut()) {
    let start = Instant::now();
    for _ in 0..ROUNDS {
        once();
    }
    let each = start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS);
    println!("{each:7.2} ns  {what}");
}
