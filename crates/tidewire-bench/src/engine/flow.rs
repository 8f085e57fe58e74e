//! The readiness loop of a flow: one thread, edge-triggered events, no allocation per message.

use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::block::PacketBlock;
use super::handshake::{Greeting, Session, open_all};
use super::ledger::Ledger;
use super::link::{Link, READ_BUFFER_BYTES, Written};
use super::pacer::Pacer;
use super::publisher::{Gate, Pace, Publisher};
use super::{Endpoint, Gauge, Interrupt, Options, Protocol, Tally, run_id, topic_root};
use crate::encode::{self, PublishKind, Qos, Retain, Topic};
use crate::error::{BenchError, Result};
use crate::latency::Schedule;
use crate::payload::Stamp;
use crate::raw::{Hello, Role};
use crate::scenario::{Flow, Pacing, Routing, TopicPlan};
use crate::sequence::Completion;

/// The pacer's token; sockets count from 0.
const PACER: Token = Token(usize::MAX);

/// How often a waiting loop looks at the interrupt and the stall clock.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// After the last message: time for a duplicate to show up.
const AFTERMATH: Duration = Duration::from_millis(20);

/// Runs a flow: set up, warm up, drain, timed part, drain.
pub(super) fn run(
    flow: &Flow,
    endpoint: Endpoint,
    options: &Options,
    gauge: &mut dyn Gauge,
) -> Result<Tally> {
    flow.check().map_err(BenchError::Usage)?;
    let mut load = Load::set_up(flow, endpoint, &options.interrupt)?;
    load.phase(options.warm_up, options)?;
    gauge.begin()?;
    let begun = Instant::now();
    let before = load.ledger.delivered;
    load.measuring = true;
    load.phase(options.timed, options)?;
    let wall = begun.elapsed();
    gauge.end()?;
    load.listen(AFTERMATH)?;
    load.part(endpoint.protocol);
    load.ledger.finish(&load.publishers);
    Ok(Tally {
        units: load.ledger.delivered - before,
        wall,
        faults: load.ledger.faults,
        latency: load.ledger.latencies.summary(),
    })
}

struct Load {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    publishers: Vec<Publisher>,
    subscribers: Vec<Link>,
    ledger: Ledger,
    /// Publishers that may send, each once.
    ready: Vec<u32>,
    gate: Gate,
    pacing: Pacing,
    /// Whether latency counts.
    measuring: bool,
}

impl Load {
    fn set_up(flow: &Flow, endpoint: Endpoint, interrupt: &Interrupt) -> Result<Self> {
        let run = run_id();
        let plan = TopicPlan::new(flow, &topic_root(run));
        let poll = Poll::new().map_err(BenchError::io("creating a poll"))?;
        let greetings = Greetings {
            flow,
            protocol: endpoint.protocol,
            run,
        };
        let subscribers = greetings.subscribers(plan.filters);
        let subscribers = open_all(endpoint.addr, &subscribers, interrupt)?;
        let publishers = open_all(endpoint.addr, &greetings.publishers(), interrupt)?;
        let mut load = Self {
            poll,
            events: Events::with_capacity(1024),
            buffer: vec![0; READ_BUFFER_BYTES],
            publishers: Vec::with_capacity(flow.publishers),
            subscribers: Vec::with_capacity(flow.subscribers),
            ledger: Ledger::new(flow, run),
            ready: Vec::with_capacity(flow.publishers),
            gate: Gate::Draining,
            pacing: flow.pacing,
            measuring: false,
        };
        for ((index, session), topics) in publishers.into_iter().enumerate().zip(&plan.topics) {
            load.add_publisher(flow, index, session, topics, run)?;
        }
        for (index, session) in subscribers.into_iter().enumerate() {
            let token = Token(flow.publishers + index);
            load.subscribers.push(Link::new(
                session.stream,
                flow.version,
                load.poll.registry(),
                token,
            )?);
        }
        Ok(load)
    }

