//! `with ...`: how the broker of a scenario is configured.

use tidewire_codec::{Qos, Version};
use tidewire_core::{Authentication, Authorization, Config, Limits, SharedStrategy};

use crate::words::Word;

/// A broker's configuration, and whether its scenario is about one worker only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) one_worker: bool,
}

impl Setup {
    /// Applies the words behind `with`.
    pub(crate) fn apply(&mut self, words: &[Word]) -> Result<(), String> {
        for word in words {
            let key = word.key.as_deref().ok_or("`with` wants key=value")?;
            let value = word.text();
            self.set(key, &value)
                .ok_or_else(|| format!("`{key}={value}` is no setting"))?;
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        let listener = self.config.listeners.first_mut()?;
        match key {
            "workers" => self.one_worker = value == "1",
            "authentication" if value == "ask" => listener.authentication = Authentication::Ask,
            "authorization" if value == "ask" => listener.authorization = Authorization::Ask,
            "response-info" => listener.response_information = Some(value.into()),
            "versions" => {
                listener.versions = value.split(',').map(version).collect::<Option<_>>()?;
            }
            "strategy" => self.config.shared_strategy = strategy(value)?,
            _ => {
                set_limit(&mut self.config.limits, key, value)?;
                // What waits in memory without a store waits on disk with one: the same words mean both.
                let limits = &mut self.config.limits;
                match key {
                    "max_queued_messages" => limits.max_kept_messages = limits.max_queued_messages,
                    "max_queued_bytes" => limits.max_kept_bytes = limits.max_queued_bytes,
                    _ => {}
                }
            }
        }
        Some(())
    }
}

fn version(text: &str) -> Option<Version> {
    Some(match text {
        "v31" => Version::V31,
        "v311" => Version::V311,
        "v5" => Version::V5,
        _ => return None,
    })
}

fn strategy(text: &str) -> Option<SharedStrategy> {
    Some(match text {
        "round-robin" => SharedStrategy::RoundRobin,
        "least-in-flight" => SharedStrategy::LeastInFlight,
        "sticky" => SharedStrategy::Sticky,
        "hash-publisher" => SharedStrategy::HashPublisher,
        "hash-topic" => SharedStrategy::HashTopic,
        _ => return None,
    })
}

macro_rules! limits {
    (numbers: $($number:ident)*; switches: $($switch:ident)*;) => {
        fn set_limit(limits: &mut Limits, key: &str, value: &str) -> Option<()> {
            match key {
                $(stringify!($number) => limits.$number = value.parse().ok()?,)*
                $(stringify!($switch) => limits.$switch = value != "0",)*
                "max_qos" => limits.max_qos = match value {
                    "0" => Qos::AtMostOnce,
                    "1" => Qos::AtLeastOnce,
                    _ => Qos::ExactlyOnce,
                },
                _ => return None,
            }
            Some(())
        }
    };
}

limits! {
    numbers:
        max_packet_size_bytes max_connect_packet_size_bytes connect_timeout_secs answer_timeout_secs
        close_timeout_secs max_client_id_bytes max_keep_alive_secs max_session_expiry_secs receive_maximum
        max_inflight_messages max_queued_messages max_queued_bytes max_outbound_bytes max_worker_bytes pause_timeout_secs
        max_mailbox_bytes topic_alias_maximum max_outbound_topic_aliases max_topic_levels max_filters_per_subscribe
        max_subscriptions_per_session max_shared_subscriptions_per_session
        max_sessions max_retained_messages max_retained_bytes route_cache_slots route_cache_bytes max_will_delay_secs;
    switches:
        retain_available wildcard_subscription_available shared_subscription_available;
}
