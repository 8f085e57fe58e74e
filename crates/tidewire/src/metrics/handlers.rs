//! Figures of handlers: what became of their questions, and how long their answers took.

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Unit;
use std::fmt;
use tidewire_handler::{Counts, HandlerRow, Latency};

/// What a counter of a handler is called, and where it is.
type Figure = (&'static str, fn(&Counts) -> u64);

const FIGURES: &[Figure] = &[
    ("asked", |counts| counts.calls),
    ("waited", |counts| counts.waits),
    ("denied", |counts| counts.denials),
    ("error", |counts| counts.errors),
    ("panic", |counts| counts.panics),
    ("late", |counts| counts.timeouts),
];

/// Writes the figures of all handlers.
pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, rows: &[HandlerRow]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let help = "Questions and notices of a handler, and what became of them";
    let mut metric =
        encoder.encode_descriptor("handler_calls", help, None::<&Unit>, MetricType::Counter)?;
    for row in rows {
        for (result, figure) in FIGURES {
            let labels = [("handler", &*row.name), ("result", *result)];
            ConstCounter::new(figure(&row.counts)).encode(metric.encode_family(&labels)?)?;
        }
    }
    let help = "Time that a handler takes for an answer";
    let mut metric = encoder.encode_descriptor(
        "handler_answer",
        help,
        Some(&Unit::Seconds),
        MetricType::Histogram,
    )?;
    for row in rows {
        let labels = [("handler", &*row.name)];
        let mut metric = metric.encode_family(&labels)?;
        let bounds = Latency::bounds().map(|bound| bound.as_secs_f64());
        let buckets: Vec<(f64, u64)> = bounds
            .chain([f64::INFINITY])
            .zip(row.latency.buckets)
            .collect();
        let total = row.latency.total.as_secs_f64();
        metric.encode_histogram::<NoLabelSet>(total, row.latency.count(), &buckets, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::metrics::Exposition;
    use std::sync::Arc;
    use tidewire_core::Stats;
    use tidewire_handler::{BeforeConnect, Chain, Client, Decide, Registration, handler};

    struct Doorman;
    handler! {
        impl Handler for Doorman {
            fn before_connect(&self, _: &Client, _: &BeforeConnect) -> Decide<()> {
                Decide::deny("closed")
            }
        }
    }

    #[test]
    fn a_handlers_answers_are_counted_and_timed() {
        let chain = Chain::new(["mqtt"]);
        chain
            .add(Registration::new("doorman", Doorman))
            .expect("a handler for all");
        let client = Arc::new(Client::new(0, "mqtt".into(), "192.0.2.7:1"));
        let _ = chain.snapshot().decide(&client, BeforeConnect);
        let rows = move || chain.snapshot().rows();
        let exposition = Exposition::new(Box::new(|| Some(Stats::default())), Box::new(rows));
        let text = exposition.text().expect("written");
        for line in [
            "tidewire_handler_calls_total{handler=\"doorman\",result=\"asked\"} 1",
            "tidewire_handler_calls_total{handler=\"doorman\",result=\"denied\"} 1",
            "tidewire_handler_answer_seconds_count{handler=\"doorman\"} 1",
            "tidewire_handler_answer_seconds_bucket{le=\"+Inf\",handler=\"doorman\"} 1",
        ] {
            assert!(
                text.lines().any(|written| written == line),
                "{line} is missing in\n{text}"
            );
        }
    }
}
