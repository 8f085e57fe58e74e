//! A life: the acts of a script, done to a broker, and what its clients make of it.

use crate::Setting;
use crate::act::{Act, CLIENTS, What};
use crate::coverage::Coverage;
use crate::failure::{Failure, Oracle, Verdict, fail};
use crate::lie::{Liar, Lie};
use crate::machine::Machine;
use crate::model::{Client, Number, Sent};
use crate::retained::Retained;
use crate::script::{Room, Script};
use crate::will::Wills;
use std::collections::BTreeMap;
use std::time::Duration;
use tidewire_broker::simulated::Simulation;
use tidewire_codec::Packet;
use tidewire_core::{Stats, Time};

/// The client that watches the wills: never cut off, always reading.
pub(crate) const WATCHER: usize = CLIENTS;

/// Rounds in which everybody answers everything, at the end.
const ROUNDS_MAX: usize = 2_000;

pub(crate) struct Life {
    pub(crate) sim: Simulation,
    pub(crate) machine: Machine,
    pub(crate) clients: Vec<Client>,
    pub(crate) messages: BTreeMap<Number, Sent>,
    pub(crate) next_number: Number,
    pub(crate) retained: Retained,
    pub(crate) wills: Wills,
    /// How many members a QoS 2 message of shared groups has reached.
    pub(crate) reached: BTreeMap<Number, u32>,
    /// Messages of shared groups that some member got, by group.
    pub(crate) group_got: BTreeMap<(Number, usize), u32>,
    pub(crate) room: Room,
    pub(crate) coverage: Coverage,
    pub(crate) liar: Option<Liar>,
    pub(crate) done: Vec<String>,
    pub(crate) stalled: Vec<bool>,
    pub(crate) disk_stalls: bool,
    /// Messages were dropped for want of room before the last crash.
    pub(crate) dropped: bool,
    /// When the last worker went on that had stalled.
    pub(crate) released: Time,
}

/// A life as it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) coverage: Coverage,
    pub(crate) failure: Option<Failure>,
    pub(crate) done: Vec<String>,
}

pub(crate) fn live(script: &Script, setting: &Setting) -> Ended {
    let mut life = Life::new(script, setting);
    let failure = life.live(&script.acts).err();
    let at = life.now().as_millis();
    life.done.push(format!("(the time is {at} ms)"));
    Ended {
        coverage: life.coverage,
        failure,
        done: life.done,
    }
}

impl Life {
    fn new(script: &Script, setting: &Setting) -> Self {
        let mut machine = Machine::new(script, setting.sabotage);
        let sim = machine.start();
        let workers = sim.workers();
        Self {
            sim,
            machine,
            clients: (0..=CLIENTS).map(Client::new).collect(),
            messages: BTreeMap::new(),
            next_number: 1,
            retained: Retained::default(),
            wills: Wills::default(),
            reached: BTreeMap::new(),
            group_got: BTreeMap::new(),
            room: script.room,
            coverage: Coverage::default(),
            liar: setting.lie.map(Liar::new),
            done: Vec::new(),
            stalled: vec![false; workers],
            disk_stalls: false,
            dropped: false,
            released: Time::ZERO,
        }
    }

    fn live(&mut self, acts: &[Act]) -> Verdict {
        self.seat_watcher()?;
        for act in acts {
            self.done.push(act.to_string());
            self.act(&act.what)?;
            for _ in 0..act.steps {
                if !self.sim.step() {
                    break;
                }
            }
            self.listen_all()?;
        }
        self.end()
    }

    pub(crate) fn now(&self) -> Time {
        self.machine.time_of(&self.sim)
    }

    pub(crate) fn note(&mut self, what: impl std::fmt::Display) {
        self.done.push(format!("    {what}"));
    }

    pub(crate) fn lies(&mut self, lie: Lie) -> bool {
        self.liar.as_mut().is_some_and(|liar| liar.is_time(lie))
    }

    pub(crate) fn is_always(&self, lie: Lie) -> bool {
        self.liar.as_ref().is_some_and(|liar| liar.lie == lie)
    }

