//! The task of an uplink: the client, the sender, the presence and the requests, woken by whatever happens.

use super::debounce::{Debounce, LONG_MS, SHORT_MS};
use super::format::{BatchJson, Common, FreeIoe, Topics};
use super::outflow::{Kind, Next, Outflow, OutflowSettings, Packet};
use super::presence::Presence;
use super::settings::{Payload, UplinkSettings};
use super::status::{UplinkState, UplinkStatus};
use crate::Hub;
use crate::Spools;
use crate::downlink::Downlink;
use crate::hub::DeviceChange;
use crate::pipeline::Lane;
use crate::pipeline::packet::{Format, PacketLimits};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tidewire_client::protocol::PublishError;
use tidewire_client::{
    Backoff, Client, DeliveryError, Event, Events, Messages, Publish, Qos, Receipt, Subscription,
};
use tidewire_log::Files;
use tokio::sync::{broadcast, watch};

/// Time for the last words of an orderly stop.
const FAREWELL: Duration = Duration::from_secs(3);
/// Pause after the server refused a message, doubled up to the maximum.
const REFUSED_FIRST_MS: i64 = 1000;
const REFUSED_MAX_MS: i64 = 60_000;

/// Everything that an uplink is made of.
pub(crate) struct Uplink {
    pub(crate) gateway: Box<str>,
    pub(crate) settings: UplinkSettings,
    pub(crate) hub: Arc<Hub>,
    pub(crate) spools: Arc<Spools>,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) state: Arc<UplinkState>,
    pub(crate) downlink: Arc<Downlink>,
}

/// Messages of a packet that are on their way.
struct Flight {
    kind: Kind,
    receipts: VecDeque<Receipt>,
}

impl Uplink {
    /// The sender of this uplink, where it was.
    pub(crate) fn open_outflow(&self) -> io::Result<Outflow> {
        let settings = &self.settings;
        let limits = PacketLimits {
            points: settings.batch_points,
            bytes: settings.batch_bytes as usize,
            age_ms: i64::try_from(settings.batch_age.as_millis()).unwrap_or(i64::MAX),
        };
        let outflow = OutflowSettings {
            limits,
            window: settings.window.into(),
            order: settings.order,
            backfill_rate: settings.backfill_rate,
            live_ms: limits.age_ms.saturating_add(10_000),
        };
        let now = self.hub.now_ms();
        let format = self.format();
        Outflow::open(
            &*self.files,
            &settings.name,
            Arc::clone(&self.spools),
            outflow,
            &*format,
            now,
        )
    }

    fn format(&self) -> Box<dyn Format> {
        let topics = &self.settings.topics;
        let common = Common {
            gateway: self.gateway.clone(),
            topics: Topics {
                data: topics.data.clone(),
                event: topics.event.clone(),
                stat: topics.stat.clone(),
            },
            compression: self.settings.compression,
        };
        match &self.settings.payload {
            Payload::FreeIoe => Box::new(FreeIoe::new(common)),
            Payload::Batch => Box::new(BatchJson::new(common)),
        }
    }

    fn client(&self, presence: &Presence) -> Result<(Client, Events, Option<Messages>), String> {
        let settings = &self.settings;
        let (first, others) = settings.servers.split_first().ok_or("there is no server")?;
        let mut builder = Client::builder(first)
            .version(settings.version)
            .client_id(&settings.client_id)
            .keep_alive(settings.keep_alive)
            .max_inflight(settings.window)
            .clean_start()
            .backoff(Backoff::default())
            .will(presence.will())
            .tls(settings.tls.tls());
        for server in others {
            builder = builder.or_server(server);
        }
        match (&settings.username, &settings.password) {
            (Some(name), Some(password)) => builder = builder.credentials(name, &*password.0),
            (Some(name), None) => builder = builder.username(name),
            (None, _) => {}
        }
        let requests = settings.downlink.then(|| {
            let filters = presence.requests();
            let mut filters = filters.iter();
            let first = filters.next().map_or("", String::as_str);
            let all = filters.fold(
                Subscription::new(first).qos(Qos::AtLeastOnce),
                |all, filter| all.and(filter),
            );
            builder.subscribe(all)
        });
        let events = builder.events();
        let client = builder.start().map_err(|error| error.to_string())?;
        Ok((client, events, requests))
    }

