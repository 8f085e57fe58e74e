//! Packets of every kind, as proptest strategies.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tidewire_codec::{
    Ack, Auth, Carrier, ConnAck, Connect, Disconnect, Packet, PacketId, PacketType, Properties,
    Property, PropertyId, Publish, Qos, ReasonCode, RetainHandling, Sender, SubAck, Subscribe,
    Subscription, SubscriptionOptions, UnsubAck, Unsubscribe, Version, Will, WireType,
};

/// A packet that this side may send in this version, with nothing in it that the version cannot say.
pub(crate) fn packet(version: Version, sender: Sender) -> BoxedStrategy<Packet<'static>> {
    let types: Vec<PacketType> = PacketType::ALL
        .into_iter()
        .filter(|packet| packet.may_come_from(sender, version))
        .collect();
    proptest::sample::select(types)
        .prop_flat_map(move |packet| of_type(packet, version, sender))
        .boxed()
}

fn of_type(packet: PacketType, version: Version, sender: Sender) -> BoxedStrategy<Packet<'static>> {
    match packet {
        PacketType::Connect => connect(version),
        PacketType::ConnAck => connack(version),
        PacketType::Publish => publish(version, sender),
        PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp => {
            acknowledgement(packet, version)
        }
        PacketType::Subscribe => subscribe(version),
        PacketType::SubAck => suback(version),
        PacketType::Unsubscribe => {
            let filters = vec(filter().prop_map(Cow::Owned), 1..4);
            (id(), properties(version, Carrier::Unsubscribe), filters)
                .prop_map(|(packet_id, properties, filters)| {
                    Packet::Unsubscribe(Unsubscribe {
                        packet_id,
                        properties,
                        filters,
                    })
                })
                .boxed()
        }
        PacketType::UnsubAck => unsuback(version),
        PacketType::PingReq => Just(Packet::PingReq).boxed(),
        PacketType::PingResp => Just(Packet::PingResp).boxed(),
        PacketType::Disconnect => {
            let carrier = Carrier::of(packet, sender).expect("a carrier");
            (
                reason(version, packet, sender),
                properties(version, carrier),
            )
                .prop_map(|(reason, properties)| {
                    Packet::Disconnect(Disconnect { reason, properties })
                })
                .boxed()
        }
        PacketType::Auth => {
            let carrier = Carrier::of(packet, sender).expect("a carrier");
            (
                reason(version, packet, sender),
                properties(version, carrier),
            )
                .prop_map(|(reason, properties)| {
                    let properties = properties.with(Property::AuthenticationMethod("m"));
                    Packet::Auth(Auth { reason, properties })
                })
                .boxed()
        }
    }
}

fn connect(version: Version) -> BoxedStrategy<Packet<'static>> {
    let will = (
        qos(),
        any::<bool>(),
        properties(version, Carrier::Will),
        name(),
        bytes(),
    )
        .prop_map(|(qos, retain, properties, topic, payload)| Will {
            qos,
            retain,
            properties,
            topic,
            payload,
        });
    let login = (option::of(text()), option::of(bytes()));
    let head = (
        any::<bool>(),
        any::<u16>(),
        properties(version, Carrier::Connect),
        text(),
    );
    (head, option::of(will), login)
        .prop_map(
            move |(
                (clean_start, keep_alive_secs, properties, client_id),
                will,
                (username, password),
            )| {
                let password = password.filter(|_| version.is_v5() || username.is_some());
                let username = username.map(Cow::Owned);
                let client_id = Cow::Owned(client_id);
                Packet::Connect(Connect {
                    version,
                    clean_start,
                    keep_alive_secs,
                    properties,
                    client_id,
                    will,
                    username,
                    password,
                })
            },
        )
        .boxed()
}

fn connack(version: Version) -> BoxedStrategy<Packet<'static>> {
    let reason =
        reason(Version::V5, PacketType::ConnAck, Sender::Server).prop_map(
            move |reason| match reason.connack_return_code() {
                _ if version.is_v5() => reason,
                Some(code) => ReasonCode::from_connack_return_code(code).expect("a return code"),
                None => ReasonCode::Success,
            },
        );
    (any::<bool>(), reason, properties(version, Carrier::ConnAck))
        .prop_map(move |(session_present, reason, properties)| {
            let session_present =
                session_present && reason == ReasonCode::Success && version != Version::V31;
            Packet::ConnAck(ConnAck {
                session_present,
                reason,
                properties,
            })
        })
        .boxed()
}

