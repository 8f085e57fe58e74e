//! JSON Web Tokens: a client shows one in place of its password.

mod crypto;
mod keys;
mod rules;

pub use keys::{TokenKeyError, TokenKeys};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode_header, get_current_timestamp};
use rules::TokenRules;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;
use tidewire_codec::ReasonCode;
use tidewire_handler::{
    Authenticate, Authentication, AuthorizePublish, AuthorizeSubscribe, Client, Decide, Denial,
    Verdict, handler,
};

/// What a token must say, and what its claims are called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenSettings {
    /// The claim that is the user: the principal.
    pub user_claim: Box<str>,
    /// The claim that the client id must be equal to; `None` = any client id.
    pub client_id_claim: Option<Box<str>>,
    /// The claim with what the client may do: `{"publish": ["a/#"], "subscribe": ["b/+"]}`. `None` = tokens say nothing of it.
    pub rules_claim: Option<Box<str>>,
    /// `iss` must be one of these; empty = any.
    pub issuers: Vec<Box<str>>,
    /// `aud` must have one of these; empty = any.
    pub audiences: Vec<Box<str>>,
    /// By how much clocks may differ, in seconds.
    pub leeway_secs: u32,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            user_claim: "sub".into(),
            client_id_claim: None,
            rules_claim: None,
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway_secs: 30,
        }
    }
}

/// Lets in who shows a token that somebody with one of the keys has signed; a claim of it is the principal.
///
/// The token stands where passwords stand. What does not look like one is left to other handlers. A token without `exp` is
/// refused, and a client is disconnected (0xA0) when its token's time is over.
pub struct TokenAuthenticator {
    keys: TokenKeys,
    settings: TokenSettings,
}

/// What was found in a token that counts.
struct Found {
    user: Arc<str>,
    valid_secs: u64,
    rules: Option<TokenRules>,
}

impl TokenAuthenticator {
    /// An authenticator with these keys.
    #[must_use]
    pub fn new(keys: TokenKeys, settings: TokenSettings) -> Self {
        Self { keys, settings }
    }

    /// What the token says, or why it does not count.
    fn read(&self, token: &str, client_id: &str) -> Result<Found, String> {
        let header = decode_header(token).map_err(|error| said(error.kind()))?;
        let key = self.keys.find(header.kid.as_deref(), header.alg)?;
        let claims =
            jsonwebtoken::decode::<Map<String, Value>>(token, key, &self.validation(header.alg));
        let claims = claims.map_err(|error| said(error.kind()))?.claims;
        self.check(&claims, client_id)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let TokenSettings {
            issuers,
            audiences,
            leeway_secs,
            ..
        } = &self.settings;
        let mut validation = Validation::new(algorithm);
        validation.leeway = (*leeway_secs).into();
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if issuers.is_empty() {
            validation.iss = None;
        } else {
            validation.set_issuer(issuers);
            required.push("iss");
        }
        if audiences.is_empty() {
            validation.validate_aud = false;
        } else {
            validation.set_audience(audiences);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    fn check(&self, claims: &Map<String, Value>, client_id: &str) -> Result<Found, String> {
        let TokenSettings {
            user_claim,
            client_id_claim,
            rules_claim,
            leeway_secs,
            ..
        } = &self.settings;
        let text = |claim: &str| {
            claims
                .get(claim)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let user = text(user_claim).ok_or_else(|| format!("the token has no `{user_claim}`"))?;
        if let Some(claim) = client_id_claim
            && text(claim) != Some(client_id)
        {
            return Err(format!("the token is not for this client id (`{claim}`)"));
        }
        let rules = match rules_claim
            .as_ref()
            .map(|claim| (claim, claims.get(&**claim)))
        {
            None => None,
            Some((_, None)) => Some(TokenRules::default()),
            Some((claim, Some(rules))) => {
                let rules = TokenRules::read(rules);
                Some(rules.map_err(|error| format!("the token's `{claim}`: {error}"))?)
            }
        };
        let expires = claims
            .get("exp")
            .and_then(Value::as_f64)
            .unwrap_or_default();
        Ok(Found {
            user: user.into(),
            valid_secs: remaining_secs(expires, get_current_timestamp(), (*leeway_secs).into()),
            rules,
        })
    }
}

/// How long a token that ends at `expires` holds on.
fn remaining_secs(expires: f64, now: u64, leeway_secs: u64) -> u64 {
    // A conversion from a float keeps within the bounds of the integer.
    (expires as u64)
        .saturating_add(leeway_secs)
        .saturating_sub(now)
}

/// Three parts, the first of which begins like a JSON object in base64.
fn looks_like_token(password: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(password).ok()?;
    (text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2)
        .then_some(text)
}

/// For the client and the log: what is wrong with its token, and nothing of what is in it.
fn said(error: &ErrorKind) -> String {
    match error {
        ErrorKind::ExpiredSignature => "the token has expired".to_owned(),
        ErrorKind::ImmatureSignature => "the token is not valid yet".to_owned(),
        ErrorKind::InvalidIssuer => "the token comes from another issuer".to_owned(),
        ErrorKind::InvalidAudience => "the token is for another audience".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("the token has no `{claim}`"),
        ErrorKind::InvalidSignature => "the token is not signed with the key".to_owned(),
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => {
            "the token is signed by another algorithm than the key's".to_owned()
        }
        _ => "this is no token".to_owned(),
    }
}

handler! {
    impl Handler for TokenAuthenticator {
        fn authenticate(&self, client: &Client, ask: &Authenticate<'_>) -> Decide<Authentication> {
            let token = ask.password.as_deref().and_then(looks_like_token);
            let Some(token) = token.filter(|_| ask.method.is_none()) else {
                return Decide::go_on();
            };
            match self.read(token, &ask.client_id) {
                Ok(Found { user, valid_secs, rules }) => {
                    if let Some(rules) = rules {
                        client.set(rules);
                    }
                    Decide::stop_with(Authentication::Accepted {
                        principal: Some(user),
                        data: None,
                        valid_secs: Some(valid_secs),
                    })
                }
                Err(text) => Verdict::Deny(Denial::new(ReasonCode::BadUserNameOrPassword, &text)).into(),
            }
        }

        fn authorize_publish(&self, client: &Client, ask: &AuthorizePublish<'_>) -> Decide<()> {
            let rules = client.get::<TokenRules>();
            rules.map_or_else(Decide::go_on, |rules| rules.judge_publish(&ask.topic))
        }

        fn authorize_subscribe(&self, client: &Client, ask: &AuthorizeSubscribe<'_>) -> Decide<()> {
            let rules = client.get::<TokenRules>();
            rules.map_or_else(Decide::go_on, |rules| rules.judge_subscribe(&ask.filter))
        }
    }
}

impl fmt::Debug for TokenAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAuthenticator")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
