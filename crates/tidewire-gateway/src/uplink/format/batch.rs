//! `batch`: many points in one JSON object.
//!
//! ```json
//! {"gateway":"g1","seq":17,"clock":"synced","points":[["app","sn","input","prop",1732724201.5,21.5,0]]}
//! ```
//! A point is app, device, input, property, source time in seconds, value, quality. `"resent":true` says that some of it
//! may have come before, `"backfill":true` that newer points came before. `seq` rises, and is the same when a packet is
//! sent again.

use super::Common;
use super::freeioe::seconds;
use crate::clock::Clock;
use crate::json;
use crate::model::{Event, Stat};
use crate::pipeline::PointRef;
use crate::pipeline::packet::{Format, Mark, Outgoing};
use crate::uplink::topic::Names;
use serde_json::json;

/// The format.
#[derive(Debug)]
pub(crate) struct BatchJson {
    common: Common,
    /// Points by topic; one, unless the topic has the device in it.
    groups: Vec<Group>,
    other: Vec<Outgoing>,
    topic: String,
    bytes: usize,
}

#[derive(Debug)]
struct Group {
    topic: String,
    points: Vec<u8>,
}

impl BatchJson {
    pub(crate) fn new(common: Common) -> Self {
        Self {
            common,
            groups: Vec::new(),
            other: Vec::new(),
            topic: String::new(),
            bytes: 0,
        }
    }

    /// The points for the topic of a point.
    fn group(&mut self, point: &PointRef<'_>) -> &mut Vec<u8> {
        let template = &self.common.topics.data;
        let at = if self.groups.is_empty() || template.is_per_series() {
            self.topic.clear();
            let names = Names {
                gateway: &self.common.gateway,
                app: point.series.app,
                device: point.series.sn,
                input: point.series.input,
            };
            template.render(&mut self.topic, names);
            let topic = self.topic.as_str();
            self.groups.iter().position(|group| group.topic == topic)
        } else {
            Some(0)
        };
        let at = at.unwrap_or_else(|| {
            self.groups.push(Group {
                topic: self.topic.clone(),
                points: Vec::new(),
            });
            self.groups.len() - 1
        });
        &mut self.groups[at].points
    }

    fn finished(&self, group: Group, seq: u64, mark: Mark) -> Outgoing {
        let mut payload = Vec::with_capacity(group.points.len() + 128);
        payload.extend_from_slice(b"{\"gateway\":");
        json::text(&mut payload, &self.common.gateway);
        payload.extend_from_slice(b",\"seq\":");
        json::integer(&mut payload, i64::try_from(seq).unwrap_or(i64::MAX));
        payload.extend_from_slice(match mark.clock {
            Clock::Synced => b",\"clock\":\"synced\"".as_slice(),
            Clock::Unsynced => b",\"clock\":\"unsynced\"",
        });
        if mark.resent {
            payload.extend_from_slice(b",\"resent\":true");
        }
        if mark.backfill {
            payload.extend_from_slice(b",\"backfill\":true");
        }
        payload.extend_from_slice(b",\"points\":[");
        payload.extend_from_slice(&group.points);
        payload.extend_from_slice(b"]}");
        self.compressed(group.topic, payload)
    }

    fn compressed(&self, mut topic: String, payload: Vec<u8>) -> Outgoing {
        let way = self.common.compression;
        match way.compress(payload) {
            Ok(payload) => {
                topic.push_str(way.suffix());
                Outgoing { topic, payload }
            }
            Err(error) => {
                // In memory neither of them can fail.
                tracing::error!(%error, "a payload cannot be compressed");
                Outgoing {
                    topic,
                    payload: Vec::new(),
                }
            }
        }
    }
}

impl Format for BatchJson {
    fn point(&mut self, point: &PointRef<'_>) {
        let series = point.series;
        let into = self.group(point);
        let before = into.len();
        into.extend_from_slice(if before > 0 { b",[" } else { b"[" });
        for name in [series.app, series.sn, series.input, series.prop] {
            json::text(into, name);
            into.push(b',');
        }
        json::seconds(into, point.source_ms);
        into.push(b',');
        json::value(into, point.value);
        into.push(b',');
        json::integer(into, point.quality.0.into());
        into.push(b']');
        let grown = into.len() - before;
        self.bytes += grown;
    }

    fn event(&mut self, event: &Event) {
        let names = Names {
            gateway: &self.common.gateway,
            app: &event.app,
            device: &event.sn,
            input: "",
        };
        let topic = self.common.topics.event.topic(names);
        let payload = json!({
            "gateway": self.common.gateway, "app": event.app, "sn": event.sn, "level": event.level.number(),
            "type": event.kind.word(), "info": event.info, "data": event.data,
            "timestamp": seconds(event.timestamp_ms),
        });
        self.ready(&topic, &payload.to_string());
    }

    fn stat(&mut self, stat: &Stat) {
        let names = Names {
            gateway: &self.common.gateway,
            app: &stat.app,
            device: &stat.sn,
            input: "",
        };
        let topic = self.common.topics.stat.topic(names);
        let payload = json!({
            "gateway": self.common.gateway, "app": stat.app, "sn": stat.sn, "stat": stat.stat, "prop": stat.prop,
            "value": stat.value.borrowed().to_json(), "timestamp": seconds(stat.timestamp_ms),
        });
        self.ready(&topic, &payload.to_string());
    }

    fn ready(&mut self, topic: &str, payload: &str) {
        self.bytes += payload.len();
        self.other.push(Outgoing {
            topic: topic.to_owned(),
            payload: payload.as_bytes().to_vec(),
        });
    }

    fn size(&self) -> usize {
        self.bytes
    }

    fn finish(&mut self, seq: u64, mark: Mark) -> Vec<Outgoing> {
        self.bytes = 0;
        let groups = std::mem::take(&mut self.groups);
        let mut messages: Vec<_> = groups
            .into_iter()
            .map(|group| self.finished(group, seq, mark))
            .collect();
        messages.append(&mut self.other);
        messages
    }

    fn fresh(&self) -> Box<dyn Format> {
        Box::new(Self::new(self.common.clone()))
    }
}
