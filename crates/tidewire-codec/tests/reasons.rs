//! The table of reason codes against the tables of the specification, written down a second time.

use std::collections::HashSet;

use tidewire_codec::PacketType::{self, *};
use tidewire_codec::{ReasonCode, Sender};

/// The codes that each packet may carry: the tables of sections 3.2.2.2, 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1, 3.9.3, 3.11.3,
/// 3.14.2.1 and 3.15.2.1.
const TABLES: &[(PacketType, &[u8])] = &[
    // [5.0 MQTT-3.2.2-8]
    (
        ConnAck,
        &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90,
            0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
        ],
    ),
    // [5.0 MQTT-3.4.2-1]
    (
        PubAck,
        &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
    ),
    // [5.0 MQTT-3.5.2-1]
    (
        PubRec,
        &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
    ),
    // [5.0 MQTT-3.6.2-1]
    (PubRel, &[0x00, 0x92]),
    // [5.0 MQTT-3.7.2-1]
    (PubComp, &[0x00, 0x92]),
    // [5.0 MQTT-3.9.3-2]
    (
        SubAck,
        &[
            0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2,
        ],
    ),
    // [5.0 MQTT-3.11.3-2]
    (UnsubAck, &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]),
    // [5.0 MQTT-3.14.2-1]
    (
        Disconnect,
        &[
            0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93,
            0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1,
            0xA2,
        ],
    ),
    // [5.0 MQTT-3.15.2-1]
    (Auth, &[0x00, 0x18, 0x19]),
];

#[test]
fn each_packet_carries_the_codes_of_its_table_and_no_others() {
    for packet in PacketType::ALL {
        let listed = TABLES
            .iter()
            .find(|(of, _)| *of == packet)
            .map_or(&[][..], |(_, codes)| codes);
        for number in 0..=u8::MAX {
            let carries =
                ReasonCode::from_u8(number).is_some_and(|reason| reason.allowed_in(packet));
            assert_eq!(
                carries,
                listed.contains(&number),
                "{packet} with {number:#04x}"
            );
        }
    }
}

/// Table 3-13 says who sends each DISCONNECT code. [5.0 MQTT-3.14.2-1]
#[test]
fn a_client_disconnects_with_the_codes_of_clients() {
    let of_clients = [
        0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    ];
    for reason in ReasonCode::ALL {
        let allowed = reason.allowed_from(Disconnect, Sender::Client);
        assert_eq!(allowed, of_clients.contains(&(*reason as u8)), "{reason}");
    }
}

#[test]
fn numbers_and_names_are_unique() {
    let names: HashSet<&str> = ReasonCode::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), ReasonCode::ALL.len());
    assert_eq!(ReasonCode::ALL.len(), 43);
    for reason in ReasonCode::ALL {
        assert_eq!(ReasonCode::from_u8(*reason as u8), Some(*reason));
        assert_eq!(reason.is_error(), *reason as u8 >= 0x80);
    }
}

/// [3.1 MQTT31-CONNACK-2]
#[test]
fn only_the_reasons_of_connack_have_return_codes_and_these_end_at_5() {
    for reason in ReasonCode::ALL {
        if let Some(code) = reason.connack_return_code() {
            assert!(code <= 5 && reason.allowed_in(ConnAck), "{reason}");
            assert_eq!(code == 0, !reason.is_error());
            let back = ReasonCode::from_connack_return_code(code).expect("a return code");
            assert_eq!(back.connack_return_code(), Some(code));
        }
    }
    assert_eq!(ReasonCode::from_connack_return_code(6), None);
}
