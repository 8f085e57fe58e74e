//! One measurement as text.

use std::fmt::Write;

use super::figure;
use crate::measure::Measurement;

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
    let per = format!("us per {}", run.unit);
    line("broker CPU", run.cpu_us(), &per);
    line("broker user time", run.user_us(), &per);
    line(
        "broker system calls",
        syscalls,
        &format!("per {}", run.unit),
    );
    line("generator CPU", Some(run.generator_us()), &per);
    line(
        "latency p50",
        run.latency.map(|latency| latency.p50_us),
        "us",
    );
    line(
        "latency p99",
        run.latency.map(|latency| latency.p99_us),
        "us",
    );
    line(
        "latency max",
        run.latency.map(|latency| latency.max_us),
        "us",
    );
    line(
        "broker memory growth",
        run.grown_bytes().map(|bytes| bytes / 1024.0),
        "KiB",
    );
    let bytes = run.bytes_per_connection().filter(|_| run.is_valid());
    let per = "bytes per idle connection";
    line("memory growth, rss", bytes.map(|bytes| bytes.rss), per);
    line("memory growth, pss", bytes.map(|bytes| bytes.pss), per);
    line(
        "memory growth, anon",
        bytes.map(|bytes| bytes.anonymous),
        per,
    );
    text
}
