//! Rows of the tables, and how a row is run.

use crate::bytes::{V5, V31, V311, Version};
use crate::peer::{End, HealthyPair, Target};

/// When a row's bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// As the first bytes of a connection.
    First,
    /// After a client of the row's version was admitted.
    Admitted,
}

/// What must come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The connection ends. In 5.0 with this reason, in CONNACK before admission and in DISCONNECT after it; in 3.x without a word.
    Ends(u8),
    /// CONNACK with this code and no session, then the end.
    Refused(u8),
    /// The end without any packet, whatever the version.
    Closed,
    /// A CONNACK with success.
    Welcome,
    /// These packets, and the connection lives.
    Answers(Vec<Vec<u8>>),
}

/// One thing that a peer may do, and what comes of it.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) when: When,
    pub(crate) bytes: Vec<u8>,
    pub(crate) outcome: Outcome,
}

/// Bytes that open a connection.
pub(crate) fn first(
    name: impl Into<String>,
    version: Version,
    bytes: Vec<u8>,
    outcome: Outcome,
) -> Row {
    Row {
        name: name.into(),
        version,
        when: When::First,
        bytes,
        outcome,
    }
}

/// Bytes after CONNACK.
pub(crate) fn then(
    name: impl Into<String>,
    version: Version,
    bytes: Vec<u8>,
    outcome: Outcome,
) -> Row {
    Row {
        name: name.into(),
        version,
        when: When::Admitted,
        bytes,
        outcome,
    }
}

/// The same for 3.1.1 and 5.0.
pub(crate) fn then_in_both(
    name: &str,
    bytes: impl Fn(Version) -> Vec<u8>,
    outcome: &Outcome,
) -> Vec<Row> {
    [V311, V5]
        .map(|version| then(name, version, bytes(version), outcome.clone()))
        .into()
}

/// The same for 3.1, 3.1.1 and 5.0.
pub(crate) fn then_in_all(
    name: &str,
    bytes: impl Fn(Version) -> Vec<u8>,
    outcome: &Outcome,
) -> Vec<Row> {
    Version::ALL
        .map(|version| then(name, version, bytes(version), outcome.clone()))
        .into()
}

/// Runs every row, each on a connection of its own; after each the broker serves others as before.
pub(crate) fn run(rows: impl IntoIterator<Item = Row>) {
    let target = Target::start();
    let mut healthy = HealthyPair::start(&target);
    let mut failures = Vec::new();
    let mut count = 0;
    for row in rows {
        count += 1;
        let verdict = play(&target, &row).and_then(|()| healthy.check(&target));
        if let Err(why) = verdict {
            failures.push(format!("{} ({:?}): {why}", row.name, row.version));
        }
    }
    assert!(count > 0, "a table has rows");
    assert!(
        failures.is_empty(),
        "{} of {count} rows failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn play(target: &Target, row: &Row) -> Result<(), String> {
    let mut peer = match row.when {
        When::First => target.connect(),
        When::Admitted => target.admitted(row.version),
    };
    peer.send(&row.bytes);
    match &row.outcome {
        Outcome::Ends(reason) => {
            let expected = last_words(row, *reason);
            judge_end(target, &peer.end(), expected.as_deref())
        }
        Outcome::Refused(code) => judge_end(target, &peer.end(), Some(&[0x20, 0, *code])),
        Outcome::Closed => judge_end(target, &peer.end(), None),
        Outcome::Welcome => {
            let connack = peer.packet();
            match connack.as_deref() {
                Some([0x20, _, 0, 0, ..]) => stays_open(peer.packets_until_ping_response(), &[]),
                other => Err(format!("got {other:?} for a CONNACK")),
            }
        }
        Outcome::Answers(packets) => stays_open(peer.packets_until_ping_response(), packets),
    }
}

/// First byte, and what follows the length: of the packet that tells a client of 5.0 why.
fn last_words(row: &Row, reason: u8) -> Option<Vec<u8>> {
    match (row.version, row.when) {
        (V31 | V311, _) => None,
        (V5, When::First) => Some(vec![0x20, 0, reason]),
        (V5, When::Admitted) => Some(vec![0xE0, reason]),
    }
}

fn judge_end(target: &Target, end: &End, expected: Option<&[u8]>) -> Result<(), String> {
    if !end.closed {
        return Err(format!(
            "the connection stays open, got {:02x?}",
            end.packets
        ));
    }
    let said = end.packets.iter().map(|packet| without_length(packet));
    let said: Vec<Vec<u8>> = said.collect();
    let as_expected = match (said.as_slice(), expected) {
        ([], None) => true,
        ([said], Some(expected)) => said.starts_with(expected),
        _ => false,
    };
    // The specification lets a broker choose whether it says why, and often which of two reasons it names.
    let lawful = said.iter().all(|packet| is_refusal(packet));
    if as_expected || (!target.is_ours() && lawful) {
        Ok(())
    } else {
        Err(format!("ended with {said:02x?}, expected {expected:02x?}"))
    }
}

fn is_refusal(packet: &[u8]) -> bool {
    match packet {
        [0x20, 0, code, ..] => *code != 0,
        [0xE0, reason, ..] => *reason >= 0x80,
        _ => false,
    }
}

fn without_length(packet: &[u8]) -> Vec<u8> {
    let length_ends = packet[1..].iter().position(|byte| byte & 0x80 == 0);
    let body = length_ends.map_or(packet.len(), |at| at + 2);
    [&packet[..1], &packet[body..]].concat()
}

fn stays_open(got: Option<Vec<Vec<u8>>>, expected: &[Vec<u8>]) -> Result<(), String> {
    match got {
        None => Err("the connection ended".to_owned()),
        Some(packets) if packets == expected => Ok(()),
        Some(packets) => Err(format!("got {packets:02x?}, expected {expected:02x?}")),
    }
}
