//! The keys that tokens are signed with: a PEM public key, a secret, or a set of keys (JWKS).

use super::crypto;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey};
use std::fmt;
use std::path::Path;

/// The shortest secret that is taken: as long as the shortest digest that it makes \[RFC 7518 3.2\].
const SECRET_MIN_BYTES: usize = 32;

/// Keys, each with the algorithms that it may be used with. A key of one kind is never tried with an algorithm of another.
pub struct TokenKeys(Vec<Key>);

struct Key {
    id: Option<Box<str>>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// What is wrong with a file of keys.
#[derive(Debug)]
pub enum TokenKeyError {
    /// It cannot be read.
    Unreadable(std::io::Error),
    /// It begins like PEM, and is no public key of RSA, EC (P-256, P-384) or Ed25519.
    Pem,
    /// It begins like JSON, and is no set of keys.
    Set(Box<str>),
    /// The set has no key that tokens can be checked with.
    NoKey,
    /// A secret of so few bytes can be guessed.
    ShortSecret {
        /// How many there are.
        bytes: usize,
    },
}

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

impl TokenKeys {
    /// Reads a file; what is in it says of what kind it is.
    ///
    /// # Errors
    /// [`TokenKeyError`].
    pub fn load(path: &Path) -> Result<Self, TokenKeyError> {
        let bytes = std::fs::read(path).map_err(TokenKeyError::Unreadable)?;
        Self::parse(&bytes)
    }

    /// Reads the content of a file: JSON is a set, PEM a public key, anything else a secret (without a line's end behind it).
    ///
    /// # Errors
    /// [`TokenKeyError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TokenKeyError> {
        crypto::install();
        let text = bytes.trim_ascii_start();
        if text.starts_with(b"{") {
            return Self::parse_set(text);
        }
        if text.starts_with(b"-----BEGIN") {
            let key = pem(text).ok_or(TokenKeyError::Pem)?;
            return Ok(Self(vec![key]));
        }
        let secret = bytes.trim_ascii_end();
        if secret.len() < SECRET_MIN_BYTES {
            return Err(TokenKeyError::ShortSecret {
                bytes: secret.len(),
            });
        }
        Ok(Self(vec![Key {
            id: None,
            algorithms: HMAC.to_vec(),
            key: DecodingKey::from_secret(secret),
        }]))
    }

    /// Keys of kinds that are not known are left out: a set may be for others, too.
    fn parse_set(bytes: &[u8]) -> Result<Self, TokenKeyError> {
        let set: JwkSet = serde_json::from_slice(bytes)
            .map_err(|error| TokenKeyError::Set(error.to_string().into()))?;
        let keys: Vec<Key> = set.keys.iter().filter_map(from_set).collect();
        if keys.is_empty() {
            return Err(TokenKeyError::NoKey);
        }
        Ok(Self(keys))
    }

    /// The key for a token with this header.
    pub(super) fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&DecodingKey, String> {
        // A single key without a name serves tokens that name one, too.
        let named = |key: &&Key| match (&key.id, id) {
            (Some(own), Some(wanted)) => **own == *wanted,
            (Some(_), None) => self.0.len() == 1,
            (None, _) => true,
        };
        let mut keys = self.0.iter().filter(named).peekable();
        if keys.peek().is_none() {
            return Err("the token is signed with a key that is not known".to_owned());
        }
        keys.find(|key| key.algorithms.contains(&algorithm))
            .map(|key| &key.key)
            .ok_or_else(|| "the token is signed by another algorithm than the key's".to_owned())
    }
}

fn from_set(jwk: &jsonwebtoken::jwk::Jwk) -> Option<Key> {
    use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve};
    let kind: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => RSA,
        AlgorithmParameters::OctetKey(_) => HMAC,
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(_) => &[Algorithm::EdDSA],
        _ => return None,
    };
    let named = jwk
        .common
        .key_algorithm
        .map(|algorithm| algorithm.to_string());
    let named = named.and_then(|name| name.parse::<Algorithm>().ok());
    let algorithms = match named {
        Some(one) if kind.contains(&one) => vec![one],
        Some(_) => return None,
        None => kind.to_vec(),
    };
    Some(Key {
        id: jwk.common.key_id.as_deref().map(Into::into),
        algorithms,
        key: DecodingKey::from_jwk(jwk).ok()?,
    })
}

fn pem(text: &[u8]) -> Option<Key> {
    let key = |key, algorithms: &[Algorithm]| Key {
        id: None,
        algorithms: algorithms.to_vec(),
        key,
    };
    if let Ok(rsa) = DecodingKey::from_rsa_pem(text) {
        return Some(key(rsa, RSA));
    }
    if let Ok(ec) = DecodingKey::from_ec_pem(text) {
        let algorithm = crypto::curve_of(&ec)?;
        return Some(key(ec, &[algorithm]));
    }
    let ed = DecodingKey::from_ed_pem(text).ok()?;
    Some(key(ed, &[Algorithm::EdDSA]))
}

/// A sentence for whoever puts the file's name before it.
impl fmt::Display for TokenKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, " cannot be read: {error}"),
            Self::Pem => f.write_str(" this PEM is no public key of RSA, EC (P-256, P-384) or Ed25519\n  help: `openssl pkey -in KEY -pubout` writes one"),
            Self::Set(error) => write!(f, " this JSON is no set of keys (JWKS): {error}"),
            Self::NoKey => f.write_str(" the set has no key that tokens can be checked with (RSA, EC P-256 or P-384, Ed25519, oct)"),
            Self::ShortSecret { bytes } => write!(
                f,
                " a secret of {bytes} bytes can be guessed; it must have {SECRET_MIN_BYTES} or more\n  help: `openssl rand -hex 32` makes one"
            ),
        }
    }
}

impl std::error::Error for TokenKeyError {}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenKeys").field(&self.0.len()).finish()
    }
}