fn publish(version: Version, sender: Sender) -> BoxedStrategy<Packet<'static>> {
    let carrier = Carrier::of(PacketType::Publish, sender).expect("a carrier");
    (
        any::<bool>(),
        qos(),
        any::<bool>(),
        option::weighted(0.9, name()),
        id(),
        properties(version, carrier),
        bytes(),
    )
        .prop_map(|(dup, qos, retain, name, packet_id, properties, payload)| {
            let topic = match name {
                None if properties.topic_alias().is_some() => Cow::Borrowed(""),
                None => Cow::Borrowed("a"),
                Some(name) => name,
            };
            let dup = dup && qos != Qos::AtMostOnce;
            let packet_id = Some(packet_id).filter(|_| qos != Qos::AtMostOnce);
            Packet::Publish(Publish {
                dup,
                qos,
                retain,
                topic,
                packet_id,
                properties,
                payload,
            })
        })
        .boxed()
}

fn acknowledgement(packet: PacketType, version: Version) -> BoxedStrategy<Packet<'static>> {
    let carrier = Carrier::of(packet, Sender::Client).expect("a carrier");
    (
        id(),
        reason(version, packet, Sender::Client),
        properties(version, carrier),
    )
        .prop_map(move |(packet_id, reason, properties)| {
            let ack = Ack {
                packet_id,
                reason,
                properties,
            };
            match packet {
                PacketType::PubAck => Packet::PubAck(ack),
                PacketType::PubRec => Packet::PubRec(ack),
                PacketType::PubRel => Packet::PubRel(ack),
                _ => Packet::PubComp(ack),
            }
        })
        .boxed()
}

fn subscribe(version: Version) -> BoxedStrategy<Packet<'static>> {
    let retain_handling = proptest::sample::select(vec![
        RetainHandling::SendAlways,
        RetainHandling::SendIfNew,
        RetainHandling::DoNotSend,
    ]);
    let options = (qos(), any::<bool>(), any::<bool>(), retain_handling);
    let subscription = (filter(), options).prop_map(
        move |(filter, (qos, no_local, retain_as_published, retain_handling))| {
            let no_local = no_local && !filter.starts_with("$share/");
            let options = if version.is_v5() {
                SubscriptionOptions {
                    qos,
                    no_local,
                    retain_as_published,
                    retain_handling,
                }
            } else {
                SubscriptionOptions::with_qos(qos)
            };
            Subscription {
                filter: Cow::Owned(filter),
                options,
            }
        },
    );
    (
        id(),
        properties(version, Carrier::Subscribe),
        vec(subscription, 1..4),
    )
        .prop_map(|(packet_id, properties, filters)| {
            Packet::Subscribe(Subscribe {
                packet_id,
                properties,
                filters,
            })
        })
        .boxed()
}

fn suback(version: Version) -> BoxedStrategy<Packet<'static>> {
    let reason =
        reason(Version::V5, PacketType::SubAck, Sender::Server).prop_map(
            move |reason| match version {
                Version::V5 => reason,
                Version::V311 if reason.is_error() => ReasonCode::UnspecifiedError,
                Version::V31 if reason.is_error() => ReasonCode::Success,
                _ => reason,
            },
        );
    (
        id(),
        properties(version, Carrier::SubAck),
        vec(reason, 1..5),
    )
        .prop_map(|(packet_id, properties, reasons)| {
            Packet::SubAck(SubAck {
                packet_id,
                properties,
                reasons,
            })
        })
        .boxed()
}

fn unsuback(version: Version) -> BoxedStrategy<Packet<'static>> {
    let reason = reason(Version::V5, PacketType::UnsubAck, Sender::Server);
    (
        id(),
        properties(version, Carrier::UnsubAck),
        vec(reason, 1..5),
    )
        .prop_map(move |(packet_id, properties, mut reasons)| {
            if !version.is_v5() {
                reasons.clear();
            }
            Packet::UnsubAck(UnsubAck {
                packet_id,
                properties,
                reasons,
            })
        })
        .boxed()
}

