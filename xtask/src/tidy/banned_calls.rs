//! Calls that a crate must not make: clocks, sockets, locks in the pure crates; panics where a peer's
//! bytes arrive.

use super::{Check, Finding};
use crate::rust_source::{Form, Name, RustFile};

pub(crate) const CHECK: Check = Check {
    name: "banned-calls",
    why: "the codec and the core are values that a simulator can replay, and no peer's bytes may panic a crate that reads them",
    run: |tree| Ok(tree.rust.iter().flat_map(of_file).collect()),
};

/// Codec and core take time and randomness as arguments and leave input and output to their callers.
const PURE_CRATES: [&str; 2] = ["crates/tidewire-codec/src/", "crates/tidewire-core/src/"];
/// Crates that read what peers or disks send.
const PANIC_FREE_CRATES: [&str; 4] = [
    "crates/tidewire-codec/src/",
    "crates/tidewire-core/src/",
    "crates/tidewire-net/src/",
    "crates/tidewire-log/src/",
];

/// Paths that the pure crates must not name, as a run of whole segments, and what to do instead.
const IMPURE_PATHS: [(&str, &str); 15] = [
    ("Instant::now", "take the time as an argument"),
    ("SystemTime", "take the time as an argument"),
    (
        "std::net",
        "sockets belong to the shell; addresses are in core::net",
    ),
    ("std::fs", "files belong to the shell"),
    ("std::thread", "threads belong to the shell"),
    ("std::process", "processes belong to the shell"),
    ("std::env", "take settings as arguments"),
    ("Mutex", "one owner per piece of state, no locks"),
    ("RwLock", "one owner per piece of state, no locks"),
    ("Condvar", "the core never waits"),
    (
        "std::collections::HashMap",
        "its hash seed is random: take hashbrown with a hasher that is passed in",
    ),
    (
        "std::collections::HashSet",
        "its hash seed is random: take hashbrown with a hasher that is passed in",
    ),
    ("RandomState", "hash seeds are passed in"),
    ("tokio", "runtimes belong to the shell"),
    ("rand", "take randomness as an argument"),
];
const PRINTING: [&str; 5] = ["println", "print", "eprintln", "eprint", "dbg"];
const PANICKING_METHODS: [&str; 4] = ["unwrap", "expect", "unwrap_err", "expect_err"];
const PANICKING_MACROS: [&str; 3] = ["panic", "unreachable", concat!("to", "do")];

fn of_file(file: &RustFile) -> Vec<Finding> {
    let is_in = |crates: &[&str]| crates.iter().any(|folder| file.path.starts_with(folder));
    let (pure, panic_free) = (is_in(&PURE_CRATES), is_in(&PANIC_FREE_CRATES));
    let mut findings = Vec::new();
    for name in file.names.iter().filter(|name| !file.is_test(name.line)) {
        let objection = pure
            .then(|| impurity(name))
            .flatten()
            .or_else(|| panic_free.then(|| panic(name)).flatten());
        findings.extend(objection.map(|says| Finding::at(&file.path, name.line, says)));
    }
    findings
}

fn impurity(name: &Name) -> Option<String> {
    if name.form == Form::Macro {
        return PRINTING
            .contains(&name.path.as_str())
            .then(|| format!("{}!: say it as an output", name.path));
    }
    let banned = IMPURE_PATHS.iter().find(|(path, _)| names_path(name, path));
    banned.map(|(path, instead)| format!("{path}: {instead}"))
}

/// Whether `name` contains `banned` as whole segments. A crate's name counts only at the front of a longer path.
fn names_path(name: &Name, banned: &str) -> bool {
    if banned.chars().all(|c| c.is_ascii_lowercase()) {
        return name
            .path
            .strip_prefix(banned)
            .is_some_and(|rest| rest.starts_with("::"));
    }
    format!("::{}::", name.path).contains(&format!("::{banned}::"))
}

fn panic(name: &Name) -> Option<String> {
    let word = name.path.as_str();
    match name.form {
        Form::Method if PANICKING_METHODS.contains(&word) => Some(format!(
            ".{word}() can panic: return an error or choose a type that cannot fail"
        )),
        Form::Macro if PANICKING_MACROS.contains(&word) => {
            Some(format!("{word}! ends the worker: return an error"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[(path, text)]);
        tree.rust
            .iter()
            .flat_map(of_file)
            .map(|finding| finding.says)
            .collect()
    }

    fn in_core(text: &str) -> usize {
        findings("crates/tidewire-core/src/a.rs", text).len()
    }

    #[test]
    fn core_may_not_tell_the_time_lock_print_or_open_anything() {
        for text in [
            "fn f() { let a = Instant::now(); }",
            "fn f() { let a = std::time::Instant::now(); }",
            "use std::{fmt, net::TcpStream};",
            "use std::fs;",
            "fn f() { std::thread::yield_now(); }",
            "use std::sync::{Arc, Mutex};",
            "use std::collections::HashMap;",
            "fn f() { println!(); }",
            "fn f() { assert!(rand::random()); }",
        ] {
            assert_eq!(in_core(text), 1, "{text}");
            assert_eq!(
                findings("crates/tidewire-broker/src/a.rs", text).len(),
                0,
                "{text}"
            );
        }
    }

    #[test]
    fn core_may_take_time_addresses_and_seeded_maps() {
        for text in [
            "use std::time::Instant;\nfn f(now: Instant) {}",
            "use core::net::SocketAddr;",
            "use hashbrown::HashMap;",
            "use std::collections::BTreeMap;",
            "fn f(rand: u64) -> u64 { rand }",
            "#[cfg(test)]\nmod tests { use std::collections::HashMap; }",
        ] {
            assert_eq!(in_core(text), 0, "{text}");
        }
    }

    #[test]
    fn panics_are_told_where_bytes_of_peers_arrive() {
        for text in [
            "fn f() { a.unwrap(); }",
            "fn f() { a.expect(\"x\"); }",
            "fn f() { panic!(); }",
            "fn f() { unreachable!() }",
        ] {
            for path in PANIC_FREE_CRATES {
                assert_eq!(
                    findings(&format!("{path}a.rs"), text).len(),
                    1,
                    "{path} {text}"
                );
            }
            assert_eq!(
                findings("crates/tidewire/src/main.rs", text).len(),
                0,
                "{text}"
            );
        }
        assert_eq!(in_core("fn f() { a.unwrap_or(1); }"), 0);
        assert_eq!(in_core("#[test]\nfn f() { a.unwrap(); }"), 0);
    }
}
