//! The command line of `tidewire ctl retained`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `tidewire ctl retained`
#[derive(Args, Debug)]
pub(crate) struct Retained {
    /// What to do.
    #[command(subcommand)]
    pub(crate) operation: RetainedOperation,
}

/// What can be done with retained messages. As in a subscription, `#` does not mean topics that begin with `$`.
#[derive(Subcommand, Debug)]
pub(crate) enum RetainedOperation {
    /// List topics with the size, QoS and remaining life of their messages.
    List {
        /// Which topics.
        #[arg(default_value = "#", value_name = "FILTER")]
        filter: String,
        /// Stop after so many.
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// List those whose topic or payload contains a text.
    Search {
        /// The text; letters of both cases are alike.
        text: String,
        /// In which topics.
        #[arg(default_value = "#", value_name = "FILTER")]
        filter: String,
        /// Stop after so many.
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Delete all that match a filter; whoever subscribes to a topic is told with an empty message.
    Delete {
        /// Which topics.
        #[arg(value_name = "FILTER")]
        filter: String,
        /// Only say how many there are.
        #[arg(long)]
        dry_run: bool,
    },
    /// Write them as lines of JSON, which `import` reads.
    Export {
        /// Which topics.
        #[arg(default_value = "#", value_name = "FILTER")]
        filter: String,
        /// Where to, instead of standard output; a file that is there is not written over.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Publish what `export` has written; whoever subscribes to a topic gets the message.
    Import {
        /// The file; - reads standard input.
        file: PathBuf,
    },
}
