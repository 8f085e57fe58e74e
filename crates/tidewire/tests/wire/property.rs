//! Every property in every packet that a client sends: where it may be, where it may not, and twice.

use crate::bytes::{Connect, V5, packet, properties, text, text_property, user_property};
use crate::row::Outcome::{Answers, Ends, Welcome};
use crate::row::{Outcome, Row, first, run, then};

/// A place for properties in what a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Connect,
    Will,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Auth,
}

use Place::{
    Auth, Disconnect, PubAck, PubComp, PubRec, PubRel, Publish, Subscribe, Unsubscribe, Will,
};

const PLACES: [Place; 11] = [
    Place::Connect,
    Will,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Auth,
];

/// A property: its name, an example on the wire, and where a client may put it (5.0, table 2-4).
struct Property {
    name: &'static str,
    example: Vec<u8>,
    places: &'static [Place],
}

fn table() -> Vec<Property> {
    let row = |name, example: &[u8], places| Property {
        name,
        example: example.to_vec(),
        places,
    };
    vec![
        row("payload format indicator", &[0x01, 1], &[Publish, Will]),
        row(
            "message expiry interval",
            &[0x02, 0, 0, 0, 9],
            &[Publish, Will],
        ),
        row("content type", &text_property(0x03, "t"), &[Publish, Will]),
        row(
            "response topic",
            &text_property(0x08, "r"),
            &[Publish, Will],
        ),
        row(
            "correlation data",
            &text_property(0x09, "c"),
            &[Publish, Will],
        ),
        row("subscription identifier", &[0x0B, 1], &[Subscribe]),
        row(
            "session expiry interval",
            &[0x11, 0, 0, 0, 0],
            &[Place::Connect, Disconnect],
        ),
        row("assigned client identifier", &text_property(0x12, "i"), &[]),
        row("server keep alive", &[0x13, 0, 9], &[]),
        row(
            "authentication method",
            &text_property(0x15, "m"),
            &[Place::Connect, Auth],
        ),
        row(
            "authentication data",
            &text_property(0x16, "d"),
            &[Place::Connect, Auth],
        ),
        row("request problem information", &[0x17, 1], &[Place::Connect]),
        row("will delay interval", &[0x18, 0, 0, 0, 9], &[Will]),
        row(
            "request response information",
            &[0x19, 1],
            &[Place::Connect],
        ),
        row("response information", &text_property(0x1A, "i"), &[]),
        row("server reference", &text_property(0x1C, "s"), &[]),
        row(
            "reason string",
            &text_property(0x1F, "s"),
            &[PubAck, PubRec, PubRel, PubComp, Disconnect, Auth],
        ),
        row("receive maximum", &[0x21, 0, 9], &[Place::Connect]),
        row("topic alias maximum", &[0x22, 0, 9], &[Place::Connect]),
        row("topic alias", &[0x23, 0, 1], &[Publish]),
        row("maximum QoS", &[0x24, 1], &[]),
        row("retain available", &[0x25, 1], &[]),
        row("user property", &user_property("k", "v"), &PLACES),
        row(
            "maximum packet size",
            &[0x27, 0, 1, 0, 0],
            &[Place::Connect],
        ),
        row("wildcard subscription available", &[0x28, 1], &[]),
        row("subscription identifier available", &[0x29, 1], &[]),
        row("shared subscription available", &[0x2A, 1], &[]),
    ]
}

/// Packets that are right but for these properties.
fn carried(place: Place, list: &[&[u8]]) -> Vec<u8> {
    let found = properties(list);
    match place {
        Place::Connect => Connect::new(V5).properties(list).bytes(),
        Will => Connect::new(V5).flags(0x06).will(list, "w").bytes(),
        Publish => packet(0x30, &[&text("p"), &found, b"x"]),
        PubAck => packet(0x40, &[&[0, 9, 0], &found]),
        PubRec => packet(0x50, &[&[0, 9, 0], &found]),
        PubRel => packet(0x62, &[&[0, 9, 0], &found]),
        PubComp => packet(0x70, &[&[0, 9, 0], &found]),
        Subscribe => packet(0x82, &[&[0, 9], &found, &text("f"), &[0]]),
        Unsubscribe => packet(0xA2, &[&[0, 9], &found, &text("f")]),
        Disconnect => packet(0xE0, &[&[0], &found]),
        Auth => packet(0xF0, &[&[0x18], &found]),
    }
}

/// What the right packet leads to.
fn rightly(place: Place) -> Outcome {
    match place {
        Place::Connect | Will => Welcome,
        Publish | PubAck | PubComp => Answers(vec![]),
        PubRec => Answers(vec![vec![0x62, 3, 0, 9, 0x92]]),
        PubRel => Answers(vec![vec![0x70, 3, 0, 9, 0x92]]),
        Subscribe => Answers(vec![vec![0x90, 4, 0, 9, 0, 0]]),
        Unsubscribe => Answers(vec![vec![0xB0, 4, 0, 9, 0, 0x11]]),
        // The client ends the connection itself.
        Disconnect => Outcome::Closed,
        // Without an authentication method in CONNECT every AUTH is a protocol error.
        Auth => Ends(0x82),
    }
}

fn row(name: String, place: Place, list: &[&[u8]], outcome: Outcome) -> Row {
    let bytes = carried(place, list);
    match place {
        Place::Connect | Will => first(name, V5, bytes, outcome),
        _ => then(name, V5, bytes, outcome),
    }
}

// 5.0 section 2.2.2.2: an identifier that is not valid for its packet is a malformed packet. [5.0 MQTT-3.1.4-1] [5.0 MQTT-4.13.1-1]
#[test]
fn property_in_a_packet_that_may_not_carry_it_is_malformed() {
    let mut rows = Vec::new();
    for property in table() {
        for place in PLACES {
            if property.places.contains(&place) {
                continue;
            }
            let from_servers = property.name == "subscription identifier" && place == Publish
                || property.name == "server reference" && place == Disconnect;
            // Where the packet may carry the property from the other side it can be read, and is not allowed.
            let reason = if from_servers { 0x82 } else { 0x81 };
            let name = format!("{} in {place:?}", property.name);
            rows.push(row(name, place, &[&property.example], Ends(reason)));
        }
    }
    run(rows);
}

#[test]
fn property_where_it_may_be_is_taken_and_twice_is_a_protocol_error() {
    let mut rows = Vec::new();
    for property in table() {
        for &place in property.places {
            let once = match (property.name, place) {
                // Nothing here authenticates by a method.
                ("authentication method", Place::Connect) => Ends(0x8C),
                ("authentication data", Place::Connect) => Ends(0x82),
                _ => rightly(place),
            };
            let name = format!("{} in {place:?}", property.name);
            rows.push(row(name.clone(), place, &[&property.example], once));
            let twice = match property.name {
                "user property" => rightly(place),
                _ => Ends(0x82),
            };
            let name = format!("{name}, twice");
            rows.push(row(
                name,
                place,
                &[&property.example, &property.example],
                twice,
            ));
        }
    }
    run(rows);
}