    /// Runs until it is told to stop.
    pub(crate) async fn run(self, outflow: Outflow, mut stop: watch::Receiver<bool>) {
        let presence = Presence::new(&self.gateway, &self.settings);
        let (client, events, requests) = match self.client(&presence) {
            Ok(parts) => parts,
            Err(error) => {
                tracing::error!(uplink = &*self.settings.name, "{error}");
                self.state.set(|status| status.error = Some(error.into()));
                return;
            }
        };
        let mut durable = self.hub.durable.subscribe();
        let mut changes = self.hub.watch_changes();
        let mut flush = self.hub.flush.subscribe();
        let mut session = Session {
            uplink: &self,
            presence,
            outflow,
            client,
            events,
            requests,
            flights: VecDeque::new(),
            devices: Debounce::default(),
            is_connected: false,
            paused_until_ms: 0,
            refusals: 0,
        };
        loop {
            let wait = session.send().await;
            session.report();
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                outcome = delivered(&mut session.flights) => session.settle(outcome),
                event = session.events.recv() => match event {
                    Some(event) => session.on_event(event).await,
                    None => return,
                },
                request = recv(&mut session.requests) => session.on_request(&request),
                _ = durable.changed() => {}
                _ = flush.changed() => session.outflow.flush(),
                change = changes.recv() => session.on_change(&change),
                () = tokio::time::sleep(wait) => {}
            }
        }
        session.farewell().await;
    }
}

