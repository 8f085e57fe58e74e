//! Records of the durable log: several points, an event, a statistic, or a message that is ready as it is.
//!
//! ```text
//! kind u8 | points u32 | oldest i64 (ms) | flags u8 | body
//! ```
//! Little-endian. A record of points holds all that is needed to read it: the first point of a series brings the
//! series' names, later ones its number. Integers in the body are LEB128, signed ones zigzag.

use crate::model::{Event, EventKind, Level, Quality, Stat, Value, ValueRef};
use serde_json::Value as Json;

/// Bytes before the body.
const HEADER_BYTES: usize = 14;

const POINTS: u8 = 1;
const EVENT: u8 = 2;
const STAT: u8 = 3;
const MESSAGE: u8 = 4;

const CLOCK_SYNCED: u8 = 1;

/// The names of a series.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SeriesRef<'a> {
    /// The app.
    pub app: &'a str,
    /// The device.
    pub sn: &'a str,
    /// The input.
    pub input: &'a str,
    /// Which property of the input; `value` as a rule.
    pub prop: &'a str,
}

/// One point of a record.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PointRef<'a> {
    /// Whose it is.
    pub series: SeriesRef<'a>,
    /// The value.
    pub value: ValueRef<'a>,
    /// Its quality.
    pub quality: Quality,
    /// When the device had it, in milliseconds since 1970.
    pub source_ms: i64,
    /// When the gateway learned of it.
    pub gateway_ms: i64,
}

/// What a record's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Summary {
    /// Points, events and other things in it.
    pub(crate) points: u32,
    /// When the gateway learned of the oldest of them.
    pub(crate) oldest_ms: i64,
}

impl Summary {
    /// Reads a header; `None` if it is none.
    pub(crate) fn of(record: &[u8]) -> Option<Self> {
        let points = u32::from_le_bytes(record.get(1..5)?.try_into().ok()?);
        let oldest_ms = i64::from_le_bytes(record.get(5..13)?.try_into().ok()?);
        Some(Self { points, oldest_ms })
    }
}

/// Where a series was last written: into which record, as which number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    record: u64,
    number: u64,
}

/// Collects points into a record.
#[derive(Debug)]
pub(crate) struct PointsEncoder {
    bytes: Vec<u8>,
    points: u32,
    series: u64,
    record: u64,
    previous_ms: i64,
}

impl PointsEncoder {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            points: 0,
            series: 0,
            // Not the number in `Written::default()`.
            record: 1,
            previous_ms: 0,
        }
    }

    /// Adds a point of the series that `written` belongs to.
    pub(crate) fn add(&mut self, point: &PointRef<'_>, written: &mut Written) {
        if self.bytes.is_empty() {
            header(&mut self.bytes, POINTS, point.gateway_ms);
            self.previous_ms = point.gateway_ms;
        }
        if written.record == self.record {
            put_u64(&mut self.bytes, written.number + 1);
        } else {
            *written = Written {
                record: self.record,
                number: self.series,
            };
            self.series += 1;
            put_u64(&mut self.bytes, 0);
            let SeriesRef {
                app,
                sn,
                input,
                prop,
            } = point.series;
            for name in [app, sn, input, prop] {
                put_text(&mut self.bytes, name);
            }
        }
        put_i64(
            &mut self.bytes,
            point.gateway_ms.wrapping_sub(self.previous_ms),
        );
        put_i64(
            &mut self.bytes,
            point.source_ms.wrapping_sub(point.gateway_ms),
        );
        put_i64(&mut self.bytes, point.quality.0.into());
        put_value(&mut self.bytes, point.value);
        self.previous_ms = point.gateway_ms;
        self.points += 1;
    }

    /// Its length so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn points(&self) -> u32 {
        self.points
    }

    /// Ends the record and begins another; `None` if it has no point.
    pub(crate) fn take(&mut self, clock: Clock) -> Option<Vec<u8>> {
        if self.points == 0 {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        // The next one will be about as long.
        self.bytes.reserve(bytes.len());
        finish(&mut bytes, self.points, clock);
        self.points = 0;
        self.series = 0;
        self.record += 1;
        Some(bytes)
    }
}

