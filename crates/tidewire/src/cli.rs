//! The command line: commands, flags and their help.

use crate::control::retained::arguments::Retained;
use crate::exit::EXIT_CODES;
use crate::store::arguments::Store;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// An MQTT broker and its tools in one program.
#[derive(Parser, Debug)]
#[command(name = "tidewire", version, styles = STYLES, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Start with `tidewire serve`: a broker on tcp://127.0.0.1:1883 that this machine's programs can use at once."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The whole command line, with `pub`, `sub` and `rr`, which read their flags themselves.
pub(crate) fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command().subcommands(crate::mqtt::commands())
}

/// What the program does.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the broker.
    ///
    /// Without flags it listens on tcp://127.0.0.1:1883, where the programs of this machine can connect without a
    /// password, and nobody else can. SIGINT (Ctrl-C) and SIGTERM stop it cleanly: clients are told, a second signal
    /// stops it at once. SIGHUP reads the configuration file again.
    #[command(after_help = EXIT_CODES)]
    Serve(Serve),
    /// Ask a running broker, or tell it what to do.
    ///
    /// The broker is found by its data directory: a socket in it answers to the user who started the broker, and to nobody else.
    Ctl(Ctl),
    /// Check, repair, measure, back up and restore the files in which a broker keeps what it owes.
    Store(Store),
    /// Make and check certificates: an authority of your own, servers, clients.
    ///
    /// One command each: `make-ca`, then `make-server` and `make-client` in the same folder. Keys are EC P-256 and readable by
    /// you alone; nothing is written over without --force.
    Cert(Cert),
    /// Check a configuration file and say what it would open.
    ///
    /// Exit code 0 if the file is right, 2 with every mistake in it otherwise.
    CheckConfig(CheckConfig),
    /// Say whether a client may publish or subscribe somewhere, and which rule decides.
    ///
    /// Exit code 0 if it may, 8 if it may not, 2 if the question or the configuration is wrong. The rules are those of the
    /// configuration file; a running broker reads them when it starts, when their file changes and at SIGHUP.
    Explain(Explain),
    /// Run an edge gateway: data of devices on any MQTT server, complete and in order.
    #[cfg(unix)]
    Gateway(crate::gateway::Gateway),
    /// Write a password file: add, change or delete a user.
    ///
    /// The flags are those of mosquitto_passwd, and mosquitto 2.1 and later reads the file, too; for earlier versions add `-H
    /// sha512-pbkdf2`. Without -b the password is asked for, or read as a line of standard input.
    Passwd(Passwd),
    /// Print every configuration key with its type, range, default and meaning.
    ConfigReference(ConfigReference),
    /// Load a broker, check every message, and compare brokers by their CPU per message.
    Bench(tidewire_bench::cli::Cli),
    /// Print a completion script for a shell.
    Completions(Completions),
    /// Write the manual: a page for the program and one for each command, into a folder.
    Man {
        /// The folder; it is made if it is not there.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

/// `tidewire serve`
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Configuration file (TOML); flags win over it.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where to listen, such as tcp://127.0.0.1:1883; repeats, and replaces the file's listeners. Port 0 takes a free one.
    #[arg(short, long, value_name = "URL")]
    pub(crate) listen: Vec<String>,
    /// Let everybody in who reaches the addresses given with --listen, without a password.
    #[arg(long, requires = "listen")]
    pub(crate) allow_anonymous: bool,
    /// Worker threads; 0 starts one per core.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=128))]
    pub(crate) workers: Option<u16>,
    /// Folder for what the broker keeps, its lock and its control socket [default: /var/lib/tidewire for root, else ~/.local/state/tidewire].
    #[arg(short, long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// For trying things out: keep everything in memory and write no file at all, not even a lock.
    #[arg(long, conflicts_with = "data")]
    pub(crate) dev: bool,
    /// Which log events to write, such as debug or warn,tidewire=debug.
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How to write log events.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormatFlag>,
    /// Write addresses and process id as JSON to PATH as soon as clients can connect; - prints it in place of the banner.
    #[arg(long, value_name = "PATH")]
    pub(crate) ready_file: Option<PathBuf>,
}

