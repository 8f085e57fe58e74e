//! Packets that a receiver would refuse are not written.

use std::borrow::Cow;

use tidewire_codec::{
    Ack, Auth, ConnAck, Connect, Disconnect, EncodeError, Packet, PacketId, PacketType, Properties,
    Property, PropertyId, Publish, Qos, ReasonCode, SubAck, Subscribe, Subscription,
    SubscriptionOptions, TopicError, UnsubAck, Unsubscribe, Version, Will,
};

#[track_caller]
fn refused(version: Version, packet: &Packet<'_>, error: EncodeError) {
    let mut out = b"kept".to_vec();
    assert_eq!(packet.encode(version, &mut out), Err(error));
    assert_eq!(out, b"kept", "nothing is written");
}

fn connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_start: true,
        keep_alive_secs: 0,
        properties: Properties::EMPTY,
        client_id: Cow::Borrowed("c"),
        will: None,
        username: None,
        password: None,
    }
}

fn publish(topic: &'static str) -> Publish<'static> {
    Publish {
        dup: false,
        qos: Qos::AtMostOnce,
        retain: false,
        topic: Cow::Borrowed(topic),
        packet_id: None,
        properties: Properties::EMPTY,
        payload: Cow::Borrowed(b""),
    }
}

#[test]
fn connect_keeps_the_rules_of_its_version() {
    let password = |version| Connect {
        password: Some(Cow::Borrowed(b"p")),
        ..connect(version)
    };
    // [3.1.1 MQTT-3.1.2-22]
    refused(
        Version::V311,
        &Packet::Connect(password(Version::V311)),
        EncodeError::PasswordWithoutUserName,
    );
    // [3.1 MQTT31-CONNECT-6]
    refused(
        Version::V31,
        &Packet::Connect(password(Version::V31)),
        EncodeError::PasswordWithoutUserName,
    );
    assert_eq!(
        Packet::Connect(password(Version::V5)).encode(Version::V5, &mut Vec::new()),
        Ok(())
    );
    let long = "x".repeat(65_536);
    let long = Connect {
        client_id: Cow::Owned(long),
        ..connect(Version::V311)
    };
    refused(
        Version::V311,
        &Packet::Connect(long),
        EncodeError::FieldTooLong { length: 65_536 },
    );
    let nul = Connect {
        username: Some(Cow::Borrowed("\0")),
        ..connect(Version::V5)
    };
    refused(Version::V5, &Packet::Connect(nul), EncodeError::ContainsNul);
    let will = Will {
        qos: Qos::AtMostOnce,
        retain: false,
        properties: Properties::EMPTY,
        topic: Cow::Borrowed("a/+"),
        payload: Cow::Borrowed(b""),
    };
    let wildcard = Connect {
        will: Some(will.clone()),
        ..connect(Version::V5)
    };
    refused(
        Version::V5,
        &Packet::Connect(wildcard),
        EncodeError::TopicName(TopicError::WildcardInName),
    );
    let alias = Will {
        topic: Cow::Borrowed("a"),
        properties: Properties::EMPTY.with(Property::TopicAlias(1)),
        ..will
    };
    let alias = Connect {
        will: Some(alias),
        ..connect(Version::V5)
    };
    let misplaced = EncodeError::MisplacedProperty {
        property: PropertyId::TopicAlias,
        packet: PacketType::Connect,
    };
    refused(Version::V5, &Packet::Connect(alias), misplaced);
}

#[test]
fn connack_tells_no_session_with_a_refusal_and_only_what_its_version_can_say() {
    let connack = |session_present, reason| {
        Packet::ConnAck(ConnAck {
            session_present,
            reason,
            properties: Properties::EMPTY,
        })
    };
    // [5.0 MQTT-3.2.2-6]
    refused(
        Version::V5,
        &connack(true, ReasonCode::NotAuthorized),
        EncodeError::SessionPresentWithRefusal,
    );
    // [3.1.1 MQTT-3.2.2-4]
    refused(
        Version::V311,
        &connack(true, ReasonCode::NotAuthorized),
        EncodeError::SessionPresentWithRefusal,
    );
    // [3.1.1 MQTT-3.2.2-6]
    let malformed = ReasonCode::MalformedPacket;
    refused(
        Version::V311,
        &connack(false, malformed),
        EncodeError::NoReturnCode(malformed),
    );
    // [5.0 MQTT-3.2.2-8]
    let reason = ReasonCode::SessionTakenOver;
    let unexpected = EncodeError::UnexpectedReasonCode {
        packet: PacketType::ConnAck,
        reason,
    };
    refused(Version::V5, &connack(false, reason), unexpected);
    // [3.1 MQTT31-CONNACK-1]
    let mut out = Vec::new();
    connack(true, ReasonCode::Success)
        .encode(Version::V31, &mut out)
        .expect("encodes");
    assert_eq!(out, b"\x20\x02\x00\x00");
}

#[test]
fn publish_has_a_topic_name_or_an_alias_and_its_own_properties() {
    // [5.0 MQTT-3.3.2-2] [3.1.1 MQTT-3.3.2-2]
    refused(
        Version::V5,
        &Packet::Publish(publish("a/#")),
        EncodeError::TopicName(TopicError::WildcardInName),
    );
    // [5.0 MQTT-4.7.3-1] [3.1.1 MQTT-4.7.3-1]
    refused(
        Version::V5,
        &Packet::Publish(publish("")),
        EncodeError::TopicName(TopicError::Empty),
    );
    let alias = Publish {
        properties: Properties::EMPTY.with(Property::TopicAlias(1)),
        ..publish("")
    };
    assert_eq!(
        Packet::Publish(alias.clone()).encode(Version::V5, &mut Vec::new()),
        Ok(())
    );
    refused(
        Version::V311,
        &Packet::Publish(alias),
        EncodeError::TopicName(TopicError::Empty),
    );
    let reason = Publish {
        properties: Properties::EMPTY.with(Property::ReasonString("r")),
        ..publish("a")
    };
    let misplaced = EncodeError::MisplacedProperty {
        property: PropertyId::ReasonString,
        packet: PacketType::Publish,
    };
    refused(Version::V5, &Packet::Publish(reason), misplaced);
}

#[test]
fn acknowledgements_carry_the_reasons_of_their_packet() {
    let reason = ReasonCode::PacketIdentifierNotFound;
    let ack = Ack::with_reason(PacketId::MIN, reason);
    // [5.0 MQTT-3.4.2-1]
    refused(
        Version::V5,
        &Packet::PubAck(ack.clone()),
        EncodeError::UnexpectedReasonCode {
            packet: PacketType::PubAck,
            reason,
        },
    );
    // [5.0 MQTT-3.5.2-1]
    refused(
        Version::V5,
        &Packet::PubRec(ack.clone()),
        EncodeError::UnexpectedReasonCode {
            packet: PacketType::PubRec,
            reason,
        },
    );
    assert_eq!(
        Packet::PubRel(ack).encode(Version::V5, &mut Vec::new()),
        Ok(())
    );
    let suback = |reason| {
        let reasons = vec![reason];
        Packet::SubAck(SubAck {
            packet_id: PacketId::MIN,
            properties: Properties::EMPTY,
            reasons,
        })
    };
    let unexpected = |reason| EncodeError::UnexpectedReasonCode {
        packet: PacketType::SubAck,
        reason,
    };
    let no_subscription = ReasonCode::NoSubscriptionExisted;
    // [5.0 MQTT-3.9.3-2] [3.1.1 MQTT-3.9.3-2]
    refused(
        Version::V5,
        &suback(no_subscription),
        unexpected(no_subscription),
    );
    refused(
        Version::V311,
        &suback(no_subscription),
        unexpected(no_subscription),
    );
    // [3.1 MQTT31-SUBACK-1]
    refused(
        Version::V31,
        &suback(ReasonCode::NotAuthorized),
        unexpected(ReasonCode::NotAuthorized),
    );
    // [3.1.1 MQTT-3.9.3-2]
    let mut out = Vec::new();
    suback(ReasonCode::NotAuthorized)
        .encode(Version::V311, &mut out)
        .expect("encodes");
    assert_eq!(out, b"\x90\x03\x00\x01\x80");
}

#[test]
fn lists_are_not_empty() {
    let (packet_id, properties) = (PacketId::MIN, Properties::EMPTY);
    let subscribe = Subscribe {
        packet_id,
        properties: properties.clone(),
        filters: Vec::new(),
    };
    // [5.0 MQTT-3.8.3-2] [3.1.1 MQTT-3.8.3-3]
    refused(
        Version::V5,
        &Packet::Subscribe(subscribe),
        EncodeError::NoFilters(PacketType::Subscribe),
    );
    let unsubscribe = Unsubscribe {
        packet_id,
        properties: properties.clone(),
        filters: Vec::new(),
    };
    // [5.0 MQTT-3.10.3-2] [3.1.1 MQTT-3.10.3-2]
    refused(
        Version::V5,
        &Packet::Unsubscribe(unsubscribe),
        EncodeError::NoFilters(PacketType::Unsubscribe),
    );
    let suback = SubAck {
        packet_id,
        properties: properties.clone(),
        reasons: Vec::new(),
    };
    refused(
        Version::V5,
        &Packet::SubAck(suback),
        EncodeError::NoFilters(PacketType::SubAck),
    );
    let unsuback = UnsubAck {
        packet_id,
        properties,
        reasons: Vec::new(),
    };
    refused(
        Version::V5,
        &Packet::UnsubAck(unsuback),
        EncodeError::NoFilters(PacketType::UnsubAck),
    );
}

/// [5.0 MQTT-3.8.3-4]
#[test]
fn no_local_is_not_asked_of_a_shared_subscription() {
    let options = SubscriptionOptions {
        no_local: true,
        ..SubscriptionOptions::default()
    };
    let filters = vec![Subscription {
        filter: Cow::Borrowed("$share/g/a"),
        options,
    }];
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: PacketId::MIN,
        properties: Properties::EMPTY,
        filters,
    });
    refused(Version::V5, &subscribe, EncodeError::NoLocalOnShared);
}

#[test]
fn what_a_version_does_not_know_is_refused_or_left_out() {
    let auth = Packet::Auth(Auth {
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    });
    let unknown = EncodeError::NotInVersion {
        packet: PacketType::Auth,
        version: Version::V311,
    };
    refused(Version::V311, &auth, unknown);
    let disconnect = Packet::Disconnect(Disconnect {
        reason: ReasonCode::DisconnectWithWill,
        properties: Properties::EMPTY.with(Property::ReasonString("r")),
    });
    let mut out = Vec::new();
    disconnect.encode(Version::V311, &mut out).expect("encodes");
    assert_eq!(out, b"\xE0\x00");
}

/// A debug print is a dump, too.
#[test]
fn a_password_is_not_shown() {
    let connect = Connect {
        password: Some(Cow::Borrowed(b"hunter2")),
        ..connect(Version::V5)
    };
    let shown = format!("{connect:?}");
    assert!(
        shown.contains("7 bytes") && !shown.contains("104"),
        "{shown}"
    );
}