/// Whether the gateway's clock follows a time server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// It does.
    Synced,
    /// It does not, or nobody knows.
    Unsynced,
}

fn header(bytes: &mut Vec<u8>, kind: u8, oldest_ms: i64) {
    bytes.push(kind);
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.extend_from_slice(&oldest_ms.to_le_bytes());
    bytes.push(0);
}

fn finish(bytes: &mut [u8], points: u32, clock: Clock) {
    if let Some(place) = bytes.get_mut(1..5) {
        place.copy_from_slice(&points.to_le_bytes());
    }
    if let Some(flags) = bytes.get_mut(13) {
        *flags = if clock == Clock::Synced {
            CLOCK_SYNCED
        } else {
            0
        };
    }
}

/// The record of an event.
pub(crate) fn of_event(event: &Event, clock: Clock) -> Vec<u8> {
    let mut bytes = Vec::new();
    header(&mut bytes, EVENT, event.timestamp_ms);
    put_text(&mut bytes, &event.app);
    put_text(&mut bytes, &event.sn);
    put_i64(&mut bytes, event.level.number().into());
    put_text(&mut bytes, event.kind.word());
    put_text(&mut bytes, &event.info);
    put_text(&mut bytes, &event.data.to_string());
    put_i64(&mut bytes, event.timestamp_ms);
    finish(&mut bytes, 1, clock);
    bytes
}

/// The record of a statistic.
pub(crate) fn of_stat(stat: &Stat, clock: Clock) -> Vec<u8> {
    let mut bytes = Vec::new();
    header(&mut bytes, STAT, stat.timestamp_ms);
    for text in [&stat.app, &stat.sn, &stat.stat, &stat.prop] {
        put_text(&mut bytes, text);
    }
    put_value(&mut bytes, stat.value.borrowed());
    put_i64(&mut bytes, stat.timestamp_ms);
    finish(&mut bytes, 1, clock);
    bytes
}

/// The record of a message for one uplink: the answer to somebody's request.
pub(crate) fn of_message(message: &Ready, now_ms: i64, clock: Clock) -> Vec<u8> {
    let mut bytes = Vec::new();
    header(&mut bytes, MESSAGE, now_ms);
    put_text(&mut bytes, &message.uplink);
    put_text(&mut bytes, &message.topic);
    put_text(&mut bytes, &message.payload);
    finish(&mut bytes, 1, clock);
    bytes
}

/// A message that is ready as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ready {
    /// The uplink that it is for.
    pub(crate) uplink: Box<str>,
    /// Its topic.
    pub(crate) topic: Box<str>,
    /// Its payload.
    pub(crate) payload: Box<str>,
}

/// What a record holds.
#[derive(Debug)]
pub(crate) enum Entry {
    Points(PointsDecoder),
    Event(Box<Event>),
    Stat(Box<Stat>),
    Message(Box<Ready>),
}

/// Reads a record; `None` if it is of no kind that this build knows.
pub(crate) fn decode(record: Vec<u8>) -> Option<(Entry, Clock)> {
    let kind = *record.first()?;
    let summary = Summary::of(&record)?;
    let clock = match record.get(13)? & CLOCK_SYNCED {
        0 => Clock::Unsynced,
        _ => Clock::Synced,
    };
    if kind == POINTS {
        let decoder = PointsDecoder {
            record,
            at: HEADER_BYTES,
            series: Vec::new(),
            previous_ms: summary.oldest_ms,
            left: summary.points,
        };
        return Some((Entry::Points(decoder), clock));
    }
    let mut at = HEADER_BYTES;
    let entry = match kind {
        EVENT => Entry::Event(Box::new(read_event(&record, &mut at)?)),
        STAT => Entry::Stat(Box::new(read_stat(&record, &mut at)?)),
        MESSAGE => Entry::Message(Box::new(Ready {
            uplink: text(&record, &mut at)?.into(),
            topic: text(&record, &mut at)?.into(),
            payload: text(&record, &mut at)?.into(),
        })),
        _ => return None,
    };
    Some((entry, clock))
}

