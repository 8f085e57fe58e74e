use super::{TokenAuthenticator, TokenKeyError, TokenKeys, TokenSettings, get_current_timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::{Value, json};

const SECRET: &[u8] = b"a secret of more than 32 bytes, in a file";

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn by_secret(claims: &Value) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    token(&json!({ "alg": "HS256" }), claims, |bytes| {
        hmac::sign(&key, bytes).as_ref().to_vec()
    })
}

fn in_an_hour() -> u64 {
    get_current_timestamp() + 3600
}

fn with_secret(settings: TokenSettings) -> TokenAuthenticator {
    TokenAuthenticator::new(TokenKeys::parse(SECRET).unwrap(), settings)
}

/// The user, or what is wrong.
fn verdict(authenticator: &TokenAuthenticator, token: &str) -> Result<String, String> {
    authenticator
        .read(token, "c")
        .map(|found| found.user.to_string())
}

/// SubjectPublicKeyInfo as PEM: `head` is what stands before the key of the kind.
fn pem(head: &[u8], key: &[u8]) -> String {
    let der = STANDARD.encode([head, key].concat());
    format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n")
}

/// SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING } up to the point.
const P256_HEAD: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A,
    0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// SEQUENCE { SEQUENCE { id-Ed25519 }, BIT STRING } up to the key.
const ED25519_HEAD: &[u8] = &[
    0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00,
];

fn ec() -> (EcdsaKeyPair, SystemRandom) {
    let random = SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random);
    (key.unwrap(), random)
}

#[test]
fn a_token_of_each_kind_of_key_is_checked() {
    let claims = json!({ "sub": "alice", "exp": in_an_hour() });
    let secret = with_secret(TokenSettings::default());
    assert_eq!(
        verdict(&secret, &by_secret(&claims)).as_deref(),
        Ok("alice")
    );

    let (key, random) = ec();
    let signed = token(&json!({ "alg": "ES256" }), &claims, |bytes| {
        key.sign(&random, bytes).unwrap().as_ref().to_vec()
    });
    let public = pem(P256_HEAD, key.public_key().as_ref());
    let keys = TokenKeys::parse(public.as_bytes()).unwrap();
    let es = TokenAuthenticator::new(keys, TokenSettings::default());
    assert_eq!(verdict(&es, &signed).as_deref(), Ok("alice"));

    let made = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let key = Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap();
    let ed_signed = token(&json!({ "alg": "EdDSA" }), &claims, |bytes| {
        key.sign(bytes).as_ref().to_vec()
    });
    let public = pem(ED25519_HEAD, key.public_key().as_ref());
    let keys = TokenKeys::parse(public.as_bytes()).unwrap();
    let ed = TokenAuthenticator::new(keys, TokenSettings::default());
    assert_eq!(verdict(&ed, &ed_signed).as_deref(), Ok("alice"));

    // A key is good for its own algorithm only.
    for (authenticator, other) in [(&secret, &signed), (&es, &ed_signed), (&ed, &signed)] {
        let wrong = "the token is signed by another algorithm than the key's";
        assert_eq!(verdict(authenticator, other).unwrap_err(), wrong);
    }
    // A public key is no secret: whoever has it could sign with it.
    let hmac_with_public = hmac::Key::new(hmac::HMAC_SHA256, public.as_bytes());
    let forged = token(&json!({ "alg": "HS256" }), &claims, |bytes| {
        hmac::sign(&hmac_with_public, bytes).as_ref().to_vec()
    });
    assert!(verdict(&ed, &forged).is_err());
    let unsigned = token(&json!({ "alg": "none" }), &claims, |_| Vec::new());
    assert!(verdict(&secret, &unsigned).is_err());
}

