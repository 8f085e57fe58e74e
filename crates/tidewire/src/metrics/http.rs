//! The HTTP side of the metrics: `/metrics`, `/healthz`, nothing else.

use super::Exposition;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Connections at a time; a scraper needs one.
const MAX_CONNECTIONS: usize = 16;

/// Longest life of a connection, idle or not: a peer that dawdles frees its place.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);

/// Time for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause after a failed accept, so that a lasting failure such as too many open files does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What OpenMetrics calls its text.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An address that is open; requests are served once [`MetricsServer::serve`] was called.
#[derive(Debug)]
pub(crate) struct MetricsServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl MetricsServer {
    /// Opens `address`.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address that the system gave.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests from now on, on a thread of its own that ends with the process.
    pub(crate) fn serve(self, exposition: Exposition) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(self.listener)?
        };
        let exposition = Arc::new(exposition);
        thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || runtime.block_on(accept(listener, exposition)))?;
        Ok(())
    }
}

async fn accept(listener: tokio::net::TcpListener, exposition: Arc<Exposition>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let exposition = Arc::clone(&exposition);
                tokio::task::spawn(async move {
                    let _ =
                        tokio::time::timeout(CONNECTION_TIMEOUT, connection(stream, exposition))
                            .await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "metrics listener cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, exposition: Arc<Exposition>) {
    let service = service_fn(move |request| {
        let response = respond(&request, &exposition);
        async { Ok::<_, Infallible>(response) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "metrics connection ended early");
    }
}

fn respond(request: &Request<Incoming>, exposition: &Exposition) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return response(
            StatusCode::METHOD_NOT_ALLOWED,
            PLAIN,
            "only GET is served\n".to_owned(),
        );
    }
    match request.uri().path() {
        "/metrics" => match exposition.text() {
            Ok(text) => response(StatusCode::OK, OPEN_METRICS, text),
            Err(_) => response(
                StatusCode::SERVICE_UNAVAILABLE,
                PLAIN,
                "the broker has stopped
"
                .to_owned(),
            ),
        },
        "/healthz" => response(StatusCode::OK, PLAIN, "ok\n".to_owned()),
        _ => response(
            StatusCode::NOT_FOUND,
            PLAIN,
            "served are /metrics and /healthz\n".to_owned(),
        ),
    }
}

fn response(status: StatusCode, content_type: HeaderValue, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
