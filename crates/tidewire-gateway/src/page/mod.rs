//! What the gateway tells over HTTP: its page, its state as JSON, its figures for Prometheus; on a loopback address, and on
//! a socket in its folder for `tidewire gateway status`.

mod figures;

use crate::app::Apps;
use crate::downlink::AppControl as _;
use crate::gateway::GatewayState;
use crate::model::Event;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value as Json, json};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at once.
const MAX_CONNECTIONS: usize = 64;
/// How long a request's header may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Devices in one answer; the page says that there are more.
const DEVICES_MAX: usize = 500;

/// The page may load nothing but what the gateway serves.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
const STYLE: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What is told.
#[derive(Clone, Debug)]
pub struct Page {
    state: Arc<GatewayState>,
    apps: Arc<Apps>,
    places: Arc<Semaphore>,
}

impl Page {
    /// Of this gateway.
    #[must_use]
    pub fn new(state: Arc<GatewayState>, apps: Arc<Apps>) -> Self {
        Self {
            state,
            apps,
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        }
    }

    /// Serves it there from now on, on the present tokio runtime; returns the address that the system gave.
    ///
    /// # Errors
    /// The address cannot be opened.
    pub async fn serve(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let page = self.clone();
        tokio::spawn(async move {
            loop {
                let Ok(place) = Arc::clone(&page.places).acquire_owned().await else {
                    return;
                };
                if let Ok((stream, _)) = listener.accept().await {
                    let page = page.clone();
                    tokio::spawn(async move {
                        page.connection(TokioIo::new(stream)).await;
                        drop(place);
                    });
                }
            }
        });
        Ok(address)
    }

    /// Serves it on a socket that only this user can open.
    ///
    /// # Errors
    /// The socket cannot be made.
    #[cfg(unix)]
    pub fn serve_socket(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = tokio::net::UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let page = self.clone();
        tokio::spawn(async move {
            loop {
                let Ok(place) = Arc::clone(&page.places).acquire_owned().await else {
                    return;
                };
                if let Ok((stream, _)) = listener.accept().await {
                    let page = page.clone();
                    tokio::spawn(async move {
                        page.connection(TokioIo::new(stream)).await;
                        drop(place);
                    });
                }
            }
        });
        Ok(())
    }

    async fn connection<S>(&self, stream: TokioIo<S>)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let service =
            service_fn(|request| async move { Ok::<_, Infallible>(self.answer(&request).await) });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(16 * 1024)
            .serve_connection(stream, service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to the page ended early");
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !is_for_loopback(request) {
            // Another name for this address: a page from elsewhere tries to read this one.
            return respond(
                StatusCode::FORBIDDEN,
                PLAIN,
                "this page is for browsers on this machine\n",
            );
        }
        let path = request.uri().path();
        match *request.method() {
            Method::GET | Method::HEAD => {
                self.read(path, request.uri().query().unwrap_or_default())
            }
            Method::POST => self.act(path, request).await,
            _ => respond(
                StatusCode::METHOD_NOT_ALLOWED,
                PLAIN,
                "only GET and POST are served\n",
            ),
        }
    }

    fn read(&self, path: &str, query: &str) -> Response<Full<Bytes>> {
        match path {
            "/" => respond(StatusCode::OK, HTML, include_str!("page.html")),
            "/page.js" => respond(StatusCode::OK, SCRIPT, include_str!("page.js")),
            "/page.css" => respond(StatusCode::OK, STYLE, include_str!("page.css")),
            "/api/status" => json_answer(&self.state.status()),
            "/api/devices" => json_answer(&self.devices(query)),
            "/api/events" => {
                json_answer(&self.state.hub().events().iter().rev().map(event).collect())
            }
            "/api/apps" => json_answer(&self.apps.list()),
            "/metrics" => match figures::text(&self.state.status()) {
                Ok(text) => respond(StatusCode::OK, OPEN_METRICS, text),
                Err(_) => respond(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    PLAIN,
                    "the figures cannot be written\n",
                ),
            },
            "/healthz" => respond(StatusCode::OK, PLAIN, "ok\n"),
            _ => respond(
                StatusCode::NOT_FOUND,
                PLAIN,
                "served are /, /api/..., /metrics and /healthz\n",
            ),
        }
    }

    /// The devices with their newest values; `after=SN` for those behind it.
    fn devices(&self, query: &str) -> Json {
        let after = query
            .split('&')
            .find_map(|part| part.strip_prefix("after="));
        let hub = self.state.hub();
        let all = hub.devices();
        let wanted = all
            .iter()
            .filter(|device| after.is_none_or(|after| *device.sn > *after));
        let mut rows: Vec<Json> = Vec::new();
        let mut more = false;
        for device in wanted {
            if rows.len() == DEVICES_MAX {
                more = true;
                break;
            }
            let units = |input: &str| {
                device
                    .props
                    .inputs
                    .iter()
                    .find(|known| &*known.name == input)
                    .map(|known| known.unit.clone())
            };
            let values = hub.live(&device.sn).into_iter().map(|live| {
                json!({
                    "input": live.input, "prop": live.prop, "value": live.sample.value.borrowed().to_json(),
                    "quality": live.sample.quality.0, "source_ms": live.sample.source_ms, "unit": units(&live.input),
                })
            });
            rows.push(json!({"sn": device.sn, "app": device.app, "meta": device.props.meta, "values": values.collect::<Vec<_>>()}));
        }
        json!({"devices": rows, "total": all.len(), "more": more})
    }

    /// `/api/apps/NAME/start`, `stop` and `restart`; and `/api/snapshot`, `/api/flush`.
    async fn act(&self, path: &str, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        // A form on another page cannot set a header: only a script of this one can.
        if !request.headers().contains_key("x-tidewire") {
            return respond(
                StatusCode::FORBIDDEN,
                PLAIN,
                "the header x-tidewire is missing\n",
            );
        }
        let outcome = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["", "api", "snapshot"] => Ok(json!({"points": self.state.hub().snapshot(None)})),
            ["", "api", "flush"] => {
                self.state.hub().flush();
                Ok(Json::Null)
            }
            [
                "",
                "api",
                "apps",
                name,
                verb @ ("start" | "stop" | "restart"),
            ] => {
                let (apps, name, verb) = (
                    Arc::clone(&self.apps),
                    (*name).to_owned(),
                    (*verb).to_owned(),
                );
                // It waits for the app's end.
                let done =
                    tokio::task::spawn_blocking(move || apps.control(&verb, &name, &Json::Null))
                        .await;
                done.unwrap_or_else(|_| Err("the app's supervisor failed".to_owned()))
            }
            _ => return respond(StatusCode::NOT_FOUND, PLAIN, "there is no such action\n"),
        };
        match outcome {
            Ok(data) => json_answer(&data),
            Err(why) => respond(StatusCode::CONFLICT, PLAIN, format!("{why}\n")),
        }
    }
}

fn event(event: &Event) -> Json {
    json!({
        "app": event.app, "sn": event.sn, "level": event.level.number(), "type": event.kind.word(), "info": event.info,
        "timestamp_ms": event.timestamp_ms,
    })
}

/// Whether the browser meant this machine, as far as its Host header says: names that lead here from elsewhere do not.
fn is_for_loopback(request: &Request<Incoming>) -> bool {
    let Some(host) = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok())
    else {
        // The command line on the socket has no name for it.
        return true;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn json_answer(json: &Json) -> Response<Full<Bytes>> {
    respond(StatusCode::OK, JSON, json.to_string())
}

fn respond(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
