//! `[[handler]]` in a program that was built without it: refused, not ignored.

use crate::config::Config;
use crate::exit::{Failure, Status};
use std::path::{Path, PathBuf};
use tidewire_broker::{BrokerBuilder, BrokerHandle};

/// No handlers.
pub(crate) struct Handlers;

impl Handlers {
    pub(crate) fn prepare(config: &Config) -> Result<Self, Failure> {
        match config.handlers.first() {
            None => Ok(Self),
            Some(handler) => Err(Failure::new(
                Status::Usage,
                format!(
                    "[[handler]] \"{}\": this program was built without handlers\n  help: build it with the feature `handlers`",
                    handler.title()
                ),
            )),
        }
    }

    pub(super) fn register(&self, builder: BrokerBuilder) -> BrokerBuilder {
        builder
    }

    pub(super) fn reload(&self, _: &str, _: &BrokerHandle, _: Option<&[PathBuf]>) {}

    pub(super) fn finish(&self) {}
}

pub(super) fn files(_: &Config) -> impl Iterator<Item = &Path> {
    std::iter::empty()
}
