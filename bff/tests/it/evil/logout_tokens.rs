//! Back-channel logout: who may end sessions, which, and how often.

use reqwest::StatusCode;
use reqwest::header::CACHE_CONTROL;
use serde_json::{Value, json};

use super::{Evil, Plan, Sign, second_key};
use crate::browser::Browser;
use crate::stack::Stack;

async fn signed_in(stack: &Stack) -> Browser {
    let mut browser = Browser::new(stack);
    let page = browser.begin("/auth/login").await;
    let back = browser.begin(page.as_str()).await;
    assert_eq!(browser.get(back.as_str()).await.status(), StatusCode::SEE_OTHER);
    assert!(browser.session().is_some());
    browser
}

async fn is_open(browser: &mut Browser) -> bool {
    browser.graphql("{ viewer { id } }", Value::Null).await["data"]["viewer"] != Value::Null
}

async fn post(stack: &Stack, body: &[(&str, &str)]) -> StatusCode {
    let address = format!("{}/auth/backchannel-logout", stack.origin);
    let response = reqwest::Client::new().post(address).form(body).send().await.unwrap();
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert!(response.headers().get("set-cookie").is_none());
    response.status()
}

async fn send(stack: &Stack, token: &str) -> StatusCode {
    post(stack, &[("logout_token", token)]).await
}

#[tokio::test]
async fn what_is_wrong_ends_nothing() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    let mut browser = signed_in(&stack).await;
    let remove = |value: &mut Value, name: &str| drop(value.as_object_mut().unwrap().remove(name));
    let shift = |plan: &mut Plan, name: &str, by: i64| {
        let now = plan.claims[name].as_i64().unwrap();
        plan.claims[name] = json!(now + by);
    };
    type Case<'a> = (&'a str, Box<dyn Fn(&mut Plan) + 'a>);
    let cases: Vec<Case<'_>> = vec![
        ("an id token's type", Box::new(|p| p.header["typ"] = json!("at+jwt"))),
        ("an extension", Box::new(|p| p.header["crit"] = json!(["b64"]))),
        ("unsigned", Box::new(|p| (p.header["alg"], p.sign) = (json!("none"), Sign::Nobody))),
        (
            "HMAC with the public key",
            Box::new(|p| (p.header["alg"], p.sign) = (json!("HS256"), Sign::PublicKey)),
        ),
        ("HMAC with the secret", Box::new(|p| (p.header["alg"], p.sign) = (json!("HS256"), Sign::Secret))),
        ("a bad signature", Box::new(|p| p.sign = Sign::Flipped)),
        ("another key", Box::new(|p| p.sign = Sign::Second)),
        (
            "an unknown key",
            Box::new(|p| (p.header["kid"], p.sign) = (second_key()["kid"].clone(), Sign::Second)),
        ),
        ("another algorithm of the key", Box::new(|p| p.header["alg"] = json!("PS256"))),
        ("another issuer", Box::new(|p| p.claims["iss"] = json!("https://other.example"))),
        ("no issuer", Box::new(move |p| remove(&mut p.claims, "iss"))),
        ("another audience", Box::new(|p| p.claims["aud"] = json!("other"))),
        ("no audience", Box::new(move |p| remove(&mut p.claims, "aud"))),
        ("issued long ago", Box::new(move |p| shift(p, "iat", -200))),
        ("issued in the future", Box::new(move |p| shift(p, "iat", 90))),
        ("no time of issue", Box::new(move |p| remove(&mut p.claims, "iat"))),
        ("expired", Box::new(move |p| shift(p, "exp", -200))),
        ("good for an hour", Box::new(move |p| shift(p, "exp", 3600))),
        ("good for ever", Box::new(move |p| remove(&mut p.claims, "exp"))),
        ("a time that is a text", Box::new(|p| p.claims["exp"] = json!("soon"))),
        ("a time beyond time", Box::new(|p| p.claims["iat"] = json!(1e300))),
        ("no event", Box::new(move |p| remove(&mut p.claims, "events"))),
        (
            "another event",
            Box::new(|p| p.claims["events"] = json!({"http://schemas.openid.net/event/other": {}})),
        ),
        (
            "events in a list",
            Box::new(|p| {
                p.claims["events"] = json!(["http://schemas.openid.net/event/backchannel-logout"]);
            }),
        ),
        (
            "an event that is no object",
            Box::new(|p| {
                p.claims["events"] = json!({"http://schemas.openid.net/event/backchannel-logout": true});
            }),
        ),
        ("a nonce", Box::new(|p| p.claims["nonce"] = json!("x"))),
        ("an empty nonce", Box::new(|p| p.claims["nonce"] = Value::Null)),
        ("nobody", Box::new(move |p| remove(&mut p.claims, "sub"))),
        ("an empty subject", Box::new(|p| p.claims["sub"] = json!(""))),
        ("a subject that is no text", Box::new(|p| p.claims["sub"] = json!(7))),
        ("no name of its own", Box::new(move |p| remove(&mut p.claims, "jti"))),
        ("a name that is no text", Box::new(|p| p.claims["jti"] = json!({}))),
        (
            "an id token",
            Box::new(|p| {
                let now = p.claims["iat"].clone();
                p.claims = json!({"iss": p.metadata["issuer"], "aud": "bff", "sub": "mallory", "iat": now,
                "exp": now.as_i64().unwrap() + 100, "nonce": "n", "jti": "x"});
            }),
        ),
    ];
    for (name, wrong) in cases {
        let token = evil.logout_token(|plan| wrong(plan));
        assert_eq!(send(&stack, &token).await, StatusCode::BAD_REQUEST, "{name}");
        assert!(is_open(&mut browser).await, "{name}");
    }
    let good = evil.logout_token(|_| {});
    for (name, body) in [
        ("nothing", vec![]),
        ("an empty token", vec![("logout_token", "")]),
        ("dots", vec![("logout_token", "..")]),
        ("two tokens", vec![("logout_token", good.as_str()), ("logout_token", good.as_str())]),
        ("another name", vec![("token", good.as_str())]),
        ("a long token", vec![("logout_token", Box::leak("x".repeat(9_000).into_boxed_str()) as &str)]),
        ("a longer body", vec![("padding", Box::leak("x".repeat(20_000).into_boxed_str()) as &str)]),
    ] {
        assert_eq!(post(&stack, &body).await, StatusCode::BAD_REQUEST, "{name}");
    }
    let address = format!("{}/auth/backchannel-logout", stack.origin);
    let client = reqwest::Client::new();
    let json = client.post(&address).json(&json!({"logout_token": good})).send().await.unwrap();
    assert_eq!(json.status(), StatusCode::BAD_REQUEST);
    assert_eq!(client.get(&address).send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(is_open(&mut browser).await);
    assert_eq!(send(&stack, &good).await, StatusCode::OK, "it was good all along");
    assert!(!is_open(&mut browser).await);
}

