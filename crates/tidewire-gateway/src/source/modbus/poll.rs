//! Asks a device, again and again.

use super::line::LineError;
use super::{Block, Line, ModbusSettings, Register, plan};
use crate::hub::{Action, ActionError, InputPoint, Request};
use crate::model::{Device, Input, Level, Output, Props, Quality, Value};
use crate::pipeline::DeadBand;
use crate::source::Surroundings;
use serde_json::{Value as Json, json};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The first wait after a device did not answer; doubled up to the maximum.
const RETRY_FIRST: Duration = Duration::from_millis(500);

pub(crate) async fn run(settings: ModbusSettings, around: Surroundings) {
    let (actor, requests) = mpsc::channel(64);
    around.hub.add_device(device(&settings));
    around.hub.take_actions(&settings.sn, actor);
    let blocks = plan(&settings.registers, settings.interval, settings.max_gap);
    let due = vec![Instant::now(); blocks.len()];
    let mut poller = Poller {
        last: vec![Value::Null; settings.registers.len()],
        settings,
        around,
        blocks,
        due,
        requests,
        line: None,
        failures: 0,
        retry_at: Instant::now(),
        was_bad: false,
    };
    poller.run().await;
}

fn device(settings: &ModbusSettings) -> Device {
    let inputs = settings.registers.iter().map(|register| Input {
        name: register.input.clone(),
        desc: register.desc.clone(),
        unit: register.unit.clone(),
        kind: register.kind.clone(),
        dead_band: register.dead_band.map(|absolute| DeadBand {
            absolute,
            ..DeadBand::default()
        }),
    });
    let writable = settings
        .registers
        .iter()
        .filter(|register| register.writable);
    let outputs = writable.map(|register| Output {
        name: register.input.clone(),
        desc: register.desc.clone(),
        unit: register.unit.clone(),
        kind: register.kind.clone(),
    });
    Device {
        app: settings.name.clone(),
        sn: settings.sn.clone(),
        props: Props {
            meta: json!({"name": settings.sn, "inst": settings.name, "protocol": "modbus"})
                .as_object()
                .cloned()
                .unwrap_or_default(),
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            commands: Vec::new(),
        },
    }
}

struct Poller {
    settings: ModbusSettings,
    around: Surroundings,
    blocks: Vec<Block>,
    due: Vec<Instant>,
    requests: mpsc::Receiver<Request>,
    line: Option<Line>,
    /// In a row.
    failures: u32,
    retry_at: Instant,
    was_bad: bool,
    /// The last value of each register: what a bad quality is sent with.
    last: Vec<Value>,
}

impl Poller {
    async fn run(&mut self) {
        loop {
            let next = self
                .due
                .iter()
                .min()
                .copied()
                .unwrap_or_else(Instant::now)
                .max(self.retry_at);
            let around = self.around.clone();
            tokio::select! {
                () = around.stopped() => return,
                Some(request) = self.requests.recv() => self.act(request).await,
                () = tokio::time::sleep_until(next) => self.poll().await,
            }
        }
    }

    async fn poll(&mut self) {
        let now = Instant::now();
        for at in 0..self.blocks.len() {
            if self.due[at] > now {
                continue;
            }
            let block = self.blocks[at].clone();
            // The next reading is an interval from now: a slow device is not asked faster than it answers.
            self.due[at] = now + block.interval;
            match self.read(&block).await {
                Ok(()) => self.recovered(),
                Err(LineError::Refused(code)) => {
                    // The line works: other blocks go on.
                    self.bad(&block, Quality::BAD);
                    tracing::warn!(
                        device = &*self.settings.sn,
                        address = block.address,
                        "the device refuses: {code}"
                    );
                    self.recovered();
                }
                Err(error) => return self.broken(&error),
            }
        }
    }

    async fn line(&mut self) -> Result<&mut Line, LineError> {
        let line = match self.line.take() {
            Some(line) => line,
            None => {
                Line::open(
                    &self.settings.url,
                    self.settings.unit,
                    self.settings.timeout,
                )
                .await?
            }
        };
        Ok(self.line.insert(line))
    }

