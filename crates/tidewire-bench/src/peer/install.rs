//! Finding peers, and fetching those that a registry can install.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{Fetch, PeerKind};
use crate::error::{BenchError, Result};

/// The release that is compared with.
const RUMQTTD_VERSION: &str = "0.20.0";

/// Where Debian puts servers, which is not on everybody's path.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// Debian's switch for "start no service while installing": a script that exits with 101.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// The program of a peer, fetched if it is missing and that is allowed.
pub(super) fn find_or_fetch(kind: PeerKind, fetch: Fetch) -> Result<PathBuf> {
    if let Some(program) = find(kind) {
        return Ok(program);
    }
    let name = kind.name();
    match (kind, fetch) {
        (PeerKind::Mosquitto, Fetch::Allowed) => fetch_mosquitto()?,
        (PeerKind::Rumqttd, Fetch::Allowed) => fetch_rumqttd()?,
        (PeerKind::Mosquitto | PeerKind::Rumqttd, Fetch::Never) => {
            return Err(unavailable(
                kind,
                "it is not installed and fetching was forbidden",
            ));
        }
        (PeerKind::Tidewire, _) => {
            return Err(unavailable(
                kind,
                "build it, and name its program: tidewire=PATH, or TIDEWIRE_BIN in the environment",
            ));
        }
        (PeerKind::Raw, _) => {
            return Err(unavailable(kind, "this program does not know its own path"));
        }
    }
    find(kind).ok_or_else(|| unavailable(kind, &format!("it was installed but there is no {name}")))
}

fn find(kind: PeerKind) -> Option<PathBuf> {
    match kind {
        PeerKind::Raw => env::current_exe().ok(),
        PeerKind::Tidewire => named_by_environment()
            .or_else(|| beside_this_program("tidewire"))
            .or_else(|| on_path("tidewire")),
        PeerKind::Mosquitto => on_path("mosquitto"),
        PeerKind::Rumqttd => {
            let cached = cache_folder().map(|folder| folder.join("bin/rumqttd"));
            cached
                .filter(|program| program.is_file())
                .or_else(|| on_path("rumqttd"))
        }
    }
}

/// Whoever built the broker elsewhere says so in `TIDEWIRE_BIN`.
fn named_by_environment() -> Option<PathBuf> {
    env::var_os("TIDEWIRE_BIN")
        .map(PathBuf::from)
        .filter(|program| program.is_file())
}

fn beside_this_program(name: &str) -> Option<PathBuf> {
    let program = env::current_exe().ok()?.with_file_name(name);
    program.is_file().then_some(program)
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    folders
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// Where fetched peers stay: `$XDG_CACHE_HOME/tidewire-bench`, by default below `~/.cache`.
fn cache_folder() -> Option<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute())
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
    Some(base.join("tidewire-bench"))
}

fn fetch_mosquitto() -> Result<()> {
    let kind = PeerKind::Mosquitto;
    if on_path("apt-get").is_none() {
        return Err(unavailable(
            kind,
            "install it by your system's means, or name it: mosquitto=PATH",
        ));
    }
    eprintln!("fetching mosquitto with apt-get ...");
    let _no_service_starts = ServicePolicy::forbid();
    apt_get(&["update", "--quiet"])?;
    apt_get(&[
        "install",
        "--quiet",
        "--yes",
        "--no-install-recommends",
        "mosquitto",
    ])
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    let hint = "run `apt-get update && apt-get install --no-install-recommends mosquitto` as root";
    run(PeerKind::Mosquitto, &mut command, hint)
}

/// While it lives, installing a package starts no service.
struct ServicePolicy {
    ours: bool,
}

impl ServicePolicy {
    /// A policy that is there already is respected; without the right to write one, apt-get fails anyway.
    fn forbid() -> Self {
        let ours = !Path::new(POLICY).exists() && write_policy().is_ok();
        Self { ours }
    }
}

impl Drop for ServicePolicy {
    fn drop(&mut self) {
        if self.ours {
            let _may_be_gone = fs::remove_file(POLICY);
        }
    }
}

fn write_policy() -> std::io::Result<()> {
    fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn fetch_rumqttd() -> Result<()> {
    let kind = PeerKind::Rumqttd;
    let folder = cache_folder()
        .ok_or_else(|| unavailable(kind, "neither XDG_CACHE_HOME nor HOME says where to put it"))?;
    fs::create_dir_all(&folder).map_err(BenchError::file("creating", folder.clone()))?;
    eprintln!(
        "fetching rumqttd {RUMQTTD_VERSION} with cargo install into {} ...",
        folder.display()
    );
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "install",
        "--quiet",
        "rumqttd",
        "--version",
        RUMQTTD_VERSION,
        "--root",
    ]);
    // Not `--locked`: that lock file names a `metrics` that today's compilers refuse.
    // Outside any project, whose own settings would apply.
    command
        .arg(&folder)
        .current_dir(&folder)
        .env_remove("CARGO_TARGET_DIR");
    run(
        kind,
        &mut command,
        "run `cargo install rumqttd` and name it: rumqttd=PATH",
    )
}

fn run(kind: PeerKind, command: &mut Command, hint: &str) -> Result<()> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| {
        unavailable(
            kind,
            &format!("{shown} cannot be started ({error}); {hint}"),
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = last_lines(&output);
    Err(unavailable(
        kind,
        &format!("{shown} failed ({}):\n{said}\n{hint}", output.status),
    ))
}

fn last_lines(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

fn unavailable(kind: PeerKind, reason: &str) -> BenchError {
    BenchError::PeerUnavailable {
        peer: kind.name().to_owned(),
        reason: reason.to_owned(),
    }
}
