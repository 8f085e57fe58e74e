//! `tidewire pub`

use std::collections::VecDeque;
use std::io::Read as _;
use std::time::Duration;

use tidewire_client::codec::{Carrier, PropertyId};
use tidewire_client::{DeliveryError, Publish, Receipt};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::Instant;

use super::options::{Options, Source};
use super::session::{End, Session};
use super::{Failure, replay};

/// Messages that may be under way before the next line is read.
const WINDOW: usize = 1000;

/// Publishes, and returns when everything is delivered.
pub(crate) async fn run(mut options: Options) -> Result<(), Failure> {
    let source = options.message.source.clone();
    // What cannot be read needs no connection.
    let payload = match source {
        None | Some(Source::Lines | Source::Replay(_)) => None,
        _ => Some(read_payload(&options)?),
    };
    let (mut session, ()) = Session::open(&mut options, |_| ()).await?;
    let mut publisher = Publisher::new(session.client.clone(), &options);
    let work = async {
        match (payload, &source) {
            (Some(payload), _) => publisher.repeat(&mut options, payload).await?,
            (None, Some(Source::Replay(file))) => {
                replay::run(&mut publisher, &mut options, file).await?;
            }
            (None, Some(_)) => publisher.lines(&mut options).await?,
            // What is in the outbox goes by itself.
            (None, None) => session_connected(&publisher.client).await?,
        }
        publisher.finish().await
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        end = session.ended() => match end {
            End::Signal => Ok(()),
            End::Failed(failure) => Err(failure),
        },
    };
    drop(publisher);
    session.close().await;
    outcome
}

async fn session_connected(client: &tidewire_client::Client) -> Result<(), Failure> {
    let connected = client.connected().await;
    connected
        .map(drop)
        .map_err(|error| Failure::failed(error.to_string()))
}

/// The payload out of -m, -f, -s or -n.
pub(crate) fn read_payload(options: &Options) -> Result<Vec<u8>, Failure> {
    let bytes = match &options.message.source {
        Some(Source::Text(text)) => text.clone().into_bytes(),
        Some(Source::File(file)) => std::fs::read(file).map_err(|error| {
            Failure::usage(format!("{} cannot be read: {error}", file.display()))
        })?,
        Some(Source::Stdin | Source::Lines) => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|error| {
                Failure::failed(format!("standard input cannot be read: {error}"))
            })?;
            bytes
        }
        _ => return Ok(Vec::new()),
    };
    written(options, bytes)
}

fn written(options: &Options, bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
    match options.receive.payload_format {
        Some(format) => format.read(bytes),
        None => Ok(bytes),
    }
}

/// The message that the flags describe.
pub(crate) fn message(options: &mut Options, payload: Vec<u8>) -> Result<Publish, Failure> {
    let topic = options.topics.first().map_or("", String::as_str);
    let mut message = Publish::new(topic, payload).qos(options.qos);
    if options.message.retain {
        message = message.retained();
    }
    // The client chooses aliases by itself.
    let given = &mut options.properties;
    let _ = given.take_number(Carrier::PublishFromClient, PropertyId::TopicAlias);
    Ok(message.properties(&given.take(Carrier::PublishFromClient)?))
}

/// Publishes at a pace and keeps count of what is under way.
pub(crate) struct Publisher {
    client: tidewire_client::Client,
    under_way: VecDeque<Receipt>,
    interval: Option<Duration>,
    next_at: Instant,
    failed: u64,
    quiet: bool,
}

impl Publisher {
    fn new(client: tidewire_client::Client, options: &Options) -> Self {
        let message = &options.message;
        let interval = message.rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        let delay = (message.repeat_delay > Duration::ZERO).then_some(message.repeat_delay);
        Self {
            client,
            under_way: VecDeque::new(),
            interval: interval.or(delay),
            next_at: Instant::now(),
            failed: 0,
            quiet: options.quiet,
        }
    }

    /// Whether `--rate` gives the pace.
    pub(crate) const fn has_pace(&self) -> bool {
        self.interval.is_some()
    }

    /// Publishes when it is time.
    pub(crate) async fn publish(&mut self, message: Publish) -> Result<(), Failure> {
        if let Some(interval) = self.interval {
            tokio::time::sleep_until(self.next_at).await;
            self.next_at += interval;
        }
        while self.under_way.len() >= WINDOW {
            self.wait_for_oldest().await;
        }
        let accepted = self.client.publish(message).await;
        let receipt = accepted.map_err(|error| Failure::failed(error.to_string()))?;
        self.under_way.push_back(receipt);
        Ok(())
    }

    async fn wait_for_oldest(&mut self) {
        let Some(mut oldest) = self.under_way.pop_front() else {
            return;
        };
        match oldest.delivered().await {
            Ok(_) => {}
            // mosquitto_pub warns and ends with 0.
            Err(error @ DeliveryError::Failed(_)) => {
                if !self.quiet {
                    eprintln!("a message was not taken: {error}");
                }
            }
            Err(_) => self.failed += 1,
        }
    }

    /// Waits for everything that is under way.
    async fn finish(&mut self) -> Result<(), Failure> {
        while !self.under_way.is_empty() {
            self.wait_for_oldest().await;
        }
        if self.failed > 0 {
            return Err(Failure::failed(format!(
                "{} messages were not delivered",
                self.failed
            )));
        }
        Ok(())
    }

    async fn repeat(&mut self, options: &mut Options, payload: Vec<u8>) -> Result<(), Failure> {
        let message = message(options, payload)?;
        for _ in 0..options.message.repeat {
            self.publish(message.clone()).await?;
        }
        Ok(())
    }

    async fn lines(&mut self, options: &mut Options) -> Result<(), Failure> {
        let prototype = message(options, Vec::new())?;
        let mut input = BufReader::new(tokio::io::stdin());
        loop {
            let mut line = Vec::new();
            let read = input.read_until(b'\n', &mut line).await;
            let count = read.map_err(|error| {
                Failure::failed(format!("standard input cannot be read: {error}"))
            })?;
            if count == 0 {
                return Ok(());
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            let payload = written(options, line)?;
            self.publish(prototype.clone().with_payload(payload))
                .await?;
        }
    }
}