#[test]
fn every_claim_that_is_asked_for_counts() {
    let now = get_current_timestamp();
    let authenticator = with_secret(TokenSettings {
        client_id_claim: Some("client".into()),
        issuers: vec!["works".into()],
        audiences: vec!["mqtt".into()],
        ..TokenSettings::default()
    });
    let good = json!({ "sub": "alice", "exp": in_an_hour(), "client": "c", "iss": "works", "aud": ["mqtt", "x"] });
    assert_eq!(
        verdict(&authenticator, &by_secret(&good)).as_deref(),
        Ok("alice")
    );
    // (claim, its value; null = left out, what is wrong)
    let table = [
        ("exp", json!(now - 31), "the token has expired"),
        ("exp", Value::Null, "the token has no `exp`"),
        ("nbf", json!(now + 100), "the token is not valid yet"),
        ("iss", json!("other"), "the token comes from another issuer"),
        ("iss", Value::Null, "the token has no `iss`"),
        ("aud", json!("other"), "the token is for another audience"),
        ("aud", Value::Null, "the token has no `aud`"),
        ("sub", json!(7), "the token has no `sub`"),
        ("sub", json!(""), "the token has no `sub`"),
        (
            "client",
            json!("d"),
            "the token is not for this client id (`client`)",
        ),
        (
            "client",
            Value::Null,
            "the token is not for this client id (`client`)",
        ),
    ];
    for (claim, value, wrong) in table {
        let mut claims = good.clone();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
            value => claims[claim] = value,
        }
        assert_eq!(
            verdict(&authenticator, &by_secret(&claims)).unwrap_err(),
            wrong,
            "{claims}"
        );
    }
    let mut altered = by_secret(&good);
    altered.pop();
    assert!(verdict(&authenticator, &altered).is_err());
}

#[test]
fn a_token_holds_until_its_end_and_the_leeway() {
    let authenticator = with_secret(TokenSettings::default());
    let claims = json!({ "sub": "alice", "exp": get_current_timestamp() + 100 });
    let valid_secs = authenticator
        .read(&by_secret(&claims), "c")
        .unwrap()
        .valid_secs;
    assert!((128..=130).contains(&valid_secs), "{valid_secs}");
    for (expires, now, secs) in [
        (100.9, 90, 40),
        (100.0, 131, 0),
        (1e300, 0, u64::MAX),
        (-1.0, 0, 30),
    ] {
        assert_eq!(super::remaining_secs(expires, now, 30), secs);
    }
}

#[test]
fn rules_in_a_token_are_read_or_it_does_not_count() {
    let authenticator = with_secret(TokenSettings {
        rules_claim: Some("acl".into()),
        ..TokenSettings::default()
    });
    let rules = |acl: Value| {
        let claims = json!({ "sub": "a", "exp": in_an_hour(), "acl": acl });
        authenticator
            .read(&by_secret(&claims), "c")
            .map(|found| found.rules)
    };
    assert!(
        rules(json!({ "publish": ["a/#"], "subscribe": [] }))
            .unwrap()
            .is_some()
    );
    for wrong in [
        json!([]),
        json!({ "publsh": [] }),
        json!({ "publish": ["a/#/b"] }),
        json!({ "publish": "a" }),
    ] {
        assert!(rules(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn a_set_of_keys_is_searched_by_name() {
    let (key, random) = ec();
    let point = key.public_key().as_ref();
    let (x, y) = (&point[1..33], &point[33..]);
    let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let set = json!({ "keys": [
        { "kty": "oct", "kid": "old", "k": URL_SAFE_NO_PAD.encode(SECRET), "alg": "HS256" },
        { "kty": "EC", "crv": "P-256", "kid": "new", "x": coordinate(x), "y": coordinate(y) },
    ] });
    let keys = TokenKeys::parse(set.to_string().as_bytes()).unwrap();
    let authenticator = TokenAuthenticator::new(keys, TokenSettings::default());
    let claims = json!({ "sub": "alice", "exp": in_an_hour() });
    let signed = |kid: &str| {
        token(&json!({ "alg": "ES256", "kid": kid }), &claims, |bytes| {
            key.sign(&random, bytes).unwrap().as_ref().to_vec()
        })
    };
    assert_eq!(
        verdict(&authenticator, &signed("new")).as_deref(),
        Ok("alice")
    );
    assert!(verdict(&authenticator, &signed("old")).is_err());
    let unknown = "the token is signed with a key that is not known";
    assert_eq!(
        verdict(&authenticator, &signed("other")).unwrap_err(),
        unknown
    );
}

#[test]
fn faulty_keys_are_refused() {
    let parse = |bytes: &[u8]| TokenKeys::parse(bytes).unwrap_err();
    assert!(matches!(
        parse(b"short"),
        TokenKeyError::ShortSecret { bytes: 5 }
    ));
    assert!(matches!(
        parse(b"-----BEGIN PUBLIC KEY-----\n"),
        TokenKeyError::Pem
    ));
    assert!(matches!(parse(b"{\"keys\": 1}"), TokenKeyError::Set(_)));
    assert!(matches!(parse(b"{\"keys\": []}"), TokenKeyError::NoKey));
}
