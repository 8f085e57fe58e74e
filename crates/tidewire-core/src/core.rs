//! The core as a whole: its state, its entrance and its exits.

use crate::asks::Asks;
use crate::budget::Budget;
use crate::config::Config;
use crate::conn::{Conn, Conns, Failure, Phase};
use crate::input::Input;
use crate::keeper::Keeper;
use crate::keys::{ConnKey, WorkerId};
use crate::mail::{Batch, Outbox};
use crate::message::{Message, Origin};
use crate::outbuf::{OutPool, OutQueue};
use crate::output::Output;
use crate::retained::Retained;
use crate::route::filter_tree::FilterTree;
use crate::route::interest::{Epochs, Interest};
use crate::route::routes::RouteCache;
use crate::route::subscribers::FilterEntry;
use crate::send::{BACKLOG_FROM_BYTES, REFILL_BELOW_BYTES};
use crate::session::Sessions;
use crate::shared::{Groups, Member};
use crate::stats::Stats;
use crate::time::Time;
use crate::timers::Timer;
use crate::watch::Watch;
use crate::wheel::Wheel;
use foldhash::fast::FixedState;
use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use tidewire_codec::{PacketType, ReasonCode, Sender, Version, frame};

/// One worker's broker.
#[derive(Debug)]
pub struct Core {
    pub(crate) config: Config,
    /// The time of the input at hand.
    pub(crate) now: Time,
    pub(crate) conns: Conns,
    pub(crate) sessions: Sessions,
    /// This worker's own subscriptions: the second level of routing.
    pub(crate) index: FilterTree<FilterEntry>,
    pub(crate) epochs: Epochs,
    pub(crate) routes: RouteCache,
    pub(crate) retained: Retained,
    pub(crate) groups: Groups,
    /// Topics with messages on their way through the worker that owns their retained state, and how many: later
    /// messages of such a topic must take the same way, or they would overtake.
    pub(crate) fenced: BTreeMap<u64, u32>,
    pub(crate) timers: Wheel<Timer>,
    pub(crate) fired: Vec<Timer>,
    pub(crate) asks: Asks,
    /// The store's side; `None` = everything is in memory.
    pub(crate) keeper: Option<Box<Keeper>>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) dirty: VecDeque<ConnKey>,
    pub(crate) outbox: Outbox,
    pub(crate) spent: Option<Batch>,
    pub(crate) pool: OutPool<Message>,
    /// Working space for messages and properties that are put together.
    pub(crate) scratch: Vec<u8>,
    pub(crate) candidates: Vec<Member>,
    pub(crate) stats: Stats,
    /// Bytes in all outbound queues of connections.
    pub(crate) outbound_bytes: u64,
    pub(crate) budget: Budget,
    /// What is watched for on any listener.
    pub(crate) watching: Watch,
    pub(crate) stopping: bool,
    /// State of the generator of client ids.
    pub(crate) random: u64,
    home: FixedState,
}

/// What a core knows of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// What the transport knows.
    pub peer: &'a Arc<crate::PeerFacts>,
    /// The client's name and principal, once it is live.
    pub origin: Option<&'a Origin>,
    /// The protocol version, once CONNECT has come.
    pub version: Version,
}

