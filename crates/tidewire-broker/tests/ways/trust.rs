//! Certificates: whom the broker believes, what it learns, and what happens when files change.

use crate::peer::{Authority, House, client_config, connect_packet, drain, exchange};
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use tidewire_broker::{Broker, ListenerSettings, Settings, StartError};
use tidewire_net::ClientCertificate;

const CONNACK: &[u8] = b"\x20\x02\x00\x00";

/// A house with clients `good`, `revoked` and, from another authority, `foreign`.
fn house(client_certificate: ClientCertificate) -> House {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ca");
    ours.sign("localhost", 1);
    ours.sign("good", 2);
    ours.sign("revoked", 3);
    ours.revoke(3, "crl.pem");
    Authority::new(folder.path(), "other-ca").sign("foreign", 2);
    let path = folder.path().to_owned();
    House::in_folder(folder, move |settings| {
        settings.tls.client_certificate = client_certificate;
        settings.tls.client_ca_file = Some(path.join("ca.pem"));
        settings.tls.crl_file = Some(path.join("crl.pem"));
    })
}

/// Whether a client with this certificate gets as far as CONNACK.
fn is_served(house: &House, certificate: Option<&str>) -> bool {
    let config = client_config(house.folder.path(), "ca", certificate);
    // In TLS 1.3 the client is done before the server has seen its certificate.
    let Ok(mut client) = house.tls("tls", config) else {
        return false;
    };
    let name = certificate.unwrap_or("nobody");
    let mut connack = [0; 4];
    client.write_all(&connect_packet(name)).is_ok() && client.read_exact(&mut connack).is_ok()
}

#[test]
fn client_certificates_are_asked_for_as_the_listener_says() {
    use ClientCertificate::{Off, Optional, Required};
    for (setting, nobody, good, revoked, foreign) in [
        (Off, true, true, true, true),
        (Optional, true, true, false, false),
        (Required, false, true, false, false),
    ] {
        let house = house(setting);
        assert_eq!(is_served(&house, None), nobody, "{setting:?}");
        assert_eq!(is_served(&house, Some("good")), good, "{setting:?}");
        assert_eq!(is_served(&house, Some("revoked")), revoked, "{setting:?}");
        assert_eq!(is_served(&house, Some("foreign")), foreign, "{setting:?}");
        let served = [nobody, good, revoked, foreign];
        let failures = served.iter().filter(|served| !**served).count() as u64;
        house.wait_for("tls", |figures| figures.failed_handshakes == failures);
    }
}

#[test]
fn a_clients_certificate_is_told_with_the_peer() {
    let house = house(ClientCertificate::Required);
    let config = client_config(house.folder.path(), "ca", Some("good"));
    let mut client = house.tls("tls", config).unwrap();
    exchange(&mut client, &connect_packet("a"), CONNACK);
    let page = house.broker.handle().clients(None, 10).unwrap();
    let peer = page.rows[0].peer.as_ref().unwrap();
    let tls = peer.way.as_ref().unwrap().tls.as_ref().unwrap();
    assert_eq!(&*tls.version, "TLSv1.3");
    assert_eq!(tls.server_name.as_deref(), Some("localhost"));
    let certificate = tls.certificate.as_ref().unwrap();
    assert_eq!(certificate.common_name.as_deref(), Some("good"));
    assert_eq!(certificate.alternative_names, ["dns:good".into()]);
    assert_eq!(certificate.fingerprint.len(), 64);
}

/// A header of the PROXY protocol, version 2, from a proxy that has verified the certificate of `name`.
fn header_of_a_tls_proxy(name: &str) -> Vec<u8> {
    let part = |kind: u8, value: &[u8]| {
        let length = u16::try_from(value.len()).unwrap();
        [&[kind], &length.to_be_bytes()[..], value].concat()
    };
    let tls = [&[7, 0, 0, 0, 0], &part(0x22, name.as_bytes())[..]].concat();
    let addresses = [203, 0, 113, 9, 192, 0, 2, 1, 0x12, 0x34, 7, 0x5B];
    let body = [&addresses, &part(0x20, &tls)[..]].concat();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    header.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    [header, body].concat()
}

