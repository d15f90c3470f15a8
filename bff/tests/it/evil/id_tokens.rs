//! Signing in where one thing is wrong: metadata, answer, token, id token, userinfo, timing.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect};
use reqwest::StatusCode;
use reqwest::header::{LOCATION, RETRY_AFTER};
use serde_json::{Value, json};

use super::{CANARY, Evil, Sign, Wrong, second_key};
use crate::browser::Browser;
use crate::stack::Stack;

/// How a sign-in ended: where, with what, and after how many requests for tokens.
struct Ended {
    status: StatusCode,
    signed_in: bool,
    headers: HeaderMap,
    body: String,
}

async fn sign_in(stack: &Stack, browser: &mut Browser) -> Ended {
    let mut response = browser.get("/auth/login?return_to=/meetings").await;
    for _ in 0..2 {
        if response.status() != StatusCode::SEE_OTHER {
            break;
        }
        let next = response.headers()[LOCATION].to_str().unwrap().to_owned();
        if next == "/meetings" {
            break;
        }
        response = browser.get(&next).await;
    }
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.text().await.unwrap();
    let asked = browser.request(reqwest::Method::GET, "/auth/session").header("x-csrf", "1");
    let session: Value = browser.send(asked).await.json().await.unwrap();
    let signed_in = session["signedIn"] == true;
    assert_eq!(signed_in, browser.session().is_some());
    let resolved = stack.fakes.methods().iter().any(|method| method.ends_with("ResolveIdentity"));
    assert!(signed_in || !resolved, "accounts was told of somebody who did not sign in");
    Ended { status, signed_in, headers, body }
}

/// `tokens`: how many requests the token endpoint may have seen.
async fn refused(cases: &[(&str, StatusCode, usize, Wrong)]) {
    for (name, status, tokens, wrong) in cases {
        let evil = Evil::start().await;
        let Some(stack) = evil.stack().await else { return };
        evil.be(*wrong);
        let ended = sign_in(&stack, &mut Browser::new(&stack)).await;
        assert_eq!((ended.status, ended.signed_in), (*status, false), "{name}");
        assert_eq!(evil.count("token"), *tokens, "{name}: requests for tokens");
        assert!(!ended.body.contains(CANARY), "{name}");
        assert_eq!(ended.headers.contains_key(RETRY_AFTER), *status == 503, "{name}");
    }
}

async fn accepted(cases: &[(&str, Wrong)]) {
    for (name, change) in cases {
        let evil = Evil::start().await;
        let Some(stack) = evil.stack().await else { return };
        evil.be(*change);
        let ended = sign_in(&stack, &mut Browser::new(&stack)).await;
        assert_eq!((ended.status, ended.signed_in), (StatusCode::SEE_OTHER, true), "{name}: {}", ended.body);
    }
}

const AWAY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
const NO: StatusCode = StatusCode::FORBIDDEN;
const BAD: StatusCode = StatusCode::BAD_REQUEST;

fn remove(value: &mut Value, name: &str) {
    value.as_object_mut().unwrap().remove(name);
}

