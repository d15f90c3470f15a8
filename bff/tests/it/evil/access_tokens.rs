//! Access tokens of phones: whose keys, and which issuer.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Evil, Plan, Sign, second_key};
use crate::stack::Stack;

async fn ask(stack: &Stack, token: &str) -> StatusCode {
    let address = format!("{}/api/graphql", stack.origin);
    let body = json!({"query": "{ viewer { id } }"});
    let response = reqwest::Client::new().post(address).bearer_auth(token).json(&body).send().await.unwrap();
    let status = response.status();
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["data"]["viewer"]["id"].is_string(), status == StatusCode::OK, "{answer}");
    status
}

const YES: StatusCode = StatusCode::OK;
const NO: StatusCode = StatusCode::UNAUTHORIZED;

fn unknown(plan: &mut Plan) {
    (plan.header["kid"], plan.sign) = (second_key()["kid"].clone(), Sign::Second);
}

#[tokio::test]
async fn a_token_is_signed_by_a_key_of_the_provider_that_it_names() {
    let evil = Evil::start().await;
    let Some(stack) = evil.stack().await else { return };
    let token = |wrong: fn(&mut Plan)| evil.access_token(&stack.origin, wrong);
    assert_eq!(ask(&stack, &token(|p| assert!(p.header["kid"].is_string()))).await, YES, "by its name");
    let nameless = token(|p| drop(p.header.as_object_mut().unwrap().remove("kid")));
    assert_eq!(ask(&stack, &nameless).await, YES, "the only key");
    assert_eq!(evil.count("keys"), 1);

    for wrong in [
        (|p| p.sign = Sign::Second) as fn(&mut Plan),
        |p| p.sign = Sign::Flipped,
        |p| p.sign = Sign::Nobody,
        |p| (p.header["alg"], p.sign) = (json!("none"), Sign::Nobody),
        |p| (p.header["alg"], p.sign) = (json!("HS256"), Sign::PublicKey),
    ] {
        assert_eq!(ask(&stack, &token(wrong)).await, NO);
    }
    assert_eq!(evil.count("keys"), 1, "a key that is known is not fetched again");

    for _ in 0..20 {
        assert_eq!(ask(&stack, &token(unknown)).await, NO, "a key that the provider does not have");
    }
    assert_eq!(evil.count("keys"), 2, "looked for once within the minute");
    evil.be(|p| p.keys["keys"].as_array_mut().unwrap().push(second_key()));
    stack.clock.advance(chrono::TimeDelta::seconds(61));
    assert_eq!(ask(&stack, &token(unknown)).await, YES, "it has it now");
    assert_eq!(ask(&stack, &token(|_| {})).await, YES, "and the first one still");
    assert_eq!(evil.count("keys"), 3);
    let nameless = token(|p| drop(p.header.as_object_mut().unwrap().remove("kid")));
    assert_eq!(ask(&stack, &nameless).await, NO, "which of two is not said");
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused_without_asking_anybody() {
    let (home, other): (Arc<Evil>, Arc<Evil>) = (Evil::start().await, Evil::start().await);
    let Some(stack) = home.stack().await else { return };
    other.follow(&stack);
    let foreign = other.access_token(&stack.origin, |_| {});
    assert_eq!(ask(&stack, &foreign).await, NO);
    for issuer in [Value::Null, json!(""), json!(format!("{}/", home.issuer)), json!("http://127.0.0.1:9")] {
        let token = home.access_token(&stack.origin, |p| p.claims["iss"] = issuer.clone());
        assert_eq!(ask(&stack, &token).await, NO, "{issuer}");
    }
    let counts = ["metadata", "keys"].map(|endpoint| home.count(endpoint) + other.count(endpoint));
    assert_eq!(counts, [0, 0], "an address in a token is never fetched");
    assert!(stack.fakes.methods().is_empty(), "and no service is told");
}
