//! Counters of one core; the driver adds up its workers'.

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a core has done and what it holds. Counters only grow, by wrapping addition; gauges are marked as such.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// Adds another core's figures to this one's.
            pub fn add(&mut self, other: &Self) {
                $(self.$name = self.$name.wrapping_add(other.$name);)*
            }

            /// Every figure with its name, in the order of declaration.
            pub fn for_each(&self, mut visit: impl FnMut(&'static str, u64)) {
                $(visit(stringify!($name), self.$name);)*
            }
        }
    };
}

stats! {
    /// Gauge: connections, admitted or not.
    connections,
    /// Gauge: sessions, connected or not.
    sessions,
    /// Gauge: sessions with a live connection.
    sessions_connected,
    /// Gauge: subscriptions, shared ones included.
    subscriptions,
    /// Gauge: members of shared groups that this worker owns.
    shared_members,
    /// Gauge: retained messages that this worker owns.
    retained_messages,
    /// Gauge: bytes of retained messages that this worker owns.
    retained_bytes,
    /// Gauge: messages that wait in session and group queues.
    queued_messages,
    /// Gauge: bytes of messages that wait in session and group queues or for an acknowledgement.
    queued_bytes,
    /// Transports opened.
    connections_opened,
    /// CONNECTs accepted.
    connects_accepted,
    /// Connections refused before they were admitted.
    connects_refused,
    /// Sessions that ended because their expiry interval passed.
    sessions_expired,
    /// Sessions whose connection was taken over by another.
    sessions_taken_over,
    /// Packets received.
    packets_received,
    /// Packets queued for sending.
    packets_sent,
    /// Bytes received.
    bytes_received,
    /// Bytes handed to transports.
    bytes_sent,
    /// PUBLISH packets received.
    publishes_received,
    /// PUBLISH packets queued for sending.
    publishes_sent,
    /// Bytes of payload in PUBLISH packets received.
    publish_bytes_received,
    /// Bytes of payload in PUBLISH packets queued for sending.
    publish_bytes_sent,
    /// Messages that matched no subscription.
    dropped_no_subscriber,
    /// QoS 0 messages dropped because the receiver's socket is too far behind.
    dropped_outbound_full,
    /// Messages dropped because a session's or group's queue was full.
    dropped_queue_full,
    /// Messages dropped because they expired before delivery.
    dropped_expired,
    /// Messages dropped because they exceed the receiver's Maximum Packet Size.
    dropped_too_large,
    /// Messages that handlers held back from a receiver.
    dropped_suppressed,
    /// Retained messages not kept because the store is full.
    dropped_retained_full,
    /// Messages that authorisation denied.
    denied_publish,
    /// Messages that a handler took and answered: they were not published.
    consumed_publish,
    /// Subscriptions that authorisation denied.
    denied_subscribe,
    /// Malformed packets.
    malformed_packets,
    /// Protocol errors.
    protocol_errors,
    /// Connections closed because of Keep Alive.
    keep_alive_timeouts,
    /// Connections closed because what their client had authenticated with was no longer valid.
    authentications_expired,
    /// Connections closed because no CONNECT came in time.
    connect_timeouts,
    /// Questions without an answer in time.
    answer_timeouts,
    /// Questions dropped because the connection that they held ended.
    questions_dropped,
    /// Wills published.
    wills_published,
    /// Times that a publisher was paused by the worker's memory budget.
    publishers_paused,
    /// Messages handed to the store.
    store_appends,
    /// Gauge: requests that wait for the store.
    store_waiting,
    /// Messages that publishers were refused because they could not be stored.
    store_refused,
    /// Requests sent to the store again because it had no room.
    store_retries,
    /// Requests that the store failed.
    store_failures,
    /// Messages read back from the store for clients that had been away or were slow.
    store_reads,
    /// Stretches and records of the store that were found damaged.
    store_damaged,
}
