//! `freeioe`: one JSON object for each point, event and statistic, with the fields that FreeIOE's apps publish.

use super::Common;
use crate::json;
use crate::model::{Event, Stat};
use crate::pipeline::PointRef;
use crate::pipeline::packet::{Format, Mark, Outgoing};
use crate::uplink::topic::Names;
use serde_json::json;

/// The format.
#[derive(Debug)]
pub(crate) struct FreeIoe {
    common: Common,
    messages: Vec<Outgoing>,
    bytes: usize,
}

impl FreeIoe {
    pub(crate) fn new(common: Common) -> Self {
        Self {
            common,
            messages: Vec::new(),
            bytes: 0,
        }
    }

    fn push(&mut self, topic: String, payload: Vec<u8>) {
        self.bytes += payload.len();
        self.messages.push(Outgoing { topic, payload });
    }
}

impl Format for FreeIoe {
    fn point(&mut self, point: &PointRef<'_>) {
        let series = point.series;
        let names = Names {
            gateway: &self.common.gateway,
            app: series.app,
            device: series.sn,
            input: series.input,
        };
        let topic = self.common.topics.data.topic(names);
        let mut payload = Vec::with_capacity(128);
        let texts = [
            ("{\"app\":", series.app),
            (",\"sn\":", series.sn),
            (",\"input\":", series.input),
            (",\"prop\":", series.prop),
        ];
        for (key, text) in texts {
            payload.extend_from_slice(key.as_bytes());
            json::text(&mut payload, text);
        }
        payload.extend_from_slice(b",\"value\":");
        json::value(&mut payload, point.value);
        payload.extend_from_slice(b",\"timestamp\":");
        json::seconds(&mut payload, point.source_ms);
        payload.extend_from_slice(b",\"quality\":");
        json::integer(&mut payload, point.quality.0.into());
        payload.push(b'}');
        self.push(topic, payload);
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
            "app": event.app, "sn": event.sn, "level": event.level.number(), "data": event.data(),
            "timestamp": seconds(event.timestamp_ms),
        });
        self.push(topic, payload.to_string().into_bytes());
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
            "app": stat.app, "sn": stat.sn, "stat": stat.stat, "prop": stat.prop,
            "value": stat.value.borrowed().to_json(), "timestamp": seconds(stat.timestamp_ms),
        });
        self.push(topic, payload.to_string().into_bytes());
    }

    fn ready(&mut self, topic: &str, payload: &str) {
        self.push(topic.to_owned(), payload.as_bytes().to_vec());
    }

    fn size(&self) -> usize {
        self.bytes
    }

    fn finish(&mut self, _seq: u64, _mark: Mark) -> Vec<Outgoing> {
        self.bytes = 0;
        std::mem::take(&mut self.messages)
    }

    fn fresh(&self) -> Box<dyn Format> {
        Box::new(Self::new(self.common.clone()))
    }
}

/// Seconds with their fraction, as FreeIOE counts the time.
pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
