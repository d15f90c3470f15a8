//! Access tokens of phones and other clients without cookies: JWTs, to the letter of RFC 9068 §4.
//!
//! Accounts is asked once for who a token speaks for, and that is believed for a minute, or as long as the token lives.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use cs_core::{Caller, Role, Subject, TenantId, UserId};
use cs_proto::accounts::v1::ResolveIdentityRequest;
use lru::LruCache;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey, JsonWebKeyId};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::Value;

use super::claims::Extra;
use super::provider::{ALGORITHMS, Provider, SKEW};
use super::{SignInError, person};
use crate::app::App;
use crate::auth::Visitor;
use crate::http::RequestContext;

/// Longest token taken, bytes.
const LONGEST: usize = 16 * 1024;
/// How long accounts' word is believed.
const BELIEVED: TimeDelta = TimeDelta::seconds(60);
/// Tokens remembered.
const MOST: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// Why a token is not taken. The log is told why; the client, which of the three.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    #[error("{0}")]
    Invalid(&'static str),
    #[error("the scope is missing")]
    Scope,
    #[error(transparent)]
    Elsewhere(#[from] SignInError),
}

#[derive(Deserialize)]
struct Header {
    alg: CoreJwsSigningAlgorithm,
    kid: Option<JsonWebKeyId>,
    typ: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// All that RFC 9068 §2.2 demands.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    #[serde(rename = "client_id")]
    _client_id: String,
    #[serde(rename = "jti")]
    _jti: String,
    scope: Option<String>,
    #[serde(flatten)]
    extra: Extra,
}

/// A token taken apart, and not believed yet.
pub(crate) struct Token<'t> {
    header: Header,
    claims: Claims,
    signed: &'t str,
    signature: Vec<u8>,
}

/// Takes a compact JWS apart.
pub(crate) fn read(token: &str) -> Result<Token<'_>, AccessError> {
    const MALFORMED: AccessError = AccessError::Invalid("it is not a signed JWT of RFC 9068");
    if token.len() > LONGEST {
        return Err(MALFORMED);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
    let (header, claims) = signed.split_once('.').ok_or(MALFORMED)?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| MALFORMED);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| MALFORMED)?;
    let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| MALFORMED)?;
    Ok(Token { header, claims, signed, signature: decode(signature)? })
}

impl Token<'_> {
    /// Everything but the signature. Until when it is good.
    fn check(&self, audience: &str, scope: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, AccessError> {
        let typ = self.header.typ.as_deref().unwrap_or_default().to_ascii_lowercase();
        if !matches!(typ.as_str(), "at+jwt" | "application/at+jwt") {
            return Err(AccessError::Invalid("its type is another"));
        }
        if self.header.crit.is_some() {
            return Err(AccessError::Invalid("it needs extensions that are not understood"));
        }
        if !ALGORITHMS.contains(&self.header.alg) {
            return Err(AccessError::Invalid("its algorithm is not allowed"));
        }
        let meant = match &self.claims.aud {
            Audience::One(one) => one == audience,
            Audience::Many(many) => many.iter().any(|one| one == audience),
        };
        if !meant {
            return Err(AccessError::Invalid("it is meant for another audience"));
        }
        if self.claims.sub.is_empty() {
            return Err(AccessError::Invalid("it names nobody"));
        }
        #[allow(clippy::cast_possible_truncation, reason = "what no date can be is refused")]
        let time = |seconds: f64| {
            DateTime::from_timestamp(seconds as i64, 0).ok_or(AccessError::Invalid("its times are none"))
        };
        let (expires, issued) = (time(self.claims.exp)?, time(self.claims.iat)?);
        let not_before = self.claims.nbf.map(time).transpose()?;
        if expires + SKEW <= now || issued > now + SKEW || not_before.is_some_and(|from| from > now + SKEW) {
            return Err(AccessError::Invalid("it is not good now"));
        }
        let scopes = self.claims.scope.as_deref().unwrap_or_default();
        if scopes.split(' ').any(|one| one == scope) { Ok(expires) } else { Err(AccessError::Scope) }
    }
}

