//! The load: runs one plan against one address and says what happened.
//!
//! The engine knows nothing of processes; a [`Gauge`] is told when the timed part begins and ends.

mod block;
mod connect_rate;
mod flow;
mod handshake;
mod idle;
mod ledger;
mod link;
mod pacer;
mod publisher;
mod retained;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::error::{BenchError, Result};
use crate::latency::LatencySummary;
use crate::scenario::Plan;
use crate::sequence::Faults;

/// What listens at the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// An MQTT broker.
    Mqtt,
    /// The forwarder of [`crate::raw`].
    Raw,
}

/// Where to send the load.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Address of the listener.
    pub addr: SocketAddr,
    /// What it speaks.
    pub protocol: Protocol,
}

/// How long to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Length of the timed part; messages under way at its end are waited for.
    pub timed: Duration,
    /// Length of the part before it, not measured.
    pub warm_up: Duration,
    /// Without any progress for this long, what is missing is lost.
    pub stall: Duration,
    /// Ends the run early.
    pub interrupt: Interrupt,
}

impl Options {
    /// A timed part of `secs` after a fifth of it as warm-up.
    #[must_use]
    pub fn secs(secs: f64) -> Self {
        Self {
            timed: Duration::from_secs_f64(secs),
            warm_up: Duration::from_secs_f64(secs / 5.0),
            stall: Duration::from_secs(5),
            interrupt: Interrupt::default(),
        }
    }
}

/// A request to stop, shared with a signal handler.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks every run that holds a clone to end.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails once somebody asked to stop.
    ///
    /// # Errors
    /// [`BenchError::Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            Err(BenchError::Interrupted)
        } else {
            Ok(())
        }
    }
}

/// Observes the broker around the timed part.
pub trait Gauge {
    /// The broker is warm and has nothing under way; the timed part begins when this returns.
    ///
    /// # Errors
    /// When the broker cannot be observed; the run ends.
    fn begin(&mut self) -> Result<()>;

    /// Everything sent in the timed part has arrived or is lost.
    ///
    /// # Errors
    /// When the broker cannot be observed; the run ends.
    fn end(&mut self) -> Result<()>;
}

/// Observes nothing.
#[derive(Debug, Default)]
pub struct NoGauge;

impl Gauge for NoGauge {
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What a load did.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// Messages delivered, or connections made, in the timed part.
    pub units: u64,
    /// Wall-clock length of the timed part with its draining.
    pub wall: Duration,
    /// Everything wrong since the first message, warm-up included.
    pub faults: Faults,
    /// Only for loads on a schedule.
    pub latency: Option<LatencySummary>,
}

/// Runs `plan` once.
///
/// # Errors
/// When no figure can come of it. Lost, duplicated and reordered messages are not errors: see [`Tally::faults`].
pub fn run(
    plan: &Plan,
    endpoint: Endpoint,
    options: &Options,
    gauge: &mut dyn Gauge,
) -> Result<Tally> {
    if endpoint.protocol == Protocol::Raw && !plan.suits_raw() {
        return Err(BenchError::Usage(
            "the raw forwarder cannot serve this scenario".into(),
        ));
    }
    match plan {
        Plan::Flow(flow) => flow::run(flow, endpoint, options, gauge),
        Plan::Idle {
            connections,
            version,
        } => idle::run(*connections, *version, endpoint.addr, options, gauge),
        Plan::ConnectRate { together, version } => {
            connect_rate::run(*together, *version, endpoint.addr, options, gauge)
        }
        Plan::Retained {
            messages,
            payload_bytes,
            version,
        } => {
            let retained = retained::Load {
                messages: *messages,
                payload_bytes: *payload_bytes,
                version: *version,
            };
            retained.run(endpoint.addr, options, gauge)
        }
    }
}

/// A number that tells this run's messages and topics from any other's.
fn run_id() -> u32 {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let nanos = since_epoch.as_nanos() as u64;
    let mixed = (nanos ^ u64::from(std::process::id()) << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as u32
}

/// The first level of all topics of a run.
fn topic_root(run: u32) -> String {
    format!("tb{run:08x}")
}
