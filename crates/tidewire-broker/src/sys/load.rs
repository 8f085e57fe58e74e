//! Load averages: events per minute, smoothed over 1, 5 and 15 minutes.

use tidewire_core::{Stats, Time};

/// The windows, in minutes, with their names.
const WINDOWS: [(f64, &str); 3] = [(1.0, "1min"), (5.0, "5min"), (15.0, "15min")];

/// A counter of which the load is shown.
struct Source {
    name: &'static str,
    of: fn(&Stats) -> u64,
}

const SOURCES: [Source; 10] = [
    Source {
        name: "messages/received",
        of: |stats| stats.packets_received,
    },
    Source {
        name: "messages/sent",
        of: |stats| stats.packets_sent,
    },
    Source {
        name: "publish/received",
        of: |stats| stats.publishes_received,
    },
    Source {
        name: "publish/sent",
        of: |stats| stats.publishes_sent,
    },
    Source {
        name: "publish/dropped",
        of: |stats| stats.dropped_outbound_full + stats.dropped_queue_full + stats.dropped_expired,
    },
    Source {
        name: "bytes/received",
        of: |stats| stats.bytes_received,
    },
    Source {
        name: "bytes/sent",
        of: |stats| stats.bytes_sent,
    },
    Source {
        name: "connections",
        of: |stats| stats.connects_accepted,
    },
    Source {
        name: "sockets",
        of: |stats| stats.connections_opened,
    },
    Source {
        name: "connections/refused",
        of: |stats| stats.connects_refused,
    },
];

/// The averages of all sources.
#[derive(Default)]
pub(crate) struct Loads {
    last: Option<(Time, Stats)>,
    rates: [[f64; WINDOWS.len()]; SOURCES.len()],
}

impl Loads {
    /// Takes in the counters at a later time.
    pub(crate) fn update(&mut self, now: Time, stats: &Stats) {
        let Some((before, old)) = self.last.replace((now, *stats)) else {
            return;
        };
        let minutes = now.since(before).as_secs_f64() / 60.0;
        if minutes <= 0.0 {
            return;
        }
        for (source, rates) in SOURCES.iter().zip(&mut self.rates) {
            let per_minute = (source.of)(stats).wrapping_sub((source.of)(&old)) as f64 / minutes;
            for ((window, _), rate) in WINDOWS.iter().zip(rates) {
                let weight = (-minutes / window).exp();
                *rate = per_minute + weight * (*rate - per_minute);
            }
        }
    }

    /// Topic names below `$SYS/broker/` and events per minute.
    pub(crate) fn figures(&self) -> impl Iterator<Item = (String, f64)> + use<> {
        let rates = self.rates;
        SOURCES.iter().zip(rates).flat_map(|(source, rates)| {
            let named = WINDOWS.iter().zip(rates);
            named.map(move |((_, window), rate)| (format!("load/{}/{window}", source.name), rate))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Loads;
    use tidewire_core::{Stats, Time};

    #[test]
    fn a_steady_rate_is_approached_faster_by_the_shorter_window() {
        let mut loads = Loads::default();
        for minute in 0..=5 {
            let stats = Stats {
                publishes_received: minute * 600,
                ..Stats::default()
            };
            loads.update(Time::from_secs(minute * 60), &stats);
        }
        let rate = |name: &str| loads.figures().find(|(topic, _)| topic == name).unwrap().1;
        let (short, long) = (
            rate("load/publish/received/1min"),
            rate("load/publish/received/15min"),
        );
        assert!((590.0..600.0).contains(&short), "{short}");
        assert!((150.0..200.0).contains(&long), "{long}");
        assert!(rate("load/publish/sent/1min").abs() < f64::EPSILON);
    }
}
