//! Several brokers, one after another in turns, in one run: A B A B.

use serde::Serialize;

use crate::encode::Version;
use crate::engine::Options;
use crate::error::{BenchError, Result};
use crate::measure::{Measurement, check_descriptors, count_syscalls, measure};
use crate::peer::{Broker, Peer};
use crate::probe::MachineFacts;
use crate::scenario::{Plan, Scenario};
use crate::stats::median;

/// What to compare.
#[derive(Debug)]
pub struct Comparison {
    /// The first is compared with each of the others.
    pub peers: Vec<Peer>,
    /// The rows.
    pub scenarios: Vec<Scenario>,
    /// How often each broker has its turn in each row.
    pub rounds: usize,
    /// Length of one run.
    pub options: Options,
    /// Whether system calls are counted, in a repetition of its own.
    pub syscalls: Syscalls,
}

/// Whether system calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syscalls {
    /// With `strace`, once per broker and scenario.
    Count,
    /// Not at all.
    Skip,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Where it was measured.
    pub machine: MachineFacts,
    /// The brokers; the first is compared with each of the others.
    pub peers: Vec<Peer>,
    /// Rounds per row.
    pub rounds: usize,
    /// Length of a timed part, in seconds.
    pub timed_secs: f64,
    /// One row per scenario.
    pub rows: Vec<Row>,
}

/// One scenario, all brokers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The scenario.
    pub scenario: Scenario,
    /// One column per broker, in their order.
    pub columns: Vec<Column>,
}

/// One scenario, one broker.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Column {
    /// One per round that ended with a count, valid or not.
    pub runs: Vec<Measurement>,
    /// Why rounds did not end with a count.
    pub failures: Vec<String>,
    /// The scenario is none for this broker.
    pub not_applicable: bool,
    /// System calls per unit, if they were counted.
    pub syscalls: Option<f64>,
}

/// A figure that a row can compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Broker CPU per unit, in microseconds.
    CpuUs,
    /// Broker user time per unit, in microseconds.
    UserUs,
    /// The generator's CPU per unit, in microseconds.
    GeneratorUs,
    /// Median latency, in microseconds.
    P50Us,
    /// 99th percentile of latency, in microseconds.
    P99Us,
    /// Growth of the broker's memory by connections, subscriptions and the load, in KiB.
    GrownKib,
    /// Growth of resident memory per connection, in bytes.
    RssBytes,
    /// Growth of proportional memory per connection, in bytes.
    PssBytes,
    /// Growth of anonymous memory per connection, in bytes.
    AnonymousBytes,
}

impl Figure {
    /// The figure of one valid run; `None` if the run is void or has no such figure.
    #[must_use]
    pub fn of(self, run: &Measurement) -> Option<f64> {
        if !run.is_valid() {
            return None;
        }
        let bytes = || run.bytes_per_connection();
        match self {
            Self::CpuUs => run.cpu_us(),
            Self::UserUs => run.user_us(),
            Self::GeneratorUs => Some(run.generator_us()),
            Self::P50Us => Some(run.latency?.p50_us),
            Self::P99Us => Some(run.latency?.p99_us),
            Self::GrownKib => Some(run.grown_bytes()? / 1024.0),
            Self::RssBytes => Some(bytes()?.rss),
            Self::PssBytes => Some(bytes()?.pss),
            Self::AnonymousBytes => Some(bytes()?.anonymous),
        }
    }
}

impl Column {
    /// The median over all valid rounds, and nothing as soon as one is void: a broker that sometimes loses messages
    /// has no figure.
    #[must_use]
    pub fn median(&self, figure: Figure) -> Option<f64> {
        if !self.is_valid() {
            return None;
        }
        let values: Vec<f64> = self.runs.iter().filter_map(|run| figure.of(run)).collect();
        median(&values)
    }

    /// Whether every round ended and none was void.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.failures.is_empty()
            && !self.runs.is_empty()
            && self.runs.iter().all(Measurement::is_valid)
    }
}

