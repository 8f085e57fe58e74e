//! Configuration files: what is right, every kind of mistake, and the reference.

mod support;

use serde_json::Value as Json;
use support::{finish, run, tidewire};

/// Checks `text` as the file `c.toml` and returns exit code and standard error.
fn check(text: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("c.toml"), text).expect("written");
    let finished = finish(
        tidewire()
            .current_dir(folder.path())
            .args(["check-config", "c.toml"]),
    );
    (finished.code, finished.stderr)
}

/// (claim, file, what follows the first line of standard error)
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "a misspelt key gets a suggestion",
        "[limits]\nmax_packet_sise = 1000\n",
        "c.toml:2:1: unknown key `max_packet_sise` in [limits]\n  help: did you mean `max_packet_size_bytes`?\n",
    ),
    (
        "a key of another table is sent there",
        "[broker]\nmax_qos = 1\n",
        "c.toml:2:1: unknown key `max_qos` in [broker]\n  help: `max_qos` stands in [limits]\n",
    ),
    (
        "a key that resembles nothing points to the reference",
        "[metrics]\nzzzzzzzz = 1\n",
        "c.toml:2:1: unknown key `zzzzzzzz` in [metrics]\n  help: `tidewire config-reference` lists the keys of [metrics]\n",
    ),
    (
        "a misspelt table gets a suggestion",
        "[limit]\nmax_qos = 1\n",
        "c.toml:1:2: unknown table `limit`\n  help: did you mean [limits]?\n",
    ),
    (
        "a key outside of tables is sent to its table",
        "workers = 2\n",
        "c.toml:1:1: unknown key `workers`\n  help: `workers` stands below the line [broker]\n",
    ),
    (
        "a fraction is no whole number",
        "[limits]\nreceive_maximum = 12.5\n",
        "c.toml:2:19: `receive_maximum`: takes a whole number of messages, not 12.5\n  help: allowed are 1 to 65535\n",
    ),
    (
        "a number in quotes is no number",
        "[broker]\nworkers = \"4\"\n",
        "c.toml:2:11: `workers`: takes a whole number of threads, not the text \"4\"\n  help: write `workers = 4`, without quotes and in threads\n",
    ),
    (
        "a unit in the value is turned into the key's unit",
        "[limits]\nmax_packet_size_bytes = \"16 KiB\"\nconnect_timeout_secs = \"2 min\"\n",
        "c.toml:2:25: `max_packet_size_bytes`: takes a whole number of bytes, not the text \"16 KiB\"\n  \
         help: write `max_packet_size_bytes = 16384`, without quotes and in bytes\n\
         c.toml:3:24: `connect_timeout_secs`: takes a whole number of seconds, not the text \"2 min\"\n  \
         help: write `connect_timeout_secs = 120`, without quotes and in seconds\n",
    ),
    (
        "a range has two ends",
        "[limits]\nreceive_maximum = 0\nmax_qos = 3\nmax_client_id_bytes = -1\n",
        "c.toml:2:19: `receive_maximum`: 0 is below 1\n  help: allowed are 1 to 65535 messages; the default is 1024\n\
         c.toml:3:11: `max_qos`: 3 is above 2\n  help: allowed are 0 to 2; the default is 2\n\
         c.toml:4:23: `max_client_id_bytes`: -1 is below 23\n  help: allowed are 23 to 65535 bytes; the default is 1024\n",
    ),
    (
        "a number beyond every range is refused, not cut",
        "[limits]\nmax_queued_bytes = 99999999999999999999999999999999999999999999\n",
        "c.toml:2:20: `max_queued_bytes`: the number is out of every range\n  help: allowed are 0 to 9223372036854775807\n",
    ),
    (
        "a flag is true or false",
        "[limits]\nretain_available = \"true\"\nwildcard_subscription_available = 1\n",
        "c.toml:2:20: `retain_available`: takes true or false, not the text \"true\"\n  help: write `retain_available = true`, without quotes\n\
         c.toml:3:35: `wildcard_subscription_available`: takes true or false, not the number 1\n  \
         help: write `wildcard_subscription_available = true` or `wildcard_subscription_available = false`\n",
    ),
    (
        "a word of a choice gets a suggestion",
        "[broker]\nshared_subscription_strategy = \"round-robin\"\n",
        "c.toml:2:32: `shared_subscription_strategy`: \"round-robin\" is not one of its words\n  \
         help: did you mean \"round_robin\"? Allowed are \"round_robin\", \"least_in_flight\", \"sticky\", \"hash_publisher\", \"hash_topic\"\n",
    ),
    (
        "versions are a list of known words, each once",
        "[[listener]]\nurl = \"tcp://127.0.0.1:1\"\nversions = \"5\"\n[[listener]]\nname = \"b\"\nurl = \"tcp://127.0.0.1:2\"\nversions = [\"5\", \"5\"]\n\
         [[listener]]\nname = \"c\"\nurl = \"tcp://127.0.0.1:3\"\nversions = []\n",
        "c.toml:3:12: `versions`: takes a list of words, not the text \"5\"\n  help: write `versions = [\"5\"]`\n\
         c.toml:7:12: `versions`: \"5\" stands twice in the list\n  help: name each once\n\
         c.toml:11:12: `versions`: the list is empty\n  help: remove `versions` to allow all\n",
    ),
    (
        "an address is checked and corrected",
        "[[listener]]\nurl = \"127.0.0.1:1883\"\n[metrics]\nlisten = \"9464\"\n",
        "c.toml:2:7: `url`: `127.0.0.1:1883` names no scheme; write `tcp://host:port`\n  help: write `url = \"tcp://127.0.0.1:1883\"`\n\
         c.toml:4:10: `listen`: \"9464\" is not an address with a port\n  help: write `listen = \"127.0.0.1:9464\"`\n",
    ),
    (
        "a listener beyond loopback is refused with the line that allows it",
        "[[listener]]\nurl = \"tcp://0.0.0.0:1883\"\n",
        "c.toml:2:7: tcp://0.0.0.0:1883 is reachable from other machines and has no authenticator: everybody there could read and write everything\n  \
         help: name a `password_file` in [auth] (`tidewire passwd` writes it), add `allow_anonymous = true` to this [[listener]] if that is what you want, or listen on tcp://127.0.0.1\n",
    ),
    (
        "a listener that lets nobody in is refused",
        "[[listener]]\nurl = \"tcp://127.0.0.1:1883\"\nallow_anonymous = false\n",
        "c.toml:2:7: tcp://127.0.0.1:1883 refuses anonymous clients and has no authenticator: nobody could come in\n  \
         help: name a `password_file` in [auth] (`tidewire passwd` writes it), or remove `allow_anonymous = false`\n",
    ),
    (
        "certificates that nobody shows name no clients",
        "[[listener]]\nurl = \"tcp://127.0.0.1:1883\"\ncertificate_identity = \"dns\"\n",
        "c.toml:2:7: `certificate_identity` names clients by their certificates, and this listener asks for none\n  \
         help: add `client_certificate = \"required\"` and a `client_ca_file`\n",
    ),
    (
        "a password beside a certificate needs the name of one and the records of the other",
        "[[listener]]\nurl = \"tcp://127.0.0.1:1\"\ncertificate_and_password = true\n\
         [[listener]]\nname = \"b\"\nurl = \"tcp://127.0.0.1:2\"\nproxy_tls_identity = true\ntrusted_proxies = [\"127.0.0.1\"]\ncertificate_identity = \"common-name\"\ncertificate_and_password = true\n",
        "c.toml:2:7: `certificate_and_password` compares the user name with a certificate's name, and none is taken\n  \
         help: choose a `certificate_identity`, for instance \"common-name\"\n\
         c.toml:6:7: `certificate_and_password` wants passwords, and nobody checks them\n  \
         help: name a `password_file` in [auth] (`tidewire passwd` writes it)\n",
    ),
    (
        "a listener needs an address",
        "[[listener]]\nname = \"a\"\n",
        "c.toml:1:1: the listener has no `url`\n  help: write `url = \"tcp://127.0.0.1:1883\"`\n",
    ),
    (
        "listeners are a list",
        "[listener]\nurl = \"tcp://127.0.0.1:1883\"\n",
        "c.toml:1:2: `listener` is a list of tables\n  help: there may be several listeners: write [[listener]] with two brackets\n",
    ),
    (
        "listeners differ in name and address",
        "[[listener]]\nurl = \"tcp://127.0.0.1:1\"\n[[listener]]\nurl = \"tcp://127.0.0.1:1\"\nname = \"mqtt\"\n",
        "c.toml:4:7: two listeners open tcp://127.0.0.1:1\n  help: change a port\n\
         c.toml:5:8: two listeners are called \"mqtt\"\n  help: give each listener a `name` of its own\n",
    ),
    (
        "a table is no list and no value",
        "log = \"debug\"\n[[limits]]\nmax_qos = 1\n",
        "c.toml:1:1: `log` is a table\n  help: write [log] on a line of its own, and the keys below it\n\
         c.toml:2:3: `limits` is a table\n  help: write [limits] on a line of its own, and the keys below it\n",
    ),
    (
        "a log filter is checked",
        "[log]\nfilter = \"chatty\"\nformat = \"jsn\"\n",
        "c.toml:2:10: `filter`: \"chatty\" is not a level; levels are off, error, warn, info, debug, trace\n  \
         help: write `filter = \"info\"` or `filter = \"warn,tidewire=debug\"`\n\
         c.toml:3:10: `format`: \"jsn\" is not one of its words\n  help: did you mean \"json\"? Allowed are \"text\", \"json\"\n",
    ),
    (
        "columns count characters",
        "[broker]\n\"ä\" = 1\npid_file = \"ä\"\nworkers = true\n",
        "c.toml:2:1: unknown key `ä` in [broker]\n  help: `tidewire config-reference` lists the keys of [broker]\n\
         c.toml:4:11: `workers`: takes a whole number of threads, not true\n  help: allowed are 0 to 128\n",
    ),
];

