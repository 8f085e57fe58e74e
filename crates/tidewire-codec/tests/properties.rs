//! The table of properties, and properties as packets carry them.

use tidewire_codec::{
    Carrier, DecodeError, EncodeError, Properties, Property, PropertyId, ReasonCode, TopicError,
    WireType,
};

/// Table 2-4 of MQTT 5.0, written down a second time: number, wire type, packets.
const TABLE: &[(u8, WireType, &[Carrier])] = {
    use Carrier::*;
    use WireType::*;
    &[
        (0x01, Byte, &[PublishFromClient, PublishFromServer, Will]),
        (
            0x02,
            FourByte,
            &[PublishFromClient, PublishFromServer, Will],
        ),
        (0x03, Text, &[PublishFromClient, PublishFromServer, Will]),
        (0x08, Text, &[PublishFromClient, PublishFromServer, Will]),
        (0x09, Binary, &[PublishFromClient, PublishFromServer, Will]),
        // [5.0 MQTT-3.3.4-6]
        (0x0B, Varint, &[PublishFromServer, Subscribe]),
        // [5.0 MQTT-3.14.2-2]
        (0x11, FourByte, &[Connect, ConnAck, DisconnectFromClient]),
        (0x12, Text, &[ConnAck]),
        (0x13, TwoByte, &[ConnAck]),
        (
            0x15,
            Text,
            &[Connect, ConnAck, AuthFromClient, AuthFromServer],
        ),
        (
            0x16,
            Binary,
            &[Connect, ConnAck, AuthFromClient, AuthFromServer],
        ),
        (0x17, Byte, &[Connect]),
        (0x18, FourByte, &[Will]),
        (0x19, Byte, &[Connect]),
        (0x1A, Text, &[ConnAck]),
        (0x1C, Text, &[ConnAck, DisconnectFromServer]),
        (
            0x1F,
            Text,
            &[
                ConnAck,
                PubAck,
                PubRec,
                PubRel,
                PubComp,
                SubAck,
                UnsubAck,
                DisconnectFromClient,
                DisconnectFromServer,
                AuthFromClient,
                AuthFromServer,
            ],
        ),
        (0x21, TwoByte, &[Connect, ConnAck]),
        (0x22, TwoByte, &[Connect, ConnAck]),
        (0x23, TwoByte, &[PublishFromClient, PublishFromServer]),
        (0x24, Byte, &[ConnAck]),
        (0x25, Byte, &[ConnAck]),
        (0x26, Pair, &CARRIERS),
        (0x27, FourByte, &[Connect, ConnAck]),
        (0x28, Byte, &[ConnAck]),
        (0x29, Byte, &[ConnAck]),
        (0x2A, Byte, &[ConnAck]),
    ]
};

const CARRIERS: [Carrier; 17] = [
    Carrier::Connect,
    Carrier::Will,
    Carrier::ConnAck,
    Carrier::PublishFromClient,
    Carrier::PublishFromServer,
    Carrier::PubAck,
    Carrier::PubRec,
    Carrier::PubRel,
    Carrier::PubComp,
    Carrier::Subscribe,
    Carrier::SubAck,
    Carrier::Unsubscribe,
    Carrier::UnsubAck,
    Carrier::DisconnectFromClient,
    Carrier::DisconnectFromServer,
    Carrier::AuthFromClient,
    Carrier::AuthFromServer,
];

#[test]
fn the_table_is_that_of_the_specification() {
    assert_eq!(PropertyId::ALL.len(), 27);
    for number in 0..=u8::MAX {
        let listed = TABLE.iter().find(|(of, ..)| *of == number);
        let Some(id) = PropertyId::from_u8(number) else {
            assert!(listed.is_none(), "{number:#04x} is missing");
            continue;
        };
        let (_, wire_type, carriers) = listed.expect("listed");
        assert_eq!(id.wire_type(), *wire_type, "{}", id.name());
        for carrier in CARRIERS {
            assert_eq!(
                id.carriers().contains(carrier),
                carriers.contains(&carrier),
                "{} in {carrier}",
                id.name()
            );
        }
    }
}

/// A valid value of the property.
fn example(id: PropertyId) -> Vec<u8> {
    let mut bytes = vec![id as u8];
    bytes.extend_from_slice(match id.wire_type() {
        WireType::Byte | WireType::Varint => b"\x01",
        WireType::TwoByte => b"\x00\x01",
        WireType::FourByte => b"\x00\x00\x00\x01",
        WireType::Text | WireType::Binary => b"\x00\x01x",
        WireType::Pair => b"\x00\x01k\x00\x01v",
    });
    if id == PropertyId::AuthenticationData {
        bytes.extend_from_slice(b"\x15\x00\x01m");
    }
    bytes
}

#[test]
fn a_property_is_taken_where_it_belongs_and_nowhere_else() {
    for id in PropertyId::ALL {
        let bytes = example(*id);
        for carrier in CARRIERS {
            let taken = Properties::from_bytes(&bytes, carrier);
            if id.carriers().contains(carrier) {
                assert_eq!(
                    taken.map(|properties| properties.as_bytes().len()),
                    Ok(bytes.len())
                );
            } else {
                assert_eq!(
                    taken,
                    Err(DecodeError::MisplacedProperty {
                        property: *id,
                        carrier
                    })
                );
            }
        }
    }
}

