//! Files say nothing about the machine they were written on.

use super::tree::Tree;
use super::{Check, Finding};

pub(crate) const CHECK: Check = Check {
    name: "leaks",
    why: "a path or registry host of one machine is wrong on every other; registries are chosen by their clients' settings",
    run: |tree| Ok(check(tree)),
};

/// Spelled in parts so that this file does not name them.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
];
const REGISTRY_HOSTS: [&str; 7] = [
    concat!("registry.", "npmjs.org"),
    concat!("files.", "pythonhosted.org"),
    concat!("pypi.", "org/simple"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("deb.", "debian.org"),
    concat!("proxy.", "golang.org"),
];

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.all_texts() {
        for (index, line) in text.lines().enumerate() {
            findings.extend(
                leak(line).map(|what| Finding::at(path, index + 1, format!("names {what}"))),
            );
        }
    }
    findings
}

fn leak(line: &str) -> Option<&'static str> {
    let host = REGISTRY_HOSTS.iter().find(|host| line.contains(**host));
    let starts_a_path = |at: usize| {
        !line[..at].ends_with(|c: char| {
            c.is_alphanumeric() || matches!(c, '/' | '.' | '+' | '#' | '-' | '_' | '}')
        })
    };
    let is_named = |path: &&&str| line.match_indices(**path).any(|(at, _)| starts_a_path(at));
    host.or_else(|| MACHINE_PATHS.iter().find(is_named))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_paths_and_registry_hosts_are_told() {
        for path in MACHINE_PATHS {
            assert_eq!(leak(&format!("open \"{path}x\"")), Some(path));
            assert_eq!(leak(&format!("{path}x")), Some(path));
        }
        for host in REGISTRY_HOSTS {
            assert_eq!(leak(&format!("https://{host}/x")), Some(host));
        }
    }

    #[test]
    fn topics_that_contain_the_same_words_pass() {
        let [_, root, home, _] = MACHINE_PATHS;
        for line in [
            format!("a{root}b"),
            format!("+{home}temperature"),
            format!("../shared{root}x"),
        ] {
            assert_eq!(leak(&line), None, "{line}");
        }
    }
}
