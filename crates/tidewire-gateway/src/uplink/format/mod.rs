//! What payloads look like.

mod batch;
mod freeioe;

pub(crate) use batch::BatchJson;
pub(crate) use freeioe::FreeIoe;

use super::topic::Template;
use crate::pipeline::Compression;

/// The topics of an uplink.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Topics {
    pub(crate) data: Template,
    pub(crate) event: Template,
    pub(crate) stat: Template,
}

/// What formats of JSON have in common.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Common {
    pub(crate) gateway: Box<str>,
    pub(crate) topics: Topics,
    pub(crate) compression: Compression,
}
