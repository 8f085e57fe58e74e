//! Where the repository is, which files it holds and what cargo says about its packages.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process;

/// Folder names that never hold files of the project.
const NOT_OURS: [&str; 5] = [".git", "target", "node_modules", "__pycache__", ".tools"];

/// The root folder of the repository.
pub(crate) fn root() -> Result<PathBuf> {
    // Cargo sets the variable for `cargo run`; the compiled-in path serves a binary that is started by hand.
    let manifest =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&manifest)
        .parent()
        .context("xtask lies in the repository's root")?;
    Ok(root.to_path_buf())
}

/// All files of the project as paths below `root` with `/` between names: what git tracks or would track,
/// or every file when the tree is not a git checkout.
pub(crate) fn files(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let mut found = match process::read(&mut git) {
        Ok(listing) => listing
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        Err(_) => {
            let mut found = Vec::new();
            walk(root, "", &mut found)?;
            found
        }
    };
    found.retain(|name| root.join(name).is_file());
    found.sort();
    found.dedup();
    Ok(found)
}

/// `cargo metadata` with every package of the dependency graph.
pub(crate) fn metadata(root: &Path) -> Result<Value> {
    read_metadata(root, &[])
}

/// `cargo metadata` with the workspace's own packages only: needs no network.
pub(crate) fn own_metadata(root: &Path) -> Result<Value> {
    read_metadata(root, &["--no-deps"])
}

/// The folder that cargo builds into.
pub(crate) fn target_folder(root: &Path) -> Result<PathBuf> {
    let metadata = own_metadata(root)?;
    let folder = metadata["target_directory"]
        .as_str()
        .context("cargo metadata names no target_directory")?;
    Ok(PathBuf::from(folder))
}

/// Whether the workspace has a package called `name`.
pub(crate) fn has_package(root: &Path, name: &str) -> Result<bool> {
    let metadata = own_metadata(root)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    Ok(packages.iter().any(|package| package["name"] == name))
}

fn read_metadata(root: &Path, extra: &[&str]) -> Result<Value> {
    let mut cargo = process::cargo();
    cargo
        .current_dir(root)
        .args(["metadata", "--format-version", "1"])
        .args(extra);
    serde_json::from_str(&process::read(&mut cargo)?).context("cargo metadata is not JSON")
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        let below = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &format!("{below}/"), found)?;
        } else {
            found.push(below);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_git_leave_build_output_out() {
        let folder = env::temp_dir().join(format!("tidewire-xtask-walk-{}", std::process::id()));
        for name in [
            "src/lib.rs",
            "target/debug/x",
            "node_modules/m/index.js",
            ".ci/run",
        ] {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().expect("has a parent")).expect("folder");
            fs::write(file, "x").expect("file");
        }
        let mut found = Vec::new();
        walk(&folder, "", &mut found).expect("walk");
        found.sort();
        fs::remove_dir_all(&folder).expect("clean up");
        assert_eq!(found, [".ci/run", "src/lib.rs"]);
    }

    #[test]
    fn this_file_is_a_file_of_the_project() {
        let root = root().expect("root");
        let files = files(&root).expect("files");
        assert!(files.iter().any(|name| name == "xtask/src/workspace.rs"));
    }
}
