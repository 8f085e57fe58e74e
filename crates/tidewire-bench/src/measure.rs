//! One measurement: a load with the operating system's figures taken around its timed part.

use std::time::Duration;

use serde::Serialize;

use crate::engine::{self, Endpoint, Gauge, Options, Tally};
use crate::error::{BenchError, Result};
use crate::latency::LatencySummary;
use crate::probe::{CpuReading, CpuUse, MemoryReading, SyscallCounter, own_cpu_nanos};
use crate::scenario::{Scenario, Unit};
use crate::sequence::Faults;

/// Descriptors needed beside one per connection.
const SPARE_DESCRIPTORS: u64 = 64;

/// What one run of one scenario against one broker gave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    /// Name of the scenario.
    pub scenario: String,
    /// What the figures are divided by.
    pub unit: Unit,
    /// Messages delivered, or connections made, in the timed part.
    pub units: u64,
    /// Length of the timed part.
    pub wall_secs: f64,
    /// What went wrong; anything voids the run.
    pub faults: Faults,
    /// The broker's CPU; absent if the run is void or no process was named.
    pub broker_cpu: Option<CpuUse>,
    /// The load generator's own CPU, in nanoseconds.
    pub generator_cpu_nanos: u64,
    /// Only for loads on a schedule.
    pub latency: Option<LatencySummary>,
    /// The broker's memory before and after; absent if no process was named.
    pub memory: Option<MemoryChange>,
}

/// A process's memory before the first connection and after the timed part, all connections open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MemoryChange {
    /// Before.
    pub before: MemoryReading,
    /// After.
    pub after: MemoryReading,
}

impl Measurement {
    /// Whether nothing was lost, duplicated, reordered or refused, and anything was delivered at all.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.faults.is_clean() && self.units > 0
    }

    /// Broker CPU per unit, in microseconds.
    #[must_use]
    pub fn cpu_us(&self) -> Option<f64> {
        Some(self.per_unit_us(self.broker_cpu?.total_nanos))
    }

    /// Broker user time per unit, in microseconds.
    #[must_use]
    pub fn user_us(&self) -> Option<f64> {
        Some(self.per_unit_us(self.broker_cpu?.user_nanos))
    }

    /// The generator's CPU per unit, in microseconds.
    #[must_use]
    pub fn generator_us(&self) -> f64 {
        self.per_unit_us(self.generator_cpu_nanos)
    }

    /// Growth of the broker from before the first connection to the end, in bytes (proportional set).
    #[must_use]
    pub fn grown_bytes(&self) -> Option<f64> {
        let memory = self.memory?;
        Some(memory.after.pss_bytes as f64 - memory.before.pss_bytes as f64)
    }

    /// Growth of the broker per idle connection, in bytes, of each of the three measures.
    #[must_use]
    pub fn bytes_per_connection(&self) -> Option<BytesPerConnection> {
        let memory = self.memory.filter(|_| self.unit == Unit::IdleConnection)?;
        let per = |read: fn(&MemoryReading) -> u64| {
            let grown = read(&memory.after) as f64 - read(&memory.before) as f64;
            grown / self.units.max(1) as f64
        };
        Some(BytesPerConnection {
            rss: per(|memory| memory.rss_bytes),
            pss: per(|memory| memory.pss_bytes),
            anonymous: per(|memory| memory.anonymous_bytes),
        })
    }

    fn per_unit_us(&self, nanos: u64) -> f64 {
        nanos as f64 / 1000.0 / self.units.max(1) as f64
    }
}

/// Memory growth divided by connections, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BytesPerConnection {
    /// Resident set.
    pub rss: f64,
    /// Proportional set.
    pub pss: f64,
    /// Anonymous pages.
    pub anonymous: f64,
}

