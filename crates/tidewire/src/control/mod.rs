//! The control socket: how `tidewire ctl` talks to a running broker.
//!
//! A Unix socket in the data directory, open to the broker's user alone. A connection carries one request and one answer,
//! each a line of JSON with a version ([`protocol`]).

pub(crate) mod bans;
pub(crate) mod client;
pub(crate) mod protocol;
pub(crate) mod retained;
pub(crate) mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The socket's name in the data directory.
const SOCKET_FILE: &str = "control.sock";

/// Time for a request to arrive, and for an answer to be taken.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The control socket of the broker that owns `data_dir`.
pub(crate) fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET_FILE)
}
