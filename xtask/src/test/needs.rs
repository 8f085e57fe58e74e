//! What the tests need beside Rust: other people's MQTT clients. Present, installed, or an error.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::Environment;
use crate::{process, workspace};

/// Pinned, so that a run tomorrow tests what a run today did.
const PYPI: [(&str, &str); 3] = [
    ("paho-mqtt", "2.1.0"),
    ("pymodbus", "3.16.1"),
    ("pyserial", "3.5"),
];
const NPM: [(&str, &str); 2] = [("mqtt", "5.16.0"), ("playwright-core", "1.65.1")];

/// What to do about a missing component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Install,
    OnlyLook,
}

/// A component of the operating system: how to see it, and the Debian packages that bring it.
struct SystemComponent {
    name: &'static str,
    debian_packages: &'static [&'static str],
    present: fn() -> bool,
}

const SYSTEM: [SystemComponent; 7] = [
    SystemComponent {
        name: "mosquitto_pub, mosquitto_sub, mosquitto_rr",
        debian_packages: &["mosquitto-clients"],
        present: || {
            MOSQUITTO
                .iter()
                .all(|(_, tool)| process::find_on_path(tool).is_some())
        },
    },
    SystemComponent {
        name: "python3 with venv and pip",
        debian_packages: &["python3", "python3-venv", "python3-pip"],
        present: || {
            process::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"]))
        },
    },
    SystemComponent {
        name: "node 16 or newer, and npm",
        debian_packages: &["nodejs", "npm"],
        present: || {
            let old = "process.exit(parseInt(process.versions.node) >= 16 ? 0 : 1)";
            process::succeeds(Command::new("node").args(["-e", old]))
                && process::find_on_path("npm").is_some()
        },
    },
    SystemComponent {
        name: "curl and openssl",
        debian_packages: &["curl", "openssl"],
        present: || {
            let mut tools = ["curl", "openssl"].iter();
            tools.all(|tool| process::find_on_path(tool).is_some())
        },
    },
    SystemComponent {
        name: "mosquitto's broker, and socat",
        debian_packages: &["mosquitto", "socat"],
        present: || mosquitto().is_ok() && process::find_on_path("socat").is_some(),
    },
    SystemComponent {
        name: "chromium",
        debian_packages: &["chromium"],
        present: || process::find_on_path("chromium").is_some(),
    },
    SystemComponent {
        name: "g++ with Paho's library for C++",
        debian_packages: &["g++", "libpaho-mqttpp-dev"],
        present: || {
            let mut compiler = Command::new("g++");
            compiler.args([
                "-x",
                "c++",
                "-E",
                "-include",
                "mqtt/async_client.h",
                "/dev/null",
            ]);
            process::succeeds(compiler.args(["-o", "/dev/null"]))
        },
    },
];

const MOSQUITTO: [(&str, &str); 3] = [
    ("TIDEWIRE_MOSQUITTO_PUB", "mosquitto_pub"),
    ("TIDEWIRE_MOSQUITTO_SUB", "mosquitto_sub"),
    ("TIDEWIRE_MOSQUITTO_RR", "mosquitto_rr"),
];

/// Makes every component present, or says what a person has to do, and tells the tests where they are.
pub(super) fn provide(root: &Path, policy: Policy) -> Result<Environment> {
    provide_system(policy)?;
    let interop = workspace::target_folder(root)?.join("interop");
    fs::create_dir_all(&interop)?;
    let python = provide_pypi(&interop.join("python"), policy)?;
    let node_folder = interop.join("node");
    provide_npm(&node_folder, policy)?;

    let mut environment = vec![
        ("TIDEWIRE_PYTHON", python.into_os_string()),
        ("TIDEWIRE_CHROMIUM", on_path("chromium")?),
        ("TIDEWIRE_MOSQUITTO", mosquitto()?.into_os_string()),
        ("TIDEWIRE_SOCAT", on_path("socat")?),
        ("TIDEWIRE_CXX", on_path("g++")?),
        ("TIDEWIRE_NODE", on_path("node")?),
        ("TIDEWIRE_NODE_PATH", node_folder.into_os_string()),
    ];
    for (variable, tool) in MOSQUITTO {
        environment.push((variable, on_path(tool)?));
    }
    Ok(environment)
}

/// Debian keeps it where only root's PATH leads.
fn mosquitto() -> Result<PathBuf> {
    let beside = PathBuf::from("/usr/sbin/mosquitto");
    process::find_on_path("mosquitto")
        .or_else(|| beside.is_file().then_some(beside))
        .context("mosquitto is not on PATH")
}

fn on_path(tool: &str) -> Result<OsString> {
    let found = process::find_on_path(tool).with_context(|| format!("{tool} is not on PATH"))?;
    Ok(found.into_os_string())
}

fn provide_system(policy: Policy) -> Result<()> {
    let missing: Vec<&SystemComponent> = SYSTEM
        .iter()
        .filter(|component| !(component.present)())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|component| component.debian_packages)
        .copied()
        .collect();
    let Some(apt_get) = AptGet::usable(policy) else {
        bail!(advice(&missing, &packages))
    };
    apt_get.install(&packages)?;
    for component in missing {
        ensure!(
            (component.present)(),
            "{} are still missing after their installation",
            component.name
        );
    }
    Ok(())
}

