//! One request, bounded in every way.

use super::trust::{self, TrustError};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// A connection without a request is kept so long.
const IDLE: Duration = Duration::from_secs(30);

/// Bounds of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpLimits {
    /// From the call to the last byte of the answer, name resolution, TLS and waiting for a place included.
    pub deadline: Duration,
    /// Bytes of an answer's body.
    pub body_max_bytes: usize,
    /// Requests under way at a time; further ones wait within their deadline.
    pub requests_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(2),
            body_max_bytes: 64 << 10,
            requests_max: 64,
        }
    }
}

/// A client with connections that are kept and used again. It needs a tokio runtime around its calls.
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    places: Semaphore,
    limits: HttpLimits,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HttpError {
    /// No connection: the name is unknown, nobody listens, a certificate is not believed.
    Unreachable(Box<str>),
    /// A connection, but no whole answer.
    Broken(Box<str>),
    /// No whole answer within the deadline.
    Late(Duration),
    /// An answer larger than this many bytes.
    TooLarge(usize),
    /// Not tried: the server has failed before, and is left alone for a while.
    LeftAlone,
}

/// A URL that a client can call: `http://` or `https://`, with a host, and without a password in it.
///
/// # Errors
/// A sentence about what is wrong.
pub fn url(text: &str) -> Result<Uri, String> {
    let uri: Uri = text
        .parse()
        .map_err(|error| format!("`{text}` is not a URL: {error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(format!("`{text}` must begin with `http://` or `https://`"));
    }
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => Err(
            "a user name and password do not belong into a URL: logs would show them".to_owned(),
        ),
        Some(authority) if !authority.host().is_empty() => Ok(uri),
        _ => Err(format!("`{text}` names no host")),
    }
}

impl HttpClient {
    /// A client that believes the certificate authorities in the PEM file `ca_file`, or else those of the system.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn new(limits: HttpLimits, ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let mut sockets = HttpConnector::new();
        sockets.enforce_http(false);
        sockets.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trust::config(ca_file)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(sockets);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self {
            client,
            places: Semaphore::new(limits.requests_max),
            limits,
        })
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> &HttpLimits {
        &self.limits
    }

    /// Sends a request. Any status is an answer.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, HttpError> {
        let deadline = self.limits.deadline;
        match timeout(deadline, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::Late(deadline)),
        }
    }

    async fn exchange(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, HttpError> {
        // The semaphore is never closed; if it were, one request too many would be the least of it.
        let _place = self.places.acquire().await;
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let answer = self.client.request(request).await.map_err(|error| {
            let says = innermost(&error).into();
            if error.is_connect() {
                HttpError::Unreachable(says)
            } else {
                HttpError::Broken(says)
            }
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, self.limits.body_max_bytes).collect();
        let body = body.await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                HttpError::TooLarge(self.limits.body_max_bytes)
            } else {
                HttpError::Broken(innermost(&*error).into())
            }
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// What the last in a chain of errors says: those before say "error" in other words.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(says) => write!(f, "no connection: {says}"),
            Self::Broken(says) => write!(f, "no whole answer: {says}"),
            Self::Late(deadline) => {
                write!(f, "no answer within {} ms", deadline.as_millis())
            }
            Self::TooLarge(bytes) => write!(f, "an answer of more than {bytes} bytes"),
            Self::LeftAlone => {
                f.write_str("not asked: the server failed before and is left alone for a while")
            }
        }
    }
}

impl Error for HttpError {}

#[cfg(test)]
mod tests {
    use super::url;

    #[test]
    fn a_url_is_checked_before_it_is_called() {
        assert!(url("http://127.0.0.1:8080/hook?x=1").is_ok());
        assert!(url("https://[::1]/").is_ok());
        for (text, says) in [
            ("ftp://host/", "must begin with"),
            ("/hook", "must begin with"),
            ("https://user:secret@host/", "do not belong into a URL"),
            ("http://host name/", "is not a URL"),
        ] {
            let error = url(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