impl Core {
    /// A broker without connections.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let store = config.store.clone();
        let (workers, seed) = (config.workers, config.seed);
        let mut core = Self::without_store(config);
        core.keeper = store.map(|store| Box::new(Keeper::new(store, workers, seed ^ 7)));
        core.begin_to_warm();
        core
    }

    fn without_store(config: Config) -> Self {
        let seed = config.seed;
        Self {
            now: Time::ZERO,
            conns: Conns::default(),
            sessions: Sessions::new(seed ^ 1),
            index: FilterTree::new(seed ^ 2),
            epochs: Epochs::new(seed ^ 3),
            routes: RouteCache::new(
                seed ^ 4,
                config.limits.route_cache_slots,
                config.limits.route_cache_bytes,
            ),
            retained: Retained::new(seed ^ 5),
            groups: Groups::new(seed ^ 6),
            fenced: BTreeMap::new(),
            timers: Wheel::new(),
            fired: Vec::new(),
            asks: Asks::default(),
            keeper: None,
            outputs: VecDeque::new(),
            dirty: VecDeque::new(),
            outbox: Outbox::new(config.workers),
            spent: None,
            pool: OutPool::new(),
            scratch: Vec::new(),
            candidates: Vec::new(),
            stats: Stats::default(),
            outbound_bytes: 0,
            budget: Budget::default(),
            watching: crate::consult::union(&config.listeners),
            stopping: false,
            random: seed ^ 0x9e37_79b9_7f4a_7c15,
            home: FixedState::with_seed(config.home_seed),
            config,
        }
    }

    /// Takes in one thing that happened at `now`, which never goes backwards. `interest` is the newest state of the shared interest index
    /// (with one worker: an empty one).
    ///
    /// Returns how many bytes of [`Input::Bytes`] or [`Input::Consulted`] were used up, whole packets only; 0 for other inputs.
    pub fn handle(&mut self, now: Time, interest: &Interest, input: Input<'_>) -> usize {
        self.now = now;
        let mut used = 0;
        match input {
            Input::Bytes { conn, bytes } => used = self.on_bytes(interest, conn, bytes),
            Input::Open { conn, peer } => self.on_open(conn, peer),
            Input::Closed { conn, end } => {
                self.drop_question(conn);
                self.on_closed(interest, conn, end);
            }
            Input::Adopt { conn, admission } => self.on_adopt(interest, conn, *admission),
            Input::Mail { from, batch } => self.on_mail(interest, from, batch),
            Input::Answer { ticket, answer } => self.on_answer(interest, ticket, answer),
            Input::Consulted {
                conn,
                ticket,
                bytes,
                allowed,
                next,
            } => used = self.on_consulted(interest, (conn, ticket), bytes, allowed, next),
            Input::Stored { ticket, answer } => self.on_stored(interest, ticket, answer),
            Input::Timeout => self.on_timeout(interest),
            Input::Command(command) => self.on_command(interest, command),
        }
        // A message may have been too much; an acknowledgement, an end or a takeover may have freed what paused publishers wait for.
        self.settle_budget();
        used
    }

    /// The next thing to do, in order; `None` when all is drained.
    #[inline]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next connection that has come to have bytes to write.
    #[inline]
    pub fn next_dirty(&mut self) -> Option<ConnKey> {
        loop {
            let key = self.dirty.pop_front()?;
            if let Some(conn) = self.conns.get_mut(key) {
                conn.dirty = false;
                return Some(key);
            }
        }
    }

    /// What is to be written to a connection next.
    #[must_use]
    pub fn outbound(&self, conn: ConnKey) -> Option<&OutQueue<Message>> {
        self.conns.get(conn).map(|conn| &conn.out)
    }

    /// So many bytes of [`Core::outbound`] have been handed to the transport. More may be there afterwards.
    pub fn written(&mut self, now: Time, key: ConnKey, bytes: usize) {
        self.now = self.now.max(now);
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        conn.out.advance(&mut self.pool, bytes);
        self.outbound_bytes = self.outbound_bytes.saturating_sub(bytes as u64);
        self.stats.bytes_sent = self.stats.bytes_sent.wrapping_add(bytes as u64);
        if conn.choked && conn.out.len() <= self.config.limits.max_outbound_bytes as usize / 2 {
            conn.choked = false;
            self.outputs.push_back(Output::Resume { conn: key });
        }
        if !conn.backlog.is_empty() && conn.out.len() < BACKLOG_FROM_BYTES {
            conn.backlog
                .move_front_to(&mut self.pool, &mut conn.out, BACKLOG_FROM_BYTES);
        }
        if conn.owed && conn.is_live() && conn.pending_bytes() < REFILL_BELOW_BYTES {
            let session = conn.session;
            self.pump(session);
        }
        self.settle_budget();
    }

    /// Mail for another worker, to be pushed to its mailbox in the order in which it is taken here.
    pub fn take_mail(&mut self) -> Option<(WorkerId, Batch)> {
        if self.config.workers == 1 {
            None
        } else {
            self.outbox.take()
        }
    }

    /// The batch of the last [`Input::Mail`], emptied, for its sender to use again.
    pub fn take_spent_batch(&mut self) -> Option<Batch> {
        self.spent.take()
    }

    /// Gives a batch back that this core once filled.
    pub fn reuse_batch(&mut self, batch: Batch) {
        self.outbox.reuse(batch);
    }

    /// Largest packet that a connection's shell may collect now, in bytes; what announces more is left in the transport
    /// until it can be used. A peer that is not admitted yet, here or elsewhere, has little room.
    #[must_use]
    pub fn collect_limit(&self, key: ConnKey) -> u32 {
        let limits = &self.config.limits;
        match self.conns.get(key).map(|conn| &conn.phase) {
            Some(Phase::Live | Phase::Raw { .. }) => limits.max_packet_size_bytes,
            _ => limits.max_connect_packet_size_bytes,
        }
    }

    /// What is known of a connection's peer, and of its client once it is live.
    #[must_use]
    pub fn who_is(&self, key: ConnKey) -> Option<Identity<'_>> {
        let conn = self.conns.get(key)?;
        let session = self.sessions.session_in(conn.session);
        let origin = session
            .filter(|_| conn.is_live())
            .map(|session| &*session.origin);
        Some(Identity {
            peer: &conn.peer,
            origin,
            version: conn.version,
        })
    }

    /// When [`Input::Timeout`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.next_deadline()
    }

    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The worker where a client id's session lives. A topic's retained state and a shared group are homed likewise.
    pub(crate) fn home_of(&self, name: &str) -> WorkerId {
        if self.config.workers == 1 {
            return self.config.worker;
        }
        let hash = self.home.hash_one(name);
        WorkerId(u16::try_from(hash % u64::from(self.config.workers)).unwrap_or(0))
    }

    pub(crate) fn home_hash(&self, name: &str) -> u64 {
        self.home.hash_one(name)
    }

    /// The next number of the seeded generator (SplitMix64).
    pub(crate) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn on_open(&mut self, key: ConnKey, peer: Arc<crate::PeerFacts>) {
        self.stats.connections_opened += 1;
        self.stats.connections += 1;
        self.conns
            .insert(key, Conn::new(key.generation, peer, self.now));
        if self.stopping {
            let failure = Failure::new(ReasonCode::ServerShuttingDown, "server is shutting down");
            self.report_refused(key, None, &failure);
            self.close(key);
            return;
        }
        let deadline = self
            .now
            .plus_secs(self.config.limits.connect_timeout_secs.into());
        self.timers.schedule(deadline, Timer::Connect(key));
    }

    pub(crate) fn on_bytes(&mut self, interest: &Interest, key: ConnKey, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            match self.on_next_packet(interest, key, rest) {
                Ok(0) => break,
                Ok(n) => used += n,
                Err(failure) => self.fail_from(interest, key, failure),
            }
        }
        self.stats.bytes_received = self.stats.bytes_received.wrapping_add(used as u64);
        used
    }

    /// Handles the packet (or run of packets) at the beginning of `bytes`; 0 = nothing can be used now.
    #[inline]
    fn on_next_packet(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        bytes: &[u8],
    ) -> Result<usize, Failure> {
        let Some(conn) = self.conns.get_mut(key) else {
            // What follows the CONNECT of a connection that has moved is its new worker's to use.
            return Ok(0);
        };
        let limit = match conn.phase {
            // Whatever follows the end of a connection is not processed [5.0 MQTT-3.14.4-1].
            Phase::Closing => return Ok(bytes.len()),
            Phase::Live | Phase::Raw { .. } => self.config.limits.max_packet_size_bytes,
            // What stands behind a CONNECT that is being decided about will be a live connection's.
            Phase::Authenticating(_) if conn.gate.is_some() => {
                self.config.limits.max_packet_size_bytes
            }
            Phase::Admitting(_) => self.config.limits.max_packet_size_bytes,
            Phase::Opened | Phase::Authenticating(_) => {
                self.config.limits.max_connect_packet_size_bytes
            }
        };
        // A header that is wrong or announces too much ends the connection even while its packet would have to wait.
        let Some(frame) = frame::next_frame(bytes, limit)? else {
            return Ok(0);
        };
        if conn.gate.is_some() || conn.paused || conn.held {
            return Ok(0);
        }
        if matches!(conn.phase, Phase::Admitting(_)) {
            return Ok(0);
        }
        // Whoever asks and does not read the answers is not heard either; nor does it count as a sign of life.
        if conn.out.len() > self.config.limits.max_outbound_bytes as usize && conn.is_in() {
            conn.choked = true;
            return Ok(0);
        }
        conn.last_received = self.now;
        if conn.is_live() && frame.packet_type() == Some(PacketType::Publish) {
            if self.over_budget() && self.pause_for_budget(key) {
                return Ok(0);
            }
            if self.keeper.is_some() && self.hold_for_store(key) {
                return Ok(0);
            }
            return self.on_publish(interest, key, frame, bytes);
        }
        self.stats.packets_received += 1;
        self.on_packet(interest, key, frame)?;
        Ok(frame.bytes.len())
    }

    fn on_packet(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        frame: frame::Frame<'_>,
    ) -> Result<(), Failure> {
        use tidewire_codec::Packet;
        let Some(conn) = self.conns.get(key) else {
            return Ok(());
        };
        if !conn.is_live() {
            return self.on_packet_before_session(interest, key, frame);
        }
        if frame.packet_type() == Some(PacketType::Connect) {
            return Err(Failure::new(
                ReasonCode::ProtocolError,
                "second CONNECT on a connection",
            ));
        }
        match Packet::decode(conn.version, Sender::Client, frame)? {
            Packet::PubAck(ack) => self.on_puback(key, &ack),
            Packet::PubRec(ack) => self.on_pubrec(key, &ack),
            Packet::PubRel(ack) => self.on_pubrel(key, &ack),
            Packet::PubComp(ack) => self.on_pubcomp(key, &ack),
            Packet::Subscribe(subscribe) => self.on_subscribe(key, &subscribe)?,
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(key, &unsubscribe)?,
            Packet::PingReq => self.on_pingreq(key),
            Packet::Disconnect(disconnect) => self.on_disconnect(interest, key, &disconnect)?,
            Packet::Auth(auth) => self.on_auth(key, &auth)?,
            other => return Err(unexpected(other.packet_type())),
        }
        Ok(())
    }
}

pub(crate) fn unexpected(packet: PacketType) -> Failure {
    let text = format!("{} is not for a client to send here", packet.name());
    Failure::new(ReasonCode::ProtocolError, text)
}