#[tokio::test]
async fn metadata_that_must_not_be_believed() {
    refused(&[
        ("another issuer", AWAY, 0, |p| p.metadata["issuer"] = json!("https://other.example")),
        ("a slash more", AWAY, 0, |p| {
            let issuer = format!("{}/", p.metadata["issuer"].as_str().unwrap());
            p.metadata["issuer"] = json!(issuer);
        }),
        ("a token endpoint in the clear", AWAY, 0, |p| {
            p.metadata["token_endpoint"] = json!("http://192.0.2.1/token");
        }),
        ("an authorization endpoint that is a script", AWAY, 0, |p| {
            p.metadata["authorization_endpoint"] = json!("javascript:alert(1)");
        }),
        ("no token endpoint", AWAY, 0, |p| remove(&mut p.metadata, "token_endpoint")),
        ("no keys", AWAY, 0, |p| remove(&mut p.metadata, "jwks_uri")),
        ("PKCE by plain only", AWAY, 0, |p| {
            p.metadata["code_challenge_methods_supported"] = json!(["plain"]);
        }),
        ("metadata that is not JSON", AWAY, 0, |p| {
            p.instead = Some(("metadata", "<html>".into_response()));
        }),
        ("metadata without end", AWAY, 0, |p| {
            p.metadata["padding"] = json!("x".repeat(700_000));
        }),
        ("metadata elsewhere", AWAY, 0, |p| {
            p.instead = Some(("metadata", Redirect::to("http://127.0.0.1:9/x").into_response()));
        }),
        ("metadata that is an error", AWAY, 0, |p| {
            p.instead = Some(("metadata", StatusCode::INTERNAL_SERVER_ERROR.into_response()));
        }),
        ("keys that are not keys", AWAY, 0, |p| p.keys = json!({"keys": 7})),
        ("slow metadata", AWAY, 0, |p| p.delay = Some(("metadata", Duration::from_secs(30)))),
    ])
    .await;
}

#[tokio::test]
async fn answers_that_must_not_be_believed() {
    refused(&[
        ("another issuer", NO, 0, |p| p.answer = vec![("iss", "https://other.example".into())]),
        ("no issuer", NO, 0, |p| p.answer = vec![]),
        ("two issuers", BAD, 0, |p| p.answer.push(("iss", "https://other.example".into()))),
        ("two states", BAD, 0, |p| p.answer.push(("state", "x".into()))),
        ("two codes", BAD, 0, |p| p.answer.push(("code", "x".into()))),
        ("no code", BAD, 0, |p| p.answer.push(("no code", String::new()))),
        ("an error", NO, 0, |p| p.answer.push(("error", "access_denied".into()))),
        ("an error in its own words", NO, 0, |p| p.answer.push(("error", CANARY.into()))),
        ("an outage", AWAY, 0, |p| p.answer.push(("error", "temporarily_unavailable".into()))),
    ])
    .await;
}

#[tokio::test]
async fn token_answers_that_must_not_be_believed() {
    refused(&[
        ("a refusal", NO, 1, |p| {
            let refusal = (BAD, axum::Json(json!({"error": "invalid_grant"})));
            p.instead = Some(("token", refusal.into_response()));
        }),
        ("a refusal in its own words", NO, 1, |p| {
            let refusal = (BAD, axum::Json(json!({"error": CANARY, "error_description": CANARY})));
            p.instead = Some(("token", refusal.into_response()));
        }),
        ("an outage", AWAY, 1, |p| p.instead = Some(("token", StatusCode::BAD_GATEWAY.into_response()))),
        ("not JSON", NO, 1, |p| p.instead = Some(("token", format!("{CANARY} <html>").into_response()))),
        ("elsewhere", NO, 1, |p| {
            p.instead = Some(("token", Redirect::to("http://127.0.0.1:9/x").into_response()));
        }),
        ("no id token", NO, 1, |p| p.token["id_token"] = Value::Null),
        ("an id token that is none", NO, 1, |p| p.token["id_token"] = json!("a.b.c")),
        ("no access token", NO, 1, |p| remove(&mut p.token, "access_token")),
        ("no type", NO, 1, |p| remove(&mut p.token, "token_type")),
        ("without end", AWAY, 1, |p| p.token["padding"] = json!("x".repeat(700_000))),
        ("slow", AWAY, 1, |p| p.delay = Some(("token", Duration::from_secs(30)))),
    ])
    .await;
}

