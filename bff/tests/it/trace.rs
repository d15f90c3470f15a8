//! A mutation's trace goes on in the calls that it makes; how it goes on from there the flows of the whole system show.

use cs_core::Trace;
use cs_proto::notifications::v1 as pb;
use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::stack::Stack;

#[tokio::test]
async fn from_a_mutation_to_the_call() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    stack.fakes.answer("notifications.Notifications/Follow", |_, request: pb::FollowRequest| {
        let (kind, target_id) = (request.kind, request.target_id);
        let (origin, created_at) = ("resident".into(), "2024-01-01T00:00:00Z".into());
        let follow = pb::FollowedInterest { kind, target_id, origin, created_at, ..Default::default() };
        Ok(pb::FollowResponse { follow: Some(follow) })
    });
    stack.fakes.calls();
    let trace = Trace::start();
    let query = "mutation { follow(input: {topic: \"housing\"}) { userErrors { reason } } }";
    let request = browser.request(Method::POST, "/graphql").header("x-csrf", "1");
    let request = request.header("traceparent", trace.to_string()).json(&json!({ "query": query }));
    let answer: Value = browser.send(request).await.json().await.unwrap();
    assert!(answer["errors"].is_null(), "{answer}");
    let calls = stack.fakes.calls();
    let follow = calls.iter().find(|call| call.method == "notifications.Notifications/Follow").unwrap();
    assert_eq!(follow.caller.trace.trace_id(), trace.trace_id());
}
