//! What the server's log says about clients that fail.

use crate::material::Material;

/// A client's handshake by OpenSSL, and the words in the broker's log that must follow.
type Case<'a> = (&'a str, &'a [&'a str]);

#[test]
fn each_fault_of_a_clients_certificate_is_named_with_its_mend() {
    let material = Material::new();
    material.add_faulty();
    let other = Material::of_authority("Other CA");
    let twin = Material::new();
    for (from, to) in [(&other, "stranger"), (&twin, "twin")] {
        for ending in ["pem", "key"] {
            let file = from.folder().join(format!("alice.{ending}"));
            std::fs::copy(file, material.folder().join(format!("{to}.{ending}"))).expect("copied");
        }
    }
    let ca = material.path("ca.pem");
    let broker = material.broker(&format!(
        "client_certificate = \"required\"\nclient_ca_file = \"{ca}\"\n"
    ));
    let port = broker.port();
    let cases: &[Case<'_>] = &[
        ("", &["shows no certificate", "cert make-client"]),
        (
            "stranger",
            &[
                "`CN=alice`",
                "`CN=Other CA`",
                "not in client_ca_file",
                "cert make-client",
            ],
        ),
        ("twin", &["a key that is not its authority's"]),
        (
            "expired",
            &[
                "`CN=expired`",
                "expired on Jan  1 00:00:00 2002",
                "cert make-client",
            ],
        ),
        (
            "early",
            &[
                "`CN=early`",
                "not valid before Jan  1 00:00:00 2200",
                "clock",
            ],
        ),
        (
            "unchained",
            &["`CN=between`", "show the certificates in between"],
        ),
        ("server", &["not for clients", "cert make-client"]),
    ];
    for version in ["-tls1_2", "-tls1_3"] {
        for (name, words) in cases {
            let shown = if name.is_empty() {
                String::new()
            } else {
                format!("-cert {name}.pem -key {name}.key")
            };
            let seen = broker.log().lines().count();
            material.openssl(&format!(
                "s_client -connect 127.0.0.1:{port} {version} -CAfile ca.pem {shown}"
            ));
            let line = broker.wait_for_line(seen, "refused before CONNECT");
            for word in *words {
                assert!(line.contains(word), "{name} {version}: {word} in {line}");
            }
            assert!(line.contains("listener=\"secure\""), "{line}");
        }
    }
}

#[test]
fn clients_that_do_not_believe_the_server_are_told_apart() {
    let material = Material::new();
    let other = Material::of_authority("Other CA");
    let broker = material.broker("");
    let port = broker.port();
    let foreign = other.path("ca.pem");
    let strict = format!("s_client -connect 127.0.0.1:{port} -verify_return_error");
    for (arguments, words) in [
        (
            format!("{strict} -CAfile {foreign}"),
            &["does not know the authority", "ca.pem"][..],
        ),
        (
            format!("{strict} -CAfile ca.pem -servername b.example -verify_hostname b.example"),
            &[
                "connects to `b.example`",
                "cert make-server --dir DIR b.example",
            ],
        ),
        (
            format!("s_client -connect 127.0.0.1:{port} -psk 1234 -tls1_2 -cipher PSK"),
            &["pre-shared keys", "TLS-PSK", "ca.pem"],
        ),
        (
            format!("s_client -connect 127.0.0.1:{port} -tls1_1 -cipher DEFAULT@SECLEVEL=0"),
            &["neither TLS 1.2 nor 1.3"],
        ),
        (
            format!(
                "s_client -connect 127.0.0.1:{port} -tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256"
            ),
            &["RSA", "make-server --rsa"],
        ),
    ] {
        let seen = broker.log().lines().count();
        material.openssl(&arguments);
        let line = broker.wait_for_line(seen, "refused before CONNECT");
        for word in words {
            assert!(line.contains(word), "{arguments}: {word} in {line}");
        }
    }
}

/// What a broker is given itself: it does not start, and says why.
#[test]
fn each_fault_of_the_servers_own_certificate_is_named_with_its_mend() {
    let material = Material::new();
    material.add_faulty();
    for (cert, key, words) in [
        (
            "expired.pem",
            "expired.key",
            &["expired on", "make-server --dir DIR NAME --force"][..],
        ),
        ("early.pem", "early.key", &["not valid before", "clock"]),
        (
            "server.pem",
            "alice.key",
            &["is not the key of", "made together"],
        ),
        (
            "none.pem",
            "server.key",
            &["none.pem does not exist", "make-server"],
        ),
        ("server.key", "server.pem", &["holds no certificate"]),
    ] {
        let file = material.config(cert, key, "");
        let refused = crate::support::run(&["serve", "--dev", "--config", &file]);
        assert_eq!(refused.code, Some(2), "{cert}: {refused:?}");
        for word in words.iter().chain(&["listener `secure`"]) {
            assert!(
                refused.stderr.contains(word),
                "{cert}: {word} in {}",
                refused.stderr
            );
        }
    }
}