#[tokio::test]
async fn id_tokens_that_must_not_be_believed() {
    refused(&[
        ("another issuer", NO, 1, |p| p.claims["iss"] = json!("https://other.example")),
        ("no issuer", NO, 1, |p| remove(&mut p.claims, "iss")),
        ("another audience", NO, 1, |p| p.claims["aud"] = json!("other")),
        ("a foreign audience beside ours", NO, 1, |p| p.claims["aud"] = json!([super::CLIENT, "other"])),
        ("no audience", NO, 1, |p| remove(&mut p.claims, "aud")),
        ("another party", NO, 1, |p| p.claims["azp"] = json!("other")),
        ("no subject", NO, 1, |p| remove(&mut p.claims, "sub")),
        ("an empty subject", NO, 1, |p| p.claims["sub"] = json!("")),
        ("no time of issue", NO, 1, |p| remove(&mut p.claims, "iat")),
        ("issued in the future", NO, 1, |p| {
            let now = p.claims["iat"].as_i64().unwrap();
            p.claims["iat"] = json!(now + 120);
        }),
        ("expired", NO, 1, |p| {
            let now = p.claims["iat"].as_i64().unwrap();
            p.claims["exp"] = json!(now - 70);
        }),
        ("without end", NO, 1, |p| remove(&mut p.claims, "exp")),
        ("another nonce", NO, 1, |p| p.claims["nonce"] = json!("other")),
        ("no nonce", NO, 1, |p| p.claims["nonce"] = Value::Null),
        ("unsigned", NO, 1, |p| (p.header["alg"], p.sign) = (json!("none"), Sign::Nobody)),
        ("no signature", NO, 1, |p| p.sign = Sign::Nobody),
        ("HMAC with the public key", NO, 1, |p| {
            (p.header["alg"], p.sign) = (json!("HS256"), Sign::PublicKey);
        }),
        ("HMAC with the client's secret", NO, 1, |p| {
            (p.header["alg"], p.sign) = (json!("HS256"), Sign::Secret);
        }),
        ("a bad signature", NO, 1, |p| p.sign = Sign::Flipped),
        ("another key's signature", NO, 1, |p| p.sign = Sign::Second),
        ("an unknown key", NO, 1, |p| (p.header["kid"], p.sign) = (json!("other"), Sign::Second)),
        ("an unknown algorithm", NO, 1, |p| p.header["alg"] = json!("RS255")),
        ("no key id and several keys", NO, 1, |p| {
            remove(&mut p.header, "kid");
            p.keys["keys"].as_array_mut().unwrap().push(second_key());
        }),
        ("of another access token", NO, 1, |p| p.claims["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA")),
    ])
    .await;
}

#[tokio::test]
async fn userinfo_that_must_not_be_believed() {
    fn nameless(p: &mut super::Plan) {
        for claim in ["name", "email"] {
            remove(&mut p.claims, claim);
        }
    }
    refused(&[
        ("of somebody else", NO, 1, |p| {
            nameless(p);
            p.userinfo["sub"] = json!("somebody else");
        }),
        ("of nobody", NO, 1, |p| {
            nameless(p);
            remove(&mut p.userinfo, "sub");
        }),
        ("a refusal", NO, 1, |p| {
            nameless(p);
            p.instead = Some(("userinfo", StatusCode::UNAUTHORIZED.into_response()));
        }),
        ("an outage", AWAY, 1, |p| {
            nameless(p);
            p.instead = Some(("userinfo", StatusCode::BAD_GATEWAY.into_response()));
        }),
    ])
    .await;
    accepted(&[("of the same person", nameless)]).await;
}

