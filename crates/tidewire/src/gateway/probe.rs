//! `tidewire gateway probe`: what a Modbus device answers.

use super::arguments::Probe;
use crate::exit::{Failure, Status};
use std::time::Duration;
use tidewire_gateway::source::{ModbusUrl, probe_modbus};

pub(super) fn run(probe: &Probe) -> Result<String, Failure> {
    let url = ModbusUrl::parse(&probe.url).map_err(|why| Failure::new(Status::Usage, why))?;
    let failed = |text: String| Failure::new(Status::Failed, text);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("no runtime: {error}")))?;
    let timeout = Duration::from_millis(probe.timeout_ms.max(1));
    let found = runtime.block_on(probe_modbus(
        &url,
        probe.unit,
        probe.from,
        probe.count,
        timeout,
    ));
    found.map_err(|why| failed(format!("{}: {why}", probe.url)))
}
