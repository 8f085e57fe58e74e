//! The packet table: each row names bytes, who sent them in which versions, and the packet that they are.

pub(crate) mod malformed;
mod v3;
mod v5;

use std::borrow::Cow;

use tidewire_codec::{Packet, PacketId, Properties, Property, Sender, Version};

/// Bytes and the packet that they are.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) versions: &'static [Version],
    pub(crate) sender: Sender,
    pub(crate) bytes: Vec<u8>,
    pub(crate) packet: Packet<'static>,
    pub(crate) form: Form,
}

/// Whether the bytes are what the encoder writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Shortest,
    /// Legal, but longer or with ignored bits.
    Other,
}

pub(crate) const ALL: &[Version] = &[Version::V31, Version::V311, Version::V5];
pub(crate) const V3: &[Version] = &[Version::V31, Version::V311];
pub(crate) const V31: &[Version] = &[Version::V31];
pub(crate) const V311: &[Version] = &[Version::V311];
pub(crate) const V5: &[Version] = &[Version::V5];

pub(crate) fn rows() -> Vec<Row> {
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

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("not zero")
}

pub(crate) fn properties(list: &[Property<'_>]) -> Properties<'static> {
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
