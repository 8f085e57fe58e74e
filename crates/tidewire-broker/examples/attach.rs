//! A web application whose pages and MQTT share one port, and one certificate if it has one.
//!
//! `attach [ADDRESS [CERT_FILE KEY_FILE]]`: without an address, 127.0.0.1:3000; without files, no TLS. It ends with its standard input.

use axum::Router;
use axum::extract::Request;
use axum::response::Html;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tidewire_broker::attach::PeerAddress;
use tidewire_broker::{Broker, ListenerSettings};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Anything = Box<dyn std::error::Error + Send + Sync>;

const PAGE: &str = "<!doctype html><title>Attached</title><p>MQTT is spoken at /mqtt of this port.";

/// The application: a page of its own, and the broker at a path.
pub(crate) fn application(broker: &Broker) -> Result<Router, Anything> {
    Ok(Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route_service("/mqtt", broker.handle().attach("web")?))
}

/// A broker that has no listener but the application's.
pub(crate) fn broker() -> Result<Broker, Anything> {
    let mut web = ListenerSettings::attached("web");
    // A real application registers a handler that authenticates.
    web.allow_anonymous = true;
    Ok(Broker::builder().listener(web).start()?)
}

/// Serves the application for ever, with TLS if there are files for it.
pub(crate) async fn serve(
    listener: TcpListener,
    application: Router,
    files: Option<(String, String)>,
) -> Result<(), Anything> {
    let tls = files.map(|(cert, key)| acceptor(&cert, &key)).transpose()?;
    loop {
        let (stream, from) = listener.accept().await?;
        let (tls, application) = (tls.clone(), application.clone());
        tokio::spawn(async move {
            let from = PeerAddress(from);
            match tls {
                None => connection(stream, from, application).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => connection(stream, from, application).await,
                    Err(error) => eprintln!("{from:?}: {error}"),
                },
            }
        });
    }
}

/// One connection of a client. The broker learns its address from the request.
async fn connection<S>(stream: S, from: PeerAddress, application: Router)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let application = application.layer(axum::middleware::map_request(
        move |mut request: Request| async move {
            request.extensions_mut().insert(from);
            request
        },
    ));
    let served = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(application))
        .with_upgrades();
    if let Err(error) = served.await {
        eprintln!("{from:?}: {error}");
    }
}

fn acceptor(cert: &str, key: &str) -> Result<TlsAcceptor, Anything> {
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[tokio::main]
async fn main() -> Result<(), Anything> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".into());
    let files = arguments.next().zip(arguments.next());
    let broker = broker()?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let serving = serve(listener, application(&broker)?, files);
    let (mut input, mut until_end) = (Vec::new(), tokio::io::stdin());
    tokio::select! {
        ended = serving => ended,
        read = until_end.read_to_end(&mut input) => Ok(read.map(drop)?),
    }
}
