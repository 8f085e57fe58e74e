//! `pub`, `sub` and `rr`: mosquitto's command line on Tidewire's client.
//!
//! Flags, output and exit codes are mosquitto's (2.0), so that scripts work unchanged; a link with the name
//! `mosquitto_pub`, `mosquitto_sub` or `mosquitto_rr` to this program stands for it. Texts for people are our own, and so
//! are `--json`, `--payload-format`, `--rate`, `--replay` and some flags of TLS.

mod config_file;
mod connect;
mod failure;
mod flags;
mod format;
mod help;
mod json;
mod options;
mod output;
mod payload;
mod properties;
mod publish;
mod replay;
mod request;
mod session;
mod subscribe;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

pub(crate) use self::failure::Failure;
use self::flags::{Given, Tool};
pub(crate) use self::help::commands;
use self::options::Options;

/// How the tool was called.
struct Call {
    tool: Tool,
    /// By a link of mosquitto's name: then even its oddities are kept.
    is_drop_in: bool,
    arguments: Vec<String>,
}

/// Runs one of the tools, if the program was called as one.
pub(crate) fn run_if_called() -> Option<ExitCode> {
    let call = call_of(std::env::args_os())?;
    Some(match run(&call) {
        Ok(code) => code,
        Err(Told { failure, quiet }) => {
            if !quiet {
                let name = call.tool.name();
                let _ = writeln!(std::io::stderr(), "tidewire {name}: {}", failure.message);
            }
            ExitCode::from(failure.code)
        }
    })
}

fn call_of(arguments: impl Iterator<Item = OsString>) -> Option<Call> {
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    let program = arguments.next()?;
    let name = Path::new(&program).file_stem()?.to_str()?;
    let (tool, is_drop_in) = match Tool::of_program(name) {
        Some(tool) => (tool, name.starts_with("mosquitto")),
        None => {
            let tool = match arguments.next()?.as_str() {
                "pub" => Tool::Pub,
                "sub" => Tool::Sub,
                "rr" => Tool::Rr,
                _ => return None,
            };
            (tool, false)
        }
    };
    Some(Call {
        tool,
        is_drop_in,
        arguments: arguments.collect(),
    })
}

/// A failure, and whether it is to be kept silent.
struct Told {
    failure: Failure,
    quiet: bool,
}

impl From<Failure> for Told {
    fn from(failure: Failure) -> Self {
        let quiet = false;
        Self { failure, quiet }
    }
}

fn run(call: &Call) -> Result<ExitCode, Told> {
    let mut given: Vec<Given> = Vec::new();
    if call.is_drop_in {
        given = config_file::read(call.tool)?;
    }
    given.extend(flags::parse(call.tool, call.arguments.iter().cloned())?);
    let asks = |name: &str| given.iter().any(|flag| flag.name == name);
    if asks("help") || asks("version") {
        let text = if asks("help") {
            help::text(call.tool)
        } else {
            format!(
                "tidewire {} {}\n",
                call.tool.name(),
                env!("CARGO_PKG_VERSION")
            )
        };
        let _ = std::io::stdout().write_all(text.as_bytes());
        // mosquitto's programs end so.
        return Ok(ExitCode::from(u8::from(call.is_drop_in)));
    }
    let options = Options::of(call.tool, given)?;
    let quiet = options.quiet;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the program cannot start: {error}")))?;
    let outcome = runtime.block_on(async {
        match options.tool {
            Tool::Pub => publish::run(options).await,
            Tool::Sub => subscribe::run(options).await,
            Tool::Rr => request::run(options).await,
        }
    });
    // A thread that still reads standard input is not waited for.
    runtime.shutdown_background();
    outcome.map_err(|failure| Told { failure, quiet })?;
    Ok(ExitCode::SUCCESS)
}
