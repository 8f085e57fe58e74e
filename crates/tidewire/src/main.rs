//! The Tidewire MQTT broker and its command line.
//!
//! [`serve`] runs a broker in this process; the other commands talk to one ([`control`]), or help to configure one
//! ([`config`], [`check`]). [`exit`] lists the exit codes.

mod cert;
mod check;
mod cli;
mod config;
mod control;
mod data_dir;
mod exit;
mod explain;
#[cfg(unix)]
mod gateway;
mod logs;
mod metrics;
mod mqtt;
mod passwd;
mod serve;
mod store;
mod url;

use check::Verdict;
use clap::FromArgMatches as _;
use cli::{Cli, Command};
use exit::{Failure, Status};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = mqtt::run_if_called() {
        return code;
    }
    let matches = cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if let Command::Bench(bench) = cli.command {
        return tidewire_bench::cli::execute(bench);
    }
    match run(&cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { status, message }) => {
            let _ = writeln!(std::io::stderr(), "tidewire: {}", message.trim_end());
            status.into()
        }
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Serve(serve) => serve::run(serve),
        Command::Ctl(ctl) => {
            let outcome = control::client::run(ctl)?;
            print(&outcome.text)?;
            outcome.failure.map_or(Ok(()), Err)
        }
        Command::Store(store) => {
            let outcome = store::run(store)?;
            print(&outcome.text)?;
            outcome.failure.map_or(Ok(()), Err)
        }
        Command::Cert(cert) => print(&cert::run(cert)?),
        Command::CheckConfig(check) => match check::run(check) {
            Verdict::Right(text) => print(&text),
            Verdict::Wrong { failure, report } => report
                .map_or(Ok(()), |report| print(&report))
                .and(Err(failure)),
        },
        Command::ConfigReference(reference) if reference.json => {
            print(&format!("{:#}\n", config::reference::json()))
        }
        Command::ConfigReference(_) => print(&config::reference::markdown()),
        Command::Explain(explain) => {
            let outcome = explain::run(explain)?;
            print(&outcome.text)?;
            outcome.failure.map_or(Ok(()), Err)
        }
        #[cfg(unix)]
        Command::Gateway(gateway) => print(&gateway::run(gateway)?),
        Command::Passwd(passwd) => passwd::run(passwd),
        Command::Man { dir } => {
            clap_mangen::generate_to(cli::command(), dir_of(dir)?).map_err(|error| {
                Failure::new(
                    Status::Failed,
                    format!(
                        "the manual cannot be written into {}: {error}",
                        dir.display()
                    ),
                )
            })
        }
        // It has ended already: its exit codes are its own.
        Command::Bench(_) => Ok(()),
        Command::Completions(completions) => {
            let mut script = Vec::new();
            clap_complete::generate(
                completions.shell,
                &mut cli::command(),
                "tidewire",
                &mut script,
            );
            print(&String::from_utf8_lossy(&script))
        }
    }
}

fn dir_of(dir: &Path) -> Result<&Path, Failure> {
    let made = std::fs::create_dir_all(dir);
    made.map_err(|error| {
        let text = format!("{} cannot be made: {error}", dir.display());
        Failure::new(Status::Failed, text)
    })?;
    Ok(dir)
}

/// Writes to standard output; a reader who has seen enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(
            Status::Failed,
            format!("standard output cannot be written: {error}"),
        )),
        _ => Ok(()),
    }
}
