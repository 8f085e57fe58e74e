//! A subscription of the server's own: a client of MQTT 5.0 within the process, over a pipe.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use tidewire_codec::frame::next_frame;
use tidewire_codec::{
    Ack, Connect, Packet, PacketId, Properties, Property, Publish, Qos, ReasonCode, Sender,
    Subscribe, SubscriptionOptions, Version, topic,
};
use tidewire_net::PipeEnd;

/// Messages of QoS 1 and 2 that wait here to be taken.
const RECEIVE_MAXIMUM: u16 = 64;
/// Bytes read from the pipe at once.
const READ_BYTES: usize = 16 * 1024;
/// Numbers the subscriptions: client ids are theirs alone.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Messages for the server itself; see [`BrokerHandle::subscribe`](crate::BrokerHandle::subscribe). Dropping it ends the subscription.
pub struct Subscription {
    pipe: PipeEnd,
    bell: Arc<Bell>,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    /// Those that came before the subscription was confirmed.
    messages: VecDeque<Publish<'static>>,
    ended: bool,
}

/// Why there is no subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SubscribeError {
    /// The broker has stopped, or has not started yet.
    Gone,
    /// The filter is no topic filter.
    Filter(topic::TopicError),
    /// The broker refuses it, because of one of its limits for instance.
    Refused(ReasonCode),
}

/// Rings when the pipe is ready.
#[derive(Default)]
struct Bell {
    state: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Default)]
struct Rung {
    rung: bool,
    waker: Option<Waker>,
}

impl Subscription {
    pub(crate) fn open(mut pipe: PipeEnd, filter: &str, qos: Qos) -> Result<Self, SubscribeError> {
        topic::validate_filter(filter)
            .and_then(|_| topic::split_shared(filter))
            .map_err(SubscribeError::Filter)?;
        let bell = Arc::new(Bell::default());
        let rope = Arc::clone(&bell);
        pipe.on_ready(Some(Arc::new(move |_| rope.ring())));
        let mut this = Self {
            pipe,
            bell,
            unread: Vec::new(),
            unsent: Vec::new(),
            messages: VecDeque::new(),
            ended: false,
        };
        this.send(&Packet::Connect(connect()));
        this.send(&Packet::Subscribe(subscribe(filter, qos)));
        loop {
            match this.next_packet() {
                Ok(Some(Packet::SubAck(suback))) => {
                    let refused = suback.reasons.into_iter().find(|reason| reason.is_error());
                    return refused.map_or(Ok(this), |reason| Err(SubscribeError::Refused(reason)));
                }
                Ok(Some(Packet::ConnAck(connack))) if connack.reason.is_error() => {
                    return Err(SubscribeError::Refused(connack.reason));
                }
                Ok(Some(Packet::Publish(publish))) => this.messages.push_back(publish),
                Ok(Some(_)) => {}
                Ok(None) => this.bell.wait(None),
                Err(Ended) => return Err(SubscribeError::Gone),
            }
        }
    }