#[test]
fn every_mistake_is_placed_and_explained() {
    for (claim, file, expected) in MISTAKES {
        let (code, stderr) = check(file);
        let (first, rest) = stderr.split_once('\n').expect("a first line");
        assert_eq!(rest, *expected, "{claim}");
        let count = expected
            .lines()
            .filter(|line| line.starts_with("c.toml"))
            .count();
        let plural = if count == 1 { "mistake" } else { "mistakes" };
        assert_eq!(
            first,
            format!("tidewire: {count} {plural} in c.toml"),
            "{claim}"
        );
        assert_eq!(code, Some(2), "{claim}");
    }
}

#[test]
fn mistakes_of_syntax_and_of_meaning_are_reported_together() {
    let (code, stderr) = check("[limits]\nmax_qos = = 2\nmax_qoss = 1\n[broker]\nworkers = \n");
    let places: Vec<_> = stderr
        .lines()
        .filter_map(|line| line.strip_prefix("c.toml:"))
        .map(|line| &line[..1])
        .collect();
    assert_eq!(places, ["2", "3", "5"], "{stderr}");
    assert_eq!(code, Some(2));
}

#[test]
fn duplicate_keys_are_mistakes() {
    let (code, stderr) = check("[limits]\nmax_qos = 1\nmax_qos = 2\n");
    assert!(stderr.contains("c.toml:3:1: duplicate key"), "{stderr}");
    assert_eq!(code, Some(2));
}

