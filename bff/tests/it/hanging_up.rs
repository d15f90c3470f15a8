//! A client that hangs up: what has begun to change something is done to its end all the same.

use std::sync::Arc;
use std::time::Duration;

use cs_proto::notifications::v1 as pb;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::browser::{Browser, location};
use crate::evil::Evil;
use crate::fakes::Held;
use crate::stack::Stack;

/// For the server to notice that nobody waits any more. What is shown does not hang on it: a longer wait only makes sure
/// that a handler that is dropped fails the test.
async fn noticed() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

/// Until `is` holds.
async fn until(mut is: impl AsyncFnMut() -> bool, what: &str) {
    for _ in 0..400 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {what}");
}

async fn sign_in(browser: &mut Browser) {
    let page = browser.begin("/auth/login?return_to=/").await;
    let back = location(browser.get(page.as_str()).await.headers());
    browser.get(back.as_str()).await;
}

async fn sessions(stack: &Stack) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM sessions WHERE user_id = $1");
    count.bind(stack.user.uuid()).fetch_one(&stack.pool).await.unwrap()
}

#[tokio::test]
async fn a_change_is_made_once_and_its_answer_kept() {
    let Some(stack) = Stack::with(|config| config.deadline = Duration::from_secs(120)).await else { return };
    stack.fakes.answer("notifications.Notifications/Follow", |_, request: pb::FollowRequest| {
        let (kind, target_id) = (request.kind, request.target_id);
        let (origin, created_at) = ("resident".into(), "2024-01-01T00:00:00Z".into());
        let follow = pb::FollowedInterest { kind, target_id, origin, created_at, ..Default::default() };
        Ok(pb::FollowResponse { follow: Some(follow) })
    });
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    let go = Arc::new(Semaphore::new(0));
    let mut held = stack.fakes.hold_until("notifications.Notifications/Follow", &go);
    let query =
        "mutation { follow(input: {topic: \"housing\", idempotencyKey: \"k\"}) { userErrors { reason } } }";
    let request = browser.request(Method::POST, "/graphql").header("x-csrf", "1");
    let waiting = tokio::spawn(request.json(&json!({"query": query})).send());
    assert_eq!(held.recv().await, Some(Held::Begun));
    waiting.abort();
    noticed().await;
    assert!(held.is_empty(), "the call goes on");
    go.add_permits(1);
    assert_eq!(held.recv().await, Some(Held::Dropped), "answered");
    stack.fakes.calls();
    let repeated = async || {
        let answer = browser.clone().graphql(query, Value::Null).await;
        answer["errors"].is_null()
    };
    until(repeated, "the answer is kept").await;
    assert!(stack.fakes.methods().iter().all(|method| !method.ends_with("Follow")), "it was made once");
}

#[tokio::test]
async fn signing_out_takes_the_tokens_back() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    let mut browser = Browser::new(&stack);
    sign_in(&mut browser).await;
    evil.be(|plan| plan.held = Some("revoke"));
    let waiting = tokio::spawn(browser.request(Method::POST, "/auth/logout").header("x-csrf", "1").send());
    until(async || evil.count("revoke") == 1, "the provider is asked").await;
    waiting.abort();
    noticed().await;
    evil.go.add_permits(1);
    // Whoever is hung up on at the provider takes nothing back either.
    until(async || evil.revoked.lock().unwrap().len() == 1, "revoked").await;
}

#[tokio::test]
async fn a_code_becomes_a_session() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    let mut browser = Browser::new(&stack);
    evil.be(|plan| plan.held = Some("token"));
    let page = browser.begin("/auth/login?return_to=/").await;
    let back = location(browser.get(page.as_str()).await.headers());
    let waiting = tokio::spawn(browser.request(Method::GET, back.as_str()).send());
    until(async || evil.count("token") == 1, "the code is redeemed").await;
    waiting.abort();
    noticed().await;
    evil.go.add_permits(1);
    until(async || sessions(&stack).await == 1, "the session begins").await;
}

#[tokio::test]
async fn a_logout_token_ends_what_it_names() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    let mut browser = Browser::new(&stack);
    sign_in(&mut browser).await;
    assert_eq!(sessions(&stack).await, 1);
    // The session cannot be deleted while somebody holds its row.
    let mut holding = stack.pool.begin().await.unwrap();
    let lock = sqlx::query("SELECT 1 FROM sessions WHERE user_id = $1 FOR UPDATE").bind(stack.user.uuid());
    lock.execute(&mut *holding).await.unwrap();
    let form = [("logout_token", evil.logout_token(|_| {}))];
    let request = browser.client.post(format!("{}/auth/backchannel-logout", stack.origin)).form(&form);
    let waiting = tokio::spawn(request.send());
    let blocked = async || {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND wait_event_type = 'Lock' AND query ILIKE 'DELETE FROM sessions%'";
        sqlx::query_scalar::<_, i64>(waits).fetch_one(&stack.pool).await.unwrap() > 0
    };
    until(blocked, "it is about to be deleted").await;
    waiting.abort();
    noticed().await;
    holding.commit().await.unwrap();
    until(async || sessions(&stack).await == 0, "the session is over").await;
}
