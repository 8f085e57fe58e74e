//! Sockets that a supervisor has opened, as systemd hands them over.

use crate::agent::provided;
use crate::support::{TestBroker, admitted_v5, finish, tidewire};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Opens a TCP socket and a Unix socket, puts them where systemd does, and becomes the broker.
const SUPERVISOR: &str = "
import os, socket, sys
path, names, *command = sys.argv[1:]
tcp = socket.create_server(('127.0.0.1', 0))
local = socket.socket(socket.AF_UNIX)
local.bind(path)
local.listen()
os.dup2(os.dup(tcp.fileno()), 3)
os.dup2(os.dup(local.fileno()), 4)
os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=names)
os.execv(command[0], command)
";

/// The broker's command under the supervisor; its listeners ask for the sockets `network` and `local`.
fn supervised(folder: &Path, names: &str) -> (Command, PathBuf) {
    let path = folder.join("socket");
    let file = folder.join("c.toml");
    let text = format!(
        "[[listener]]\nname = \"a\"\nurl = \"tcp://127.0.0.1:1\"\nsystemd_socket = \"network\"\n\
         [[listener]]\nname = \"b\"\nurl = \"unix://{}\"\nsystemd_socket = \"local\"\n",
        path.display()
    );
    std::fs::write(&file, text).expect("written");
    let mut command = Command::new(provided("TIDEWIRE_PYTHON"));
    command.args(["-c", SUPERVISOR]).arg(&path).arg(names);
    command.arg(tidewire().get_program());
    command.args(["serve", "--dev", "--ready-file", "-", "--config"]);
    command.arg(&file);
    (command, path)
}

#[test]
fn listeners_take_the_sockets_of_their_names_and_leave_their_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut command, path) = supervised(folder.path(), "network:local");
    let broker = TestBroker::spawn(&mut command);
    assert_ne!(broker.port(), 1, "the url is not opened");
    drop(admitted_v5(&broker, "a"));
    UnixStream::connect(&path).expect("the broker listens");
    broker.wait_for_log("listener=a");
    assert!(broker.stop().success());
    assert!(path.exists(), "the file is the supervisor's");
}

#[test]
fn a_socket_that_was_not_passed_is_named_with_those_that_were() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut command, _) = supervised(folder.path(), "network:other");
    let refused = finish(&mut command);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    for part in [
        "listener `b`",
        "no socket named \"local\"",
        "\"network\", \"other\"",
        "FileDescriptorName=local",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
}