impl Row {
    /// The median of the first broker's figure over the `other`'s, round by round.
    #[must_use]
    pub fn ratio(&self, other: usize, figure: Figure) -> Option<f64> {
        let (first, other) = (self.columns.first()?, self.columns.get(other)?);
        if !first.is_valid() || !other.is_valid() {
            return None;
        }
        let pairs = first.runs.iter().zip(&other.runs);
        let ratios: Vec<f64> = pairs
            .filter_map(|(a, b)| Some(figure.of(a)? / figure.of(b)?))
            .filter(|ratio| ratio.is_finite())
            .collect();
        median(&ratios)
    }
}

impl Report {
    /// Whether no run was void and none failed.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let columns = self.rows.iter().flat_map(|row| &row.columns);
        columns
            .into_iter()
            .all(|column| column.not_applicable || column.is_valid())
    }
}

impl Comparison {
    /// Runs everything; `progress` hears of each run before it begins.
    ///
    /// # Errors
    /// When the machine cannot do it, or somebody asked to stop. A broker that fails is a failure in its column.
    pub fn run(&self, mut progress: impl FnMut(&str)) -> Result<Report> {
        let most = self
            .scenarios
            .iter()
            .map(|scenario| scenario.plan.connections())
            .max();
        check_descriptors(most.unwrap_or(0))?;
        let machine = MachineFacts::collect();
        let mut rows = Vec::with_capacity(self.scenarios.len());
        for scenario in &self.scenarios {
            rows.push(self.row(scenario, &mut progress)?);
        }
        Ok(Report {
            machine,
            peers: self.peers.clone(),
            rounds: self.rounds,
            timed_secs: self.options.timed.as_secs_f64(),
            rows,
        })
    }

    fn row(&self, scenario: &Scenario, progress: &mut impl FnMut(&str)) -> Result<Row> {
        let mut columns: Vec<Column> = self
            .peers
            .iter()
            .map(|peer| Column::new(peer, scenario))
            .collect();
        for round in 1..=self.rounds {
            for (peer, column) in self.peers.iter().zip(&mut columns) {
                // A broker that failed once would fail again, and slowly.
                if column.not_applicable || !column.failures.is_empty() {
                    continue;
                }
                progress(&format!(
                    "{}: {}, round {round} of {}",
                    scenario.name, peer.label, self.rounds
                ));
                self.turn(peer, scenario, column)?;
            }
        }
        if self.syscalls == Syscalls::Count && !matches!(scenario.plan, Plan::Idle { .. }) {
            for (peer, column) in self
                .peers
                .iter()
                .zip(&mut columns)
                .filter(|(_, c)| c.is_valid())
            {
                progress(&format!("{}: {}, system calls", scenario.name, peer.label));
                column.syscalls = Some(self.trace(peer, scenario)?);
            }
        }
        Ok(Row {
            scenario: scenario.clone(),
            columns,
        })
    }

    fn turn(&self, peer: &Peer, scenario: &Scenario, column: &mut Column) -> Result<()> {
        let interrupt = &self.options.interrupt;
        let mut broker = Broker::start(peer, version(&scenario.plan), interrupt)?;
        match measure(
            scenario,
            broker.endpoint(),
            Some(broker.pid()),
            &self.options,
        ) {
            Ok(run) => column.runs.push(run),
            Err(
                error @ (BenchError::Interrupted
                | BenchError::Usage(_)
                | BenchError::Environment(_)),
            ) => {
                return Err(error);
            }
            Err(error) => column.failures.push(broker.explain(error).to_string()),
        }
        Ok(())
    }

    fn trace(&self, peer: &Peer, scenario: &Scenario) -> Result<f64> {
        let broker = Broker::start(peer, version(&scenario.plan), &self.options.interrupt)?;
        count_syscalls(scenario, broker.endpoint(), broker.pid(), &self.options)
    }
}

impl Column {
    fn new(peer: &Peer, scenario: &Scenario) -> Self {
        Self {
            not_applicable: !peer.suits(&scenario.plan),
            ..Self::default()
        }
    }
}

/// The protocol version of a load's connections.
fn version(plan: &Plan) -> Version {
    match plan {
        Plan::Flow(flow) => flow.version,
        Plan::Idle { version, .. }
        | Plan::ConnectRate { version, .. }
        | Plan::Retained { version, .. } => *version,
    }
}