/// A request from the server; never ends where there are none.
async fn recv(requests: &mut Option<Messages>) -> tidewire_client::Message {
    match requests {
        Some(messages) => match messages.recv().await {
            Some(message) => message.into_message(),
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The sender is gone: the gateway is, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits until the oldest packet has an outcome; never ends while there is none.
async fn delivered(flights: &mut VecDeque<Flight>) -> Result<(), DeliveryError> {
    let Some(flight) = flights.front_mut() else {
        return std::future::pending().await;
    };
    while let Some(receipt) = flight.receipts.front_mut() {
        receipt.delivered().await?;
        flight.receipts.pop_front();
    }
    Ok(())
}

struct Session<'a> {
    uplink: &'a Uplink,
    presence: Presence,
    outflow: Outflow,
    client: Client,
    events: Events,
    requests: Option<Messages>,
    flights: VecDeque<Flight>,
    devices: Debounce,
    is_connected: bool,
    paused_until_ms: i64,
    refusals: u32,
}

impl Session<'_> {
    /// Sends what can be sent; returns how long nothing else is to be done.
    async fn send(&mut self) -> Duration {
        const LONGEST_MS: u64 = 1000;
        let now = self.uplink.hub.now_ms();
        let mut wait_ms = LONGEST_MS;
        if self.is_connected && self.devices.fires(now) {
            let list = self.presence.devices(&self.uplink.hub);
            self.say(list).await;
        }
        if let Some(ms) = self.devices.wait_ms(now).filter(|_| self.is_connected) {
            wait_ms = wait_ms.min(ms.max(1));
        }
        if self.is_connected && now >= self.paused_until_ms {
            match self.packets(now) {
                Ok((packets, wait)) => {
                    wait_ms = wait_ms.min(wait.unwrap_or(LONGEST_MS));
                    for packet in packets {
                        self.publish(packet).await;
                    }
                }
                Err(error) => {
                    self.problem(format!("data cannot be read from the disk: {error}"));
                    self.paused_until_ms = now + REFUSED_MAX_MS;
                }
            }
        }
        Duration::from_millis(wait_ms)
    }

    fn packets(&mut self, now: i64) -> io::Result<(Vec<Packet>, Option<u64>)> {
        let mut packets = Vec::new();
        loop {
            match self.outflow.next(now)? {
                Next::Packet(packet) => packets.push(packet),
                Next::Wait(wait) => {
                    self.outflow.store()?;
                    return Ok((packets, wait));
                }
            }
        }
    }

    async fn publish(&mut self, packet: Packet) {
        let mut receipts = VecDeque::new();
        for message in packet.messages {
            let publish = Publish::new(message.topic, message.payload).qos(Qos::AtLeastOnce);
            match self.client.publish(publish).await {
                Ok(receipt) => receipts.push_back(receipt),
                Err(rejected) => {
                    // Only a topic that is none can end here; the template was checked, a name in it may be too long.
                    self.problem(format!("a message is left out: {rejected}"));
                }
            }
        }
        self.flights.push_back(Flight {
            kind: packet.kind,
            receipts,
        });
    }

    fn settle(&mut self, outcome: Result<(), DeliveryError>) {
        match outcome {
            Ok(()) => {
                // All that is done already, without another round for each.
                while let Some(flight) = self.flights.pop_front_if(|flight| {
                    let is_done =
                        |receipt: &Receipt| matches!(receipt.try_delivered(), Some(Ok(_)));
                    flight.receipts.iter().all(is_done)
                }) {
                    self.outflow.acknowledged(flight.kind);
                }
                self.refusals = 0;
            }
            Err(error) => self.refused(error),
        }
    }

    /// The server did not take a message: it is sent again, later, with all that came after it.
    fn refused(&mut self, error: DeliveryError) {
        if let DeliveryError::Failed(PublishError::TooLarge { .. }) = error {
            self.outflow.halve_packets();
        }
        let pause = REFUSED_FIRST_MS
            .saturating_mul(1 << self.refusals.min(16))
            .min(REFUSED_MAX_MS);
        self.refusals += 1;
        self.paused_until_ms = self.uplink.hub.now_ms() + pause;
        self.problem(format!(
            "data were not taken, and are sent again in {} s: {error}",
            pause / 1000
        ));
        self.flights.clear();
        self.outflow.rewind();
    }

    async fn on_event(&mut self, event: Event) {
        let name = &*self.uplink.settings.name;
        match event {
            Event::Connected(_) => {
                tracing::info!(uplink = name, "connected");
                self.is_connected = true;
                self.uplink.state.set(|status| {
                    status.is_connected = true;
                    status.connects += 1;
                    status.error = None;
                });
                let online = self.presence.online();
                self.say(online).await;
                self.devices.trigger(self.uplink.hub.now_ms(), LONG_MS);
            }
            Event::Disconnected { cause, retry_in } => {
                self.is_connected = false;
                let again = retry_in.map_or_else(String::new, |wait| {
                    format!("; next attempt in {:.1} s", wait.as_secs_f32())
                });
                self.problem(format!("not connected: {cause}{again}"));
                self.uplink.state.set(|status| status.is_connected = false);
            }
            Event::Resubscribed { refused } => {
                for (filter, reason) in refused {
                    self.problem(format!(
                        "the server refuses the subscription to {filter}: {reason}"
                    ));
                }
            }
            Event::Dropped { .. } | Event::Redirected { .. } | _ => {}
        }
    }

    fn on_change(&mut self, change: &Result<DeviceChange, broadcast::error::RecvError>) {
        let delay = match change {
            Ok(DeviceChange::Modified(_)) => SHORT_MS,
            Ok(DeviceChange::Added(_) | DeviceChange::Removed(_)) => LONG_MS,
            // Some were missed: the list has them.
            Err(_) => LONG_MS,
        };
        self.devices.trigger(self.uplink.hub.now_ms(), delay);
    }

    fn on_request(&self, message: &tidewire_client::Message) {
        let prefix = self.presence.request_prefix();
        if let Some(path) = message.topic.strip_prefix(prefix.as_str()) {
            let name = &self.uplink.settings.name;
            let results = self.presence.result_topic("");
            let limit = self.uplink.settings.request_timeout;
            Downlink::take(
                &self.uplink.downlink,
                name,
                &results,
                path,
                &message.payload,
                limit,
            );
        }
    }

    /// Something that is said once, and is not data.
    async fn say(&self, message: Publish) {
        if let Err(rejected) = self.client.publish(message).await {
            self.problem(rejected.to_string());
        }
    }

    fn problem(&self, text: String) {
        tracing::warn!(uplink = &*self.uplink.settings.name, "{text}");
        self.uplink
            .state
            .set(|status| status.error = Some(text.into()));
    }

    fn report(&self) {
        let waiting = Lane::ALL
            .map(|lane| self.outflow.waiting_points(lane))
            .iter()
            .sum();
        self.uplink.state.set(|status: &mut UplinkStatus| {
            status.waiting_points = waiting;
            status.counters = self.outflow.counters();
            status.is_backfilling = self.outflow.has_backfill();
        });
        self.uplink.state.look_if_asked(|| self.outflow.oldest_ms());
    }

    /// What is durable stays for the next time; the server is told that nothing more comes for now.
    async fn farewell(mut self) {
        if self.is_connected {
            let offline = self.presence.offline();
            if let Ok(mut receipt) = self.client.publish(offline).await {
                let _ = receipt.delivered_within(FAREWELL).await;
            }
        }
        while let Some(flight) = self.flights.pop_front() {
            let is_done = |receipt: &Receipt| matches!(receipt.try_delivered(), Some(Ok(_)));
            if !flight.receipts.iter().all(is_done) {
                break;
            }
            self.outflow.acknowledged(flight.kind);
        }
        if let Err(error) = self.outflow.store() {
            self.problem(format!(
                "how far the uplink has come cannot be stored: {error}"
            ));
        }
        let _ = self.client.close(FAREWELL).await;
        self.uplink.state.set(|status| status.is_connected = false);
    }
}