/// Runs `scenario` once and measures process `pid`, if one is named.
///
/// # Errors
/// When there is no figure for another reason than faulty delivery.
pub fn measure(
    scenario: &Scenario,
    endpoint: Endpoint,
    pid: Option<u32>,
    options: &Options,
) -> Result<Measurement> {
    check_descriptors(scenario.plan.connections())?;
    let mut probe = Probe {
        pid,
        ..Probe::default()
    };
    if let Some(pid) = pid {
        probe.memory.before = MemoryReading::of(pid)?;
    }
    let tally = engine::run(&scenario.plan, endpoint, options, &mut probe)?;
    Ok(probe.into_measurement(scenario, &tally))
}

/// Counts the broker's system calls per unit in a repetition of its own.
///
/// # Errors
/// When `strace` cannot attach, or the run is void.
pub fn count_syscalls(
    scenario: &Scenario,
    endpoint: Endpoint,
    pid: u32,
    options: &Options,
) -> Result<f64> {
    let mut tracer = Tracer {
        pid,
        counter: None,
        calls: 0,
    };
    let patient = Options {
        stall: options.stall * 4,
        ..options.clone()
    };
    let tally = engine::run(&scenario.plan, endpoint, &patient, &mut tracer)?;
    if !tally.faults.is_clean() || tally.units == 0 {
        let text = format!("the run under strace is void: {}", tally.faults);
        return Err(BenchError::Environment(text));
    }
    Ok(tracer.calls as f64 / tally.units as f64)
}

/// Raises the limit of open files as far as the system lets us, for this process and those it starts.
///
/// # Errors
/// When fewer than `connections` and some are possible.
pub fn check_descriptors(connections: usize) -> Result<()> {
    let wanted = connections as u64 + SPARE_DESCRIPTORS;
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let failed =
            |error: nix::Error| BenchError::io("raising the limit of open files")(error.into());
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed)?;
        }
        if hard < wanted {
            return Err(BenchError::Environment(format!(
                "{connections} connections need {wanted} open files and the hard limit is {hard}; raise it (`ulimit -Hn`)"
            )));
        }
    }
    #[cfg(not(unix))]
    let _no_such_limit = wanted;
    Ok(())
}

#[derive(Debug, Default)]
struct Probe {
    pid: Option<u32>,
    memory: MemoryChange,
    begin: Option<CpuReading>,
    used: Option<CpuUse>,
    own_nanos: u64,
}

impl Gauge for Probe {
    fn begin(&mut self) -> Result<()> {
        if let Some(pid) = self.pid {
            self.begin = Some(CpuReading::of(pid)?);
        }
        self.own_nanos = own_cpu_nanos();
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.own_nanos = own_cpu_nanos() - self.own_nanos;
        if let (Some(pid), Some(begin)) = (self.pid, &self.begin) {
            self.used = Some(CpuReading::of(pid)?.since(begin));
            self.memory.after = MemoryReading::of(pid)?;
        }
        Ok(())
    }
}

impl Probe {
    fn into_measurement(self, scenario: &Scenario, tally: &Tally) -> Measurement {
        let valid = tally.faults.is_clean() && tally.units > 0;
        let idle = scenario.plan.unit() == Unit::IdleConnection;
        Measurement {
            scenario: scenario.name.clone(),
            unit: scenario.plan.unit(),
            units: tally.units,
            wall_secs: tally.wall.as_secs_f64(),
            faults: tally.faults,
            broker_cpu: self.used.filter(|_| valid && !idle),
            generator_cpu_nanos: self.own_nanos,
            latency: tally.latency.filter(|_| valid),
            memory: self.pid.map(|_| self.memory),
        }
    }
}

struct Tracer {
    pid: u32,
    counter: Option<SyscallCounter>,
    calls: u64,
}

impl Gauge for Tracer {
    fn begin(&mut self) -> Result<()> {
        self.counter = Some(SyscallCounter::attach(self.pid)?);
        // `-f` attaches to the other threads right after the first; none of them is busy now.
        std::thread::sleep(Duration::from_millis(100));
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if let Some(counter) = self.counter.take() {
            self.calls = counter.finish()?;
        }
        Ok(())
    }
}