#[test]
fn a_trusted_proxys_word_about_a_certificate_counts_where_the_listener_says_so() {
    for believed in [true, false] {
        let house = House::with(|settings| {
            settings.trusted_proxies = Some(vec!["127.0.0.0/8".parse().unwrap()]);
            settings.proxy_tls_identity = believed;
        });
        let mut stream = house.bare("tcp");
        stream.write_all(&header_of_a_tls_proxy("alice")).unwrap();
        exchange(&mut stream, &connect_packet("a"), CONNACK);
        let page = house.broker.handle().clients(None, 10).unwrap();
        let way = page.rows[0].peer.as_ref().unwrap().way.as_ref().unwrap();
        let name = way
            .tls
            .as_ref()
            .and_then(|tls| tls.certificate.as_ref()?.common_name.as_deref());
        assert_eq!(name, believed.then_some("alice"));
    }
}

#[test]
fn sessions_are_resumed_without_showing_the_certificate_again() {
    let house = House::new();
    let config = house.trust();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut client = house.tls("tls", Arc::clone(&config)).unwrap();
        exchange(&mut client, &connect_packet("a"), CONNACK);
        kinds.push(client.conn.handshake_kind().unwrap());
    }
    assert_eq!(
        kinds,
        [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]
    );
}

#[test]
fn protocols_and_versions_are_those_of_the_listener() {
    let house = House::with(|settings| {
        settings.tls.min_version = tidewire_net::MinTlsVersion::V13;
        settings.tls.alpn = vec!["mqtt".into()];
    });
    let with_alpn = |names: &[&[u8]]| {
        let mut config = (*house.trust()).clone();
        config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        house.tls("tls", Arc::new(config))
    };
    let client = with_alpn(&[b"h2", b"mqtt"]).unwrap();
    assert_eq!(client.conn.alpn_protocol(), Some(b"mqtt".as_slice()));
    assert!(with_alpn(&[]).is_ok());
    assert!(with_alpn(&[b"h2"]).is_err());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let old = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let error = house.tls("tls", Arc::new(old)).unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
}

#[test]
fn certificates_change_under_connections_that_stay() {
    let house = House::new();
    let mut before = house.connect("tls");
    exchange(&mut *before, &connect_packet("before"), CONNACK);
    let old_trust = house.trust();
    Authority::new(house.folder.path(), "ca").sign("localhost", 9);
    assert!(
        house.tls("tls", Arc::clone(&old_trust)).is_ok(),
        "not read yet"
    );
    let reloaded = house.broker.handle().reload_certificates();
    assert_eq!(reloaded.len(), 2, "tls and wss");
    assert!(reloaded.iter().all(|reload| reload.result.is_ok()));
    assert!(house.tls("tls", old_trust).is_err(), "another authority");
    let mut after = house.connect("tls");
    exchange(&mut *after, &connect_packet("after"), CONNACK);
    exchange(&mut *before, b"\xC0\x00", b"\xD0\x00");
    // A faulty file changes nothing.
    std::fs::write(house.folder.path().join("localhost.key"), "x").unwrap();
    let reloaded = house.broker.handle().reload_certificates();
    assert!(reloaded.iter().all(|reload| reload.result.is_err()));
    let mut still = house.connect("wss");
    exchange(&mut *still, &connect_packet("still"), CONNACK);
}

#[test]
fn a_server_that_says_farewell_says_it_in_tls_too() {
    let house = House::new();
    let mut client = house.tls("tls", house.trust()).unwrap();
    exchange(&mut client, &connect_packet("a"), CONNACK);
    client.write_all(b"\xE0\x00").unwrap();
    client.flush().unwrap();
    // Without close_notify it would be an error of the kind "unexpected end".
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drain(&mut client.sock);
}

#[test]
fn missing_files_stop_the_start_with_a_way_out() {
    let settings = ListenerSettings::new("secure", "tls://127.0.0.1:0".parse().unwrap());
    let settings = Settings {
        workers: 1,
        listeners: vec![settings],
        ..Settings::default()
    };
    let error = Broker::start(&settings).unwrap_err();
    assert!(matches!(error, StartError::Certificates { .. }));
    let text = error.to_string();
    assert!(
        text.contains("`secure`") && text.contains("tidewire cert make-server"),
        "{text}"
    );
}