impl Provider {
    /// Whether one of the provider's keys signed it.
    async fn signed(&self, token: &Token<'_>) -> Result<bool, SignInError> {
        for refetched in [false, true] {
            if refetched && !self.refetch_keys().await? {
                break;
            }
            let metadata = self.metadata().await?;
            let keys = metadata.jwks().keys();
            let named = |key: &&CoreJsonWebKey| match (&token.header.kid, key.key_id()) {
                (Some(kid), own) => own == Some(kid),
                (None, _) => keys.len() == 1,
            };
            let found: Vec<_> = keys.iter().filter(named).collect();
            let by = |key: &&CoreJsonWebKey| {
                key.verify_signature(&token.header.alg, token.signed.as_bytes(), &token.signature).is_ok()
            };
            if !found.is_empty() {
                return Ok(found.iter().any(by));
            }
        }
        Ok(false)
    }
}

#[derive(Clone)]
struct Person {
    tenant: TenantId,
    user: UserId,
    roles: BTreeSet<Role>,
}

/// Who a token speaks for, and until when that is believed.
type Believed = (Person, DateTime<Utc>);

/// Tokens lately believed, by their SHA-256.
pub(crate) struct Tokens(Mutex<LruCache<Vec<u8>, Believed>>);

impl Default for Tokens {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }
}

impl Tokens {
    /// Believes nothing any more of what was said of a person.
    pub(crate) fn forget(&self, user: UserId) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs: Vec<Vec<u8>> = tokens
            .iter()
            .filter(|(_, (person, _))| person.user == user)
            .map(|(hash, _)| hash.clone())
            .collect();
        for hash in theirs {
            tokens.pop(&hash);
        }
    }
}

/// Who a bearer token speaks for.
pub(crate) async fn bearer(app: &App, context: &RequestContext, token: &str) -> Result<Visitor, AccessError> {
    // Which tenant it speaks in depends on the host too.
    let place = format!("{}\0{token}", context.origin.as_deref().unwrap_or_default());
    let (hash, now) = (digest(&SHA256, place.as_bytes()).as_ref().to_vec(), app.clock.now());
    let known = {
        let mut tokens = app.tokens.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(&hash).filter(|(_, until)| now < *until).map(|(person, _)| person.clone())
    };
    let person = match known {
        Some(person) => person,
        None => {
            let (person, expires) = believed(app, context, token, now).await?;
            let until = expires.min(now + BELIEVED);
            app.tokens.0.lock().unwrap_or_else(PoisonError::into_inner).put(hash, (person.clone(), until));
            person
        }
    };
    let span = &context.span;
    span.record("tenant_id", tracing::field::display(person.tenant));
    span.record("user_id", tracing::field::display(person.user));
    let caller = Caller {
        tenant: person.tenant,
        subject: Subject::User(person.user),
        roles: person.roles,
        request_id: context.request_id.clone(),
        trace: context.trace,
    };
    Ok(Visitor { caller, signed_in: None, session: None })
}

async fn believed(
    app: &App,
    context: &RequestContext,
    token: &str,
    now: DateTime<Utc>,
) -> Result<(Person, DateTime<Utc>), AccessError> {
    let token = read(token)?;
    let provider = app
        .providers
        .iter()
        .find(|provider| provider.config.issuer == token.claims.iss)
        .ok_or(AccessError::Invalid("it names another issuer"))?;
    let edge = &app.config.edge;
    let audience = edge.api_audience.as_deref().unwrap_or_else(|| app.main_origin());
    let expires = token.check(audience, &edge.api_scope, now)?;
    if !provider.signed(&token).await? {
        return Err(AccessError::Invalid("its signature is not the provider's"));
    }
    let (config, extra) = (&provider.config, &token.claims.extra);
    // Accounts takes what it is told for all that the provider says: a token that is silent would take roles away.
    if config.roles_claim.as_deref().is_some_and(|claim| !extra.has(claim)) {
        return Err(AccessError::Invalid("it lacks the claim of roles that the provider is configured with"));
    }
    let named = person::named_tenant(provider, extra);
    let elsewhere = |status: tonic::Status| {
        SignInError::Unavailable(format!("accounts: {:?} {}", status.code(), status.message()))
    };
    let tenant = app
        .tenants
        .of_person(app, context, named)
        .await
        .map_err(elsewhere)?
        .ok_or(AccessError::Invalid("it names a tenant that is not there"))?;
    if !person::fits(provider, extra, tenant) {
        return Err(AccessError::Invalid("it speaks for another tenant"));
    }
    let request = ResolveIdentityRequest {
        issuer: config.issuer.clone(),
        subject: token.claims.sub.clone(),
        display_name: extra.text("name").unwrap_or_default().to_owned(),
        email: extra.text("email").unwrap_or_default().to_owned(),
        roles: extra.roles(config).into_iter().map(|role| role.as_str().to_owned()).collect(),
    };
    let user = app.clients.resolve_identity(tenant, context.trace, request).await.map_err(elsewhere)?;
    let id = user.id.parse().map_err(|e| SignInError::Unavailable(format!("accounts: {e}")))?;
    let mut roles: BTreeSet<Role> = user.roles.iter().filter_map(|role| role.parse().ok()).collect();
    roles.insert(Role::Resident);
    Ok((Person { tenant, user: id, roles }, expires))
}