fn read_event(record: &[u8], at: &mut usize) -> Option<Event> {
    Some(Event {
        app: text(record, at)?.into(),
        sn: text(record, at)?.into(),
        level: Level::of_number(get_i64(record, at)?),
        kind: EventKind::of_word(text(record, at)?),
        info: text(record, at)?.into(),
        data: serde_json::from_str(text(record, at)?).unwrap_or(Json::Null),
        timestamp_ms: get_i64(record, at)?,
    })
}

fn read_stat(record: &[u8], at: &mut usize) -> Option<Stat> {
    Some(Stat {
        app: text(record, at)?.into(),
        sn: text(record, at)?.into(),
        stat: text(record, at)?.into(),
        prop: text(record, at)?.into(),
        value: value(record, at)?.to_owned(),
        timestamp_ms: get_i64(record, at)?,
    })
}

/// Yields the points of a record.
#[derive(Debug)]
pub(crate) struct PointsDecoder {
    record: Vec<u8>,
    at: usize,
    /// Start and end of the four names of each series.
    series: Vec<[(usize, usize); 4]>,
    previous_ms: i64,
    left: u32,
}

impl PointsDecoder {
    /// The next point and the number of its series in this record; `None` at the end, which damage is, too: a record's
    /// checksum has been checked before.
    pub(crate) fn next(&mut self) -> Option<(usize, PointRef<'_>)> {
        self.left = self.left.checked_sub(1)?;
        let mut at = self.at;
        let number = match get_u64(&self.record, &mut at)? {
            0 => {
                let mut names = [(0, 0); 4];
                for name in &mut names {
                    *name = text_range(&self.record, &mut at)?;
                }
                self.series.push(names);
                self.series.len() - 1
            }
            number => usize::try_from(number - 1).ok()?,
        };
        let gateway_ms = self
            .previous_ms
            .wrapping_add(get_i64(&self.record, &mut at)?);
        let source_ms = gateway_ms.wrapping_add(get_i64(&self.record, &mut at)?);
        let quality = Quality(i32::try_from(get_i64(&self.record, &mut at)?).ok()?);
        let value = value(&self.record, &mut at)?;
        self.at = at;
        self.previous_ms = gateway_ms;
        let names = self.series.get(number)?;
        let name = |(start, end): (usize, usize)| {
            std::str::from_utf8(self.record.get(start..end).unwrap_or_default()).unwrap_or_default()
        };
        let [app, sn, input, prop] = names.map(name);
        let point = PointRef {
            series: SeriesRef {
                app,
                sn,
                input,
                prop,
            },
            value,
            quality,
            source_ms,
            gateway_ms,
        };
        Some((number, point))
    }
}

