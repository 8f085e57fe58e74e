//! The topic dictionary of a segment: what catching up readers and rewrites need to know without reading it.

use crate::group::appended;
use crate::marks::Marks;
use crate::names::Offset;
use crate::wire::{Reader, put_short, put_u32, put_u64};
use std::any::Any;
use std::collections::HashMap;
use tidewire_log::Digest;

/// Topics that a dictionary holds; a segment with more has marks in its place.
const TOPICS_MAX: usize = 4096;

/// The topics of one segment while it grows.
#[derive(Debug, Default)]
pub(crate) struct TopicDigest {
    topics: HashMap<Box<str>, Topic>,
    overflow: Overflow,
    marks: Marks,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Overflow {
    #[default]
    No,
    Yes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Topic {
    bytes: u64,
    last: Offset,
}

impl Digest for TopicDigest {
    fn add(&mut self, seq: u64, body: &[u8]) {
        for (index, (_, message)) in appended(body).enumerate() {
            self.marks.add(seq, message.topic);
            if self.overflow == Overflow::No {
                let last = Offset::new(seq, u8::try_from(index).unwrap_or(u8::MAX));
                self.enter(message.topic, body.len() as u64, last);
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        if self.overflow == Overflow::Yes {
            return self.marks.bytes();
        }
        let mut bytes = Vec::new();
        bytes.push(1);
        put_u32(&mut bytes, u32::try_from(self.topics.len()).unwrap_or(0));
        // In order, so that the same records make the same file.
        let mut topics: Vec<_> = self.topics.iter().collect();
        topics.sort_unstable_by_key(|(name, _)| *name);
        for (name, topic) in topics {
            put_short(&mut bytes, name.as_bytes());
            put_u64(&mut bytes, topic.bytes);
            put_u64(&mut bytes, topic.last.0);
        }
        bytes
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl TopicDigest {
    /// Where in the segment that grows there may be what some filters match.
    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    fn enter(&mut self, name: &str, bytes: u64, last: Offset) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.bytes += bytes;
            topic.last = last;
        } else if self.topics.len() < TOPICS_MAX {
            self.topics.insert(name.into(), Topic { bytes, last });
        } else {
            self.topics = HashMap::new();
            self.overflow = Overflow::Yes;
        }
    }
}

/// The topics of a sealed segment: name, bytes of records, last offset. `None` if there is no dictionary.
pub(crate) fn topics(digest: &[u8]) -> Option<Vec<(&str, u64, Offset)>> {
    let mut from = Reader::new(digest);
    if from.u8()? != 1 {
        return None;
    }
    let count = from.u32()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        topics.push((from.short_str()?, from.u64()?, Offset(from.u64()?)));
    }
    from.is_empty().then_some(topics)
}
