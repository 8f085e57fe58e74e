//! A client and a breaker together.

use super::breaker::Breaker;
use super::client::{HttpClient, HttpError};
use hyper::body::Bytes;
use hyper::{Request, Response};
use std::sync::Arc;
use std::time::Instant;

/// A client for one server. No answer, a status of 500 or more and 429 count as failures of the server.
#[derive(Clone, Debug)]
pub struct Guarded {
    client: Arc<HttpClient>,
    breaker: Arc<Breaker>,
}

impl Guarded {
    /// The two together.
    #[must_use]
    pub fn new(client: Arc<HttpClient>, breaker: Arc<Breaker>) -> Self {
        Self { client, breaker }
    }

    /// The breaker.
    #[must_use]
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// Sends a request, unless the server is left alone now.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, HttpError> {
        let pass = self
            .breaker
            .pass(Instant::now())
            .ok_or(HttpError::LeftAlone)?;
        let answer = self.client.send(request).await;
        match &answer {
            Ok(response) if !is_failure(response) => pass.went_well(),
            Ok(_) | Err(_) => pass.failed(),
        }
        answer
    }
}

fn is_failure(response: &Response<Bytes>) -> bool {
    response.status().is_server_error() || response.status().as_u16() == 429
}