#[test]
fn a_property_appears_twice_only_where_it_may() {
    for id in PropertyId::ALL {
        let mut twice = example(*id);
        twice.extend(example(*id));
        for carrier in CARRIERS
            .into_iter()
            .filter(|carrier| id.carriers().contains(*carrier))
        {
            let may = match id {
                PropertyId::UserProperty => true,
                PropertyId::SubscriptionIdentifier => carrier == Carrier::PublishFromServer,
                _ => false,
            };
            let refused = Properties::from_bytes(&twice, carrier)
                .err()
                .map(|error| error.reason_code());
            assert_eq!(
                refused,
                (!may).then_some(ReasonCode::ProtocolError),
                "{} in {carrier}",
                id.name()
            );
        }
    }
}

#[test]
fn a_property_cut_anywhere_is_refused() {
    for id in PropertyId::ALL {
        let whole = example(*id);
        let carrier = CARRIERS
            .into_iter()
            .find(|carrier| id.carriers().contains(*carrier))
            .expect("a carrier");
        for end in 1..whole.len() {
            assert!(
                Properties::from_bytes(&whole[..end], carrier).is_err(),
                "{} up to {end}",
                id.name()
            );
        }
    }
}

#[test]
fn user_properties_keep_their_order_and_their_repetitions() {
    let properties = Properties::EMPTY
        .with(Property::UserProperty("b", "1"))
        .with(Property::ContentType("text"))
        .with(Property::UserProperty("a", "2"))
        .with(Property::UserProperty("b", "1"));
    let listed: Vec<(&str, &str)> = properties.user_properties().collect();
    assert_eq!(listed, [("b", "1"), ("a", "2"), ("b", "1")]);
    assert_eq!(properties.content_type(), Some("text"));
    assert_eq!(properties.iter().count(), 4);
}

#[test]
fn getters_find_their_property_behind_any_other() {
    let properties = Properties::EMPTY
        .with(Property::UserProperty("k", "v"))
        .with(Property::CorrelationData(b"\x02\x00\x00"))
        .with(Property::SubscriptionIdentifier(268_435_455))
        .with(Property::SubscriptionIdentifier(1))
        .with(Property::PayloadFormatIndicator(1))
        .with(Property::TopicAlias(9))
        .with(Property::MessageExpiryInterval(77));
    assert_eq!(properties.message_expiry_interval_secs(), Some(77));
    assert_eq!(properties.topic_alias(), Some(9));
    assert_eq!(properties.payload_format_indicator(), Some(1));
    assert_eq!(properties.correlation_data(), Some(&b"\x02\x00\x00"[..]));
    assert_eq!(
        properties.subscription_identifiers().collect::<Vec<_>>(),
        [268_435_455, 1]
    );
    assert_eq!(properties.response_topic(), None);
}

#[test]
fn what_a_receiver_would_refuse_cannot_be_pushed() {
    let long = "x".repeat(65_536);
    let refusals = [
        (
            Property::ContentType(&long),
            EncodeError::FieldTooLong { length: 65_536 },
        ),
        (
            Property::UserProperty("k", &long),
            EncodeError::FieldTooLong { length: 65_536 },
        ),
        (Property::ReasonString("a\0"), EncodeError::ContainsNul),
        (
            Property::TopicAlias(0),
            EncodeError::PropertyValue(PropertyId::TopicAlias),
        ),
        (
            Property::ReceiveMaximum(0),
            EncodeError::PropertyValue(PropertyId::ReceiveMaximum),
        ),
        (
            Property::MaximumQos(2),
            EncodeError::PropertyValue(PropertyId::MaximumQos),
        ),
        (
            Property::SubscriptionIdentifier(0),
            EncodeError::PropertyValue(PropertyId::SubscriptionIdentifier),
        ),
        (
            Property::SubscriptionIdentifier(268_435_456),
            EncodeError::PropertyValue(PropertyId::SubscriptionIdentifier),
        ),
        (
            Property::ResponseTopic("a/#"),
            EncodeError::TopicName(TopicError::WildcardInName),
        ),
        (
            Property::ServerKeepAlive(2),
            EncodeError::RepeatedProperty(PropertyId::ServerKeepAlive),
        ),
    ];
    let mut properties = Properties::EMPTY.with(Property::ServerKeepAlive(1));
    let before = properties.clone();
    for (property, error) in refusals {
        assert_eq!(properties.push(property), Err(error));
        assert_eq!(properties, before, "nothing is left of it");
    }
}

#[test]
fn secrets_are_not_shown() {
    let properties = Properties::EMPTY.with(Property::AuthenticationData(b"hunter2"));
    let shown = format!("{properties:?}");
    assert!(
        shown.contains("7 bytes") && !shown.contains("104"),
        "{shown}"
    );
}
