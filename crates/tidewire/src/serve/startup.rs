//! What to start: the file, the flags over it, and the place for files.

use crate::check::mistakes;
use crate::cli::{LogFormatFlag, Serve};
use crate::config::{Config, Listener, LogFormat};
use crate::data_dir;
use crate::exit::{Failure, Status};
use std::path::PathBuf;
use tidewire_net::ListenUrl;

/// Everything that a start needs to know.
#[derive(Debug)]
pub(super) struct Plan {
    /// The settings, flags included.
    pub(super) config: Config,
    /// The file that they came from, if any.
    pub(super) config_file: Option<PathBuf>,
    /// Whether the log filter came from a flag and outlives a reload.
    pub(super) log_flag: bool,
    /// Whether files may be written.
    pub(super) storage: Storage,
}

/// Where the broker keeps its files.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Storage {
    /// Nowhere: `--dev`.
    Memory,
    /// In this folder.
    Folder(PathBuf),
}

/// Reads the file and lays the flags over it.
pub(super) fn plan(serve: &Serve) -> Result<Plan, Failure> {
    let mut config = match &serve.config {
        Some(path) => Config::load(path).map_err(|found| mistakes(path, &found))?,
        None => Config::default(),
    };
    if !serve.listen.is_empty() {
        config.listeners = listeners(serve, &config)?;
    }
    if let Some(workers) = serve.workers {
        config.workers = workers;
    }
    if let Some(filter) = &serve.log {
        crate::logs::filter(filter)
            .map_err(|error| Failure::new(Status::Usage, format!("--log: {error}")))?;
        config.log_filter.clone_from(filter);
    }
    match serve.log_format {
        Some(LogFormatFlag::Text) => config.log_format = LogFormat::Text,
        Some(LogFormatFlag::Json) => config.log_format = LogFormat::Json,
        None => {}
    }
    let storage = if serve.dev {
        Storage::Memory
    } else {
        let named = serve.data.clone().or_else(|| config.data_dir.clone());
        Storage::Folder(named.map_or_else(data_dir::default_path, Ok)?)
    };
    Ok(Plan {
        config,
        config_file: serve.config.clone(),
        log_flag: serve.log.is_some(),
        storage,
    })
}

/// The listeners of the `--listen` flags, named `mqtt`, `mqtt-2`, ...
fn listeners(serve: &Serve, config: &Config) -> Result<Vec<Listener>, Failure> {
    let mut listeners: Vec<Listener> = Vec::new();
    for (index, text) in serve.listen.iter().enumerate() {
        let url = crate::url::parse(text).map_err(|(error, instead)| {
            let message = format!("--listen {text}: {error}\n  help: write `--listen {instead}`");
            Failure::new(Status::Usage, message)
        })?;
        if !url.is_any_port() && listeners.iter().any(|other| other.url == url) {
            return Err(Failure::new(
                Status::Usage,
                format!("--listen {url} is given twice"),
            ));
        }
        if !crate::url::is_loopback(&url) && !serve.allow_anonymous && !config.checks_passwords() {
            return Err(open_to_everybody(&url));
        }
        let name = if index == 0 {
            "mqtt".to_owned()
        } else {
            format!("mqtt-{}", index + 1)
        };
        let allow_anonymous = serve.allow_anonymous.then_some(true);
        listeners.push(Listener {
            name,
            url,
            allow_anonymous,
            ..Listener::default()
        });
    }
    Ok(listeners)
}

fn open_to_everybody(url: &ListenUrl) -> Failure {
    let message = format!(
        "--listen {url} is reachable from other machines and has no authenticator: everybody there could read and write everything\n  \
         help: add `--allow-anonymous` if that is what you want, or put it into a configuration file:\n\n    \
         [[listener]]\n    url = \"{url}\"\n    allow_anonymous = true\n"
    );
    Failure::new(Status::Usage, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    fn plan_of(flags: &[&str]) -> Result<Plan, Failure> {
        let arguments = ["tidewire", "serve"].iter().chain(flags);
        match Cli::parse_from(arguments).command {
            Command::Serve(serve) => plan(&serve),
            other => panic!("{other:?} is not serve"),
        }
    }

    #[test]
    fn flags_win_over_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("c.toml");
        std::fs::write(&file, "[broker]\nworkers = 7\nsys_interval_secs = 3\n[log]\nfilter = \"warn\"\n[[listener]]\nurl = \"tcp://127.0.0.1:1\"\n")
            .expect("written");
        let file = file.display().to_string();
        let plain = plan_of(&["--dev", "--config", &file])
            .expect("a plan")
            .config;
        assert_eq!(
            (
                plain.workers,
                plain.log_filter.as_str(),
                plain.listeners[0].url.port()
            ),
            (7, "warn", 1)
        );
        let flags = [
            "--dev",
            "--config",
            &file,
            "--workers",
            "2",
            "--log",
            "debug",
            "--listen",
            "tcp://127.0.0.1:2",
        ];
        let config = plan_of(&flags).expect("a plan").config;
        assert_eq!((config.workers, config.log_filter.as_str()), (2, "debug"));
        assert_eq!(
            config
                .listeners
                .iter()
                .map(|listener| listener.url.port())
                .collect::<Vec<_>>(),
            [2]
        );
        assert_eq!(config.sys_interval_secs, 3, "what no flag names stays");
    }

    #[test]
    fn dev_has_no_folder_and_data_names_one() {
        assert_eq!(
            plan_of(&["--dev"]).expect("a plan").storage,
            Storage::Memory
        );
        let storage = plan_of(&["--data", "/x/y"]).expect("a plan").storage;
        assert_eq!(storage, Storage::Folder(PathBuf::from("/x/y")));
    }

    #[test]
    fn listen_flags_get_names_of_their_own() {
        let plan = plan_of(&[
            "--dev",
            "--listen",
            "tcp://127.0.0.1:1",
            "--listen",
            "tcp://[::1]:1",
        ])
        .expect("a plan");
        let names: Vec<_> = plan
            .config
            .listeners
            .iter()
            .map(|listener| listener.name.as_str())
            .collect();
        assert_eq!(names, ["mqtt", "mqtt-2"]);
    }

    #[test]
    fn listener_beyond_loopback_needs_permission() {
        let refused = plan_of(&["--dev", "--listen", "tcp://0.0.0.0:1883"]).expect_err("refused");
        assert_eq!(refused.status, Status::Usage);
        assert!(
            refused.message.contains("--allow-anonymous")
                && refused.message.contains("allow_anonymous = true")
        );
        assert!(
            plan_of(&[
                "--dev",
                "--listen",
                "tcp://0.0.0.0:1883",
                "--allow-anonymous"
            ])
            .is_ok()
        );
    }
}
