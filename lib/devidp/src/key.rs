//! The RSA key behind RS256, the one algorithm that every client accepts.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs1v15::SigningKey as Pkcs1v15;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding, Signer};
use rsa::traits::PublicKeyParts;
use rsa::{RsaPrivateKey, rand_core::OsRng};
use serde_json::{Value, json};

const BITS: usize = 2048;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key could not be made.
    #[error("could not make a signing key: {0}")]
    Generate(#[from] rsa::Error),
    /// The kept key cannot be read.
    #[error("the kept signing key is not a PKCS#8 PEM: delete it, and a new one is made ({0})")]
    Pem(#[from] rsa::pkcs8::Error),
}

/// Signs id tokens.
#[derive(Clone)]
pub struct SigningKey {
    private: RsaPrivateKey,
    id: String,
}

impl SigningKey {
    /// A new key of 2,048 bits.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self::new(RsaPrivateKey::new(&mut OsRng, BITS)?))
    }

    /// A key that was kept.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Ok(Self::new(RsaPrivateKey::from_pkcs8_pem(pem)?))
    }

    /// For keeping; PKCS#8.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        Ok(self.private.to_pkcs8_pem(LineEnding::LF)?.to_string())
    }

    fn new(private: RsaPrivateKey) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, &private.n().to_bytes_be());
        Self { private, id: URL_SAFE_NO_PAD.encode(&digest.as_ref()[..12]) }
    }

    /// The key set of RFC 7517.
    pub fn jwks(&self) -> Value {
        json!({"keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id,
            "n": URL_SAFE_NO_PAD.encode(self.private.n().to_bytes_be()),
            "e": URL_SAFE_NO_PAD.encode(self.private.e().to_bytes_be()),
        }]})
    }

    /// A signed JWT (RFC 7515 compact serialisation).
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"alg": "RS256", "typ": "JWT", "kid": self.id}), claims)
    }

    /// The same under any header, true or not: for tests of those who have to tell.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = Pkcs1v15::<Sha256>::new(self.private.clone()).sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// The claims of a token of ours, expired or not: a hint at sign-out may be old.
    pub(crate) fn open(&self, token: &str) -> Option<Value> {
        use rsa::signature::Verifier;
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let signature = rsa::pkcs1v15::Signature::try_from(signature.as_slice()).ok()?;
        rsa::pkcs1v15::VerifyingKey::<Sha256>::new(self.private.to_public_key())
            .verify(signed.as_bytes(), &signature)
            .ok()?;
        let (_, claims) = signed.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}