#[tokio::test]
async fn a_sign_in_or_a_person_is_signed_out_once() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    evil.be(|p| p.claims["sid"] = json!("one"));
    let mut one = signed_in(&stack).await;
    evil.be(|p| p.claims["sid"] = json!("two"));
    let mut two = signed_in(&stack).await;
    *evil.subject.lock().unwrap() = "somebody else".into();
    evil.be(|p| p.claims["sid"] = json!("three"));
    let mut other = signed_in(&stack).await;
    *evil.subject.lock().unwrap() = "mallory".into();

    let foreign = evil.logout_token(|p| p.claims["sid"] = json!("three"));
    assert_eq!(send(&stack, &foreign).await, StatusCode::OK);
    assert!(is_open(&mut other).await, "a sign-in of somebody else than is named");

    let by_sid = evil.logout_token(|p| p.claims["sid"] = json!("one"));
    assert_eq!(send(&stack, &by_sid).await, StatusCode::OK);
    assert!(!is_open(&mut one).await);
    assert!(is_open(&mut two).await && is_open(&mut other).await, "sid ends one");
    assert_eq!(send(&stack, &by_sid).await, StatusCode::BAD_REQUEST, "a second time");

    let by_sub = evil.logout_token(|p| p.header["typ"] = json!("JWT"));
    assert_eq!(send(&stack, &by_sub).await, StatusCode::OK);
    assert!(!is_open(&mut two).await, "sub ends all");
    assert!(is_open(&mut other).await);

    let only_sid = evil.logout_token(|p| {
        p.claims.as_object_mut().unwrap().remove("sub");
        p.claims["sid"] = json!("three");
    });
    assert_eq!(send(&stack, &only_sid).await, StatusCode::OK);
    assert!(!is_open(&mut other).await);
    let nobody = evil.logout_token(|_| {});
    assert_eq!(send(&stack, &nobody).await, StatusCode::OK, "whoever is out already is out");
}

#[tokio::test]
async fn a_store_that_is_away_is_asked_again() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    assert_eq!(send(&stack, &evil.logout_token(|_| {})).await, StatusCode::OK);
    stack.pool.close().await;
    assert_eq!(send(&stack, &evil.logout_token(|_| {})).await, StatusCode::SERVICE_UNAVAILABLE);
}
