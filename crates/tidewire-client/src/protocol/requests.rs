//! SUBSCRIBE and UNSUBSCRIBE.

use tidewire_codec::{
    EncodeError, Packet, PacketId, PacketType, Properties, ReasonCode, RetainHandling, SubAck,
    Subscribe, Subscription, SubscriptionOptions, UnsubAck, Unsubscribe, Version, topic,
};

use super::machine::{Machine, Phase};
use super::outgoing::Slot;
use super::output::{Output, RequestError, Token};
use super::time::Time;

impl Machine {
    pub(crate) fn on_subscribe_input(
        &mut self,
        now: Time,
        token: Token,
        filters: &[(Box<str>, SubscriptionOptions)],
        properties: Properties<'static>,
    ) {
        if let Err(error) = self.try_subscribe(now, token, filters, properties) {
            let result = Err(error);
            self.emit(Output::Subscribed { token, result });
        }
    }

    fn try_subscribe(
        &mut self,
        now: Time,
        token: Token,
        filters: &[(Box<str>, SubscriptionOptions)],
        properties: Properties<'static>,
    ) -> Result<(), RequestError> {
        if self.phase != Phase::Live {
            return Err(RequestError::NotConnected);
        }
        for (filter, options) in filters {
            check_subscription(self.version(), filter, *options)?;
            self.check_supported(filter)?;
        }
        if !self.version().is_v5() && !properties.is_empty() {
            return Err(RequestError::NeedsV5("a property of SUBSCRIBE"));
        }
        if properties.subscription_identifiers().next().is_some()
            && !self.server.subscription_identifier_available
        {
            return Err(RequestError::NotSupported(
                ReasonCode::SubscriptionIdentifiersNotSupported,
            ));
        }
        let packet_id = self.take_id(Slot::Subscribe {
            token,
            filters: filters.len(),
        })?;
        let subscription = |(filter, options): &(Box<str>, SubscriptionOptions)| Subscription {
            filter: filter.clone().into_string().into(),
            options: *options,
        };
        self.send_request(
            now,
            packet_id,
            &Packet::Subscribe(Subscribe {
                packet_id,
                properties,
                filters: filters.iter().map(subscription).collect(),
            }),
        )
    }

    pub(crate) fn on_unsubscribe_input(&mut self, now: Time, token: Token, filters: &[Box<str>]) {
        if let Err(error) = self.try_unsubscribe(now, token, filters) {
            let result = Err(error);
            self.emit(Output::Unsubscribed { token, result });
        }
    }

    fn try_unsubscribe(
        &mut self,
        now: Time,
        token: Token,
        filters: &[Box<str>],
    ) -> Result<(), RequestError> {
        if self.phase != Phase::Live {
            return Err(RequestError::NotConnected);
        }
        for filter in filters {
            topic::validate_filter(filter).map_err(RequestError::Filter)?;
        }
        let packet_id = self.take_id(Slot::Unsubscribe {
            token,
            filters: filters.len(),
        })?;
        self.send_request(
            now,
            packet_id,
            &Packet::Unsubscribe(Unsubscribe {
                packet_id,
                properties: Properties::EMPTY,
                filters: filters.iter().map(|filter| (&**filter).into()).collect(),
            }),
        )
    }

    fn check_supported(&self, filter: &str) -> Result<(), RequestError> {
        let shared = topic::split_shared(filter).map_err(RequestError::Filter)?;
        if shared.is_some() && !self.server.shared_subscription_available {
            return Err(RequestError::NotSupported(
                ReasonCode::SharedSubscriptionsNotSupported,
            ));
        }
        if topic::has_wildcards(filter) && !self.server.wildcard_subscription_available {
            return Err(RequestError::NotSupported(
                ReasonCode::WildcardSubscriptionsNotSupported,
            ));
        }
        Ok(())
    }

    fn take_id(&mut self, slot: Slot) -> Result<PacketId, RequestError> {
        self.ids.insert(slot).map_err(|_| RequestError::NoPacketId)
    }

