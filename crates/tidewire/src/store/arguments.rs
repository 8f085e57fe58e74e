//! The command line of `tidewire store`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What the exit codes of `tidewire store` tell a script.
pub(crate) const STORE_EXIT_CODES: &str = "\
Exit codes:
  0  done; for check: the store is sound
  1  it failed on the way; what was there is untouched, or the message says what is not
  2  the command line is wrong
  4  there is no store to work on, it is in use, or it has another format
  7  the store, or the backup, is damaged";

/// `tidewire store`
#[derive(Args, Debug)]
pub(crate) struct Store {
    /// What to do.
    #[command(subcommand)]
    pub(crate) operation: StoreOperation,
    /// The broker's data directory, or a folder that holds a store itself, such as a backup [default: as for `serve`].
    #[arg(short, long, value_name = "DIR", global = true)]
    pub(crate) data: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What can be done with a store.
#[derive(Subcommand, Debug)]
pub(crate) enum StoreOperation {
    /// Read every record and say what is damaged; changes nothing, and may run beside a broker.
    #[command(after_help = STORE_EXIT_CODES)]
    Check,
    /// Mend what can be mended, and say what is lost. The broker must be stopped.
    ///
    /// A damaged file is first copied aside with `.bad` behind its name. The broker opens a damaged store as well; repair makes
    /// the damage go away, so that the next check is sound.
    #[command(after_help = STORE_EXIT_CODES)]
    Repair {
        /// The store's number of shards; needed only when both its stamps (STORE, STORE.copy) are gone.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        shards: Option<u16>,
    },
    /// Sessions, messages and bytes of a store.
    ///
    /// A store that no broker uses is opened as a broker would: torn ends are cut, remains of interrupted work are removed.
    #[command(after_help = STORE_EXIT_CODES)]
    Stats,
    /// Copy the store, as it is at one moment, into an empty folder.
    #[command(after_help = STORE_EXIT_CODES)]
    Backup {
        /// Where to; created if it does not exist.
        to: PathBuf,
    },
    /// Check a backup and make it the store of a data directory that has none. The broker must be stopped.
    #[command(after_help = STORE_EXIT_CODES)]
    Restore {
        /// The folder with the backup.
        from: PathBuf,
    },
}