fn advice(missing: &[&SystemComponent], packages: &[&str]) -> String {
    let names: Vec<&str> = missing.iter().map(|component| component.name).collect();
    format!(
        "the tests need {}; install them first, on Debian as root: apt-get install {}",
        names.join("; "),
        packages.join(" ")
    )
}

/// The ways to become root for `apt-get`.
#[derive(Debug, PartialEq, Eq)]
enum AptGet {
    AsRoot,
    BySudo,
}

impl AptGet {
    fn usable(policy: Policy) -> Option<Self> {
        if policy == Policy::OnlyLook || process::find_on_path("apt-get").is_none() {
            return None;
        }
        if process::read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0") {
            return Some(Self::AsRoot);
        }
        // `-n`: a test run never asks for a password.
        process::succeeds(Command::new("sudo").args(["-n", "true"])).then_some(Self::BySudo)
    }

    fn install(&self, packages: &[&str]) -> Result<()> {
        process::run(self.command().arg("update"))?;
        process::run(
            self.command()
                .args(["install", "--yes", "--no-install-recommends"])
                .args(packages),
        )
    }

    fn command(&self) -> Command {
        let words: &[&str] = match self {
            Self::AsRoot => &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"],
            Self::BySudo => &[
                "sudo",
                "-n",
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
            ],
        };
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("-q");
        command
    }
}

/// A Python of its own with the packages; returns its interpreter.
fn provide_pypi(folder: &Path, policy: Policy) -> Result<PathBuf> {
    let python = folder.join("bin").join("python");
    let is_there = |name: &str, version: &str| {
        let check = format!(
            "import sys, importlib.metadata as m; sys.exit(m.version('{name}') != '{version}')"
        );
        process::succeeds(Command::new(&python).args(["-c", &check]))
    };
    let missing = || -> Vec<String> {
        let absent = PYPI
            .iter()
            .filter(|(name, version)| !is_there(name, version));
        absent
            .map(|(name, version)| format!("{name}=={version}"))
            .collect()
    };
    let wanted = missing();
    if wanted.is_empty() {
        return Ok(python);
    }
    ensure!(
        policy == Policy::Install,
        "the tests need PyPI's {}; run without --no-install once",
        wanted.join(", ")
    );
    if !process::succeeds(Command::new(&python).args(["-m", "pip", "--version"])) {
        process::run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(folder),
        )?;
    }
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    process::run(Command::new(&python).args(pip).args(&wanted))?;
    let still = missing();
    ensure!(
        still.is_empty(),
        "{} are still missing after their installation",
        still.join(", ")
    );
    Ok(python)
}

/// A folder whose `node_modules` has the packages.
fn provide_npm(folder: &Path, policy: Policy) -> Result<()> {
    let missing: Vec<String> = NPM
        .iter()
        .filter(|(name, version)| installed(folder, name).as_deref() != Some(version))
        .map(|(name, version)| format!("{name}@{version}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    ensure!(
        policy == Policy::Install,
        "the tests need npm's {}; run without --no-install once",
        missing.join(" and ")
    );
    fs::create_dir_all(folder)?;
    let manifest = folder.join("package.json");
    if !manifest.exists() {
        fs::write(manifest, "{\"private\": true}\n")?;
    }
    let mut npm = Command::new("npm");
    npm.current_dir(folder).args([
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--loglevel=error",
    ]);
    process::run(npm.args(&missing))?;
    for (name, version) in NPM {
        ensure!(
            installed(folder, name).as_deref() == Some(version),
            "npm's {name}@{version} is still missing after its installation"
        );
    }
    Ok(())
}

/// The version of a package that a folder has.
fn installed(folder: &Path, name: &str) -> Option<String> {
    let manifest = folder.join("node_modules").join(name).join("package.json");
    let manifest = fs::read_to_string(manifest).ok()?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest).ok()?;
    manifest["version"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_components_and_packages() {
        let missing: Vec<&SystemComponent> = SYSTEM.iter().take(1).collect();
        let advice = advice(&missing, missing[0].debian_packages);
        assert!(advice.contains("mosquitto_rr"), "{advice}");
        assert!(
            advice.ends_with("apt-get install mosquitto-clients"),
            "{advice}"
        );
    }

    #[test]
    fn only_looking_never_installs() {
        assert_eq!(AptGet::usable(Policy::OnlyLook), None);
        let nowhere = std::env::temp_dir().join("tidewire-xtask-nowhere");
        let error = provide_npm(&nowhere, Policy::OnlyLook).expect_err("nothing is there");
        assert!(error.to_string().contains("mqtt@"), "{error}");
        assert!(!nowhere.exists());
    }

    #[test]
    fn a_package_of_another_version_is_not_enough() {
        let folder =
            std::env::temp_dir().join(format!("tidewire-xtask-npm-{}", std::process::id()));
        let package = folder.join("node_modules/mqtt");
        fs::create_dir_all(&package).expect("folder");
        fs::write(package.join("package.json"), "{\"version\": \"1.2.3\"}").expect("manifest");
        let found = installed(&folder, "mqtt");
        let outcome = provide_npm(&folder, Policy::OnlyLook);
        fs::remove_dir_all(&folder).expect("clean up");
        assert_eq!(found.as_deref(), Some("1.2.3"));
        assert!(outcome.is_err());
    }
}
