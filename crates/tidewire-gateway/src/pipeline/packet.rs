//! What a format makes of records, and when a packet is full.

use super::{PointRef, Spool};
use crate::clock::Clock;
use crate::model::{Event, Stat};
use std::fmt;

/// A message to publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Outgoing {
    /// Its topic.
    pub(crate) topic: String,
    /// Its payload.
    pub(crate) payload: Vec<u8>,
}

/// What is to be known of the records in a packet. Records that differ in it go into different packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    /// Some of it may have been sent before.
    pub(crate) resent: bool,
    /// Newer data were sent before.
    pub(crate) backfill: bool,
    /// Whether the gateway's clock could be trusted.
    pub(crate) clock: Clock,
}

/// Turns points, events and statistics into messages. What was added since the last [`Format::finish`] is one packet.
pub(crate) trait Format: fmt::Debug + Send + Sync {
    /// Adds a point.
    fn point(&mut self, point: &PointRef<'_>);
    /// Adds an event.
    fn event(&mut self, event: &Event);
    /// Adds a statistic.
    fn stat(&mut self, stat: &Stat);
    /// Adds a message that is ready.
    fn ready(&mut self, topic: &str, payload: &str);
    /// Bytes so far.
    fn size(&self) -> usize;
    /// Ends the packet whose first record has this number.
    fn finish(&mut self, seq: u64, mark: Mark) -> Vec<Outgoing>;
    /// The same format, empty, for another stream of packets.
    fn fresh(&self) -> Box<dyn Format>;
}

/// When a packet is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PacketLimits {
    /// With so many points.
    pub(crate) points: u32,
    /// With so many bytes before compression.
    pub(crate) bytes: usize,
    /// When its oldest point is so old.
    pub(crate) age_ms: i64,
}

/// A log that is read from.
pub(crate) type Source<'a> = &'a Spool;
