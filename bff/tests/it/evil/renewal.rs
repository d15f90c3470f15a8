//! Tokens that run out: renewed once, by whichever replica, and never at a person's cost.

use std::collections::HashSet;
use std::time::Duration;

use bff::Store;
use chrono::TimeDelta;
use cs_proto::accounts::v1 as accounts;
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Evil, Plan, Sign};
use crate::browser::Browser;
use crate::stack::Stack;

pub(crate) async fn signed_in(stack: &Stack) -> Browser {
    let mut browser = Browser::new(stack);
    let page = browser.begin("/auth/login").await;
    let back = browser.begin(page.as_str()).await;
    assert_eq!(browser.get(back.as_str()).await.status(), StatusCode::SEE_OTHER);
    browser
}

pub(crate) async fn is_open(browser: &mut Browser) -> bool {
    browser.graphql("{ viewer { id } }", Value::Null).await["data"]["viewer"] != Value::Null
}

fn query(browser: &Browser) -> reqwest::RequestBuilder {
    browser
        .request(Method::POST, "/graphql")
        .header("x-csrf", "1")
        .json(&json!({"query": "{ viewer { id } }"}))
}

#[tokio::test]
async fn tokens_are_renewed_when_they_have_run_out() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    let mut browser = signed_in(&stack).await;
    assert!(is_open(&mut browser).await);
    assert_eq!(evil.count("token"), 1, "not before");
    for n in 2..5 {
        stack.clock.advance(TimeDelta::seconds(301));
        assert!(is_open(&mut browser).await && is_open(&mut browser).await);
        assert_eq!(evil.count("token"), n, "each refresh token is used once");
    }
}

#[tokio::test]
async fn a_dead_refresh_token_ends_the_session() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    let cases: [(&str, super::Wrong); 5] = [
        ("taken back", |p| {
            let refusal = (StatusCode::BAD_REQUEST, axum::Json(json!({"error": "invalid_grant"})));
            p.instead = Some(("token", axum::response::IntoResponse::into_response(refusal)));
        }),
        ("of somebody else now", |p| p.claims["sub"] = json!("somebody else")),
        ("from another issuer now", |p| p.claims["iss"] = json!("https://other.example")),
        ("with a bad signature", |p| p.sign = Sign::Flipped),
        ("with other roles", |p| p.claims["roles"] = json!(["editors"])),
    ];
    for (name, wrong) in cases {
        evil.be(|_| {});
        let mut browser = signed_in(&stack).await;
        stack.clock.advance(TimeDelta::seconds(301));
        evil.be(wrong);
        assert!(!is_open(&mut browser).await, "{name}");
        evil.be(|_| {});
        let asked = evil.count("token");
        assert!(!is_open(&mut browser).await, "{name}: it stays over");
        assert_eq!(evil.count("token"), asked, "{name}");
    }
}

#[tokio::test]
async fn a_provider_that_is_away_signs_nobody_out() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    let answers: [(&str, super::Wrong); 4] = [
        ("an outage", |p| away(p, StatusCode::SERVICE_UNAVAILABLE)),
        ("a wrong secret of ours", |p| {
            let refusal = (StatusCode::UNAUTHORIZED, axum::Json(json!({"error": "invalid_client"})));
            p.instead = Some(("token", axum::response::IntoResponse::into_response(refusal)));
        }),
        ("a page", |p| p.instead = Some(("token", axum::response::IntoResponse::into_response("<html>")))),
        ("slow", |p| p.delay = Some(("token", Duration::from_secs(30)))),
    ];
    for (name, wrong) in answers {
        evil.be(|_| {});
        let mut browser = signed_in(&stack).await;
        stack.clock.advance(TimeDelta::seconds(301));
        evil.be(wrong);
        let asked = evil.count("token");
        assert!(is_open(&mut browser).await, "{name}");
        assert!(is_open(&mut browser).await, "{name}");
        assert_eq!(evil.count("token"), asked + 1, "{name}: not asked again at once");
        evil.be(|_| {});
        // Where it was slow, what was asked first may still be under way.
        for _ in 0..3 {
            stack.clock.advance(TimeDelta::seconds(31));
            assert!(is_open(&mut browser).await, "{name}");
            if evil.count("token") > asked + 1 {
                break;
            }
        }
        assert_eq!(evil.count("token"), asked + 2, "{name}: and then again");
    }
}

fn away(plan: &mut Plan, status: StatusCode) {
    plan.instead = Some(("token", axum::response::IntoResponse::into_response(status)));
}

#[tokio::test]
async fn a_session_ends_with_its_refresh_token() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    evil.be(|p| p.token["refresh_expires_in"] = json!(1800));
    let mut browser = signed_in(&stack).await;
    let kept = browser.cookies.clone();
    stack.clock.advance(TimeDelta::seconds(1500));
    assert!(is_open(&mut browser).await, "renewed, for another half hour");
    stack.clock.advance(TimeDelta::seconds(1700));
    assert!(is_open(&mut browser).await);
    stack.clock.advance(TimeDelta::seconds(1801));
    browser.cookies = kept;
    let asked = evil.count("token");
    assert!(!is_open(&mut browser).await);
    assert_eq!(evil.count("token"), asked, "nothing to ask: it was over");
}

