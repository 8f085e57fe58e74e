//! The packet table: each row names bytes, who sent them in which versions, and the packet that they are.

pub mod malformed;
mod v3;
mod v5;

use std::borrow::Cow;

use tidewire_codec::{Packet, PacketId, Properties, Property, Sender, Version};

/// Bytes and the packet that they are.
pub struct Row {
    pub name: &'static str,
    pub versions: &'static [Version],
    pub sender: Sender,
    pub bytes: Vec<u8>,
    pub packet: Packet<'static>,
    pub form: Form,
}

/// Whether the bytes are what the encoder writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Shortest,
    /// Legal, but longer or with ignored bits.
    Other,
}

pub const ALL: &[Version] = &[Version::V31, Version::V311, Version::V5];
pub const V3: &[Version] = &[Version::V31, Version::V311];
pub const V31: &[Version] = &[Version::V31];
pub const V311: &[Version] = &[Version::V311];
pub const V5: &[Version] = &[Version::V5];

pub fn rows() -> Vec<Row> {
    let mut rows = v3::rows();
    rows.extend(v5::rows());
    rows
}

fn row(
    name: &'static str,
    versions: &'static [Version],
    sender: Sender,
    bytes: &[u8],
    packet: Packet<'static>,
) -> Row {
    let bytes = bytes.to_vec();
    Row {
        name,
        versions,
        sender,
        bytes,
        packet,
        form: Form::Shortest,
    }
}

impl Row {
    fn in_another_form(mut self) -> Row {
        self.form = Form::Other;
        self
    }
}

pub fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("not zero")
}

pub fn properties(list: &[Property<'_>]) -> Properties<'static> {
    let mut properties = Properties::EMPTY;
    for property in list {
        properties.push(*property).expect("a valid property");
    }
    properties
}

fn text(text: &'static str) -> Cow<'static, str> {
    Cow::Borrowed(text)
}

fn bytes(bytes: &'static [u8]) -> Cow<'static, [u8]> {
    Cow::Borrowed(bytes)
}
