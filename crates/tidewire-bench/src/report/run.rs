//! One measurement as text.

use std::fmt::Write;

use super::figure;
use crate::measure::Measurement;
use crate::scenario::Unit;

/// One run in a few lines.
#[must_use]
pub fn run_text(run: &Measurement, syscalls: Option<f64>) -> String {
    let mut text = format!(
        "{}: {}, {} {}s in {:.2} s\n",
        run.scenario,
        if run.is_valid() {
            "clean".to_owned()
        } else {
            format!("VOID ({})", run.faults)
        },
        run.units,
        run.unit,
        run.wall_secs,
    );
    let mut line = |name: &str, value: Option<f64>, unit: &str| {
        if value.is_some() {
            let _infallible = writeln!(text, "  {name:<22} {:>9} {unit}", figure(value));
        }
    };
    let (micros, per) = ("us", run.unit);
    line("broker CPU", run.cpu_us(), &format!("{micros} per {per}"));
    line(
        "broker user time",
        run.user_us(),
        &format!("{micros} per {per}"),
    );
    line("broker system calls", syscalls, &format!("per {per}"));
    line(
        "generator CPU",
        Some(run.generator_us()),
        &format!("{micros} per {per}"),
    );
    line(
        "latency p50",
        run.latency.map(|latency| latency.p50_us),
        micros,
    );
    line(
        "latency p99",
        run.latency.map(|latency| latency.p99_us),
        micros,
    );
    line(
        "latency max",
        run.latency.map(|latency| latency.max_us),
        micros,
    );
    if let Some(memory) = run.memory {
        line(
            "broker memory after",
            Some(memory.after.pss_bytes as f64),
            "bytes (pss)",
        );
    }
    if let Some(bytes) = run
        .bytes_per_unit()
        .filter(|_| run.unit == Unit::Connection && run.is_valid())
    {
        line(
            "memory growth, rss",
            Some(bytes.rss),
            &format!("bytes per {per}"),
        );
        line(
            "memory growth, pss",
            Some(bytes.pss),
            &format!("bytes per {per}"),
        );
        line(
            "memory growth, anon",
            Some(bytes.anonymous),
            &format!("bytes per {per}"),
        );
    }
    text
}
