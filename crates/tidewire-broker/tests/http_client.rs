//! The HTTP client against servers that are well, slow, down, and lying.

mod hook_server;

use hook_server::{HookServer, Reply};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tidewire_broker::http_client::{
    Breaker, Guarded, HttpClient, HttpError, HttpLimits, Request, url,
};

fn limits() -> HttpLimits {
    HttpLimits {
        deadline: Duration::from_secs(20),
        body_max_bytes: 1000,
        requests_max: 4,
    }
}

fn post(url_text: &str, body: &str) -> Request<Vec<u8>> {
    Request::post(url(url_text).unwrap())
        .body(body.into())
        .unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn an_answer_comes_whole_and_connections_are_used_again() {
    let server = HookServer::start(|sent| Reply::Answer(201, format!("<{}>", sent.body)));
    let client = HttpClient::new(limits(), None).unwrap();
    runtime().block_on(async {
        for text in ["one", "two"] {
            let answer = client.send(post(&server.url("/a?b"), text)).await.unwrap();
            assert_eq!(answer.status().as_u16(), 201);
            assert_eq!(answer.body(), format!("<{text}>").as_bytes());
        }
    });
    let sent = server.sent().unwrap();
    assert_eq!((sent.path.as_str(), sent.body.as_str()), ("/a?b", "one"));
    assert!(sent.fields["host"].starts_with("localhost:"));
}

#[test]
fn each_fault_of_a_server_has_its_error() {
    let silent = HookServer::start(|_| Reply::Silence);
    let huge = HookServer::start(|_| Reply::Answer(200, "x".repeat(1001)));
    let endless = HookServer::start(|_| {
        let chunk = format!("400\r\n{}\r\n", "y".repeat(0x400));
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Reply::Raw(format!("{head}{}", chunk.repeat(8)).into_bytes())
    });
    let babbling = HookServer::start(|_| Reply::Raw(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()));
    let cut = HookServer::start(|_| {
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_vec())
    });
    let gone = HookServer::start(|_| Reply::Silence);
    let nobody = gone.url("/");
    drop(gone);
    let client = HttpClient::new(limits(), None).unwrap();
    let hasty = HttpLimits {
        deadline: Duration::from_millis(200),
        ..limits()
    };
    let hasty = HttpClient::new(hasty, None).unwrap();
    runtime().block_on(async {
        let late = hasty.send(post(&silent.url("/"), "")).await.unwrap_err();
        assert_eq!(late, HttpError::Late(Duration::from_millis(200)));
        for server in [&huge, &endless] {
            let large = client.send(post(&server.url("/"), "")).await.unwrap_err();
            assert_eq!(large, HttpError::TooLarge(1000));
        }
        for server in [&babbling, &cut] {
            let broken = client.send(post(&server.url("/"), "")).await.unwrap_err();
            assert!(matches!(broken, HttpError::Broken(_)), "{broken}");
        }
        // The port may take a moment to close.
        let mut unreachable = client.send(post(&nobody, "")).await.unwrap_err();
        while !matches!(unreachable, HttpError::Unreachable(_)) {
            unreachable = client.send(post(&nobody, "")).await.unwrap_err();
        }
        assert!(
            unreachable.to_string().starts_with("no connection: "),
            "{unreachable}"
        );
    });
}

#[test]
fn a_server_that_fails_is_left_alone() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let server = HookServer::start(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Reply::Answer(503, String::new())
    });
    let client = Arc::new(HttpClient::new(limits(), None).unwrap());
    let guarded = Guarded::new(client, Breaker::new(2, Duration::from_secs(3600)));
    runtime().block_on(async {
        for _ in 0..2 {
            let answer = guarded.send(post(&server.url("/"), "")).await.unwrap();
            assert_eq!(answer.status().as_u16(), 503);
        }
        for _ in 0..3 {
            let refused = guarded.send(post(&server.url("/"), "")).await.unwrap_err();
            assert_eq!(refused, HttpError::LeftAlone);
        }
    });
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn an_encrypted_server_is_believed_by_its_authority_alone() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, certificate.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls_pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let server = HookServer::start_tls(tls, |sent| Reply::Answer(200, sent.body.clone()));
    let believing = HttpClient::new(limits(), Some(&file)).unwrap();
    let doubting = HttpClient::new(limits(), None);
    runtime().block_on(async {
        let answer = believing.send(post(&server.url("/"), "secret")).await;
        assert_eq!(answer.unwrap().body(), &b"secret"[..]);
        // A system without any authority is told of when the client is made.
        if let Ok(doubting) = doubting {
            let refused = doubting.send(post(&server.url("/"), "")).await.unwrap_err();
            assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
        }
    });
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let error = HttpClient::new(limits(), Some(&empty)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("empty.pem: it holds no certificate in PEM form"),
        "{error}"
    );
}
