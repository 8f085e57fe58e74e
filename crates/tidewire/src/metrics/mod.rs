//! Figures for Prometheus on an address of their own, off by default.

mod families;
mod handlers;
mod http;

pub(crate) use http::MetricsServer;

use families::FAMILIES;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use tidewire_core::Stats;
use tidewire_handler::HandlerRow;

/// Where the figures come from, asked at every scrape; `None` once the broker has stopped.
pub(crate) type Source = dyn Fn() -> Option<Stats> + Send + Sync;

/// The handlers and their figures, asked at every scrape.
pub(crate) type Handlers = dyn Fn() -> Vec<HandlerRow> + Send + Sync;

/// Writes all figures in the text format that Prometheus scrapes.
pub(crate) struct Exposition {
    registry: Registry,
}

impl Exposition {
    /// An exposition of `source` and of these handlers.
    pub(crate) fn new(source: Box<Source>, handlers: Box<Handlers>) -> Self {
        let mut registry = Registry::with_prefix("tidewire");
        registry.register_collector(Box::new(StatsCollector { source, handlers }));
        Self { registry }
    }

    /// The figures as they are now; an error once the broker has stopped.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

struct StatsCollector {
    source: Box<Source>,
    handlers: Box<Handlers>,
}

impl fmt::Debug for StatsCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatsCollector").finish_non_exhaustive()
    }
}

impl Collector for StatsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut figures = Vec::new();
        (self.source)()
            .ok_or(fmt::Error)?
            .for_each(|name, figure| figures.push((name, figure)));
        let figure = |name: &str| {
            figures
                .iter()
                .find(|(known, _)| *known == name)
                .map_or(0, |(_, figure)| *figure)
        };
        build_info(&mut encoder)?;
        for family in FAMILIES {
            let metric_type = family.shape.metric_type();
            let unit = family.unit();
            let mut metric =
                encoder.encode_descriptor(family.name, family.help, unit.as_ref(), metric_type)?;
            let Some(label) = family.label else {
                let row = family.rows.first().map_or("", |row| row.figure);
                family.shape.encode(figure(row), metric)?;
                continue;
            };
            for row in family.rows {
                family.shape.encode(
                    figure(row.figure),
                    metric.encode_family(&[(label, row.value)])?,
                )?;
            }
        }
        handlers::encode(&mut encoder, &(self.handlers)())
    }
}

fn build_info(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let info = ConstGauge::new(1_i64);
    let help = "Version of the broker; always 1";
    let mut metric =
        encoder.encode_descriptor("build_info", help, None::<&Unit>, info.metric_type())?;
    info.encode(metric.encode_family(&[("version", env!("CARGO_PKG_VERSION"))])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_carry_units_and_labels() {
        let source = || {
            Some(Stats {
                connections: 3,
                bytes_received: 42,
                dropped_expired: 7,
                ..Stats::default()
            })
        };
        let exposition = Exposition::new(Box::new(source), Box::new(Vec::new));
        let text = exposition.text().expect("written");
        for line in [
            "tidewire_connections 3",
            "tidewire_received_bytes_total 42",
            "tidewire_dropped_messages_total{reason=\"expired\"} 7",
            "tidewire_dropped_messages_total{reason=\"queue_full\"} 0",
            "# TYPE tidewire_received_bytes counter",
            "# UNIT tidewire_received_bytes bytes",
            "# TYPE tidewire_connections gauge",
        ] {
            assert!(
                text.lines().any(|written| written == line),
                "{line} is missing in\n{text}"
            );
        }
    }
}
