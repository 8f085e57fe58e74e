//! The topic dictionary of a segment: what catching up readers and rewrites need to know without reading it.

use crate::group::appended;
use crate::names::Offset;
use crate::wire::{Reader, put_short, put_u32, put_u64};
use std::collections::HashMap;
use tidewire_log::Digest;

/// Topics that a dictionary holds; a segment with more has none, and is always read.
const TOPICS_MAX: usize = 4096;

/// The topics of one segment while it grows.
#[derive(Debug, Default)]
pub(crate) struct TopicDigest {
    topics: HashMap<Box<str>, Topic>,
    overflow: Overflow,
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
        if self.overflow == Overflow::Yes {
            return;
        }
        for (index, (_, message)) in appended(body).enumerate() {
            let last = Offset::new(seq, u8::try_from(index).unwrap_or(u8::MAX));
            let bytes = body.len() as u64;
            if let Some(topic) = self.topics.get_mut(message.topic) {
                topic.bytes += bytes;
                topic.last = last;
            } else if self.topics.len() < TOPICS_MAX {
                self.topics
                    .insert(message.topic.into(), Topic { bytes, last });
            } else {
                self.topics = HashMap::new();
                self.overflow = Overflow::Yes;
                return;
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.overflow == Overflow::Yes {
            return bytes;
        }
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