/// A reason code that the packet may carry; success in versions that have none.
fn reason(version: Version, packet: PacketType, sender: Sender) -> BoxedStrategy<ReasonCode> {
    let mut reasons: Vec<ReasonCode> = ReasonCode::ALL
        .iter()
        .copied()
        .filter(|reason| reason.allowed_from(packet, sender))
        .collect();
    if !version.is_v5() {
        reasons = vec![ReasonCode::Success];
    }
    proptest::sample::select(reasons).boxed()
}

fn properties(version: Version, carrier: Carrier) -> BoxedStrategy<Properties<'static>> {
    if !version.is_v5() {
        return Just(Properties::EMPTY).boxed();
    }
    let ids: Vec<PropertyId> = PropertyId::ALL
        .iter()
        .copied()
        .filter(|id| id.carriers().contains(carrier))
        .collect();
    vec(
        (proptest::sample::select(ids), any::<u32>(), text(), text()),
        0..6,
    )
    .prop_map(move |list| {
        let mut properties = Properties::EMPTY;
        for (id, number, first, second) in list {
            push(&mut properties, id, carrier, number, (&first, &second));
        }
        if properties.authentication_data().is_some()
            && properties.authentication_method().is_none()
        {
            properties = properties.with(Property::AuthenticationMethod("m"));
        }
        properties
    })
    .boxed()
}

/// Adds the property with a value in its range, unless it is there and may not be repeated.
fn push(
    properties: &mut Properties<'static>,
    id: PropertyId,
    carrier: Carrier,
    number: u32,
    texts: (&str, &str),
) {
    if !id.may_repeat_in(carrier) && properties.iter().any(|property| property.id() == id) {
        return;
    }
    let mut bytes = vec![id as u8];
    match id.wire_type() {
        WireType::Byte => bytes.push((number & 1) as u8),
        WireType::TwoByte => bytes.extend((number as u16).max(1).to_be_bytes()),
        WireType::FourByte => bytes.extend(number.max(1).to_be_bytes()),
        WireType::Varint => tidewire_codec::wire::put_varint(&mut bytes, (number >> 4).max(1)),
        WireType::Text | WireType::Binary => prefixed(
            &mut bytes,
            if id == PropertyId::ResponseTopic {
                "r/t"
            } else {
                texts.0
            },
        ),
        WireType::Pair => {
            prefixed(&mut bytes, texts.0);
            prefixed(&mut bytes, texts.1);
        }
    }
    if id == PropertyId::AuthenticationData {
        // Alone it is refused, and the method may come in front or behind.
        prefixed_method(&mut bytes);
    }
    let taken = Properties::from_bytes(&bytes, carrier).expect("a valid property");
    for property in taken.iter() {
        let _ = properties.push(property);
    }
}

fn prefixed(bytes: &mut Vec<u8>, text: &str) {
    tidewire_codec::wire::put_bytes(bytes, text.as_bytes()).expect("short");
}

fn prefixed_method(bytes: &mut Vec<u8>) {
    bytes.push(PropertyId::AuthenticationMethod as u8);
    prefixed(bytes, "m");
}

fn id() -> BoxedStrategy<PacketId> {
    (1..=u16::MAX)
        .prop_map(|number| PacketId::new(number).expect("not zero"))
        .boxed()
}

fn qos() -> BoxedStrategy<Qos> {
    proptest::sample::select(vec![Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]).boxed()
}

fn text() -> BoxedStrategy<String> {
    "[^\\x00]{0,8}".boxed()
}

fn bytes() -> BoxedStrategy<Cow<'static, [u8]>> {
    prop_oneof![9 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 100..300)]
        .prop_map(Cow::Owned)
        .boxed()
}

fn name() -> BoxedStrategy<Cow<'static, str>> {
    "[a-z/$\u{E9}\u{1F30A}]{1,8}".prop_map(Cow::Owned).boxed()
}

fn filter() -> BoxedStrategy<String> {
    "(\\$share/g/)?[a-z]{0,3}(/[a-z]{0,2}|/\\+){0,3}(/#)?"
        .prop_map(|filter| {
            if filter.is_empty() {
                "#".to_owned()
            } else {
                filter
            }
        })
        .boxed()
}
