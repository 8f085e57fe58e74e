//! What our own client says about servers that it does not believe.

use crate::material::Material;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use tidewire_client::{Client, Tls};

/// OpenSSL as a server; it ends with the test.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(material: &Material, cert: &str, key: &str) -> Self {
        let mut process = Command::new("openssl")
            .current_dir(material.folder())
            .args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1"])
            .args(["-cipher", "DEFAULT@SECLEVEL=0", "-cert", cert, "-key", key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let mut lines = output.lines().map_while(Result::ok);
        let port = lines.find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:")?.parse().ok());
        Self {
            process,
            port: port.expect("the server listens"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Why a client that trusts `ca` does not connect.
pub(crate) fn refusal(port: u16, host: &str, ca: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let client = Client::builder(&format!("mqtts://{host}:{port}")).tls(Tls::new().ca_file(ca));
    runtime
        .block_on(client.connect())
        .expect_err("a fault")
        .to_string()
}

/// As [`refusal`], of a server that shows a certificate.
pub(crate) fn refusal_of(material: &Material, cert: &str, key: &str, ca: &str) -> String {
    let server = Server::start(material, cert, key);
    refusal(server.port, "localhost", &material.path(ca))
}

#[test]
fn each_fault_of_a_servers_certificate_is_named_with_its_mend() {
    let material = Material::new();
    material.add_faulty();
    material.sign("ca", "purposeless", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    for (name, words) in [
        ("expired", &["expired", "renew"][..]),
        ("early", &["not valid yet", "clock"]),
        ("unchained", &["certificates in between"]),
        ("purposeless", &["not for servers", "cert make-server"]),
    ] {
        let said = refusal_of(
            &material,
            &format!("{name}.pem"),
            &format!("{name}.key"),
            "ca.pem",
        );
        for word in words {
            assert!(said.contains(word), "{name}: {word} in {said}");
        }
    }
}

#[test]
fn a_wrong_name_and_an_unknown_authority_are_named_with_their_mend() {
    let material = Material::new();
    let other = Material::of_authority("Other CA");
    material.sign("ca", "elsewhere", |params| {
        let name = "elsewhere.example".try_into().expect("a name");
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
    });
    let said = refusal_of(&material, "elsewhere.pem", "elsewhere.key", "ca.pem");
    for word in [
        "elsewhere.example",
        "connect by a name that the certificate has",
    ] {
        assert!(said.contains(word), "{word} in {said}");
    }
    let broker = material.broker("");
    let said = refusal(broker.port(), "localhost", &other.path("ca.pem"));
    for word in ["UnknownIssuer", "CA file"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    broker.wait_for_log("does not know the authority");
}
