//! One stream of packets out of a log.

use super::outflow::{Kind, Packet};
use crate::clock::Clock;
use crate::pipeline::Place;
use crate::pipeline::packet::{Format, Mark, PacketLimits, Source};
use crate::pipeline::record::{Entry, decode};
use crate::pipeline::spool::Reader;
use std::collections::VecDeque;
use std::io;

/// What came of an attempt to make a packet.
#[derive(Debug)]
pub(crate) enum Reading {
    /// One.
    Packet(Packet),
    /// Nothing to send, or not before so many milliseconds have passed.
    Wait(Option<u64>),
}

/// Reads records, collects them into packets, and knows which are on their way.
#[derive(Debug)]
pub(crate) struct Stream {
    uplink: Box<str>,
    kind: Kind,
    format: Box<dyn Format>,
    reader: Reader,
    current: Option<Current>,
    draft: Option<Draft>,
    /// The first thing that is not in a packet or the draft.
    next: Place,
    in_flight: VecDeque<Done>,
    skipped: bool,
    resent: bool,
}

/// A record of which not everything is in a packet.
#[derive(Debug)]
struct Current {
    seq: u64,
    entry: Entry,
    mark: Mark,
    oldest_ms: i64,
}

/// The packet that is being collected.
#[derive(Clone, Copy, Debug)]
struct Draft {
    seq: u64,
    mark: Mark,
    points: u32,
    oldest_ms: i64,
}

/// A packet that is on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// Everything before is done when it is.
    pub(crate) end: Place,
    pub(crate) points: u32,
    pub(crate) bytes: u64,
}

impl Stream {
    pub(crate) fn new(uplink: &str, format: Box<dyn Format>, kind: Kind) -> Self {
        Self {
            uplink: uplink.into(),
            kind,
            format,
            reader: Reader::new(0),
            current: None,
            draft: None,
            next: Place::default(),
            in_flight: VecDeque::new(),
            skipped: false,
            resent: false,
        }
    }

    /// Goes on from there, with nothing on its way.
    pub(crate) fn seek(&mut self, place: Place) {
        self.format = self.format.fresh();
        self.reader = Reader::new(place.seq);
        self.current = None;
        self.draft = None;
        self.next = place;
        self.in_flight.clear();
    }

    /// Reads on until a packet is full, its time has come, or the log ends.
    pub(crate) fn fill(
        &mut self,
        spool: Source<'_>,
        limits: PacketLimits,
        sent: Place,
        until: u64,
        now_ms: i64,
    ) -> io::Result<Reading> {
        loop {
            if self.is_full(limits) {
                return Ok(self.finish());
            }
            if self.current.is_none() && !self.read(spool, sent, until)? {
                break;
            }
            let Some(current) = &self.current else { break };
            if self.draft.is_some_and(|draft| draft.mark != current.mark) {
                return Ok(self.finish());
            }
            self.step();
        }
        let Some(draft) = self.draft else {
            return Ok(Reading::Wait(None));
        };
        let age = now_ms.saturating_sub(draft.oldest_ms);
        // A clock that was set back must not make a packet wait for the old time.
        if age >= limits.age_ms || age < -1000 {
            return Ok(self.finish());
        }
        let left = u64::try_from(limits.age_ms - age).unwrap_or(0);
        Ok(Reading::Wait(Some(left.max(1))))
    }

    fn is_full(&self, limits: PacketLimits) -> bool {
        self.draft.is_some_and(|draft| {
            draft.points >= limits.points || self.format.size() >= limits.bytes
        })
    }

