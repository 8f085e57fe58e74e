//! `ring` as what checks the signatures of tokens: it is here for TLS already.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Error as Mismatch, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use ring::{hmac, signature as verify};

static PROVIDER: CryptoProvider = CryptoProvider {
    // Nobody signs tokens here.
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes it this process's provider, unless the application has chosen another.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

struct Check {
    algorithm: Algorithm,
    key: DecodingKey,
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if algorithm.family() != key.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(Check {
        algorithm: *algorithm,
        key: key.clone(),
    }))
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Mismatch> {
        let outcome = match self.algorithm {
            Algorithm::HS256 => self.hmac(hmac::HMAC_SHA256, message, signature),
            Algorithm::HS384 => self.hmac(hmac::HMAC_SHA384, message, signature),
            Algorithm::HS512 => self.hmac(hmac::HMAC_SHA512, message, signature),
            Algorithm::RS256 => self.rsa(&verify::RSA_PKCS1_2048_8192_SHA256, message, signature),
            Algorithm::RS384 => self.rsa(&verify::RSA_PKCS1_2048_8192_SHA384, message, signature),
            Algorithm::RS512 => self.rsa(&verify::RSA_PKCS1_2048_8192_SHA512, message, signature),
            Algorithm::PS256 => self.rsa(&verify::RSA_PSS_2048_8192_SHA256, message, signature),
            Algorithm::PS384 => self.rsa(&verify::RSA_PSS_2048_8192_SHA384, message, signature),
            Algorithm::PS512 => self.rsa(&verify::RSA_PSS_2048_8192_SHA512, message, signature),
            Algorithm::ES256 => self.plain(&verify::ECDSA_P256_SHA256_FIXED, message, signature),
            Algorithm::ES384 => self.plain(&verify::ECDSA_P384_SHA384_FIXED, message, signature),
            Algorithm::EdDSA => self.plain(&verify::ED25519, message, signature),
            _ => None,
        };
        outcome.ok_or_else(Mismatch::new)
    }
}

impl Check {
    fn hmac(&self, algorithm: hmac::Algorithm, message: &[u8], signature: &[u8]) -> Option<()> {
        let key = hmac::Key::new(algorithm, self.key.try_get_as_bytes().ok()?);
        hmac::verify(&key, message, signature).ok()
    }

    fn rsa(
        &self,
        algorithm: &'static verify::RsaParameters,
        message: &[u8],
        signature: &[u8],
    ) -> Option<()> {
        match self.key.kind() {
            DecodingKeyKind::SecretOrDer(_) => self.plain(algorithm, message, signature),
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                let key = verify::RsaPublicKeyComponents { n, e };
                key.verify(algorithm, message, signature).ok()
            }
        }
    }

    fn plain(
        &self,
        algorithm: &'static dyn verify::VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Option<()> {
        let key = self.key.try_get_as_bytes().ok()?;
        let key = verify::UnparsedPublicKey::new(algorithm, key);
        key.verify(message, signature).ok()
    }
}

/// The algorithm that goes with an EC key; `None` = its curve is not known.
pub(super) fn curve_of(key: &DecodingKey) -> Option<Algorithm> {
    if key.family() != AlgorithmFamily::Ec {
        return None;
    }
    // An uncompressed point: one byte and two coordinates.
    match key.try_get_as_bytes().ok()?.len() {
        65 => Some(Algorithm::ES256),
        97 => Some(Algorithm::ES384),
        _ => None,
    }
}