/// For feeding it rubbish.
#[cfg(test)]
pub(crate) fn read_access_token(token: &str) -> bool {
    let now = DateTime::<Utc>::UNIX_EPOCH;
    read(token).is_ok_and(|token| token.check("a", "openid", now).is_ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn encoded(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode("signature"))
    }

    fn with(change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let mut header = json!({"alg": "RS256", "typ": "at+jwt", "kid": "1"});
        let mut claims = json!({
            "iss": "https://id.example", "sub": "s", "aud": ["other", "https://council.example"], "exp": 1_100,
            "iat": 1_000, "client_id": "phone", "jti": "j", "scope": "openid councilsense",
        });
        change(&mut header, &mut claims);
        encoded(&header, &claims)
    }

    fn checked(token: &str) -> Result<(), String> {
        let now = DateTime::from_timestamp(1_050, 0).unwrap();
        let token = read(token).map_err(|e| e.to_string())?;
        token.check("https://council.example", "councilsense", now).map(|_| ()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_token_is_right_in_every_part() {
        assert_eq!(checked(&with(|_, _| {})), Ok(()));
        assert_eq!(checked(&with(|header, _| header["typ"] = "application/at+JWT".into())), Ok(()));
        assert_eq!(checked(&with(|_, claims| claims["aud"] = "https://council.example".into())), Ok(()));
        type Change = fn(&mut Value, &mut Value);
        let wrong: [(&str, Change); 18] = [
            ("an id token", |header, _| header["typ"] = "JWT".into()),
            ("no type", |header, _| header["typ"] = Value::Null),
            ("none", |header, _| header["alg"] = "none".into()),
            ("HMAC", |header, _| header["alg"] = "HS256".into()),
            ("critical", |header, _| header["crit"] = json!(["b64"])),
            ("audience", |_, claims| claims["aud"] = "https://other.example".into()),
            ("no audience", |_, claims| claims["aud"] = Value::Null),
            ("past", |_, claims| claims["exp"] = 900.into()),
            ("no end", |_, claims| claims["exp"] = Value::Null),
            ("text for a time", |_, claims| claims["exp"] = "1100".into()),
            ("of the future", |_, claims| claims["iat"] = 2_000.into()),
            ("not yet", |_, claims| claims["nbf"] = 2_000.into()),
            ("nobody", |_, claims| claims["sub"] = "".into()),
            ("no client", |_, claims| claims["client_id"] = Value::Null),
            ("no name of its own", |_, claims| claims["jti"] = Value::Null),
            ("no scope", |_, claims| claims["scope"] = Value::Null),
            ("another scope", |_, claims| claims["scope"] = "openid councilsenses".into()),
            ("no issuer", |_, claims| claims["iss"] = Value::Null),
        ];
        for (name, change) in wrong {
            assert!(checked(&with(change)).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = with(|_, _| {});
        for bad in
            ["", ".", "..", "...", "a.b", "a.b.c", "é.é.é", &good[..good.len() / 2], &format!("{good}=")]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&format!("{good}{}", "A".repeat(LONGEST))).is_err());
    }
}
