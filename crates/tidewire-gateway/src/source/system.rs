//! The machine that the gateway runs on.

use super::Surroundings;
use crate::hub::InputPoint;
use crate::model::{Device, Input, Props, Quality, Value};
use serde_json::json;
use std::time::Duration;
use sysinfo::{Disks, System};

/// What is read.
#[derive(Clone, PartialEq, Debug)]
pub struct SystemSettings {
    /// The app of the device.
    pub name: Box<str>,
    /// The device's serial number.
    pub sn: Box<str>,
    /// Time between two readings.
    pub interval: Duration,
}

/// Name, sentence, unit.
const INPUTS: [(&str, &str, &str); 7] = [
    ("cpu_percent", "Processor time in use", "%"),
    ("load_1m", "Load average of a minute", ""),
    ("memory_used", "Memory in use", "bytes"),
    ("memory_total", "Memory", "bytes"),
    (
        "disk_free",
        "Free space of the disk with the gateway's data",
        "bytes",
    ),
    ("uptime", "Time since the machine started", "s"),
    ("gateway_memory", "Memory of the gateway's process", "bytes"),
];

pub(super) async fn run(settings: SystemSettings, around: Surroundings) {
    let inputs = INPUTS.map(|(name, desc, unit)| Input {
        name: name.into(),
        desc: desc.into(),
        unit: unit.into(),
        ..Input::default()
    });
    around.hub.add_device(Device {
        app: settings.name.clone(),
        sn: settings.sn.clone(),
        props: Props {
            meta: json!({"name": System::host_name(), "description": "The gateway's machine"})
                .as_object()
                .cloned()
                .unwrap_or_default(),
            inputs: inputs.to_vec(),
            ..Props::default()
        },
    });
    let mut system = System::new();
    let mut ticks = tokio::time::interval(settings.interval);
    loop {
        tokio::select! {
            () = around.stopped() => return,
            _ = ticks.tick() => read(&settings, &around, &mut system),
        }
    }
}

fn read(settings: &SystemSettings, around: &Surroundings, system: &mut System) {
    system.refresh_cpu_usage();
    system.refresh_memory();
    let own = sysinfo::get_current_pid().ok();
    if let Some(pid) = own {
        system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), true);
    }
    let own_memory = own
        .and_then(|pid| system.process(pid))
        .map(sysinfo::Process::memory);
    let whole = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let values = [
        Value::Float((f64::from(system.global_cpu_usage()) * 10.0).round() / 10.0),
        Value::Float(System::load_average().one),
        whole(system.used_memory()),
        whole(system.total_memory()),
        disk_free(around).map_or(Value::Null, whole),
        whole(System::uptime()),
        own_memory.map_or(Value::Null, whole),
    ];
    let now = around.hub.now_ms();
    for ((name, ..), value) in INPUTS.iter().zip(&values) {
        if let Some(series) = around.hub.series(&settings.sn, name, "value") {
            around.hub.inputs(&[InputPoint {
                series,
                value,
                quality: Quality::GOOD,
                source_ms: now,
            }]);
        }
    }
}

/// Of the disk that is mounted nearest to the gateway's folder.
fn disk_free(around: &Surroundings) -> Option<u64> {
    let folder = around.folder.canonicalize().ok()?;
    let disks = Disks::new_with_refreshed_list();
    let holding = disks
        .list()
        .iter()
        .filter(|disk| folder.starts_with(disk.mount_point()));
    let nearest = holding.max_by_key(|disk| disk.mount_point().as_os_str().len());
    nearest.map(sysinfo::Disk::available_space)
}