    fn add_publisher(
        &mut self,
        flow: &Flow,
        index: usize,
        session: Session,
        topics: &[Topic],
        run: u32,
    ) -> Result<()> {
        let (version, qos, payload_bytes) = (flow.version, flow.qos, flow.payload_bytes);
        let kind = PublishKind {
            version,
            qos,
            retain: Retain::No,
            payload_bytes,
        };
        let stamp = Stamp {
            publisher: index as u32,
            run,
            sequence: 0,
        };
        let window = match qos {
            Qos::AtMostOnce => flow.window(),
            _ => flow.window().min(usize::from(session.receive_maximum)),
        };
        let (pace, burst) = match flow.pacing {
            Pacing::Window { .. } => {
                let burst = (window / 2).max(1);
                (
                    Pace::Window {
                        window: window as u64,
                        burst: burst as u64,
                        left: 0,
                    },
                    burst,
                )
            }
            Pacing::Rate { .. } => (
                Pace::Due {
                    due: 0,
                    window: window as u64,
                },
                1,
            ),
        };
        let block = PacketBlock::new(topics, kind, burst, stamp);
        let completion = Completion::new(flow.copies() as u32, window);
        let link = Link::new(session.stream, version, self.poll.registry(), Token(index))?;
        self.publishers
            .push(Publisher::new(link, block, completion, qos, pace));
        Ok(())
    }

    /// Sends for `length`, then waits until everything has arrived, or nothing has moved for too long.
    fn phase(&mut self, length: Duration, options: &Options) -> Result<()> {
        if self.is_void() {
            return Ok(());
        }
        match self.pacing {
            Pacing::Window { .. } => self.send_by_window(length, options)?,
            Pacing::Rate { messages_per_sec } => {
                self.send_by_schedule(length, messages_per_sec, options)?;
            }
        }
        self.drain(options)
    }

    fn send_by_window(&mut self, length: Duration, options: &Options) -> Result<()> {
        self.gate = Gate::Open;
        for publisher in 0..self.publishers.len() {
            self.pump(publisher)?;
        }
        let end = Instant::now() + length;
        let mut stall = StallClock::new(options.stall);
        loop {
            let now = Instant::now();
            if now >= end || stall.is_over(now, || self.progress()) || self.is_void() {
                break;
            }
            options.interrupt.check()?;
            self.turn((end - now).min(LONGEST_WAIT))?;
        }
        self.gate = Gate::Draining;
        Ok(())
    }

    fn send_by_schedule(&mut self, length: Duration, rate: f64, options: &Options) -> Result<()> {
        let publishers = self.publishers.len();
        let rounds = (length.as_secs_f64() * rate / publishers as f64).ceil() as u64;
        let first_sequence = self.publishers[0].sent();
        // The start lies ahead, so that the first message is not late by the time to get here.
        let start = Instant::now() + Duration::from_millis(2);
        let schedule = Schedule::new(start, rate, publishers, first_sequence);
        self.ledger.schedule = self.measuring.then_some(schedule);
        let pacer = Pacer::new(schedule.interval(), self.poll.registry(), PACER)?;
        let (mut issued, total) = (0, rounds * publishers as u64);
        while issued < total && !self.is_void() {
            options.interrupt.check()?;
            self.turn(Pacer::poll_timeout(LONGEST_WAIT))?;
            pacer.clear();
            let now = Instant::now();
            let due = if now < start {
                0
            } else {
                schedule.due(now).min(total)
            };
            while issued < due {
                let publisher = (issued % publishers as u64) as usize;
                self.publishers[publisher].owe_one();
                self.pump(publisher)?;
                issued += 1;
            }
        }
        Ok(())
    }

    fn drain(&mut self, options: &Options) -> Result<()> {
        let patience = if self.is_void() {
            options.stall.min(Duration::from_secs(1))
        } else {
            options.stall
        };
        let mut stall = StallClock::new(patience);
        while !self.is_drained() && !stall.is_over(Instant::now(), || self.progress()) {
            options.interrupt.check()?;
            self.turn(LONGEST_WAIT)?;
        }
        Ok(())
    }

