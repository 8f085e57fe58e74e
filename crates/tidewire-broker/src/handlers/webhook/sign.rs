//! The signature on a request.

use crate::http_client::{Request, Uri, header};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Makes requests of bodies, signed if there is a secret.
#[derive(Clone)]
pub(super) struct Seal {
    url: Uri,
    key: Option<Arc<Hmac<Sha256>>>,
}

impl Seal {
    pub(super) fn new(url: Uri, secret: Option<&[u8]>) -> Self {
        // HMAC takes keys of any length.
        let key = secret.and_then(|secret| Hmac::new_from_slice(secret).ok());
        Self {
            url,
            key: key.map(Arc::new),
        }
    }

    /// A request with this body. `delivery` names it when it may be sent twice.
    pub(super) fn request(&self, body: &str, delivery: Option<&str>) -> Request<Vec<u8>> {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut request = Request::new(body.as_bytes().to_vec());
        *request.method_mut() = crate::http_client::Method::POST;
        *request.uri_mut() = self.url.clone();
        let mut set = |name: &'static str, text: String| {
            if let Ok(value) = header::HeaderValue::from_str(&text) {
                request.headers_mut().insert(name, value);
            }
        };
        set("content-type", "application/json".to_owned());
        set(
            "user-agent",
            concat!("tidewire/", env!("CARGO_PKG_VERSION")).to_owned(),
        );
        if let Some(delivery) = delivery {
            set("x-tidewire-delivery", delivery.to_owned());
        }
        if let Some(key) = &self.key {
            set("x-tidewire-timestamp", seconds.to_string());
            set("x-tidewire-signature", signature(key, seconds, body));
        }
        request
    }
}

fn signature(key: &Hmac<Sha256>, seconds: u64, body: &str) -> String {
    let mut mac = key.clone();
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let mut text = "v1=".to_owned();
    for byte in mac.finalize().into_bytes() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::signature;
    use hmac::{Hmac, KeyInit};

    /// What `printf '1700000000.{}' | openssl dgst -sha256 -hmac secret` prints.
    #[test]
    fn a_signature_is_what_other_programs_compute() {
        let key = Hmac::new_from_slice(b"secret").unwrap();
        assert_eq!(
            signature(&key, 1_700_000_000, "{}"),
            "v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
        );
    }
}