/// Log formats on the command line.
#[derive(Clone, Copy, ValueEnum, Debug)]
pub(crate) enum LogFormatFlag {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `tidewire ctl`
#[derive(Args, Debug)]
pub(crate) struct Ctl {
    /// What to ask or tell.
    #[command(subcommand)]
    pub(crate) operation: Operation,
    /// The broker's data directory [default: as for `serve`].
    #[arg(short, long, value_name = "DIR", global = true)]
    pub(crate) data: Option<PathBuf>,
    /// Print the answer as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What a running broker can be asked or told.
#[derive(Subcommand, Debug)]
pub(crate) enum Operation {
    /// Version, process id, addresses and figures of the broker.
    Status,
    /// The clients with a session.
    Clients,
    /// Disconnect a client; one of MQTT 5.0 is told that it was an administrative action.
    Kick {
        /// The client identifier.
        client_id: String,
    },
    /// Keep an address, a user name or a client identifier out. Connections that are open stay; the list is gone with the process.
    Ban {
        /// Whom.
        #[command(flatten)]
        who: BanWho,
        /// For how many seconds; without it, until `unban`.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3_153_600_000))]
        secs: Option<u64>,
    },
    /// Let somebody in again.
    Unban {
        /// Whom.
        #[command(flatten)]
        who: BanWho,
    },
    /// Who is kept out, and for how long.
    Bans,
    /// List, search, delete, export and import retained messages.
    Retained(Retained),
}

/// Who is kept out.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct BanWho {
    /// Everybody from this address.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<std::net::IpAddr>,
    /// Everybody with this user name.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Everybody with this client identifier.
    #[arg(long, value_name = "ID")]
    pub(crate) client: Option<String>,
}

/// `tidewire cert`
#[derive(Args, Debug)]
pub(crate) struct Cert {
    /// What to do.
    #[command(subcommand)]
    pub(crate) operation: CertOperation,
}

/// What can be done with certificates.
#[derive(Subcommand, Debug)]
pub(crate) enum CertOperation {
    /// Make an authority: ca.pem and ca.key.
    MakeCa(MakeCa),
    /// Make a server's certificate: server.pem and server.key.
    MakeServer(MakeServer),
    /// Make a client's certificate: NAME.pem, NAME.key, NAME-combined.pem with both, and NAME.p12 (PKCS#12).
    MakeClient(MakeClient),
    /// Print what the certificates of a file say.
    Show(ShowCert),
    /// Say whether a certificate would serve, and if not, why.
    Check(CheckCert),
}

/// `tidewire cert make-ca`
#[derive(Args, Debug)]
pub(crate) struct MakeCa {
    /// Where to write.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The authority's name, as people see it.
    #[arg(long, default_value = "Tidewire CA")]
    pub(crate) name: String,
    /// Days until it expires.
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) days: u32,
    /// How to make the key.
    #[command(flatten)]
    pub(crate) key: KeyKind,
    /// Write over what is there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// `tidewire cert make-server`
#[derive(Args, Debug)]
pub(crate) struct MakeServer {
    /// Folder of the authority, and where to write.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Host names and addresses that clients connect to.
    #[arg(required = true, value_name = "NAME-OR-ADDRESS")]
    pub(crate) names: Vec<String>,
    /// Days until it expires; some clients accept no more than 825.
    #[arg(long, default_value_t = 825, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) days: u32,
    /// How to make the key.
    #[command(flatten)]
    pub(crate) key: KeyKind,
    /// Write over what is there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// `tidewire cert make-client`
#[derive(Args, Debug)]
pub(crate) struct MakeClient {
    /// Folder of the authority, and where to write.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The client's name: the common name of its certificate.
    pub(crate) name: String,
    /// Password of NAME.p12; without it one is made up and printed.
    #[arg(long, value_name = "PASSWORD")]
    pub(crate) p12_password: Option<String>,
    /// Days until it expires.
    #[arg(long, default_value_t = 825, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) days: u32,
    /// How to make the key.
    #[command(flatten)]
    pub(crate) key: KeyKind,
    /// Write over what is there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// What kind of key to make.
#[derive(Args, Debug)]
pub(crate) struct KeyKind {
    /// Make an RSA key of this many bits, for devices that know no elliptic curves; without it the key is EC (P-256).
    #[arg(
        long,
        value_name = "BITS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "3072",
        value_parser = clap::value_parser!(u16).range(2048..=4096)
    )]
    pub(crate) rsa: Option<u16>,
}

/// `tidewire cert show`
#[derive(Args, Debug)]
pub(crate) struct ShowCert {
    /// File of PEM, DER or PKCS#12.
    pub(crate) file: PathBuf,
    /// The password of a PKCS#12 file.
    #[arg(long, default_value = "")]
    pub(crate) password: String,
}

/// `tidewire cert check`
#[derive(Args, Debug)]
pub(crate) struct CheckCert {
    /// The certificate, with those that signed it behind it (PEM).
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: PathBuf,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The authority that the other side trusts (PEM).
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The name that clients connect to; without it the certificate is judged as a client's.
    #[arg(long, requires = "ca")]
    pub(crate) name: Option<String>,
}

/// `tidewire check-config`
#[derive(Args, Debug)]
pub(crate) struct CheckConfig {
    /// The file.
    pub(crate) file: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tidewire explain`
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// What the client wants.
    pub(crate) wish: WishFlag,
    /// The topic name, or the topic filter; `$share/NAME/` before it is taken off.
    #[arg(short, long)]
    pub(crate) topic: String,
    /// Who the client is; without it, nobody in particular.
    #[arg(short, long)]
    pub(crate) user: Option<String>,
    /// The client identifier.
    #[arg(long, default_value = "any-client")]
    pub(crate) client: String,
    /// The address that it comes from.
    #[arg(long)]
    pub(crate) address: Option<std::net::IpAddr>,
    /// The listener that it comes through [default: the first].
    #[arg(long, value_name = "NAME")]
    pub(crate) listener: Option<String>,
    /// Quality of service.
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) qos: u8,
    /// The message is to be retained.
    #[arg(short, long)]
    pub(crate) retain: bool,
    /// Configuration file (TOML) with the rules.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print the answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a client may want.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(crate) enum WishFlag {
    /// Publish to a topic.
    Publish,
    /// Subscribe to a topic filter.
    Subscribe,
}

/// `tidewire passwd`
#[derive(Args, Debug)]
pub(crate) struct Passwd {
    /// Begin a new file; an existing one is overwritten.
    #[arg(short, conflicts_with_all = ["delete", "hash_all"])]
    pub(crate) create: bool,
    /// Take the password from the command line, where other users of this machine may see it.
    #[arg(short, requires = "password", conflicts_with_all = ["delete", "hash_all"])]
    pub(crate) batch: bool,
    /// Delete the user.
    #[arg(short = 'D', requires = "username", conflicts_with = "hash_all")]
    pub(crate) delete: bool,
    /// Hash the passwords of a file that has them in plain text; hashed ones stay as they are.
    #[arg(short = 'U', conflicts_with = "username")]
    pub(crate) hash_all: bool,
    /// How to hash.
    #[arg(short = 'H', value_name = "HASH", default_value = "argon2id")]
    pub(crate) hash: HashFlag,
    /// The password file.
    pub(crate) file: PathBuf,
    /// The user; without `:`.
    #[arg(required_unless_present = "hash_all")]
    pub(crate) username: Option<String>,
    /// The password, with -b.
    #[arg(requires = "batch")]
    pub(crate) password: Option<String>,
}

/// Hashes on the command line.
#[derive(Clone, Copy, ValueEnum, Debug)]
pub(crate) enum HashFlag {
    /// Memory-hard; the best choice.
    Argon2id,
    /// For files that an older mosquitto reads, too.
    Sha512Pbkdf2,
    /// Weak; for the oldest mosquitto.
    Sha512,
}

/// `tidewire config-reference`
#[derive(Args, Debug)]
pub(crate) struct ConfigReference {
    /// Print JSON instead of Markdown.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tidewire completions`
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        command().debug_assert();
    }
}
