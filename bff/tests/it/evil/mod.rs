//! A provider that is wrong in exactly one way: whatever it answers is made right first, then changed by the case.

mod access_tokens;
mod id_tokens;
mod linking;
mod logout_tokens;
pub(crate) mod renewal;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::extract::{RawForm, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bff::ProviderConfig;
use cs_core::Clock;
use cs_devidp::SigningKey;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::stack::{MovedClock, Stack};

static KEYS: LazyLock<[SigningKey; 2]> =
    LazyLock::new(|| [SigningKey::generate().unwrap(), SigningKey::generate().unwrap()]);

pub(crate) const CLIENT: &str = "bff";
pub(crate) const SECRET: &str = "s&cret";
/// In every token that it gives.
pub(crate) const CANARY: &str = "canary-4c1f";

/// Who signs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    First,
    Second,
    Nobody,
    /// HMAC under the public key's modulus.
    PublicKey,
    /// HMAC under the client's secret.
    Secret,
    Flipped,
}

/// What is about to be answered.
pub(crate) struct Plan {
    pub(crate) metadata: Value,
    pub(crate) keys: Value,
    pub(crate) header: Value,
    pub(crate) claims: Value,
    pub(crate) sign: Sign,
    pub(crate) token: Value,
    pub(crate) userinfo: Value,
    /// Of the authorization endpoint.
    pub(crate) answer: Vec<(&'static str, String)>,
    /// Instead of the answer, by endpoint.
    pub(crate) instead: Option<(&'static str, Response)>,
    /// Before the answer, by endpoint.
    pub(crate) delay: Option<(&'static str, Duration)>,
    /// Before the answer, until [`Evil::go`] has a permit: an endpoint.
    pub(crate) held: Option<&'static str>,
}

pub(crate) type Wrong = fn(&mut Plan);

struct Begun {
    nonce: String,
    challenge: String,
}

pub(crate) struct Evil {
    pub(crate) issuer: String,
    wrong: Mutex<Wrong>,
    clock: Mutex<Option<Arc<MovedClock>>>,
    codes: Mutex<HashMap<String, Begun>>,
    refresh: Mutex<Option<String>>,
    counts: Mutex<HashMap<&'static str, usize>>,
    /// What was revoked, and what the authorization endpoint was asked.
    pub(crate) revoked: Mutex<Vec<String>>,
    pub(crate) asked: Mutex<Vec<HashMap<String, String>>>,
    pub(crate) subject: Mutex<String>,
    /// A permit for each answer that is held.
    pub(crate) go: Semaphore,
}

impl Evil {
    pub(crate) async fn start() -> Arc<Self> {
        // Making keys takes a while; nobody's patience shall run out over it.
        LazyLock::force(&KEYS);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let evil = Arc::new(Self {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            wrong: Mutex::new(|_| {}),
            clock: Mutex::default(),
            codes: Mutex::default(),
            refresh: Mutex::default(),
            counts: Mutex::default(),
            revoked: Mutex::default(),
            asked: Mutex::default(),
            subject: Mutex::new("mallory".into()),
            go: Semaphore::new(0),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .route("/revoke", post(revoke))
            .with_state(evil.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        evil
    }

    pub(crate) fn config(&self, id: &str) -> ProviderConfig {
        let mut config = ProviderConfig::new(id, &self.issuer, CLIENT, SECRET);
        config.roles_claim = Some("roles".into());
        config.roles = [("editors".to_owned(), cs_core::Role::Reviewer)].into();
        config
    }

    /// A BFF that knows this provider alone.
    pub(crate) async fn stack(&self) -> Option<Stack> {
        let provider = self.config("evil");
        let stack = Stack::with(|config| {
            config.providers = vec![provider];
            config.provider_timeout = Duration::from_secs(6);
        })
        .await?;
        *self.clock.lock().unwrap() = Some(stack.clock.clone());
        Some(stack)
    }

    pub(crate) fn follow(&self, stack: &Stack) {
        *self.clock.lock().unwrap() = Some(stack.clock.clone());
    }

    pub(crate) fn be(&self, wrong: Wrong) {
        *self.wrong.lock().unwrap() = wrong;
    }

    /// How often an endpoint was asked.
    pub(crate) fn count(&self, endpoint: &str) -> usize {
        self.counts.lock().unwrap().get(endpoint).copied().unwrap_or_default()
    }

    fn now(&self) -> i64 {
        self.clock
            .lock()
            .unwrap()
            .as_ref()
            .map_or_else(|| cs_core::SystemClock.now(), |c| c.now())
            .timestamp()
    }

    fn plan(&self) -> Plan {
        let (issuer, now) = (&self.issuer, self.now());
        let at = |path: &str| format!("{issuer}{path}");
        let mut kept = KEYS[0].jwks();
        let first = kept["keys"][0].take();
        let subject = self.subject.lock().unwrap().clone();
        let mut plan = Plan {
            metadata: json!({
                "issuer": issuer,
                "authorization_endpoint": at("/authorize"),
                "token_endpoint": at("/token"),
                "userinfo_endpoint": at("/userinfo"),
                "jwks_uri": at("/jwks"),
                "revocation_endpoint": at("/revoke"),
                "end_session_endpoint": at("/end"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": true,
            }),
            header: json!({"alg": "RS256", "typ": "JWT", "kid": first["kid"]}),
            keys: json!({"keys": [first]}),
            claims: json!({
                "iss": issuer, "sub": subject, "aud": CLIENT, "iat": now, "exp": now + 300,
                "auth_time": now, "sid": format!("sid of {subject}"), "name": "Mallory", "email": "rosa@example.test",
            }),
            sign: Sign::First,
            token: json!({
                "access_token": format!("{CANARY}-access-{}", random()),
                "refresh_token": format!("{CANARY}-refresh-{}", random()),
                "token_type": "Bearer", "expires_in": 300, "scope": "openid",
            }),
            userinfo: json!({"sub": subject, "name": "Mallory of userinfo"}),
            answer: vec![("iss", issuer.clone())],
            instead: None,
            delay: None,
            held: None,
        };
        (self.wrong.lock().unwrap())(&mut plan);
        plan
    }

    /// Whether the client showed its secret in a way that the metadata offer.
    fn takes(&self, headers: &HeaderMap) -> bool {
        let offered = self.plan().metadata["token_endpoint_auth_methods_supported"].take();
        let way = if headers.contains_key(header::AUTHORIZATION) { "basic" } else { "post" };
        let way = json!(format!("client_secret_{way}"));
        offered.as_array().map_or(way == "client_secret_basic", |offered| offered.contains(&way))
    }

    /// Counts; then waits or answers something else, where the case says so.
    async fn passed(&self, plan: &mut Plan, endpoint: &'static str) -> Option<Response> {
        *self.counts.lock().unwrap().entry(endpoint).or_default() += 1;
        if let Some((_, delay)) = plan.delay.filter(|(which, _)| *which == endpoint) {
            tokio::time::sleep(delay).await;
        }
        if plan.held == Some(endpoint) {
            self.go.acquire().await.unwrap().forget();
        }
        if plan.instead.as_ref().is_some_and(|(which, _)| *which == endpoint) {
            return plan.instead.take().map(|(_, response)| response);
        }
        None
    }

    /// An access token for `audience`, as a phone has it; `wrong` changes the plan, of which header, claims and signer count.
    pub(crate) fn access_token(&self, audience: &str, wrong: impl FnOnce(&mut Plan)) -> String {
        let mut plan = self.plan();
        let now = self.now();
        plan.header["typ"] = json!("at+jwt");
        plan.claims = json!({
            "iss": self.issuer, "aud": audience, "iat": now, "exp": now + 300, "jti": random(), "client_id": "phone",
            "sub": *self.subject.lock().unwrap(), "scope": "openid councilsense", "roles": ["resident"],
        });
        wrong(&mut plan);
        signed(&plan)
    }

    /// A logout token; `wrong` changes the plan, of which header, claims and signer count.
    pub(crate) fn logout_token(&self, wrong: impl FnOnce(&mut Plan)) -> String {
        let mut plan = self.plan();
        let now = self.now();
        plan.header["typ"] = json!("logout+jwt");
        plan.claims = json!({
            "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": random(),
            "sub": *self.subject.lock().unwrap(),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        wrong(&mut plan);
        signed(&plan)
    }
}

pub(crate) fn random() -> String {
    let mut bytes = [0; 12];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).unwrap();
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn second_key() -> Value {
    KEYS[1].jwks()["keys"][0].clone()
}

fn signed(plan: &Plan) -> String {
    let with = |key: &[u8]| {
        let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", text(&plan.header), text(&plan.claims));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
        let tag = ring::hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    match plan.sign {
        Sign::First => KEYS[0].sign_as(&plan.header, &plan.claims),
        Sign::Second => KEYS[1].sign_as(&plan.header, &plan.claims),
        Sign::Nobody => {
            let token = KEYS[0].sign_as(&plan.header, &plan.claims);
            format!("{}.", token.rsplit_once('.').unwrap().0)
        }
        Sign::PublicKey => {
            let n = KEYS[0].jwks()["keys"][0]["n"].as_str().unwrap().to_owned();
            with(&URL_SAFE_NO_PAD.decode(n).unwrap())
        }
        Sign::Secret => with(SECRET.as_bytes()),
        Sign::Flipped => {
            let token = KEYS[0].sign_as(&plan.header, &plan.claims);
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            signature[7] ^= 1;
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }
}

type Shared = State<Arc<Evil>>;

async fn metadata(State(evil): Shared) -> Response {
    let mut plan = evil.plan();
    let instead = evil.passed(&mut plan, "metadata").await;
    instead.unwrap_or_else(|| Json(plan.metadata).into_response())
}

async fn keys(State(evil): Shared) -> Response {
    let mut plan = evil.plan();
    let instead = evil.passed(&mut plan, "keys").await;
    instead.unwrap_or_else(|| Json(plan.keys).into_response())
}

async fn authorize(State(evil): Shared, RawQuery(query): RawQuery) -> Response {
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    assert_eq!((query["response_type"].as_str(), query["code_challenge_method"].as_str()), ("code", "S256"));
    let plan = evil.plan();
    let code = random();
    let begun = Begun { nonce: query["nonce"].clone(), challenge: query["code_challenge"].clone() };
    evil.codes.lock().unwrap().insert(code.clone(), begun);
    let mut back = url::Url::parse(&query["redirect_uri"]).unwrap();
    if !plan.answer.iter().any(|(name, _)| *name == "no code") {
        back.query_pairs_mut().append_pair("code", &code);
    }
    back.query_pairs_mut().append_pair("state", &query["state"]);
    for (name, value) in plan.answer.iter().filter(|(name, _)| *name != "no code") {
        back.query_pairs_mut().append_pair(name, value);
    }
    evil.asked.lock().unwrap().push(query);
    Redirect::to(back.as_str()).into_response()
}

/// `client_secret_basic`, or what a plan offers instead.
fn is_client(headers: &HeaderMap, form: &HashMap<String, String>) -> bool {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let due = format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(CLIENT), encode(SECRET))));
    let basic = headers.get(header::AUTHORIZATION).is_some_and(|sent| *sent == due);
    let in_body = form.get("client_secret").is_some_and(|secret| secret == SECRET);
    basic != in_body
}

async fn token(State(evil): Shared, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    let form: HashMap<String, String> = url::form_urlencoded::parse(&form).into_owned().collect();
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response();
    let mut plan = evil.plan();
    if let Some(instead) = evil.passed(&mut plan, "token").await {
        return instead;
    }
    if !is_client(&headers, &form) || !evil.takes(&headers) {
        return refused("invalid_client");
    }
    if form["grant_type"] == "refresh_token" {
        let mut good = evil.refresh.lock().unwrap();
        if good.as_ref() != Some(&form["refresh_token"]) {
            // Reuse ends the whole family.
            *good = None;
            return refused("invalid_grant");
        }
        *good = plan.token["refresh_token"].as_str().map(str::to_owned).or(good.take());
    } else {
        let Some(begun) = evil.codes.lock().unwrap().remove(&form["code"]) else {
            return refused("invalid_grant");
        };
        let verifier = digest(&SHA256, form["code_verifier"].as_bytes());
        if URL_SAFE_NO_PAD.encode(verifier) != begun.challenge {
            return refused("invalid_grant");
        }
        if plan.claims.get("nonce").is_none() {
            plan.claims["nonce"] = json!(begun.nonce);
        }
        if plan.claims["nonce"].is_null() {
            plan.claims.as_object_mut().unwrap().remove("nonce");
        }
        *evil.refresh.lock().unwrap() = plan.token["refresh_token"].as_str().map(str::to_owned);
    }
    if plan.claims["at_hash"] == "right" {
        let hash = digest(&SHA256, plan.token["access_token"].as_str().unwrap().as_bytes());
        plan.claims["at_hash"] = json!(URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]));
    }
    if plan.token.get("id_token").is_none() {
        plan.token["id_token"] = json!(signed(&plan));
    }
    if plan.token["id_token"].is_null() {
        plan.token.as_object_mut().unwrap().remove("id_token");
    }
    Json(plan.token).into_response()
}

async fn userinfo(State(evil): Shared) -> Response {
    let mut plan = evil.plan();
    let instead = evil.passed(&mut plan, "userinfo").await;
    instead.unwrap_or_else(|| Json(plan.userinfo).into_response())
}

async fn revoke(State(evil): Shared, headers: HeaderMap, RawForm(form): RawForm) -> StatusCode {
    let form: HashMap<String, String> = url::form_urlencoded::parse(&form).into_owned().collect();
    if !is_client(&headers, &form) || !evil.takes(&headers) {
        return StatusCode::UNAUTHORIZED;
    }
    assert_eq!(form["token_type_hint"], "refresh_token");
    let mut plan = evil.plan();
    evil.passed(&mut plan, "revoke").await;
    evil.revoked.lock().unwrap().push(form["token"].clone());
    StatusCode::OK
}