#[test]
fn file_that_cannot_be_read_is_named() {
    let finished = run(&["check-config", "/nonexistent/c.toml"]);
    assert_eq!(finished.code, Some(2));
    assert!(
        finished
            .stderr
            .contains("/nonexistent/c.toml: cannot be read"),
        "{}",
        finished.stderr
    );
}

#[test]
fn right_file_shows_what_it_would_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = "[[listener]]\nurl = \"tcp://127.0.0.1:1883\"\n[[listener]]\nname = \"field\"\nurl = \"tcp://0.0.0.0:1884\"\nallow_anonymous = true\n\
                [metrics]\nlisten = \"127.0.0.1:9464\"\n";
    std::fs::write(folder.path().join("c.toml"), file).expect("written");
    let finished = finish(
        tidewire()
            .current_dir(folder.path())
            .args(["check-config", "c.toml"]),
    );
    assert_eq!(
        finished.stdout,
        "c.toml is right. It would open:\n  \
         mqtt       tcp://127.0.0.1:1883, open to this machine's programs without a password\n  \
         field      tcp://0.0.0.0:1884, open TO EVERYBODY who can reach it without a password\n  \
         metrics    http://127.0.0.1:9464/metrics\n"
    );
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
}

#[test]
fn json_verdict_carries_places() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.toml");
    std::fs::write(&path, "[limits]\nmax_packet_sise = 1\n").expect("written");
    let finished = finish(tidewire().args(["check-config", "--json"]).arg(&path));
    let verdict: Json = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!(verdict["ok"], false);
    assert_eq!(
        (
            &verdict["errors"][0]["line"],
            &verdict["errors"][0]["column"]
        ),
        (&2.into(), &1.into())
    );
    assert_eq!(finished.code, Some(2));
    std::fs::write(&path, "").expect("written");
    let finished = finish(tidewire().args(["check-config", "--json"]).arg(&path));
    let verdict: Json = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!(
        (&verdict["ok"], &verdict["listeners"][0]["url"]),
        (&true.into(), &"tcp://127.0.0.1:1883".into())
    );
    assert_eq!(finished.code, Some(0));
}