#[tokio::test]
async fn what_is_right_is_taken() {
    accepted(&[
        ("RS256, client_secret_basic", |_| {}),
        ("no key id and one key", |p| remove(&mut p.header, "kid")),
        ("client_secret_post where basic is not offered", |p| {
            p.metadata["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
        }),
        ("a clock behind ours", |p| {
            let now = p.claims["iat"].as_i64().unwrap();
            p.claims["exp"] = json!(now - 30);
        }),
        ("a clock ahead of ours", |p| {
            let now = p.claims["iat"].as_i64().unwrap();
            p.claims["iat"] = json!(now + 30);
        }),
        ("the hash of its access token", |p| p.claims["at_hash"] = json!("right")),
        ("an audience in a list", |p| p.claims["aud"] = json!([super::CLIENT])),
        ("no issuer in the answer where none is promised", |p| {
            remove(&mut p.metadata, "authorization_response_iss_parameter_supported");
            p.answer = vec![];
        }),
        ("no refresh token", |p| remove(&mut p.token, "refresh_token")),
    ])
    .await;
}

#[tokio::test]
async fn keys_rotate_and_unknown_ones_cost_a_fetch_a_minute() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    assert!(sign_in(&stack, &mut Browser::new(&stack)).await.signed_in);
    assert_eq!(evil.count("keys"), 1);
    evil.be(|p| {
        p.keys = json!({"keys": [second_key()]});
        (p.header["kid"], p.sign) = (second_key()["kid"].clone(), Sign::Second);
    });
    assert!(sign_in(&stack, &mut Browser::new(&stack)).await.signed_in, "a new key is looked for at once");
    assert_eq!(evil.count("keys"), 2);
    for n in 0..100 {
        let token = evil.logout_token(|p| p.header["kid"] = json!(format!("unknown {n}")));
        let body = [("logout_token", token)];
        let address = format!("{}/auth/backchannel-logout", stack.origin);
        let status = reqwest::Client::new().post(address).form(&body).send().await.unwrap().status();
        assert_eq!(status, BAD);
    }
    assert_eq!(evil.count("keys"), 2, "within the minute");
    stack.clock.advance(chrono::TimeDelta::seconds(61));
    evil.be(|p| p.header["kid"] = json!("unknown"));
    assert!(!sign_in(&stack, &mut Browser::new(&stack)).await.signed_in);
    assert_eq!(evil.count("keys"), 3);
}

#[tokio::test]
async fn each_sign_in_has_its_own_secrets() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    for _ in 0..3 {
        assert!(sign_in(&stack, &mut Browser::new(&stack)).await.signed_in);
    }
    let asked = evil.asked.lock().unwrap();
    for name in ["state", "nonce", "code_challenge"] {
        let mut values: Vec<&str> = asked.iter().map(|query| query[name].as_str()).collect();
        assert!(values.iter().all(|value| value.len() >= 43), "{name}: 256 bits");
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 3, "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_good_asks_for_no_token() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    let (mut browser, mut other) = (Browser::new(&stack), Browser::new(&stack));
    let begun = async |browser: &mut Browser| {
        let page = browser.begin("/auth/login").await;
        browser.begin(page.as_str()).await
    };
    let back = begun(&mut browser).await;
    assert_eq!(other.get(back.as_str()).await.status(), BAD);
    assert_eq!(evil.count("token"), 0, "in another browser");
    let kept = browser.cookies.clone();
    assert_eq!(browser.get(back.as_str()).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(evil.count("token"), 1);
    browser.cookies = kept;
    assert_eq!(browser.get(back.as_str()).await.status(), BAD);
    assert_eq!(evil.count("token"), 1, "a second time");
    let late = begun(&mut browser).await;
    stack.clock.advance(chrono::TimeDelta::minutes(11));
    assert_eq!(browser.get(late.as_str()).await.status(), BAD);
    assert_eq!(evil.count("token"), 1, "too late");
    let made_up = with_state(&late, "made-up");
    assert_eq!(browser.get(&made_up).await.status(), BAD);
    assert_eq!(evil.count("token"), 1, "nobody began it");
}

fn with_state(answer: &url::Url, state: &str) -> String {
    let pairs: Vec<(String, String)> = answer
        .query_pairs()
        .map(|(name, value)| {
            let value = if name == "state" { state.into() } else { value };
            (name.into_owned(), value.into_owned())
        })
        .collect();
    let mut changed = answer.clone();
    changed.query_pairs_mut().clear().extend_pairs(pairs);
    changed.into()
}