    fn act(&mut self, what: &What) -> Verdict {
        match what {
            What::Connect(connect) => self.connect(connect),
            What::Disconnect { who, with_will } => self.disconnect(*who, *with_will),
            What::Cut { who, part } => self.cut(*who, *part),
            What::Subscribe {
                who,
                filter,
                qos,
                no_local,
                retain_handling,
            } => self.subscribe(*who, *filter, *qos, *no_local, *retain_handling),
            What::Unsubscribe { who, filter } => self.unsubscribe(*who, *filter),
            What::Publish(publish) => self.publish(publish),
            What::Answer { who, count } => self.answer(*who, *count),
            What::Read { who, reads } => {
                self.read(*who, *reads);
                Ok(())
            }
            What::Stall { worker, stalled } => {
                self.stall(*worker, *stalled);
                Ok(())
            }
            What::Crash(crash) => self.crash(*crash),
            What::StallDisk { stalled } => {
                self.stall_disk(*stalled);
                Ok(())
            }
            What::Rest => self.rest(),
            What::Advance { millis } => self.advance(Duration::from_millis(*millis)),
        }
    }

    pub(crate) fn read(&mut self, who: usize, reads: bool) {
        let Some(link) = self.clients[who].link.as_mut() else {
            return;
        };
        link.reads = reads;
        self.coverage.saw_if("reader stopped", !reads);
        if reads {
            self.sim.start_reading(link.wire);
        } else {
            self.sim.stop_reading(link.wire);
        }
    }

    fn stall(&mut self, worker: usize, stalled: bool) {
        // A script that was cut short may have come from one with more workers.
        if let Some(now) = self.stalled.get_mut(worker) {
            if *now && !stalled {
                self.released = self.machine.time_of(&self.sim);
            }
            *now = stalled;
            self.sim.stall(worker, stalled);
            if stalled {
                self.timers_are_late();
            }
            self.coverage.saw_if("worker stalled", stalled);
        }
    }

    /// What should end or come at some time may do so only when the worker goes on.
    fn timers_are_late(&mut self) {
        self.wills.timers_are_late();
        for client in &mut self.clients {
            if let Some(away) = client
                .session
                .as_mut()
                .and_then(|session| session.away.as_mut())
            {
                away.gone = Time::NEVER;
            }
        }
    }

    pub(crate) fn any_stalled(&self) -> bool {
        self.disk_stalls || self.stalled.contains(&true)
    }

    fn stall_disk(&mut self, stalled: bool) {
        if self.machine.disk.is_some() {
            self.coverage.saw_if("disk stalled", stalled);
            self.sim.stall_store(stalled);
            if self.disk_stalls && !stalled {
                self.released = self.now();
            }
            self.disk_stalls = stalled;
            if stalled {
                self.timers_are_late();
            }
        }
    }

    pub(crate) fn release_all(&mut self) {
        self.stall_disk(false);
        for worker in 0..self.stalled.len() {
            self.stall(worker, false);
        }
    }

    /// All that is under way arrives; then the broker's figures are looked at.
    pub(crate) fn rest(&mut self) -> Verdict {
        self.release_all();
        self.settle()?;
        let stats = self.sim.stats();
        self.listen_all()?;
        self.check_budget(&stats)
    }

    /// All that is under way arrives, as far as no worker stalls.
    pub(crate) fn settle(&mut self) -> Verdict {
        self.sim.settle();
        self.listen_all()?;
        if !self.any_stalled() {
            self.all_is_noticed();
        }
        Ok(())
    }

    /// Ends that had happened before have been noticed by the broker.
    fn all_is_noticed(&mut self) {
        let now = self.now();
        for client in &mut self.clients {
            if let Some(session) = &mut client.session {
                session.noticed(now);
            }
        }
        self.wills.noticed(now);
    }

    pub(crate) fn advance(&mut self, by: Duration) -> Verdict {
        self.settle()?;
        let end = self.now().saturating_add(by);
        // In pieces, so that clients hear what came in the meantime when it came.
        while self.now() < end {
            let left = end.since(self.now());
            self.sim.advance(left.min(Duration::from_secs(5)));
            self.settle()?;
            self.check_keep_alives()?;
        }
        self.sessions_expire();
        Ok(())
    }

    fn sessions_expire(&mut self) {
        let now = self.now();
        for client in &mut self.clients {
            let gone = client
                .session
                .as_ref()
                .and_then(|session| session.away)
                .is_some_and(|away| away.gone <= now);
            if gone {
                client.session = None;
                self.coverage.saw("session expired");
            }
        }
    }

    pub(crate) fn listen_all(&mut self) -> Verdict {
        for who in 0..self.clients.len() {
            self.listen(who)?;
        }
        Ok(())
    }