    /// Waits for the next message; `None` = the broker has stopped, or has ended the subscription.
    pub fn recv(&mut self) -> Option<Publish<'static>> {
        self.wait_until(None)
    }

    /// Waits for the next message, but no longer than `most`; `None` then, too.
    pub fn recv_timeout(&mut self, most: Duration) -> Option<Publish<'static>> {
        self.wait_until(Some(Instant::now() + most))
    }

    /// The next message, if one is there.
    pub fn try_recv(&mut self) -> Option<Publish<'static>> {
        match self.poll_message(None) {
            Poll::Ready(message) => message,
            Poll::Pending => None,
        }
    }

    /// The next message; `None` = the broker has stopped, or has ended the subscription. It may be dropped half-way: no
    /// message is lost by it.
    pub async fn next(&mut self) -> Option<Publish<'static>> {
        poll_fn(|context| self.poll_message(Some(context.waker()))).await
    }

    fn wait_until(&mut self, until: Option<Instant>) -> Option<Publish<'static>> {
        loop {
            if let Poll::Ready(message) = self.poll_message(None) {
                return message;
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                return None;
            }
            self.bell.wait(until);
        }
    }

    fn poll_message(&mut self, waker: Option<&Waker>) -> Poll<Option<Publish<'static>>> {
        if let Some(waker) = waker {
            // Before looking: what comes afterwards wakes.
            self.bell.lock().waker = Some(waker.clone());
        }
        if let Some(publish) = self.messages.pop_front() {
            self.acknowledge(&publish);
            return Poll::Ready(Some(publish));
        }
        loop {
            match self.next_packet() {
                Ok(Some(Packet::Publish(publish))) => {
                    self.acknowledge(&publish);
                    return Poll::Ready(Some(publish));
                }
                Ok(Some(Packet::PubRel(ack))) => {
                    self.send(&Packet::PubComp(success(ack.packet_id)));
                }
                Ok(Some(_)) => {}
                Ok(None) => return Poll::Pending,
                Err(Ended) => return Poll::Ready(None),
            }
        }
    }

    /// Taking a message acknowledges it: until then the broker holds those behind it back.
    fn acknowledge(&mut self, publish: &Publish<'_>) {
        match (publish.qos, publish.packet_id) {
            (Qos::AtLeastOnce, Some(id)) => self.send(&Packet::PubAck(success(id))),
            (Qos::ExactlyOnce, Some(id)) => self.send(&Packet::PubRec(success(id))),
            _ => {}
        }
    }

    fn send(&mut self, packet: &Packet<'_>) {
        // These packets are built here and valid.
        let _ = packet.encode(Version::V5, &mut self.unsent);
        self.flush();
    }

    fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match self.pipe.write(&[IoSlice::new(&self.unsent)]) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.ended = true;
                    return self.unsent.clear();
                }
            }
        }
    }

    /// The next packet that has come whole.
    fn next_packet(&mut self) -> Result<Option<Packet<'static>>, Ended> {
        self.flush();
        loop {
            match next_frame(&self.unread, u32::MAX) {
                Ok(Some(frame)) => {
                    let length = frame.bytes.len();
                    let packet = Packet::decode(Version::V5, Sender::Server, frame);
                    let packet = packet.map(Packet::into_owned);
                    self.unread.drain(..length);
                    return packet.map(Some).map_err(|_| Ended);
                }
                Ok(None) => {}
                Err(_) => return Err(Ended),
            }
            if self.ended {
                return Err(Ended);
            }
            let start = self.unread.len();
            self.unread.resize(start + READ_BYTES, 0);
            let result = self.pipe.read(&mut self.unread[start..]);
            self.unread.truncate(start + *result.as_ref().unwrap_or(&0));
            match result {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(_) => self.ended = true,
            }
        }
    }
}

/// Nothing comes any more.
struct Ended;

impl Bell {
    fn ring(&self) {
        let mut state = self.lock();
        state.rung = true;
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn wait(&self, until: Option<Instant>) {
        let mut state = self.lock();
        while !state.rung {
            let Some(until) = until else {
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let most = until.saturating_duration_since(Instant::now());
            let waited = self.changed.wait_timeout(state, most);
            let (waited, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = waited;
            if timeout.timed_out() {
                return;
            }
        }
        state.rung = false;
    }

    /// A flag and a waker are whole, whoever panicked.
    fn lock(&self) -> MutexGuard<'_, Rung> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect() -> Connect<'static> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_secs: 0,
        properties: Properties::EMPTY.with(Property::ReceiveMaximum(RECEIVE_MAXIMUM)),
        client_id: format!("$server-subscription-{number}").into(),
        will: None,
        username: None,
        password: None,
    }
}

fn subscribe(filter: &str, qos: Qos) -> Subscribe<'static> {
    let options = SubscriptionOptions {
        qos,
        retain_as_published: true,
        ..SubscriptionOptions::default()
    };
    Subscribe {
        packet_id: PacketId::MIN,
        properties: Properties::EMPTY,
        filters: vec![tidewire_codec::Subscription {
            filter: filter.to_owned().into(),
            options,
        }],
    }
}

fn success(packet_id: PacketId) -> Ack<'static> {
    Ack {
        packet_id,
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the broker has stopped, or has not started yet"),
            Self::Filter(error) => write!(f, "the filter is no topic filter: {error}"),
            Self::Refused(reason) => write!(f, "the broker refuses the subscription: {reason}"),
        }
    }
}

impl std::error::Error for SubscribeError {}