    fn read(&mut self, spool: Source<'_>, sent: Place, until: u64) -> io::Result<bool> {
        let Some((seq, record)) = self.reader.next(spool, until)? else {
            if until <= spool.durable_to() && self.next < Place::of(until) {
                // The rest of the stretch is not there any more.
                self.next = Place::of(until);
                self.skipped = true;
            }
            return Ok(false);
        };
        for damage in self.reader.take_damage() {
            tracing::error!(uplink = &*self.uplink, "data are lost: {damage}");
            self.skipped = true;
        }
        if seq > self.next.seq {
            self.skipped = true;
            self.next = Place::of(seq);
        }
        let oldest_ms = crate::pipeline::record::Summary::of(&record).map_or(0, |s| s.oldest_ms);
        match decode(record) {
            Some((entry, clock)) => {
                let skip = self.next.item;
                let mark = self.mark(seq, sent, clock);
                let mut current = Current {
                    seq,
                    entry,
                    mark,
                    oldest_ms,
                };
                current.skip(skip);
                self.current = Some(current);
            }
            None => {
                tracing::error!(
                    uplink = &*self.uplink,
                    seq,
                    "a record of an unknown kind is left out"
                );
                self.next = Place::of(seq + 1);
            }
        }
        Ok(true)
    }

    fn mark(&self, seq: u64, sent: Place, clock: Clock) -> Mark {
        Mark {
            resent: Place::of(seq) < sent,
            backfill: self.kind == Kind::Backfill,
            clock,
        }
    }

    /// Adds one thing of the current record to the draft.
    fn step(&mut self) {
        let Some(current) = &mut self.current else {
            return;
        };
        let mut is_added = true;
        let mut is_over = true;
        match &mut current.entry {
            Entry::Points(decoder) => match decoder.next() {
                Some((_, point)) => {
                    self.format.point(&point);
                    is_over = false;
                }
                None => is_added = false,
            },
            Entry::Event(event) => self.format.event(event),
            Entry::Stat(stat) => self.format.stat(stat),
            Entry::Message(ready) if ready.uplink == self.uplink => {
                self.format.ready(&ready.topic, &ready.payload);
            }
            // It is counted, as it was when it was written.
            Entry::Message(_) => {}
        }
        if is_added {
            let draft = self.draft.get_or_insert(Draft {
                seq: current.seq,
                mark: current.mark,
                points: 0,
                oldest_ms: current.oldest_ms,
            });
            draft.points += 1;
            self.next.item += 1;
        }
        if is_over {
            self.next = Place::of(current.seq + 1);
            self.current = None;
        }
    }

    fn finish(&mut self) -> Reading {
        let Some(draft) = self.draft.take() else {
            return Reading::Wait(None);
        };
        let messages = self.format.finish(draft.seq, draft.mark);
        let bytes = messages
            .iter()
            .map(|message| message.payload.len() as u64)
            .sum();
        self.resent = draft.mark.resent;
        self.in_flight.push_back(Done {
            end: self.next,
            points: draft.points,
            bytes,
        });
        Reading::Packet(Packet {
            kind: self.kind,
            messages,
            points: draft.points,
        })
    }

    pub(crate) fn acknowledged(&mut self) -> Option<Done> {
        self.in_flight.pop_front()
    }

    /// Whether records were dropped or damaged before they were read, since the last call.
    pub(crate) fn take_skipped(&mut self) -> bool {
        std::mem::take(&mut self.skipped)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Points on their way of records before this one.
    pub(crate) fn points_in_flight_before(&self, seq: u64) -> u64 {
        let before = self
            .in_flight
            .iter()
            .filter(|done| done.end <= Place::of(seq));
        before.map(|done| u64::from(done.points)).sum()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn read_to(&self) -> Place {
        self.next
    }

    pub(crate) fn last_was_resent(&self) -> bool {
        self.resent
    }

    /// Whether everything before this place, and nothing behind it, is in packets.
    pub(crate) fn is_at(&self, place: Place) -> bool {
        self.draft.is_none() && self.current.is_none() && self.next >= place
    }
}

impl Current {
    /// Leaves out what was done before.
    fn skip(&mut self, things: u32) {
        if let Entry::Points(decoder) = &mut self.entry {
            for _ in 0..things {
                if decoder.next().is_none() {
                    return;
                }
            }
        }
    }
}