fn put_u64(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

fn put_i64(bytes: &mut Vec<u8>, number: i64) {
    put_u64(bytes, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_u64(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

fn put_value(bytes: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => bytes.push(0),
        ValueRef::Bool(false) => bytes.push(1),
        ValueRef::Bool(true) => bytes.push(2),
        ValueRef::Int(number) => {
            bytes.push(3);
            put_i64(bytes, number);
        }
        ValueRef::Float(number) => {
            bytes.push(4);
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        ValueRef::Text(text) => {
            bytes.push(5);
            put_text(bytes, text);
        }
    }
}

fn get_u64(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0_u64;
    let mut shift = 0_u32;
    loop {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

fn get_i64(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let number = get_u64(bytes, at)?;
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

fn text_range(bytes: &[u8], at: &mut usize) -> Option<(usize, usize)> {
    let length = usize::try_from(get_u64(bytes, at)?).ok()?;
    let start = *at;
    let end = start.checked_add(length)?;
    std::str::from_utf8(bytes.get(start..end)?).ok()?;
    *at = end;
    Some((start, end))
}

fn text<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a str> {
    let (start, end) = text_range(bytes, at)?;
    std::str::from_utf8(bytes.get(start..end)?).ok()
}

fn value<'a>(bytes: &'a [u8], at: &mut usize) -> Option<ValueRef<'a>> {
    let tag = *bytes.get(*at)?;
    *at += 1;
    Some(match tag {
        0 => ValueRef::Null,
        1 => ValueRef::Bool(false),
        2 => ValueRef::Bool(true),
        3 => ValueRef::Int(get_i64(bytes, at)?),
        4 => {
            let raw = bytes.get(*at..*at + 8)?;
            *at += 8;
            ValueRef::Float(f64::from_le_bytes(raw.try_into().ok()?))
        }
        5 => ValueRef::Text(text(bytes, at)?),
        _ => return None,
    })
}

/// An owned value out of a record, for tests and tools.
impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>()
                .prop_filter("equal to itself", |n| !n.is_nan())
                .prop_map(Value::Float),
            ".{0,12}".prop_map(|text: String| Value::Text(text.into())),
        ]
    }

    type Row = (usize, Value, i32, i64, i64);

    fn points(record: Vec<u8>) -> Vec<Row> {
        let Some((Entry::Points(mut decoder), _)) = decode(record) else {
            return Vec::new();
        };
        let mut rows = Vec::new();
        while let Some((_, point)) = decoder.next() {
            let series = point.series.input.parse().expect("a number");
            let value = point.value.to_owned();
            rows.push((
                series,
                value,
                point.quality.0,
                point.source_ms,
                point.gateway_ms,
            ));
        }
        rows
    }

    fn record(rows: &[Row], written: &mut [Written], encoder: &mut PointsEncoder) -> Vec<u8> {
        for (series, value, quality, source_ms, gateway_ms) in rows {
            let input = series.to_string();
            let point = PointRef {
                series: SeriesRef {
                    app: "app",
                    sn: "sn",
                    input: &input,
                    prop: "value",
                },
                value: value.borrowed(),
                quality: Quality(*quality),
                source_ms: *source_ms,
                gateway_ms: *gateway_ms,
            };
            encoder.add(&point, &mut written[*series]);
        }
        encoder.take(Clock::Synced).unwrap_or_default()
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(
            first in proptest::collection::vec((0_usize..5, some_value(), any::<i32>(), any::<i64>(), any::<i64>()), 1..40),
            second in proptest::collection::vec((0_usize..5, some_value(), any::<i32>(), any::<i64>(), any::<i64>()), 1..40),
        ) {
            let mut written = [Written::default(); 5];
            let mut encoder = PointsEncoder::new();
            for rows in [first, second] {
                let bytes = record(&rows, &mut written, &mut encoder);
                prop_assert_eq!(Summary::of(&bytes).expect("a header").points as usize, rows.len());
                prop_assert_eq!(points(bytes), rows);
            }
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_u8..6) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = kind; }
            if let Some((Entry::Points(mut decoder), _)) = decode(bytes) {
                while decoder.next().is_some() {}
            }
        }
    }

    #[test]
    fn every_truncation_of_a_record_yields_a_prefix_of_its_points() {
        let rows: Vec<Row> = (0..4_usize)
            .map(|n| (n % 2, Value::Text(format!("v{n}").into()), 0, 5, 7))
            .collect();
        let mut written = [Written::default(); 2];
        let whole = record(&rows, &mut written, &mut PointsEncoder::new());
        for length in 0..whole.len() {
            let left = points(whole[..length].to_vec());
            assert!(left.len() < rows.len());
            assert_eq!(left, rows[..left.len()]);
        }
    }

    #[test]
    fn events_statistics_and_messages_come_back() {
        let event = Event {
            app: "a".into(),
            sn: "s".into(),
            level: Level::Fatal,
            kind: EventKind::Communication,
            info: "gone".into(),
            data: serde_json::json!({"x": [1, 2]}),
            timestamp_ms: -5,
        };
        let Some((Entry::Event(back), Clock::Unsynced)) = decode(of_event(&event, Clock::Unsynced))
        else {
            panic!("an event")
        };
        assert_eq!(*back, event);
        let stat = Stat {
            app: "a".into(),
            sn: "s".into(),
            stat: "bytes_out".into(),
            prop: "value".into(),
            value: Value::Int(7),
            timestamp_ms: 9,
        };
        let Some((Entry::Stat(back), Clock::Synced)) = decode(of_stat(&stat, Clock::Synced)) else {
            panic!("a statistic")
        };
        assert_eq!(*back, stat);
        let ready = Ready {
            uplink: "u".into(),
            topic: "t".into(),
            payload: "p".into(),
        };
        let Some((Entry::Message(back), _)) = decode(of_message(&ready, 1, Clock::Synced)) else {
            panic!("a message")
        };
        assert_eq!(*back, ready);
    }
}