    /// Takes what still comes for a while.
    fn listen(&mut self, length: Duration) -> Result<()> {
        let end = Instant::now() + length;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.turn(left)?;
        }
        Ok(())
    }

    fn part(&mut self, protocol: Protocol) {
        let farewell: &[u8] = match protocol {
            Protocol::Mqtt => &encode::DISCONNECT,
            Protocol::Raw => &[],
        };
        let publishers = self
            .publishers
            .iter_mut()
            .map(|publisher| &mut publisher.link);
        for link in publishers.chain(&mut self.subscribers) {
            link.part(farewell);
        }
    }

    /// One wait, and everything it brought.
    fn turn(&mut self, timeout: Duration) -> Result<()> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let polled = self.poll.poll(&mut events, Some(timeout));
        match polled {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                return Err(BenchError::io("polling")(error));
            }
            _ => {}
        }
        for event in events.iter().filter(|event| event.token() != PACER) {
            let index = event.token().0;
            match index.checked_sub(self.publishers.len()) {
                None if event.is_readable() => self.publisher_readable(index)?,
                None => self.pump(index)?,
                Some(subscriber) if event.is_readable() => self.subscriber_readable(subscriber)?,
                Some(subscriber) => {
                    self.subscribers[subscriber].flush()?;
                }
            }
            self.pump_ready()?;
        }
        self.events = events;
        match self.ledger.dismissed {
            None => Ok(()),
            Some(reason) => {
                let what = format!("a connection, with reason 0x{reason:02x}");
                Err(BenchError::ConnectionLost { what })
            }
        }
    }

    fn publisher_readable(&mut self, index: usize) -> Result<()> {
        let Self {
            publishers,
            ledger,
            buffer,
            ..
        } = self;
        if let Some(reason) = publishers[index].read(buffer, &mut ledger.faults)? {
            ledger.dismissed = Some(reason);
        }
        self.pump(index)
    }

    fn subscriber_readable(&mut self, index: usize) -> Result<()> {
        let Self {
            publishers,
            subscribers,
            ledger,
            ready,
            buffer,
            ..
        } = self;
        let link = &mut subscribers[index];
        link.read(buffer, |frame, out| {
            let Some(stamp) = ledger.arrived(index, frame, out) else {
                return;
            };
            let publisher = &mut publishers[stamp.publisher as usize];
            publisher.completion.delivered(stamp.sequence);
            if !publisher.queued && publisher.may_send() {
                publisher.queued = true;
                ready.push(stamp.publisher);
            }
        })?;
        if link.has_output() {
            let _resumed_when_writable: Written = link.flush()?;
        }
        Ok(())
    }

    fn pump_ready(&mut self) -> Result<()> {
        while let Some(publisher) = self.ready.pop() {
            self.publishers[publisher as usize].queued = false;
            self.pump(publisher as usize)?;
        }
        Ok(())
    }

    fn pump(&mut self, publisher: usize) -> Result<()> {
        self.publishers[publisher].pump(self.gate)
    }

    fn is_drained(&self) -> bool {
        self.publishers.iter().all(Publisher::is_drained)
            && self.ledger.is_released()
            && !self.subscribers.iter().any(Link::has_output)
    }

    fn is_void(&self) -> bool {
        !self.ledger.faults.is_clean()
    }

    fn progress(&self) -> u64 {
        self.ledger.delivered + self.publishers.iter().map(Publisher::progress).sum::<u64>()
    }
}

/// Notices that nothing has moved for a while, looking only now and then.
struct StallClock {
    patience: Duration,
    next_look: Instant,
    moved_at: Instant,
    progress: u64,
}

impl StallClock {
    fn new(patience: Duration) -> Self {
        let now = Instant::now();
        Self {
            patience,
            next_look: now,
            moved_at: now,
            progress: u64::MAX,
        }
    }

    fn is_over(&mut self, now: Instant, progress: impl FnOnce() -> u64) -> bool {
        if now < self.next_look {
            return false;
        }
        self.next_look = now + LONGEST_WAIT;
        let progress = progress();
        if progress != self.progress {
            self.progress = progress;
            self.moved_at = now;
        }
        now - self.moved_at >= self.patience
    }
}

/// What the connections of a flow say first.
struct Greetings<'a> {
    flow: &'a Flow,
    protocol: Protocol,
    run: u32,
}

impl Greetings<'_> {
    fn publishers(&self) -> Vec<Greeting> {
        (0..self.flow.publishers)
            .map(|index| self.one(Role::Publisher, index, Vec::new()))
            .collect()
    }

    fn subscribers(&self, filters: Vec<Vec<String>>) -> Vec<Greeting> {
        let each = filters.into_iter().enumerate();
        each.map(|(index, filters)| self.one(Role::Subscriber, index, filters))
            .collect()
    }

    fn one(&self, role: Role, index: usize, filters: Vec<String>) -> Greeting {
        if self.protocol == Protocol::Raw {
            let group = if self.flow.routing == Routing::Pairs {
                index as u32
            } else {
                0
            };
            return Greeting::Raw(Hello { role, group });
        }
        let letter = if role == Role::Publisher { 'p' } else { 's' };
        Greeting::Mqtt {
            client_id: format!("tb{:08x}{letter}{index}", self.run),
            version: self.flow.version,
            qos: self.flow.qos,
            filters,
        }
    }
}
