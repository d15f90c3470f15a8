//! Tokens stay where they are: every answer, header and log line of a run is looked through for marked ones.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::response::IntoResponse;
use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::browser::{Browser, location};
use crate::evil::{CANARY, Evil, Plan};
use crate::sockets::{PROTOCOL, connect, hear, published, say};
use crate::stack::Stack;

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u8>>>);

impl Seen {
    fn add(&self, text: &str) {
        self.0.lock().unwrap().extend_from_slice(text.as_bytes());
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// Headers and body; gives the headers back.
    async fn response(&self, response: reqwest::Response) -> reqwest::header::HeaderMap {
        let headers = response.headers().clone();
        self.add(&format!("{} {headers:?}\n", response.status()));
        self.add(&response.text().await.unwrap());
        headers
    }
}

impl Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Of the whole process from here on, other tests' lines included: their tokens are as secret.
fn logs() -> Seen {
    let seen = Seen::default();
    let writer = seen.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    seen
}

async fn sign_in(browser: &mut Browser, seen: &Seen) {
    let page = location(&seen.response(browser.get("/auth/login?return_to=/x").await).await);
    // What passes between browser and provider is not ours.
    let back = location(browser.get(page.as_str()).await.headers());
    seen.response(browser.get(back.as_str()).await).await;
}

async fn everything(browser: &mut Browser, seen: &Seen) {
    for address in [
        "/auth/session",
        "/readyz",
        "/metrics",
        "/artifacts/01J00000000000000000000000",
        "/auth/callback?code=x",
    ] {
        let request = browser.request(Method::GET, address).header("x-csrf", "1");
        seen.response(browser.send(request).await).await;
    }
    for query in ["{ viewer { id } }", "{ sessions { id userAgent } identities { id } }", "{ nothing }"] {
        let request =
            browser.request(Method::POST, "/graphql").header("x-csrf", "1").json(&json!({"query": query}));
        seen.response(browser.send(request).await).await;
    }
}

/// What stays open, and what has a token of its own.
async fn live(browser: &mut Browser, evil: &Evil, stack: &Stack, seen: &Seen) {
    published(stack);
    let watch = json!({"query": "subscription { meetingPublished { version } }"});
    let mut socket = connect(browser, &[PROTOCOL, ("origin", &stack.origin)]).await.unwrap();
    say(&mut socket, json!({"type": "connection_init"})).await;
    say(&mut socket, json!({"type": "subscribe", "id": "1", "payload": watch})).await;
    for _ in 0..2 {
        seen.add(&hear(&mut socket).await.unwrap().to_string());
    }
    let request = browser.request(Method::POST, "/graphql/stream").header("x-csrf", "1").json(&watch);
    let mut events = browser.send(request).await;
    seen.add(&format!("{:?}", events.headers()));
    seen.add(&String::from_utf8_lossy(&events.chunk().await.unwrap().unwrap()));
    for token in [evil.access_token(&stack.origin, |_| {}), evil.access_token("elsewhere", |_| {})] {
        let request = browser.client.post(format!("{}/api/graphql", stack.origin)).bearer_auth(token);
        let answer = request.json(&json!({"query": "{ viewer { id } }"})).send().await.unwrap();
        seen.add(&format!("phone: {}\n", answer.status().as_u16()));
        seen.response(answer).await;
    }
}

/// A provider that says the token it was sent.
fn echo(plan: &mut Plan) {
    let token = plan.token["refresh_token"].as_str().unwrap().to_owned();
    let body = json!({"error": token, "error_description": token, "access_token": token});
    plan.instead = Some(("token", (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()));
}

#[tokio::test]
async fn a_token_is_seen_nowhere() {
    let logged = logs();
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    let (seen, mut browser) = (Seen::default(), Browser::new(&stack));
    sign_in(&mut browser, &seen).await;
    assert!(browser.session().is_some());
    everything(&mut browser, &seen).await;
    stack.clock.advance(TimeDelta::seconds(301));
    everything(&mut browser, &seen).await;
    assert_eq!(evil.count("token"), 2, "renewed");

    stack.clock.advance(TimeDelta::seconds(301));
    evil.be(echo);
    everything(&mut browser, &seen).await;
    sign_in(&mut Browser::new(&stack), &seen).await;
    evil.be(|plan| plan.instead = Some(("token", format!("{CANARY} is not JSON").into_response())));
    sign_in(&mut Browser::new(&stack), &seen).await;
    evil.be(|plan| plan.token["id_token"] = json!(format!("{CANARY}.x.y")));
    sign_in(&mut Browser::new(&stack), &seen).await;
    evil.be(|_| {});

    let session = browser.session().unwrap().clone();
    live(&mut browser, &evil, &stack, &seen).await;

    let form = [("logout_token", format!("{CANARY}.{CANARY}.{CANARY}"))];
    let request = browser.client.post(format!("{}/auth/backchannel-logout", stack.origin)).form(&form);
    seen.response(request.send().await.unwrap()).await;
    let request = browser.request(Method::POST, "/auth/logout").header("x-csrf", "1");
    seen.response(browser.send(request).await).await;
    assert_eq!(evil.revoked.lock().unwrap().len(), 1);

    let (seen, logged) = (seen.text(), logged.text());
    assert!(
        seen.contains("signedIn") && seen.contains("viewer") && seen.contains("/end?client_id"),
        "we have looked"
    );
    assert!(logged.contains("sign_in.done") && logged.contains("session.renewed"), "the log was caught");
    for (place, text) in [("an answer", &seen), ("the log", &logged)] {
        let around = text.find(CANARY).map(|at| &text[at.saturating_sub(300)..(at + 40).min(text.len())]);
        assert!(around.is_none(), "a token in {place}: {around:?}");
    }
    assert!(seen.contains("\"version\":3") && seen.contains("phone: 200"), "we have listened");
    assert!(!logged.contains(&session), "the session's cookie in the log");
    // Any JWT begins like this: an id token, or a caller token of ours.
    assert!(!seen.contains("eyJ"), "a JWT in an answer");
    assert!(!logged.contains("eyJ"), "a JWT in the log");
}