    /// Sends a request, or gives its identifier back.
    fn send_request(
        &mut self,
        now: Time,
        packet_id: PacketId,
        packet: &Packet<'_>,
    ) -> Result<(), RequestError> {
        let written = self.write_request(packet);
        match written {
            Ok(()) => self.keep_alive.sent(now),
            Err(_) => drop(self.ids.remove(packet_id)),
        }
        written
    }

    fn write_request(&mut self, packet: &Packet<'_>) -> Result<(), RequestError> {
        let mut bytes = Vec::new();
        packet
            .encode(self.open.version, &mut bytes)
            .map_err(|error: EncodeError| RequestError::Invalid(error))?;
        let (size, limit) = (bytes.len(), self.server.max_packet_size_bytes);
        if size > usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(RequestError::TooLarge { size, limit });
        }
        self.out.tail().extend_from_slice(&bytes);
        Ok(())
    }

    pub(crate) fn on_suback(&mut self, now: Time, suback: SubAck<'_>) {
        let packet_id = suback.packet_id;
        let Some(&Slot::Subscribe { token, filters }) = self.ids.get(packet_id) else {
            return self.unknown_id(now, PacketType::SubAck, packet_id);
        };
        if suback.reasons.len() != filters {
            let why = "it has not one reason code for each filter";
            return self.unexpected(now, PacketType::SubAck, why);
        }
        self.ids.remove(packet_id);
        let result = Ok(suback.reasons);
        self.emit(Output::Subscribed { token, result });
    }

    pub(crate) fn on_unsuback(&mut self, now: Time, unsuback: UnsubAck<'_>) {
        let packet_id = unsuback.packet_id;
        let Some(&Slot::Unsubscribe { token, filters }) = self.ids.get(packet_id) else {
            return self.unknown_id(now, PacketType::UnsubAck, packet_id);
        };
        let reasons = if self.version().is_v5() {
            unsuback.reasons
        } else {
            vec![ReasonCode::Success; filters]
        };
        if reasons.len() != filters {
            let why = "it has not one reason code for each filter";
            return self.unexpected(now, PacketType::UnsubAck, why);
        }
        self.ids.remove(packet_id);
        let result = Ok(reasons);
        self.emit(Output::Unsubscribed { token, result });
    }

    /// The connection has ended: no answer will come.
    pub(crate) fn fail_requests(&mut self, error: RequestError) {
        let is_request =
            |slot: &Slot| matches!(slot, Slot::Subscribe { .. } | Slot::Unsubscribe { .. });
        let waiting: Vec<PacketId> = self
            .ids
            .iter()
            .filter(|(_, slot)| is_request(slot))
            .map(|(packet_id, _)| packet_id)
            .collect();
        for packet_id in waiting {
            let result = Err(error);
            match self.ids.remove(packet_id) {
                Some(Slot::Subscribe { token, .. }) => {
                    self.emit(Output::Subscribed { token, result });
                }
                Some(Slot::Unsubscribe { token, .. }) => {
                    self.emit(Output::Unsubscribed { token, result });
                }
                _ => {}
            }
        }
    }
}

/// Whether a connection of this version can carry the subscription, whatever the server says.
///
/// # Errors
/// A filter that is none, and options that exist in MQTT 5.0 only.
pub fn check_subscription(
    version: Version,
    filter: &str,
    options: SubscriptionOptions,
) -> Result<(), RequestError> {
    topic::validate_filter(filter).map_err(RequestError::Filter)?;
    if version.is_v5() {
        return Ok(());
    }
    if options.no_local {
        return Err(RequestError::NeedsV5("No Local"));
    }
    if options.retain_as_published {
        return Err(RequestError::NeedsV5("Retain As Published"));
    }
    if options.retain_handling != RetainHandling::SendAlways {
        return Err(RequestError::NeedsV5("Retain Handling"));
    }
    Ok(())
}
