//! Devices that do not exist.

use super::Surroundings;
use crate::hub::{Accepted, Action, ActionError, InputPoint, Request, SeriesId};
use crate::model::{Command, Device, Input, Output, Props, Quality, Value};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How the devices are.
#[derive(Clone, PartialEq, Debug)]
pub struct SimulatorSettings {
    /// The app of the devices.
    pub name: Box<str>,
    /// How many.
    pub devices: u32,
    /// Inputs of each.
    pub inputs: u32,
    /// Time between two values of an input.
    pub interval: Duration,
    /// `sine`, `counter` or `random`.
    pub shape: Box<str>,
}

/// A counter remembers how far it came: what is not durable is counted again after a crash.
struct Counter {
    file: PathBuf,
    next: i64,
}

impl Counter {
    fn open(file: PathBuf) -> Self {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let next = text.trim().parse().unwrap_or(0);
        Self { file, next }
    }

    /// Everything before `next` is durable. A torn write must not be read: the name moves.
    fn store(&self) -> std::io::Result<()> {
        let new = self.file.with_extension("new");
        std::fs::write(&new, self.next.to_string())?;
        std::fs::rename(&new, &self.file)
    }
}

pub(super) async fn run(settings: SimulatorSettings, around: Surroundings) {
    let (actor, mut requests) = mpsc::channel(16);
    let series = declare(&settings, &around, &actor);
    let mut counter = Counter::open(around.folder.join(format!("counter-{}", settings.name)));
    counter.next = counter.next.max(restored(&around, &series));
    let mut ticks = interval_at(Instant::now(), settings.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut owed: Option<(Accepted, i64)> = None;
    loop {
        tokio::select! {
            () = around.stopped() => return,
            Some(request) = requests.recv() => answer(&settings, &around, request),
            () = committed(&around, owed.as_ref()) => {
                if let Some((_, next)) = owed.take() {
                    let stored = Counter { file: counter.file.clone(), next }.store();
                    if let Err(error) = stored {
                        tracing::error!(source = &*settings.name, %error, "the counter cannot be stored");
                    }
                }
            }
            _ = ticks.tick() => {
                if settings.shape.as_ref() == "counter" && around.hub.is_holding() {
                    continue;
                }
                let accepted = bring(&settings, &around, &series, counter.next);
                counter.next += 1;
                // The latest: when it is durable all before are.
                if settings.shape.as_ref() == "counter" && owed.is_none() {
                    owed = Some((accepted, counter.next));
                }
            }
        }
    }
}

/// What follows the last number that the log has of every series.
fn restored(around: &Surroundings, series: &[Vec<SeriesId>]) -> i64 {
    let newest = series
        .iter()
        .flatten()
        .map(|series| match around.hub.newest(*series)?.value {
            Value::Int(number) => Some(number + 1),
            _ => None,
        });
    newest.min().flatten().unwrap_or(0)
}

async fn committed(around: &Surroundings, owed: Option<&(Accepted, i64)>) {
    match owed {
        Some((accepted, _)) => around.hub.committed(*accepted).await,
        None => std::future::pending().await,
    }
}

fn declare(
    settings: &SimulatorSettings,
    around: &Surroundings,
    actor: &mpsc::Sender<Request>,
) -> Vec<Vec<SeriesId>> {
    (1..=settings.devices)
        .map(|device| {
            let sn = format!("{}-{device}", settings.name);
            let names: Vec<String> = (1..=settings.inputs).map(|input| format!("input{input}")).collect();
            let inputs = names.iter().map(|name| Input {
                name: name.as_str().into(),
                desc: "A simulated value".into(),
                ..Input::default()
            });
            around.hub.add_device(Device {
                app: settings.name.clone(),
                sn: sn.as_str().into(),
                props: Props {
                    meta: json!({"name": sn, "description": "A device that does not exist", "inst": settings.name})
                        .as_object()
                        .cloned()
                        .unwrap_or_default(),
                    inputs: inputs.collect(),
                    outputs: vec![Output {
                        name: "setpoint".into(),
                        desc: "Is shown as an input of the same name".into(),
                        ..Output::default()
                    }],
                    commands: vec![Command {
                        name: "echo".into(),
                        desc: "Answers with its parameters".into(),
                    }],
                },
            });
            around.hub.take_actions(&sn, actor.clone());
            let series = names.iter().filter_map(|name| around.hub.series(&sn, name, "value"));
            series.collect()
        })
        .collect()
}

fn bring(
    settings: &SimulatorSettings,
    around: &Surroundings,
    series: &[Vec<SeriesId>],
    number: i64,
) -> Accepted {
    let now = around.hub.now_ms();
    let values: Vec<(SeriesId, Value)> = series
        .iter()
        .enumerate()
        .flat_map(|(device, inputs)| {
            inputs
                .iter()
                .enumerate()
                .map(move |(input, id)| (device, input, *id))
        })
        .map(|(device, input, id)| (id, value(&settings.shape, device, input, number, now)))
        .collect();
    let points: Vec<InputPoint<'_>> = values
        .iter()
        .map(|(series, value)| InputPoint {
            series: *series,
            value,
            quality: Quality::GOOD,
            source_ms: now,
        })
        .collect();
    around.hub.inputs(&points)
}
fn value(shape: &str, device: usize, input: usize, number: i64, now_ms: i64) -> Value {
    let phase = (device * 7 + input) as f64;
    match shape {
        "counter" => Value::Int(number),
        "random" => {
            let mut bits = (number as u64 ^ ((device as u64) << 32) ^ ((input as u64) << 48))
                .wrapping_mul(0x9E37_79B9_7F4A_7C15);
            bits ^= bits >> 31;
            Value::Float((bits % 100_000) as f64 / 1000.0)
        }
        _ => {
            let turn = (now_ms % 60_000) as f64 / 60_000.0 * std::f64::consts::TAU + phase;
            Value::Float(((turn.sin() * 10.0 + 20.0) * 1000.0).round() / 1000.0)
        }
    }
}

fn answer(settings: &SimulatorSettings, around: &Surroundings, request: Request) {
    let outcome = match &request.action {
        Action::Output {
            output,
            prop,
            value,
        } => match around.hub.series(&request.sn, output, prop) {
            Some(series) => {
                let now = around.hub.now_ms();
                around.hub.inputs(&[InputPoint {
                    series,
                    value,
                    quality: Quality::GOOD,
                    source_ms: now,
                }]);
                Ok(json!({"written": value.borrowed().to_json()}))
            }
            None => Err(ActionError::Failed("there are too many series".into())),
        },
        Action::Command { param, .. } => Ok(json!({"echo": param, "by": settings.name})),
    };
    // Whoever asked has gone: nobody to tell.
    let _ = request.reply.send(outcome);
}