    async fn read(&mut self, block: &Block) -> Result<(), LineError> {
        let is_bits = matches!(&*block.table, "coil" | "discrete");
        let line = self.line().await?;
        let (words, bits) = if is_bits {
            (
                Vec::new(),
                line.bits(&block.table, block.address, block.count).await?,
            )
        } else {
            (
                line.registers(&block.table, block.address, block.count)
                    .await?,
                Vec::new(),
            )
        };
        for place in &block.registers {
            let Some(register) = self.settings.registers.get(*place) else {
                continue;
            };
            let at = usize::from(register.address - block.address);
            let value = if is_bits {
                bits.get(at).map(|bit| Register::of_bit(*bit))
            } else {
                register.decode(words.get(at..).unwrap_or_default())
            };
            if let Some(value) = value {
                self.bring(register, &value, Quality::GOOD);
                self.last[*place] = value;
            }
        }
        Ok(())
    }

    fn bring(&self, register: &Register, value: &Value, quality: Quality) {
        let hub = &self.around.hub;
        if let Some(series) = hub.series(&self.settings.sn, &register.input, "value") {
            let source_ms = hub.now_ms();
            hub.inputs(&[InputPoint {
                series,
                value,
                quality,
                source_ms,
            }]);
        }
    }

    fn bad(&self, block: &Block, quality: Quality) {
        for place in &block.registers {
            if let (Some(register), Some(value)) =
                (self.settings.registers.get(*place), self.last.get(*place))
            {
                self.bring(register, value, quality);
            }
        }
    }

    fn recovered(&mut self) {
        self.failures = 0;
        if std::mem::take(&mut self.was_bad) {
            self.around.event(
                &self.settings.name,
                &self.settings.sn,
                Level::Info,
                "the device answers again".to_owned(),
            );
        }
    }

    /// The line is opened anew, later and later.
    fn broken(&mut self, error: &LineError) {
        self.line = None;
        for block in &self.blocks {
            self.bad(block, Quality::OFFLINE);
        }
        if !std::mem::replace(&mut self.was_bad, true) {
            let text = error.text();
            tracing::warn!(device = &*self.settings.sn, "{text}");
            self.around
                .event(&self.settings.name, &self.settings.sn, Level::Error, text);
        }
        let wait = RETRY_FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        self.retry_at = Instant::now() + wait.min(self.settings.retry_max);
    }

    async fn act(&mut self, request: Request) {
        let outcome = self.write(&request.action).await;
        // Whoever asked has gone: nobody to tell.
        let _ = request.reply.send(outcome);
    }

    async fn write(&mut self, action: &Action) -> Result<Json, ActionError> {
        let Action::Output { output, value, .. } = action else {
            return Err(ActionError::NoSuch);
        };
        let found = self
            .settings
            .registers
            .iter()
            .find(|register| register.input == *output && register.writable);
        let register = found.ok_or(ActionError::NoSuch)?.clone();
        let failed = |why: String| ActionError::Failed(why.into());
        let outcome = if register.is_bits() {
            let on = value
                .borrowed()
                .number()
                .ok_or_else(|| failed("the value is neither true nor false".to_owned()))?;
            match self.line().await {
                Ok(line) => line.write_coil(register.address, on != 0.0).await,
                Err(error) => Err(error),
            }
        } else {
            let words = register.encode(value).map_err(failed)?;
            match self.line().await {
                Ok(line) => line.write_registers(register.address, &words).await,
                Err(error) => Err(error),
            }
        };
        if let Err(LineError::Broken(_)) = &outcome {
            self.line = None;
        }
        outcome.map_err(|error| failed(error.text()))?;
        // What was written is read at once, so that everybody sees it.
        self.due.fill(Instant::now());
        Ok(json!({"written": value.borrowed().to_json()}))
    }
}