#[test]
fn written_reference_is_current() {
    let page = support::repository().join("docs/configuration.md");
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    let current = run(&["config-reference"]).stdout;
    assert!(
        written == current,
        "docs/configuration.md is stale; run `cargo run -p tidewire -- config-reference > docs/configuration.md`"
    );
}

#[test]
fn reference_for_programs_lists_defaults_and_ranges() {
    let reference: Json =
        serde_json::from_str(&run(&["config-reference", "--json"]).stdout).expect("JSON");
    let keys = reference["keys"].as_array().expect("keys");
    let key = keys
        .iter()
        .find(|key| key["name"] == "max_packet_size_bytes")
        .expect("the key");
    assert_eq!(
        key["default"],
        tidewire_core::Limits::default().max_packet_size_bytes
    );
    assert_eq!(
        (&key["section"], &key["unit"], &key["kind"]),
        (&"limits".into(), &"bytes".into(), &"integer".into())
    );
    assert_eq!(key["range"]["max"], 268_435_460);
    assert!(
        keys.iter()
            .all(|key| key["doc"].as_str().is_some_and(|doc| doc.ends_with('.'))),
        "sentences"
    );
}

#[test]
fn file_made_of_all_defaults_is_right() {
    let reference: Json =
        serde_json::from_str(&run(&["config-reference", "--json"]).stdout).expect("JSON");
    let mut file = String::new();
    for section in ["broker", "limits", "log"] {
        file.push_str(&format!("[{section}]\n"));
        for key in reference["keys"].as_array().expect("keys") {
            if key["section"] == section && !key["default"].is_null() {
                file.push_str(&format!(
                    "{} = {}\n",
                    key["name"].as_str().expect("a name"),
                    key["default"]
                ));
            }
        }
    }
    assert_eq!(check(&file), (Some(0), String::new()), "{file}");
}
