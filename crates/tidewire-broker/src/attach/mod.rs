//! MQTT on the port of an application's own HTTP server.
//!
//! The application declares a listener with [`ListenerSettings::attached`] and mounts the service that
//! [`BrokerHandle::attach`] returns at a path: a request there that asks for a WebSocket becomes a client of the broker, all
//! others are the application's. The server must be able to upgrade connections: `axum::serve` is, hyper's connections are with
//! `with_upgrades`. TLS and routes are the application's; who may come in and what they may do is the broker's.
//!
//! The bytes of such a connection pass through a task of the application's runtime and a pipe of 64 KiB in each direction. A
//! listener of the broker's own costs less.
//!
//! ```
//! use axum::Router;
//! use axum::routing::get;
//! use tidewire_broker::{Broker, ListenerSettings};
//!
//! let mut web = ListenerSettings::attached("web");
//! web.allow_anonymous = true;
//! let broker = Broker::builder().listener(web).start()?;
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "the application's page" }))
//!     .route_service("/mqtt", broker.handle().attach("web")?);
//! # let _ = app;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod pump;

use crate::driver::Accepted;
use crate::handle::{BrokerGone, BrokerHandle};
use crate::mailbox::Mail;
use crate::settings::{ListenerSettings, Settings};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::{Request, Response, StatusCode};
use pump::pump;
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tidewire_net::{
    Layered, PipeEnd, Transport, UpgradeRequest, WebSocketLayer, WebSocketSettings, pipe,
};
use tower_service::Service;

/// Bytes that a connection's pipe holds in each direction.
const PIPE_BYTES: usize = 64 * 1024;

/// What a broker keeps of a listener whose connections others bring.
#[derive(Debug)]
pub(crate) struct Attachable {
    name: Box<str>,
    policy: u16,
    web_socket: WebSocketSettings,
    handshake: Duration,
    /// Numbers its connections.
    count: AtomicUsize,
}

/// The listeners of these settings whose connections others bring.
pub(crate) fn attachable(settings: &Settings) -> Vec<Arc<Attachable>> {
    let of = |(policy, listener): (u16, &ListenerSettings)| {
        listener.attached.then(|| {
            Arc::new(Attachable {
                name: listener.name.clone(),
                policy,
                web_socket: listener.web_socket.clone(),
                handshake: Duration::from_secs(listener.handshake_timeout_secs.into()),
                count: AtomicUsize::new(0),
            })
        })
    };
    (0..).zip(&settings.listeners).filter_map(of).collect()
}

/// Makes clients of the broker out of requests that ask for a WebSocket. Clones bring them to the same listener.
#[derive(Clone, Debug)]
pub struct Attach {
    handle: BrokerHandle,
    listener: Arc<Attachable>,
}

/// Where a request comes from. A server that knows it puts it into the request's extensions; it is the client's address in
/// logs and rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerAddress(pub SocketAddr);

/// Why nothing can be attached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AttachError {
    /// No listener of that name was declared with [`ListenerSettings::attached`].
    NoSuchListener {
        /// The name.
        name: Box<str>,
        /// The names of those that were.
        declared: Vec<Box<str>>,
    },
    /// The broker has stopped.
    Gone,
}

impl BrokerHandle {
    /// A service that brings connections to a listener which was declared with [`ListenerSettings::attached`].
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn attach(&self, listener: &str) -> Result<Attach, AttachError> {
        let access = self.access().map_err(|BrokerGone| AttachError::Gone)?;
        let mut declared = access.attachable.iter();
        match declared.find(|declared| *declared.name == *listener) {
            Some(found) => Ok(Attach {
                handle: self.clone(),
                listener: Arc::clone(found),
            }),
            None => Err(AttachError::NoSuchListener {
                name: listener.into(),
                declared: access
                    .attachable
                    .iter()
                    .map(|declared| declared.name.clone())
                    .collect(),
            }),
        }
    }

    /// Brings a connection to a listener.
    fn bring(
        &self,
        listener: &Attachable,
        address: Option<SocketAddr>,
    ) -> Result<PipeEnd, BrokerGone> {
        let access = self.access()?;
        let number = listener.count.fetch_add(1, Ordering::Relaxed);
        let mailbox = &access.mailboxes[number % access.mailboxes.len()];
        if mailbox.is_closed() {
            return Err(BrokerGone);
        }
        let (near, far) = pipe(PIPE_BYTES);
        let layers: Vec<Box<dyn tidewire_net::Layer>> = vec![Box::new(WebSocketLayer::upgraded())];
        mailbox.post(Mail::Newcomer(Box::new(Accepted {
            transport: Transport::Layered(Box::new(Layered::new(Transport::Piped(near), layers))),
            policy: listener.policy,
            address: address
                .map_or_else(|| format!("attached:{number}"), |from| from.to_string())
                .into(),
            handshake: Some(listener.handshake),
        })));
        Ok(far)
    }
}

impl Attach {
    /// Answers a request; if it asks for a WebSocket and may have one, a task of this runtime moves its bytes from then on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn respond<B>(&self, request: &mut Request<B>) -> Response<Full<Bytes>> {
        let headers = request.headers().iter();
        let asked = UpgradeRequest {
            method: request.method().as_str(),
            headers: headers
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
                .collect(),
        };
        let accepted = match asked.answer(&self.listener.web_socket) {
            Ok(accepted) => accepted,
            Err(refused) => return answer(refused.status.0, refused.headers, &refused.text),
        };
        let address = request.extensions().get().map(|PeerAddress(from)| *from);
        let upgrade = hyper::upgrade::on(request);
        let (handle, listener) = (self.handle.clone(), Arc::clone(&self.listener));
        tokio::spawn(async move {
            // A client that is gone before its upgrade is nobody's loss.
            if let Ok(upgraded) = upgrade.await
                && let Ok(end) = handle.bring(&listener, address)
            {
                pump(hyper_util::rt::TokioIo::new(upgraded), end).await;
            }
        });
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Ok(accept) = HeaderValue::from_str(&accepted.accept) {
            headers.insert("sec-websocket-accept", accept);
        }
        let protocol = HeaderValue::from_static(accepted.protocol);
        headers.insert("sec-websocket-protocol", protocol);
        response
    }
}

impl<B> Service<Request<B>> for Attach {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(&mut request)))
    }
}

fn answer(
    status: u16,
    headers: &[(&'static str, &'static str)],
    text: &str,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    for &(name, value) in headers {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchListener { name, declared } if declared.is_empty() => write!(
                f,
                "no listener takes connections from an application's server; declare one with ListenerSettings::attached({name:?})"
            ),
            Self::NoSuchListener { name, declared } => write!(
                f,
                "no listener named {name:?} takes connections from an application's server; there are {}",
                declared.join(", ")
            ),
            Self::Gone => BrokerGone.fmt(f),
        }
    }
}

impl std::error::Error for AttachError {}
