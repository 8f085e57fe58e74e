//! HTTP to somebody else's server, for handlers that ask one: bounded in time, size and number, and quick to give up on a
//! server that is down.
//!
//! [`HttpClient`] sends a request under a deadline. [`Breaker`] keeps requests from a server that does not answer, [`Guarded`] is
//! the two together, and [`Cache`] remembers answers for a while. Nothing here follows redirects or reads proxies from the
//! environment: a request goes where the configuration says, or nowhere.

mod breaker;
mod cache;
mod client;
mod guarded;
mod trust;

pub use breaker::{Breaker, Pass};
pub use cache::Cache;
pub use client::{HttpClient, HttpError, HttpLimits, url};
pub use guarded::Guarded;
pub use hyper::body::Bytes;
pub use hyper::{Method, Request, Response, StatusCode, Uri, header};
pub use trust::TrustError;
