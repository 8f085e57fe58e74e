//! What comes from outside: licences and sources as `deny.toml` allows them, and crates that a crate of
//! ours may not use.

use anyhow::{Context as _, Result};
use serde_json::Value;
use toml_edit::DocumentMut;

use super::tree::{Tree, array, string};
use super::{Check, Finding};

pub(crate) const CHECK: Check = Check {
    name: "dependencies",
    why: "what we ship must stay permissively licensed and from crates.io, and pure crates must stay pure",
    run: check,
};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Crates that the pure crates may not use: runtimes, sockets, clocks, randomness, locks.
const IMPURE: [&str; 12] = [
    "tokio",
    "mio",
    "async-std",
    "smol",
    "socket2",
    "rand",
    "getrandom",
    "parking_lot",
    "crossbeam",
    "chrono",
    "time",
    "libc",
];
const PURE_CRATES: [&str; 2] = ["tidewire-codec", "tidewire-core"];

fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings: Vec<Finding> = tree.crates().into_iter().flat_map(of_own).collect();
    let Some(policy) = tree.text("deny.toml") else {
        return Ok(findings);
    };
    let allowed = allowed_licences(policy)?;
    for package in array(&tree.metadata["packages"]) {
        findings
            .extend(of_foreign(package, &allowed).map(|says| Finding::of_file("Cargo.lock", says)));
    }
    Ok(findings)
}

fn of_own(package: &Value) -> Vec<Finding> {
    let name = string(&package["name"]);
    let manifest = format!("crates/{name}/Cargo.toml");
    let has_kind = |kind: &str| {
        array(&package["targets"])
            .iter()
            .any(|target| array(&target["kind"]).iter().any(|k| **k == kind))
    };
    let library_only = has_kind("lib") && !has_kind("bin");
    let shipped = array(&package["dependencies"])
        .into_iter()
        .filter(|dependency| dependency["kind"] != "dev");
    let objections = shipped.filter_map(|dependency| match string(&dependency["name"]) {
        "anyhow" | "eyre" if library_only => Some(format!(
            "{name} is a library: its errors are enums that a caller can match, not anyhow"
        )),
        other if PURE_CRATES.contains(&name) && IMPURE.contains(&other) => {
            Some(format!("{name} must not use {other}"))
        }
        _ => None,
    });
    objections
        .map(|says| Finding::of_file(&manifest, says))
        .collect()
}

/// `[licenses] allow` and the exceptions of `deny.toml`: crate name or `*`, and a licence.
fn allowed_licences(policy: &str) -> Result<Vec<(String, String)>> {
    let policy: DocumentMut = policy.parse().context("deny.toml")?;
    let licences = &policy["licenses"];
    let mut allowed = Vec::new();
    for licence in licences["allow"]
        .as_array()
        .context("deny.toml: licenses.allow is no list")?
    {
        allowed.push((
            "*".to_owned(),
            licence.as_str().unwrap_or_default().to_owned(),
        ));
    }
    let exceptions = licences.get("exceptions").and_then(|list| list.as_array());
    for exception in exceptions
        .into_iter()
        .flatten()
        .filter_map(|value| value.as_inline_table())
    {
        let name = exception
            .get("crate")
            .and_then(|name| name.as_str())
            .unwrap_or_default();
        for licence in exception
            .get("allow")
            .and_then(|list| list.as_array())
            .into_iter()
            .flatten()
        {
            allowed.push((
                name.to_owned(),
                licence.as_str().unwrap_or_default().to_owned(),
            ));
        }
    }
    Ok(allowed)
}

fn of_foreign(package: &Value, allowed: &[(String, String)]) -> Option<String> {
    let name = string(&package["name"]);
    let source = package["source"].as_str()?;
    if source != CRATES_IO {
        return Some(format!("{name} comes from {source}, not from crates.io"));
    }
    let expression = string(&package["license"]);
    let is_allowed = |licence: &str| {
        allowed
            .iter()
            .any(|(whose, what)| what == licence && (whose == "*" || whose == name))
    };
    (!satisfied(expression, &is_allowed))
        .then(|| format!("{name} is under `{expression}`, which deny.toml does not allow"))
}

/// Whether an SPDX expression can be met with allowed licences. `WITH` exceptions count as the licence
/// they extend; `/` is the old spelling of `OR`.
fn satisfied(expression: &str, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any_of(&words, &mut at, is_allowed);
    met && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = all_of(words, at, is_allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        // Evaluated even when already met, since it moves `at`.
        met |= all_of(words, at, is_allowed);
    }
    met
}

fn all_of(words: &[&str], at: &mut usize, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = one(words, at, is_allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, is_allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let Some(word) = words.get(*at) else {
        return false;
    };
    *at += 1;
    if *word == "(" {
        let met = any_of(words, at, is_allowed);
        *at += 1;
        return met;
    }
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
    }
    is_allowed(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn licence_expressions_are_met_or_not() {
        let is_allowed = |licence: &str| ["MIT", "Apache-2.0", "Unicode-3.0"].contains(&licence);
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR X",
            "X/MIT",
        ] {
            assert!(satisfied(good, &is_allowed), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR X) AND Y",
            "MIT Apache-2.0",
        ] {
            assert!(!satisfied(bad, &is_allowed), "{bad}");
        }
    }

    #[test]
    fn exception_holds_for_its_crate_only() {
        let policy = "[licenses]\nallow = [\"MIT\"]\nexceptions = [{ crate = \"one\", allow = [\"MPL-2.0\"] }]\n";
        let allowed = allowed_licences(policy).expect("a policy");
        let package = |name: &str| json!({"name": name, "source": CRATES_IO, "license": "MPL-2.0"});
        assert_eq!(of_foreign(&package("one"), &allowed), None);
        assert!(of_foreign(&package("two"), &allowed).is_some());
        let git = json!({"name": "one", "source": "git+https://example.org/one", "license": "MIT"});
        assert!(of_foreign(&git, &allowed).is_some());
    }

    #[test]
    fn impure_crates_and_anyhow_in_libraries_are_told() {
        let package = |name: &str, dependency: &str, kind: Value| json!({"name": name, "targets": [{"kind": ["lib"]}], "dependencies": [{"name": dependency, "kind": kind}]});
        assert_eq!(
            of_own(&package("tidewire-core", "mio", Value::Null)).len(),
            1
        );
        assert_eq!(
            of_own(&package("tidewire-net", "mio", Value::Null)).len(),
            0
        );
        assert_eq!(
            of_own(&package("tidewire-net", "anyhow", Value::Null)).len(),
            1
        );
        assert_eq!(
            of_own(&package("tidewire-net", "anyhow", json!("dev"))).len(),
            0
        );
    }
}
