//! The short-lived signed token that says who calls: a JWT, EdDSA, audience checked.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use cs_core::{Caller, Role, Subject, TenantId, Trace};
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// Accepted difference between two clocks, seconds.
const LEEWAY_SECONDS: u64 = 5;

/// A signing key could not be read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a PKCS#8 Ed25519 key.
    #[error(
        "the internal signing key is not a PKCS#8 PEM Ed25519 key; `openssl genpkey -algorithm ed25519` makes one"
    )]
    Malformed,
}

/// A token was refused. The reason is logged, never sent.
#[derive(Debug, thiserror::Error)]
#[error("caller token refused: {0}")]
pub struct TokenError(String);

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: Vec<String>,
    sub: String,
    exp: i64,
    iat: i64,
    tenant: TenantId,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    roles: BTreeSet<Role>,
}

/// The key that signs caller tokens.
#[derive(Clone)]
pub struct SigningKey {
    encoding: EncodingKey,
    public: Vec<u8>,
    pem: std::sync::Arc<str>,
}

impl SigningKey {
    /// A new random key.
    pub fn generate() -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_bytes(&rand::random());
        Self::from_key(&key)
    }

    /// Reads a PKCS#8 PEM.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map_err(|_| KeyError::Malformed)?;
        Self::from_key(&key)
    }

    fn from_key(key: &ed25519_dalek::SigningKey) -> Result<Self, KeyError> {
        let der = key.to_pkcs8_der().map_err(|_| KeyError::Malformed)?;
        let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Malformed)?;
        Ok(Self {
            encoding: EncodingKey::from_ed_der(der.as_bytes()),
            public: key.verifying_key().to_bytes().to_vec(),
            pem: pem.as_str().into(),
        })
    }

    /// As PKCS#8 PEM, to be kept in a file only its owner reads.
    pub fn to_pem(&self) -> &str {
        &self.pem
    }

    /// The verifier of this key's tokens, for one service.
    pub fn verifier(&self, audience: &str) -> Verifier {
        self.verifier_of(&[audience])
    }

    /// Verifies tokens for any of `audiences`: of a service that several roles of one process share.
    pub fn verifier_of(&self, audiences: &[&str]) -> Verifier {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(audiences);
        validation.set_required_spec_claims(&["exp", "aud", "sub", "iss"]);
        validation.leeway = LEEWAY_SECONDS;
        Verifier { key: DecodingKey::from_ed_der(&self.public), validation }
    }

    /// A token for `caller`, good for `life` at each of `audience`.
    pub fn sign(
        &self,
        issuer: &str,
        audience: &[&str],
        caller: &Caller,
        now: DateTime<Utc>,
        life: TimeDelta,
    ) -> Result<String, TokenError> {
        let claims = Claims {
            iss: issuer.to_owned(),
            aud: audience.iter().map(|a| (*a).to_owned()).collect(),
            sub: caller.subject.to_string(),
            exp: (now + life).timestamp(),
            iat: now.timestamp(),
            tenant: caller.tenant,
            roles: caller.roles.clone(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.encoding)
            .map_err(|e| TokenError(e.to_string()))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

/// Checks tokens made for one service.
#[derive(Clone)]
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    /// Who a token speaks for.
    pub fn verify(&self, token: &str, request_id: String, trace: Trace) -> Result<Caller, TokenError> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|e| TokenError(e.to_string()))?
            .claims;
        let subject: Subject = claims.sub.parse().map_err(|_| TokenError("malformed subject".to_owned()))?;
        // A person's token is made by the edge alone; a role can speak only for itself.
        if let Subject::Service(role) = &subject
            && *role != claims.iss
        {
            return Err(TokenError(format!("{} cannot speak for service:{role}", claims.iss)));
        }
        Ok(Caller { tenant: claims.tenant, subject, roles: claims.roles, request_id, trace })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cs_core::{Clock, Ids, SystemClock};

    fn caller() -> Caller {
        Caller {
            tenant: Ids::at(SystemClock.now()),
            subject: Subject::User(Ids::at(SystemClock.now())),
            roles: [Role::Reviewer].into(),
            request_id: "r".into(),
            trace: Trace::start(),
        }
    }

    fn sign(key: &SigningKey, caller: &Caller, life: i64) -> String {
        key.sign("bff", &["meetings"], caller, SystemClock.now(), TimeDelta::seconds(life)).unwrap()
    }

    #[test]
    fn only_a_fresh_token_of_our_key_for_this_service_is_taken() {
        let (key, caller) = (SigningKey::generate().unwrap(), caller());
        let token = sign(&key, &caller, 60);
        let verify = |key: &SigningKey, audience: &str, token: &str| {
            key.verifier(audience).verify(token, "r".into(), caller.trace)
        };
        assert_eq!(verify(&key, "meetings", &token).unwrap(), caller);
        assert!(verify(&key, "search", &token).is_err(), "another audience");
        assert!(verify(&SigningKey::generate().unwrap(), "meetings", &token).is_err(), "another key");
        assert!(verify(&key, "meetings", &sign(&key, &caller, -60)).is_err(), "expired");
        let mut tampered = token.clone();
        tampered.replace_range(40..41, if &token[40..41] == "A" { "B" } else { "A" });
        assert!(verify(&key, "meetings", &tampered).is_err(), "tampered");
        assert!(
            verify(&SigningKey::from_pem(key.to_pem()).unwrap(), "meetings", &token).is_ok(),
            "kept in a file"
        );
    }

    #[test]
    fn a_role_speaks_only_for_itself() {
        let key = SigningKey::generate().unwrap();
        let service = Caller::service("summaries", caller().tenant, Trace::start());
        let token = sign(&key, &service, 60);
        assert!(key.verifier("meetings").verify(&token, String::new(), service.trace).is_err());
    }
}
