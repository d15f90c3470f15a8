//! Logout tokens, to the letter of OpenID Connect Back-Channel Logout 1.0 §2.4 and §2.6.
//!
//! Reading is apart from believing: [`read`] takes a text apart, [`Unverified::check`] looks at everything but the
//! signature, which the provider's keys decide.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::provider::SKEW;

/// Longest token taken, bytes.
const LONGEST: usize = 8 * 1024;
/// How long a logout token may be good for (§2.4), and how old it may be.
const LIVES: TimeDelta = TimeDelta::minutes(2);
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What is wrong with a logout token. For the log: its sender is told that it is invalid, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("it is not a signed JWT")]
    Malformed,
    #[error("its type is another")]
    Type,
    #[error("it needs extensions that are not understood")]
    Critical,
    #[error("it names another issuer")]
    Issuer,
    #[error("it is meant for another client")]
    Audience,
    #[error("its times are missing, past, or too far ahead")]
    Times,
    #[error("it is not of a logout event")]
    Event,
    #[error("it names neither a person nor a sign-in")]
    Nobody,
    #[error("it has a nonce")]
    Nonce,
    #[error("it has no name of its own")]
    NoJti,
    #[error("it was used before")]
    Replayed,
    #[error("its signature is not the provider's")]
    Signature,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
}

/// A token taken apart.
pub(crate) struct Unverified<'t> {
    header: Header,
    claims: Map<String, Value>,
    signed: &'t str,
    signature: Vec<u8>,
}

/// What a token that may be believed asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogoutToken {
    pub(crate) sub: Option<String>,
    pub(crate) sid: Option<String>,
    pub(crate) jti: String,
    pub(crate) expires: DateTime<Utc>,
}

/// Takes a compact JWS apart.
pub(crate) fn read(token: &str) -> Result<Unverified<'_>, Wrong> {
    if token.len() > LONGEST {
        return Err(Wrong::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Wrong::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Wrong::Malformed)?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Wrong::Malformed);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Wrong::Malformed)?;
    let claims: Map<String, Value> =
        serde_json::from_slice(&decode(claims)?).map_err(|_| Wrong::Malformed)?;
    Ok(Unverified { header, claims, signed, signature: decode(signature)? })
}

impl Unverified<'_> {
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    pub(crate) fn algorithm(&self) -> &str {
        &self.header.alg
    }

    pub(crate) fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// What was signed, and the signature.
    pub(crate) fn signature(&self) -> (&[u8], &[u8]) {
        (self.signed.as_bytes(), &self.signature)
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    fn time(&self, claim: &str) -> Result<DateTime<Utc>, Wrong> {
        let seconds = self.claims.get(claim).and_then(Value::as_f64).ok_or(Wrong::Times)?;
        // Beyond what a date can be, the cast saturates and the date is refused.
        #[expect(clippy::cast_possible_truncation, reason = "see above")]
        DateTime::from_timestamp(seconds as i64, 0).ok_or(Wrong::Times)
    }

    /// Everything but the signature.
    pub(crate) fn check(&self, issuer: &str, client: &str, now: DateTime<Utc>) -> Result<LogoutToken, Wrong> {
        if self.header.crit.is_some() || self.header.b64.is_some() {
            return Err(Wrong::Critical);
        }
        // Keycloak says JWT and older providers nothing; no other kind of token is taken for this one (RFC 8725 §3.11).
        let kind = self.header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        if !matches!(kind.trim_start_matches("application/"), "logout+jwt" | "jwt") {
            return Err(Wrong::Type);
        }
        if self.issuer() != Some(issuer) {
            return Err(Wrong::Issuer);
        }
        let is_ours = match self.claims.get("aud") {
            Some(Value::String(aud)) => aud == client,
            Some(Value::Array(auds)) => auds.iter().any(|aud| aud.as_str() == Some(client)),
            _ => false,
        };
        if !is_ours {
            return Err(Wrong::Audience);
        }
        let (issued, expires) = (self.time("iat")?, self.time("exp")?);
        let fits = issued <= now + SKEW
            && issued >= now - LIVES - SKEW
            && expires > now - SKEW
            && expires <= now + LIVES + SKEW;
        if !fits {
            return Err(Wrong::Times);
        }
        let event = self.claims.get("events").and_then(|events| events.get(EVENT));
        if !event.is_some_and(Value::is_object) {
            return Err(Wrong::Event);
        }
        if self.claims.contains_key("nonce") {
            return Err(Wrong::Nonce);
        }
        for claim in ["sub", "sid"] {
            if self.claims.contains_key(claim) && self.text(claim).is_none() {
                return Err(Wrong::Nobody);
            }
        }
        let (sub, sid) = (self.text("sub").map(str::to_owned), self.text("sid").map(str::to_owned));
        if sub.is_none() && sid.is_none() {
            return Err(Wrong::Nobody);
        }
        let jti = self.text("jti").ok_or(Wrong::NoJti)?.to_owned();
        Ok(LogoutToken { sub, sid, jti, expires })
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://id.example";

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn token(claims: &Value) -> String {
        let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", text(&json!({"alg": "RS256", "typ": "logout+jwt", "kid": "k"})), text(claims))
    }

    fn good() -> Value {
        let at = now().timestamp();
        json!({"iss": ISSUER, "aud": ["c"], "iat": at, "exp": at + 120, "jti": "j", "sub": "s", "events": {EVENT: {}}})
    }

    /// xorshift64: the same loop at every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, most: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % most.max(1) as u64).unwrap_or_default()
        }
    }

    #[test]
    fn a_good_one_is_read() {
        let text = token(&good());
        let read = read(&text).unwrap();
        assert_eq!((read.issuer(), read.algorithm(), read.key_id()), (Some(ISSUER), "RS256", Some("k")));
        let checked = read.check(ISSUER, "c", now()).unwrap();
        assert_eq!((checked.sub.as_deref(), checked.sid, checked.jti.as_str()), (Some("s"), None, "j"));
        assert_eq!(read.check(ISSUER, "other", now()), Err(Wrong::Audience));
        assert_eq!(read.check("https://other", "c", now()), Err(Wrong::Issuer));
        assert_eq!(read.check(ISSUER, "c", now() + TimeDelta::minutes(4)), Err(Wrong::Times));
    }

    #[test]
    fn no_text_does_harm() {
        let mut dice = Dice(0x5eed);
        let seeds =
            [token(&good()), "..".into(), "a.b.c".into(), token(&json!([])), token(&json!({"iat": 1e308}))];
        let mut taken = 0;
        for _ in 0..200_000 {
            let mut text = seeds[dice.below(seeds.len())].clone().into_bytes();
            for _ in 0..dice.below(4) {
                let at = dice.below(text.len());
                let any = b"ABCabc019-_.=+ \0\xff"[dice.below(17)];
                match dice.below(3) {
                    0 if at < text.len() => text[at] = any,
                    1 => text.insert(at, any),
                    _ => text.truncate(at),
                }
            }
            let text = String::from_utf8_lossy(&text);
            let Ok(unverified) = read(&text) else { continue };
            if let Ok(token) = unverified.check(ISSUER, "c", now()) {
                taken += 1;
                assert!(token.sub.is_some() || token.sid.is_some());
                assert!(!token.jti.is_empty() && token.expires <= now() + LIVES + SKEW);
                assert_eq!(unverified.issuer(), Some(ISSUER));
            }
        }
        assert!(taken > 10_000, "the good seed is among them: {taken}");
    }
}
