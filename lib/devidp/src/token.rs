//! The token, userinfo and revocation endpoints.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Shared;
use crate::grants::{ACCESS_LIVES, SignIn, Tokens};

#[derive(Deserialize)]
pub(crate) struct Request {
    grant_type: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    refresh_token: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Revocation {
    token: Option<String>,
}

pub(crate) async fn exchange(
    State(provider): State<Shared>,
    headers: HeaderMap,
    Form(request): Form<Request>,
) -> Response {
    if !is_client(&provider, &headers) {
        return not_the_client();
    }
    let now = provider.config.clock.now();
    let (tokens, first) = match request.grant_type.as_deref() {
        Some("authorization_code") => (redeem(&provider, &request), true),
        Some("refresh_token") => {
            let refresh = request.refresh_token.unwrap_or_default();
            (provider.grants(|grants| grants.rotate(&refresh, now)), false)
        }
        _ => return refuse("unsupported_grant_type"),
    };
    let Some(Tokens { access, refresh, sign_in }) = tokens else { return refuse("invalid_grant") };
    let body = json!({
        "access_token": access,
        "refresh_token": refresh,
        "token_type": "Bearer",
        "expires_in": ACCESS_LIVES.num_seconds(),
        "scope": sign_in.scope,
        "id_token": provider.config.key.sign(&id_token(&provider, &sign_in, first)),
    });
    (no_store(), Json(body)).into_response()
}

/// A code is spent by the attempt, whether or not the rest of the request fits.
fn redeem(provider: &Shared, request: &Request) -> Option<Tokens> {
    let now = provider.config.clock.now();
    let (code, verifier) = (request.code.as_deref()?, request.code_verifier.as_deref()?);
    provider.grants(|grants| {
        let found = grants.redeem(code, now)?;
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        if found.redirect_uri != request.redirect_uri.as_deref()? || found.challenge != challenge {
            return None;
        }
        let sign_in = found.sign_in.clone();
        grants.issue(sign_in, now)
    })
}

/// OpenID Connect Core §2; after a refresh without the nonce (§12.2).
fn id_token(provider: &Shared, sign_in: &SignIn, first: bool) -> Value {
    let now = provider.config.clock.now();
    let mut claims = claims(sign_in);
    claims["iss"] = json!(provider.issuer());
    claims["aud"] = json!(provider.config.client_id);
    claims["iat"] = json!(now.timestamp());
    claims["exp"] = json!((now + ACCESS_LIVES).timestamp());
    claims["auth_time"] = json!(sign_in.at.timestamp());
    claims["sid"] = json!(sign_in.sid);
    if let (true, Some(nonce)) = (first, &sign_in.nonce) {
        claims["nonce"] = json!(nonce);
    }
    claims
}

fn claims(sign_in: &SignIn) -> Value {
    let person = &sign_in.person;
    json!({
        "sub": person.key,
        "name": person.name,
        "email": person.email,
        "email_verified": true,
        "roles": person.roles,
        "tenant": person.tenant,
    })
}

pub(crate) async fn userinfo(State(provider): State<Shared>, headers: HeaderMap) -> Response {
    let now = provider.config.clock.now();
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    match bearer.and_then(|token| provider.grants(|grants| grants.who(token, now))) {
        Some(sign_in) => (no_store(), Json(claims(&sign_in))).into_response(),
        None => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")])
            .into_response(),
    }
}

/// RFC 7009: 200 whether or not the token was known.
pub(crate) async fn revoke(
    State(provider): State<Shared>,
    headers: HeaderMap,
    Form(request): Form<Revocation>,
) -> Response {
    if !is_client(&provider, &headers) {
        return not_the_client();
    }
    let Some(token) = request.token else { return refuse("invalid_request") };
    provider.grants(|grants| grants.revoke(&token));
    (no_store(), StatusCode::OK).into_response()
}

/// `client_secret_basic`: id and secret are form-encoded before they are joined (RFC 6749 §2.3.1).
fn is_client(provider: &Shared, headers: &HeaderMap) -> bool {
    let sent = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|value| STANDARD.decode(value).ok());
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let due = format!("{}:{}", encode(&provider.config.client_id), encode(&provider.config.client_secret));
    // Digests are compared, so that the time taken says nothing about the secret.
    sent.is_some_and(|sent| digest(&SHA256, &sent).as_ref() == digest(&SHA256, due.as_bytes()).as_ref())
}

fn not_the_client() -> Response {
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, "Basic realm=\"token\"")],
        Json(json!({"error": "invalid_client"})),
    )
        .into_response()
}

fn refuse(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, no_store(), Json(json!({"error": error}))).into_response()
}

fn no_store() -> [(header::HeaderName, &'static str); 1] {
    [(header::CACHE_CONTROL, "no-store")]
}
