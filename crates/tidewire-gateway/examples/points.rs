//! What a point costs the gateway, by stage and from end to end, in CPU time of this process.
//!
//! `cargo run --profile dist -p tidewire-gateway --example points -- URL POINTS` sends to the broker at URL, which should be
//! another process; without a URL only the stages inside are measured.

use std::sync::Arc;
use std::time::{Duration, Instant};
use tidewire_gateway::clock::TimeSource;
use tidewire_gateway::hub::{InputPoint, SeriesId};
use tidewire_gateway::model::{Device, Quality, Value};
use tidewire_gateway::pipeline::Compression;
use tidewire_gateway::{Config, Gateway, Hub};

const SERIES: usize = 1000;

/// CPU time of this process, all threads, in microseconds.
fn cpu_us() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let own: f64 = stat
        .split(' ')
        .next()
        .and_then(|ns| ns.parse().ok())
        .unwrap_or_default();
    let mut total = 0.0;
    if let Ok(tasks) = std::fs::read_dir("/proc/self/task") {
        for task in tasks.flatten() {
            let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            total += stat
                .split(' ')
                .next()
                .and_then(|ns| ns.parse::<f64>().ok())
                .unwrap_or_default();
        }
    }
    total.max(own) / 1000.0
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or_default()
}

fn devices(hub: &Hub, devices: usize, inputs: usize) -> Vec<SeriesId> {
    let mut series = Vec::new();
    for device in 0..devices {
        let sn = format!("pump-{device:05}");
        hub.add_device(Device {
            app: "bench".into(),
            sn: sn.as_str().into(),
            ..Device::default()
        });
        for input in 0..inputs {
            series.extend(hub.series(&sn, &format!("sensor-{input:02}"), "value"));
        }
    }
    series
}

/// A value with two decimals that changes every time, as sensors have it.
fn value(round: usize, at: usize) -> Value {
    let wave = ((round * 7 + at * 13) % 6283) as f64 / 1000.0;
    Value::Float(((wave.sin() * 20.0 + 50.0 + at as f64 / 10.0) * 100.0).round() / 100.0)
}

fn config(folder: &std::path::Path, url: Option<&str>, compression: &str) -> Config {
    let mut text = format!(
        "[gateway]\nid = \"bench\"\ndata_dir = {folder:?}\n[pipeline]\nbuffer_points = 1000000\n"
    );
    if let Some(url) = url {
        text += &format!(
            "[[uplink]]\nname = \"up\"\nurl = \"{url}\"\nbatch_secs = 0.5\ncompression = \"{compression}\"\ndownlink = false\n"
        );
    }
    Config::read("bench", &text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn bring(hub: &Hub, series: &[SeriesId], round: usize) {
    let values: Vec<Value> = (0..series.len()).map(|at| value(round, at)).collect();
    let now = hub.now_ms();
    let points: Vec<InputPoint<'_>> = series
        .iter()
        .zip(&values)
        .map(|(series, value)| InputPoint {
            series: *series,
            value,
            quality: Quality::GOOD,
            source_ms: now,
        })
        .collect();
    hub.inputs(&points);
}

async fn run(url: Option<&str>, compression: &str, rounds: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), url, compression);
    let hub = Arc::new(Hub::new(config.hub.clone(), TimeSource::System));
    let gateway = Gateway::start(&config, &hub, None).expect("a gateway");
    let series = devices(&hub, SERIES / 10, 10);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let state = gateway.state();
    let (cpu, started) = (cpu_us(), Instant::now());
    for round in 0..rounds {
        bring(&hub, &series, round);
        while hub.is_holding() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let status = state.status();
        let sent = status["uplinks"][0]["sent_points"]
            .as_u64()
            .unwrap_or_default();
        let passed = status["counters"]["passed"].as_u64().unwrap_or(1);
        let is_on_disk = hub.buffered_points() == 0;
        if is_on_disk && (url.is_none() || sent >= passed) {
            let spent = cpu_us() - cpu;
            let passed = passed as f64;
            let bytes = status["uplinks"][0]["sent_bytes"]
                .as_f64()
                .unwrap_or_default();
            println!(
                "{:>24}: {:.2} us CPU per point, {:.0} points/s, {:.1} payload bytes a point",
                format!(
                    "{} {compression}",
                    url.map_or("to disk", |_| "to disk and PUBACK")
                ),
                spent / passed,
                passed / started.elapsed().as_secs_f64(),
                bytes / passed
            );
            break;
        }
    }
    gateway.stop().await;
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next();
    let points: usize = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000_000);
    let rounds = (points / SERIES).max(1);
    let hub = Hub::new(
        tidewire_gateway::HubSettings {
            buffer_points: u32::MAX,
            ..Default::default()
        },
        TimeSource::System,
    );
    let before = memory_kib();
    let many = devices(&hub, 10_000, 10);
    bring(&hub, &many, 0);
    println!(
        "{:>24}: {} KiB with 10,000 devices of 10 inputs, {} KiB before",
        "memory",
        memory_kib(),
        before
    );
    let series = devices(&hub, SERIES / 10, 10);
    let cpu = cpu_us();
    for round in 0..rounds {
        bring(&hub, &series, round);
    }
    println!(
        "{:>24}: {:.2} us CPU per point, with making the value",
        "change and record",
        (cpu_us() - cpu) / (rounds * SERIES) as f64
    );
    drop(hub);
    run(None, "none", rounds).await;
    if let Some(url) = &url {
        for compression in ["none", "deflate", "zstd"] {
            run(Some(url), compression, rounds).await;
        }
    }
    let text: Vec<u8> = (0..1024)
        .flat_map(|at| {
            format!(
                "[\"bench\",\"pump-{:05}\",\"sensor-{:02}\",\"value\",1732724201.{:03},{:?},0],",
                at / 10,
                at % 10,
                at % 7,
                value(3, at)
            )
            .into_bytes()
        })
        .collect();
    for way in [Compression::Deflate, Compression::Zstd] {
        let small = way.compress(text.clone()).map_or(0, |bytes| bytes.len());
        println!(
            "{:>24}: {:.1} to 1 on 1,024 points of 1,024 series",
            format!("{way:?}"),
            text.len() as f64 / small as f64
        );
    }
}