#[tokio::test]
async fn signing_out_revokes() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    let mut browser = signed_in(&stack).await;
    stack.clock.advance(TimeDelta::seconds(301));
    assert!(is_open(&mut browser).await);
    let request = browser.request(Method::POST, "/auth/logout").header("x-csrf", "1");
    let out: Value = browser.send(request).await.json().await.unwrap();
    assert!(out["location"].as_str().unwrap().starts_with(&format!("{}/end?client_id=bff", evil.issuer)));
    let revoked = evil.revoked.lock().unwrap().clone();
    assert_eq!(revoked.len(), 1);
    assert_eq!(evil.refresh.lock().unwrap().as_ref(), Some(&revoked[0]), "the one that was good");
}

#[tokio::test]
async fn the_secret_is_shown_at_the_revocation_endpoint_as_at_the_other() {
    let evil = Evil::start().await;
    evil.be(|p| p.metadata["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]));
    let Some(stack) = evil.stack().await else { return };
    let mut browser = signed_in(&stack).await;
    let request = browser.request(Method::POST, "/auth/logout").header("x-csrf", "1");
    assert_eq!(browser.send(request).await.status(), StatusCode::OK);
    assert_eq!(evil.revoked.lock().unwrap().len(), 1);
}

/// What accounts says from now on of the person behind the session's identity.
fn looked_up(stack: &Stack, answer: Result<&'static [&'static str], cs_proto::errors::v1::Reason>) {
    let id = stack.user.to_string();
    stack.fakes.answer("accounts.Accounts/LookUpIdentity", move |_, _: accounts::LookUpIdentityRequest| {
        let roles = answer.map_err(|reason| cs_rpc::status(reason, "no", &[]))?;
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let user = accounts::User { id: id.clone(), roles, ..accounts::User::default() };
        Ok(accounts::LookUpIdentityResponse { user: Some(user) })
    });
}

#[tokio::test]
async fn a_change_of_roles_reaches_sessions_within_minutes() {
    use cs_proto::errors::v1::Reason;
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    let says_nothing: super::Wrong = |p| {
        p.claims["roles"] = json!(["editors"]);
        p.token["refresh_token"] = Value::Null;
    };
    let silent_later: super::Wrong = |p| p.claims["roles"] = json!(["editors"]);
    /// What it is, what the provider says, seconds later, what accounts says, whether the session is open still.
    type Case = (&'static str, super::Wrong, i64, Result<&'static [&'static str], Reason>, bool);
    let cases: [Case; 7] = [
        ("no refresh token, nothing changed", says_nothing, 121, Ok(&["reviewer"]), true),
        ("no refresh token, taken back", says_nothing, 121, Ok(&["resident"]), false),
        ("no refresh token, the account deleted", says_nothing, 121, Err(Reason::NotFound), false),
        ("no refresh token, accounts away", says_nothing, 121, Err(Reason::Unavailable), true),
        ("tokens still good, taken back", silent_later, 121, Ok(&["resident"]), false),
        ("tokens still good, granted", silent_later, 121, Ok(&["reviewer", "operator"]), false),
        ("at once", silent_later, 0, Ok(&["resident"]), true),
    ];
    for (name, wrong, later, said, due) in cases {
        evil.be(wrong);
        let mut browser = signed_in(&stack).await;
        looked_up(&stack, said);
        stack.clock.advance(TimeDelta::seconds(later));
        assert_eq!(is_open(&mut browser).await, due, "{name}");
    }

    // Tokens that are renewed without an id token say nothing of roles.
    evil.be(silent_later);
    let mut browser = signed_in(&stack).await;
    looked_up(&stack, Ok(&["resident"]));
    evil.be(|p| p.token["id_token"] = Value::Null);
    stack.clock.advance(TimeDelta::seconds(301));
    assert!(!is_open(&mut browser).await);

    // Who was away is asked again soon.
    evil.be(says_nothing);
    let mut browser = signed_in(&stack).await;
    looked_up(&stack, Err(Reason::Unavailable));
    stack.clock.advance(TimeDelta::seconds(121));
    assert!(is_open(&mut browser).await);
    looked_up(&stack, Ok(&["resident"]));
    assert!(is_open(&mut browser).await, "not at once");
    stack.clock.advance(TimeDelta::seconds(31));
    assert!(!is_open(&mut browser).await);
}

#[tokio::test]
async fn whoever_only_listens_is_looked_at_too() {
    use crate::sockets::{PROTOCOL, connect, hear, say};
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    evil.be(|p| p.claims["roles"] = json!(["editors"]));
    let browser = signed_in(&stack).await;
    let mut socket = connect(&browser, &[PROTOCOL, ("origin", stack.origin.as_str())]).await.unwrap();
    say(&mut socket, json!({"type": "connection_init"})).await;
    hear(&mut socket).await.unwrap();
    looked_up(&stack, Ok(&["resident"]));
    stack.clock.advance(TimeDelta::seconds(121));
    assert_eq!(hear(&mut socket).await, Err(4401));
}

async fn two_replicas_renew_once(stores: [Store; 2]) {
    let evil = Evil::start().await;
    let [first, second] = stores;
    let change = |origin: Option<String>| {
        let provider = evil.config("evil");
        move |config: &mut bff::Config| {
            config.providers = vec![provider];
            config.origins.extend(origin.map(|origin| url::Url::parse(&origin).unwrap()));
        }
    };
    let Some(one) = Stack::build(Some(first), change(None)).await else { return };
    let Some(two) = Stack::build(Some(second), change(Some(one.origin.clone()))).await else { return };
    evil.follow(&one);
    two.knows_people_of(&one);
    let here = signed_in(&one).await;
    let there = Browser { origin: two.origin.clone(), ..here.clone() };
    one.clock.advance(TimeDelta::seconds(301));
    two.clock.advance(TimeDelta::seconds(301));
    // Long enough that all of them are under way.
    evil.be(|p| p.delay = Some(("token", Duration::from_millis(700))));
    let asked = (0..50).map(|n| query(if n % 2 == 0 { &here } else { &there }).send());
    let mut seen = HashSet::new();
    for answer in futures::future::join_all(asked).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body: Value = answer.json().await.unwrap();
        assert_ne!(body["data"]["viewer"], Value::Null, "nobody is signed out: {body}");
        seen.insert(body["data"]["viewer"]["id"].to_string());
    }
    assert_eq!(seen.len(), 1);
    assert_eq!(evil.count("token"), 2, "one for the code, one for the fifty");
}

#[tokio::test]
async fn fifty_queries_on_two_replicas_make_one_token_call() {
    let Some(stack) = Stack::start().await else { return };
    let store = Store::Postgres(stack.pool.clone());
    two_replicas_renew_once([store.clone(), store]).await;
    let Some(redis) = cs_testkit::redis::Redis::start() else { return };
    let store = || Store::Redis { url: redis.url(), prefix: "test:".into() };
    two_replicas_renew_once([store(), store()]).await;
}

#[tokio::test]
async fn redis_may_die_under_load() {
    let Some(mut redis) = cs_testkit::redis::Redis::start() else { return };
    let evil = Evil::start().await;
    let provider = evil.config("evil");
    let store = Store::Redis { url: redis.url(), prefix: "test:".into() };
    let Some(stack) = Stack::build(Some(store), |config| config.providers = vec![provider]).await else {
        return;
    };
    let mut browser = signed_in(&stack).await;
    assert!(is_open(&mut browser).await);

    let load = {
        let browser = browser.clone();
        tokio::spawn(async move {
            let (mut good, mut away) = (0, 0);
            let began = tokio::time::Instant::now();
            // Until it has been away and is back.
            while began.elapsed() < Duration::from_secs(40) {
                let asked = (0..8).map(|_| query(&browser).send());
                let mut back = 0;
                for answer in futures::future::join_all(asked).await {
                    let answer = answer.unwrap();
                    match answer.status() {
                        StatusCode::OK => {
                            let body: Value = answer.json().await.unwrap();
                            assert_ne!(body["data"]["viewer"], Value::Null, "nobody becomes anonymous");
                            good += 1;
                            back += 1;
                        }
                        StatusCode::SERVICE_UNAVAILABLE => {
                            assert!(answer.headers().contains_key(RETRY_AFTER));
                            away += 1;
                        }
                        other => panic!("{other}"),
                    }
                }
                if away > 0 && back == 8 {
                    break;
                }
            }
            (good, away)
        })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    redis.kill();
    tokio::time::sleep(Duration::from_secs(2)).await;
    redis.run();
    let (good, away) = load.await.unwrap();
    println!("{good} answers, {away} times 503");
    assert!(good > 0 && away > 0, "{good} answers, {away} times 503");
    assert!(is_open(&mut browser).await, "without a restart, and still signed in");
}

#[tokio::test]
async fn what_redis_holds_opens_nothing() {
    let Some(redis) = cs_testkit::redis::Redis::start() else { return };
    let evil = Evil::start().await;
    let provider = evil.config("evil");
    let store = Store::Redis { url: redis.url(), prefix: "test:".into() };
    let Some(stack) = Stack::build(Some(store), |config| config.providers = vec![provider]).await else {
        return;
    };
    let browser = signed_in(&stack).await;
    let held = redis.dump();
    let holds = |text: &str| held.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("test:s:") && holds("mallory"), "it is where we look");
    assert!(!holds(super::CANARY) && !holds(browser.session().unwrap()));
}