    /// Everybody comes back, takes what waits, and has then all that it was owed.
    fn end(&mut self) -> Verdict {
        self.note("the end: everybody comes back and takes what waits".to_owned());
        self.release_all();
        for who in 0..CLIENTS {
            self.read(who, true);
        }
        self.rest()?;
        for who in 0..CLIENTS {
            self.come_back(who)?;
        }
        self.rest()?;
        self.crash_at_the_end()?;
        self.answer_until_nothing_is_left()?;
        self.nothing_is_lost()?;
        self.retained_is_what_was_stored()?;
        self.everybody_leaves()?;
        self.wills_have_come()
    }

    fn answer_until_nothing_is_left(&mut self) -> Verdict {
        for _ in 0..ROUNDS_MAX {
            let mut busy = false;
            for who in 0..self.clients.len() {
                busy |= self.clients[who]
                    .link
                    .as_ref()
                    .is_some_and(|link| !link.answers.is_empty());
                self.answer(who, usize::MAX)?;
            }
            self.settle()?;
            if !busy {
                return Ok(());
            }
        }
        fail(
            Oracle::Liveness,
            "clients answer and answer and it does not end",
        )
    }

    fn everybody_leaves(&mut self) -> Verdict {
        for who in 0..CLIENTS {
            self.cut(who, 255)?;
        }
        self.rest()?;
        // Longer than every delay of a will.
        self.advance(Duration::from_secs(90))?;
        self.rest()
    }

    /// Limits that nobody may exceed, and gauges that must agree with what there is.
    fn check_budget(&mut self, stats: &Stats) -> Verdict {
        self.coverage
            .saw_if("queue full", stats.dropped_queue_full > 0);
        let links = self
            .clients
            .iter()
            .filter(|client| client.link.is_some())
            .count() as u64;
        if stats.connections != links {
            // Such as one that does not read and is not done with yet.
            let reading = self
                .clients
                .iter()
                .all(|c| c.link.as_ref().is_none_or(|l| l.reads));
            if reading && stats.connections < links {
                return fail(
                    Oracle::Budget,
                    format!(
                        "{} connections are counted and {links} are open",
                        stats.connections
                    ),
                );
            }
        }
        let certain = |client: &&Client| {
            let link = client.link.as_ref();
            link.is_some_and(|link| link.admitted && link.reads)
        };
        let certain = self.clients.iter().filter(certain).count() as u64;
        let possible = self.clients.len() as u64;
        if stats.sessions < certain || stats.sessions > possible {
            return fail(
                Oracle::Budget,
                format!(
                    "{} sessions are counted, between {certain} and {possible} there are",
                    stats.sessions
                ),
            );
        }
        if self.room == Room::Tight {
            let owners = possible + crate::delivery::GROUPS as u64;
            let most = owners * u64::from(crate::script::TIGHT_QUEUE);
            if stats.queued_messages > most {
                return fail(
                    Oracle::Budget,
                    format!(
                        "{} messages are queued, {most} may be",
                        stats.queued_messages
                    ),
                );
            }
        }
        if stats.queued_messages > 1 << 40 || stats.queued_bytes > 1 << 50 {
            return fail(Oracle::Budget, format!("a gauge has wrapped: {stats:?}"));
        }
        Ok(())
    }

    /// As [`Life::has_dropped`], without letting the broker go on: what it counted up to the last rest.
    pub(crate) fn has_dropped_so_far(&mut self) {
        self.dropped |= self.coverage.count("queue full") > 0;
    }

    /// Whether the broker may have dropped messages for want of room.
    pub(crate) fn has_dropped(&mut self) -> bool {
        let stats = self.sim.stats();
        self.dropped |= stats.dropped_queue_full > 0 || stats.dropped_too_large > 0;
        self.dropped
    }

    pub(crate) fn encode(&self, who: usize, packet: &Packet<'_>) -> Verdict<Vec<u8>> {
        let mut bytes = Vec::new();
        match packet.encode(self.clients[who].version(), &mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) => fail(
                Oracle::Protocol,
                format!("the simulator cannot say {packet:?}: {error}"),
            ),
        }
    }

    /// Sends a packet on the client's connection, if it has one.
    pub(crate) fn send(&mut self, who: usize, packet: &Packet<'_>) -> Verdict {
        let bytes = self.encode(who, packet)?;
        let now = self.now();
        if let Some(link) = self.clients[who].link.as_mut() {
            link.silence = link.silent_since(now);
            link.last_sent = now;
            self.sim.send(link.wire, &bytes);
        }
        Ok(())
    }
}
