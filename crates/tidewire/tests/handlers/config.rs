//! What the configuration says, and what becomes of changed scripts.

use crate::peer::Peer;
use crate::start::{broker, enter};
use crate::support::{Finished, finish, tidewire};
use rustix::process::Signal;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use tidewire_codec::Qos;

fn check(folder: &Path, config: &str) -> Finished {
    fs::write(folder.join("check.toml"), config).expect("written");
    finish(
        tidewire()
            .current_dir(folder)
            .args(["check-config", "check.toml"]),
    )
}

fn says(text: &str) -> String {
    format!("function on_publish() return {{ payload = '{text}' }} end")
}

fn hears(client: &mut Peer<TcpStream>, text: &str) {
    client.publish("t", "", Qos::AtMostOnce, 0);
    assert_eq!(client.message().1, text);
}

#[test]
fn a_changed_script_is_loaded_and_a_faulty_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("rules.lua");
    fs::write(&script, says("one")).expect("written");
    let broker = broker(
        folder.path(),
        "[[handler]]\nlua = \"rules.lua\"\nlistener = \"mqtt\"\n",
    );
    let mut client = enter(&broker, "client");
    client.subscribe("#", Qos::AtMostOnce);
    hears(&mut client, "one");
    fs::write(&script, says("two and longer")).expect("written");
    broker.wait_for_log("changed: script loaded again");
    hears(&mut client, "two and longer");
    fs::write(&script, "function on_publish( broken").expect("written");
    broker.wait_for_log("changed: the script stays as it was: rules.lua:1:");
    hears(&mut client, "two and longer");
    fs::write(&script, says("three")).expect("written");
    broker.signal(Signal::HUP);
    broker.wait_for_log("SIGHUP: script loaded again");
    hears(&mut client, "three");
}

#[test]
fn handlers_run_in_the_order_of_their_priorities() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["first", "second"] {
        let text = format!(
            "function on_publish(_, packet) return {{ payload = packet.payload .. ' {name}' }} end"
        );
        fs::write(folder.path().join(format!("{name}.lua")), text).expect("written");
    }
    let config =
        "[[handler]]\nlua = \"second.lua\"\n[[handler]]\nlua = \"first.lua\"\npriority = 10\n";
    let broker = broker(folder.path(), config);
    let mut client = enter(&broker, "client");
    client.subscribe("#", Qos::AtMostOnce);
    hears(&mut client, " first second");
}

#[test]
fn a_mistake_is_told_with_its_place_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("good.lua", "function authenticate() end"),
        ("misspelt.lua", "function on_conect() end"),
        ("faulty.lua", "x = = 1"),
        ("hungry.lua", "while true do end"),
    ] {
        fs::write(folder.path().join(name), text).expect("written");
    }
    fs::write(folder.path().join("empty"), "\n").expect("written");
    for (config, says) in [
        (
            "[[handler]]\n",
            "check.toml:1:1: the handler has neither `lua` nor `url`",
        ),
        (
            "[[handler]]\nlua = \"good.lua\"\nurl = \"http://h/\"\n",
            "the handler has `lua` and `url`",
        ),
        (
            "[[handler]]\nurl = \"http://h/\"\n",
            "the handler has no `events`",
        ),
        (
            "[[handler]]\nlua = \"good.lua\"\nevents = [\"publish\"]\n",
            "`events` are for a `url`",
        ),
        (
            "[[handler]]\nlua = \"good.lua\"\nlistener = \"mqt\"\n",
            "there is no listener \"mqt\"\n  help: did you mean \"mqtt\"?",
        ),
        (
            "[[handler]]\nlua = \"good.lua\"\n[[handler]]\nlua = \"good.lua\"\n",
            "two handlers are called \"good.lua\"",
        ),
        (
            "[[handler]]\nurl = \"http://h/\"\nevents = [\"conected\"]\n",
            "did you mean \"connected\"?",
        ),
        (
            "[[handler]]\nlua = \"good.lua\"\npriorty = 1\n",
            "did you mean `priority`?",
        ),
        (
            "[handler]\nlua = \"good.lua\"\n",
            "write [[handler]] with two brackets",
        ),
        (
            "[[handler]]\nlua = \"none.lua\"\n",
            "[[handler]] lua = \"none.lua\": the script cannot be read",
        ),
        (
            "[[handler]]\nlua = \"misspelt.lua\"\n",
            "misspelt.lua: function `on_conect` handles no event; did you mean `on_connect`?",
        ),
        (
            "[[handler]]\nlua = \"faulty.lua\"\n",
            "faulty.lua:1: unexpected symbol near '='",
        ),
        (
            "[[handler]]\nlua = \"hungry.lua\"\nmax_instructions = 10000\n",
            "hungry.lua:1: used more than 10000 instructions in one call",
        ),
        (
            "[[handler]]\nurl = \"ftp://h/\"\nevents = [\"connect\"]\n",
            "`ftp://h/` must begin with `http://` or `https://`",
        ),
        (
            "[[handler]]\nurl = \"http://h/\"\nevents = [\"connect\"]\nsecret_file = \"empty\"\n",
            "empty: holds no secret",
        ),
        (
            "[[handler]]\nurl = \"https://h/\"\nevents = [\"connect\"]\nca_file = \"empty\"\n",
            "empty: it holds no certificate in PEM form",
        ),
    ] {
        let checked = check(folder.path(), config);
        assert_eq!(checked.code, Some(2), "{config}");
        assert!(
            checked.stderr.contains(says),
            "{config}\n{}",
            checked.stderr
        );
    }
    let right = check(folder.path(), "[[handler]]\nlua = \"good.lua\"\n");
    assert_eq!(right.code, Some(0), "{}", right.stderr);
}

/// Beyond this machine a script that authenticates opens a listener that nobody else guards; one that does not, does not.
#[test]
fn a_script_may_guard_a_listener_for_everybody() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(
        folder.path().join("door.lua"),
        "function authenticate() return false end",
    )
    .expect("written");
    fs::write(folder.path().join("none.lua"), "function on_publish() end").expect("written");
    let config = |script: &str| {
        format!("[[listener]]\nurl = \"tcp://0.0.0.0:1883\"\n[[handler]]\nlua = \"{script}\"\n")
    };
    assert_eq!(check(folder.path(), &config("door.lua")).code, Some(0));
    let open = check(folder.path(), &config("none.lua"));
    assert!(
        open.stderr.contains("has no authenticator"),
        "{}",
        open.stderr
    );
}
