//! `tidewire cert`: what it makes stands before OpenSSL and serves; what is faulty is named with its mend.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{Finished, TestBroker, finish, run, tidewire};

/// `tidewire cert` with these arguments, in a folder.
fn cert(folder: &Path, operation: &str, arguments: &[&str]) -> Finished {
    let mut command = tidewire();
    command.args(["cert", operation, "--dir"]).arg(folder);
    finish(command.args(arguments))
}

/// A folder with an authority, a server's and a client's certificate.
fn made() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (operation, arguments) in [
        ("make-ca", &[][..]),
        ("make-server", &["localhost", "127.0.0.1"]),
        ("make-client", &["alice", "--p12-password", "bird"]),
    ] {
        let finished = cert(folder.path(), operation, arguments);
        assert_eq!(finished.code, Some(0), "{operation}: {finished:?}");
    }
    folder
}

/// OpenSSL's words, standard output and error together.
fn openssl(folder: &Path, arguments: &str) -> (bool, String) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(arguments.split(' '))
        .stdin(Stdio::null())
        .output()
        .expect("openssl is installed");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn openssl_reads_and_verifies_what_is_made() {
    let folder = made();
    for arguments in [
        "verify -x509_strict -purpose sslserver -verify_hostname localhost -CAfile ca.pem server.pem",
        "verify -x509_strict -purpose sslserver -verify_ip 127.0.0.1 -CAfile ca.pem server.pem",
        "verify -x509_strict -purpose sslclient -CAfile ca.pem alice.pem",
        "pkey -in server.key -check -noout",
        "pkey -in alice-combined.pem -check -noout",
        "x509 -in alice-combined.pem -noout",
        "pkcs12 -in alice.p12 -passin pass:bird -noout",
    ] {
        let (fine, text) = openssl(folder.path(), arguments);
        assert!(fine, "openssl {arguments}\n{text}");
    }
    let (wrong, _) = openssl(
        folder.path(),
        "verify -purpose sslserver -verify_hostname other -CAfile ca.pem server.pem",
    );
    assert!(!wrong, "another name");
    let (_, text) = openssl(folder.path(), "x509 -in server.pem -noout -text");
    for part in [
        "Version: 3 (0x2)",
        "NIST CURVE: P-256",
        "DNS:localhost, IP Address:127.0.0.1",
        "TLS Web Server Authentication",
        "Subject: CN=localhost",
    ] {
        let text = text.replace("CN = ", "CN=");
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn pkcs12_has_the_key_and_both_certificates_under_its_password() {
    let folder = made();
    let (fine, text) = openssl(
        folder.path(),
        "pkcs12 -in alice.p12 -passin pass:bird -nodes",
    );
    assert!(fine, "{text}");
    assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 2, "{text}");
    assert!(text.contains("friendlyName: alice"), "{text}");
    let key = |text: &str| {
        let start = text.find("-----BEGIN PRIVATE KEY-----").expect("a key");
        text[start..].lines().nth(1).map(str::to_owned)
    };
    let alone = std::fs::read_to_string(folder.path().join("alice.key")).expect("read");
    assert_eq!(key(&text), key(&alone));
    let (open, _) = openssl(folder.path(), "pkcs12 -in alice.p12 -passin pass:x -nodes");
    assert!(!open, "another password");
    // Without a password on the command line, the one that is printed opens it.
    let made = cert(folder.path(), "make-client", &["bob"]);
    let word = made.stdout.split("password of bob.p12 is ").nth(1);
    let word = word.and_then(|rest| rest.split(' ').next());
    let password = word.expect(&made.stdout);
    let file = folder.path().join("bob.p12").display().to_string();
    let shown = run(&["cert", "show", &file, "--password", password]);
    for part in ["CN=bob", "clients", "Tidewire CA", "signing certificates"] {
        assert!(shown.stdout.contains(part), "{part}: {shown:?}");
    }
    let wrong = run(&["cert", "show", &file]);
    assert!(
        wrong.code == Some(1) && wrong.stderr.contains("--password"),
        "{wrong:?}"
    );
}

#[test]
fn rsa_keys_are_made_on_request_and_serve() {
    let folder = tempfile::tempdir().expect("a folder");
    for (operation, arguments) in [
        ("make-ca", &["--rsa=2048"][..]),
        ("make-server", &["--rsa=2048", "localhost"]),
        ("make-client", &["--rsa=2048", "alice"]),
    ] {
        let finished = cert(folder.path(), operation, arguments);
        assert_eq!(finished.code, Some(0), "{operation}: {finished:?}");
    }
    for arguments in [
        "verify -x509_strict -purpose sslserver -verify_hostname localhost -CAfile ca.pem server.pem",
        "verify -x509_strict -purpose sslclient -CAfile ca.pem alice.pem",
        "rsa -in server.key -check -noout",
    ] {
        let (fine, text) = openssl(folder.path(), arguments);
        assert!(fine, "openssl {arguments}\n{text}");
    }
    let shown = run(&[
        "cert",
        "show",
        &folder.path().join("server.pem").display().to_string(),
    ]);
    assert!(shown.stdout.contains("RSA, 2048 bits"), "{shown:?}");
    let file = config(folder.path(), "server.pem", "server.key", "");
    let broker = TestBroker::with(&["--dev", "--config", &file.display().to_string()]);
    let port = broker.port();
    for version in ["-tls1_2", "-tls1_3"] {
        let (_, text) = openssl(
            folder.path(),
            &format!(
                "s_client -connect 127.0.0.1:{port} {version} -CAfile ca.pem -verify_hostname localhost"
            ),
        );
        assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
    }
    let short = cert(folder.path(), "make-client", &["--rsa=1024", "old"]);
    assert_eq!(short.code, Some(2), "{short:?}");
    assert!(short.stderr.contains("2048"), "{}", short.stderr);
}

#[test]
fn keys_are_their_owners_alone_and_nothing_is_written_over() {
    let folder = made();
    let mode = |name: &str| {
        let file = std::fs::metadata(folder.path().join(name)).expect(name);
        file.permissions().mode() & 0o777
    };
    for name in [
        "ca.key",
        "server.key",
        "alice.key",
        "alice-combined.pem",
        "alice.p12",
    ] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    for name in ["ca.pem", "server.pem", "alice.pem"] {
        assert_eq!(mode(name), 0o644, "{name}");
    }
    let key = |name: &str| std::fs::read(folder.path().join(name)).expect(name);
    let before = (key("ca.key"), key("alice.key"));
    // One file in the way is enough to write none.
    std::fs::remove_file(folder.path().join("alice.pem")).expect("removed");
    for (operation, arguments) in [
        ("make-ca", &[][..]),
        ("make-server", &["localhost"]),
        ("make-client", &["alice"]),
    ] {
        let finished = cert(folder.path(), operation, arguments);
        assert_eq!(finished.code, Some(2), "{operation}");
        assert!(finished.stderr.contains("--force"), "{}", finished.stderr);
    }
    assert_eq!(before, (key("ca.key"), key("alice.key")));
    assert!(!folder.path().join("alice.pem").exists());
    let finished = cert(folder.path(), "make-client", &["alice", "--force"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_ne!(before.1, key("alice.key"));
}

#[test]
fn what_cannot_be_made_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let finished = cert(folder.path(), "make-server", &["localhost"]);
    assert_eq!(finished.code, Some(2));
    assert!(
        finished.stderr.contains("tidewire cert make-ca --dir"),
        "{}",
        finished.stderr
    );
    let folder = made();
    for name in ["../x", "a/b", "", "ca", "server", ".hidden"] {
        let finished = cert(folder.path(), "make-client", &[name]);
        assert_eq!(finished.code, Some(2), "{name:?}: {finished:?}");
    }
}

#[test]
fn show_and_check_say_what_is_right_and_what_is_wrong() {
    let folder = made();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let shown = run(&["cert", "show", &path("server.pem")]);
    for part in [
        "CN=localhost",
        "dns:localhost",
        "ip:127.0.0.1",
        "EC, 256",
        "servers",
    ] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    let check = |cert: &str, key: &str, rest: &[&str]| {
        let (cert, key) = (path(cert), path(key));
        let mut arguments = vec!["cert", "check", "--cert", &cert, "--key", &key];
        arguments.extend(rest);
        run(&arguments)
    };
    let ca = path("ca.pem");
    let fine = check(
        "server.pem",
        "server.key",
        &["--ca", &ca, "--name", "127.0.0.1"],
    );
    assert_eq!(fine.code, Some(0), "{fine:?}");
    let fine = check("alice.pem", "alice.key", &["--ca", &ca]);
    assert_eq!(fine.code, Some(0), "{fine:?}");
    let other = made();
    let other_ca = other.path().join("ca.pem").display().to_string();
    for (cert, key, rest, words) in [
        ("server.pem", "alice.key", &[][..], "is not the key of"),
        (
            "server.pem",
            "server.key",
            &["--ca", &ca, "--name", "other.example"],
            "has not the name other.example",
        ),
        (
            "server.pem",
            "server.key",
            &["--ca", &ca],
            "another purpose",
        ),
        ("alice.pem", "alice.key", &["--ca", &other_ca], "authority"),
        ("nothing.pem", "server.key", &[], "cannot be read"),
    ] {
        let wrong = check(cert, key, rest);
        assert_eq!(wrong.code, Some(1), "{wrong:?}");
        assert!(wrong.stderr.contains(words), "{words}: {}", wrong.stderr);
    }
}

/// A configuration with one encrypted listener.
fn config(folder: &Path, cert: &str, key: &str, more: &str) -> PathBuf {
    let file = folder.join("c.toml");
    let shown = folder.display();
    let text = format!(
        "[[listener]]\nname = \"secure\"\nurl = \"tls://127.0.0.1:0\"\ncert_file = \"{shown}/{cert}\"\n\
         key_file = \"{shown}/{key}\"\n{more}"
    );
    std::fs::write(&file, text).expect("written");
    file
}

#[test]
fn openssl_does_a_handshake_with_a_broker_that_has_them() {
    let folder = made();
    let more = format!(
        "client_certificate = \"required\"\nclient_ca_file = \"{}/ca.pem\"\nalpn = [\"mqtt\"]\n",
        folder.path().display()
    );
    let file = config(folder.path(), "server.pem", "server.key", &more);
    let broker = TestBroker::with(&["--dev", "--config", &file.display().to_string()]);
    let port = broker.port();
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let (_, text) = openssl(
            folder.path(),
            &format!(
                "s_client -connect 127.0.0.1:{port} {version} -CAfile ca.pem -verify_return_error \
                 -verify_hostname localhost -alpn mqtt -cert alice.pem -key alice.key"
            ),
        );
        for part in ["Verify return code: 0 (ok)", "ALPN protocol: mqtt", name] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }
    let (_, text) = openssl(
        folder.path(),
        &format!("s_client -connect 127.0.0.1:{port} -tls1_2 -CAfile ca.pem"),
    );
    assert!(text.contains("alert"), "no certificate shown:\n{text}");
    broker.wait_for_log("shows no certificate");
}

/// The recipe of old tutorials: RSA 1024, and no extensions.
#[test]
fn certificates_of_old_recipes_are_refused_with_the_command_that_mends_them() {
    let folder = made();
    for (make, sign, words) in [
        (
            "genrsa -out old.key 1024",
            "req -x509 -new -key old.key -subj /CN=localhost -days 30 -out old.pem",
            "RSA key of 1024 bits",
        ),
        (
            "genrsa -out old.key 2048",
            "req -new -key old.key -subj /CN=localhost -out old.csr",
            "version 1",
        ),
    ] {
        for arguments in [make, sign] {
            let (fine, text) = openssl(folder.path(), arguments);
            assert!(fine, "openssl {arguments}\n{text}");
        }
        if words == "version 1" {
            let (fine, text) = openssl(
                folder.path(),
                "x509 -req -in old.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out old.pem -extfile /dev/null",
            );
            assert!(fine, "{text}");
            let (_, text) = openssl(folder.path(), "x509 -in old.pem -noout -text");
            assert!(text.contains("Version: 1 "), "{text}");
        }
        let file = config(folder.path(), "old.pem", "old.key", "")
            .display()
            .to_string();
        let refused = run(&["serve", "--dev", "--config", &file]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        for part in [words, "listener `secure`", "tidewire cert make-server"] {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
        }
    }
}

/// The certificate that a broker shows, as PEM.
fn shown_by(broker: &TestBroker, folder: &Path) -> String {
    let port = broker.port();
    let (_, text) = openssl(
        folder,
        &format!("s_client -connect 127.0.0.1:{port} -CAfile ca.pem -showcerts"),
    );
    let start = text.find("-----BEGIN CERTIFICATE-----").expect(&text);
    let end = text[start..].find("-----END").expect(&text);
    text[start..start + end].to_owned()
}

#[test]
fn sighup_reads_certificates_again() {
    let folder = made();
    let more = "[broker]\nwatch_files = false\n";
    let file = config(folder.path(), "server.pem", "server.key", more);
    let broker = TestBroker::with(&["--dev", "--config", &file.display().to_string()]);
    let before = shown_by(&broker, folder.path());
    let renewed = cert(folder.path(), "make-server", &["localhost", "--force"]);
    assert_eq!(renewed.code, Some(0), "{renewed:?}");
    assert_eq!(shown_by(&broker, folder.path()), before);
    broker.signal(rustix::process::Signal::HUP);
    broker.wait_for_log("certificates read again");
    assert_ne!(shown_by(&broker, folder.path()), before);
    std::fs::write(folder.path().join("server.key"), "x").expect("written");
    broker.signal(rustix::process::Signal::HUP);
    broker.wait_for_log("the certificates stay as they were");
    assert_ne!(shown_by(&broker, folder.path()), before);
}

#[test]
fn changed_certificates_are_read_again_by_themselves() {
    let folder = made();
    let file = config(folder.path(), "server.pem", "server.key", "");
    let broker = TestBroker::with(&["--dev", "--config", &file.display().to_string()]);
    let before = shown_by(&broker, folder.path());
    let renewed = cert(folder.path(), "make-server", &["localhost", "--force"]);
    assert_eq!(renewed.code, Some(0), "{renewed:?}");
    broker.wait_for_log("changed: certificates read again");
    let after = shown_by(&broker, folder.path());
    assert_ne!(after, before);
    std::fs::write(folder.path().join("server.key"), "x").expect("written");
    broker.wait_for_log("changed: the certificates stay as they were");
    assert_eq!(shown_by(&broker, folder.path()), after);
}
