//! The same events as over sockets, server-sent.

use std::time::Duration;

use futures::StreamExt;
use reqwest::Method;
use serde_json::json;

use crate::browser::Browser;
use crate::sockets::{PROTOCOL, WATCH, connect, hear, published, say};
use crate::stack::Stack;

#[tokio::test]
async fn the_same_over_server_sent_events() {
    let Some(stack) = Stack::start().await else { return };
    published(&stack);
    let mut browser = Browser::new(&stack);
    let body = |query: &str| json!({"query": query});
    let request = browser
        .request(Method::POST, "/graphql/stream")
        .json(&body("subscription { meetingPublished { version } }"));
    let response = browser.send(request).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut chunks = response.bytes_stream();
    let first = tokio::time::timeout(Duration::from_secs(5), chunks.next()).await.unwrap().unwrap().unwrap();
    let text = String::from_utf8(first.to_vec()).unwrap();
    assert!(text.starts_with("event: next\ndata: ") && text.contains("\"version\":3"), "{text}");
    drop(chunks);
    let request = browser.request(Method::POST, "/graphql/stream").json(&body("{ __typename }"));
    let text = browser.send(request).await.text().await.unwrap();
    assert!(text.contains("event: next\n") && text.contains("event: complete\n"), "{text}");
    let request = browser.request(Method::POST, "/graphql/stream").body("query=x");
    assert_eq!(browser.send(request).await.status().as_u16(), 415);
}

#[tokio::test]
async fn events_end_with_the_session() {
    let Some(stack) = Stack::start().await else { return };
    published(&stack);
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    let mut other = Browser::new(&stack);
    other.sign_in("resident").await;
    let mut socket = connect(&other, &[PROTOCOL, ("origin", stack.origin.as_str())]).await.unwrap();
    say(&mut socket, json!({"type": "connection_init"})).await;
    hear(&mut socket).await.unwrap();
    say(&mut socket, json!({"type": "subscribe", "id": "1", "payload": {"query": WATCH}})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "next");

    let request = browser.request(Method::POST, "/graphql/stream").header("x-csrf", "1");
    let mut events = browser.send(request.json(&json!({"query": WATCH}))).await.bytes_stream();
    let next = async |events: &mut (dyn futures::Stream<Item = reqwest::Result<_>> + Unpin + Send)| {
        let next: Option<reqwest::Result<axum::body::Bytes>> =
            tokio::time::timeout(Duration::from_secs(15), events.next()).await.expect("in time");
        next
    };
    let told = next(&mut events).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&told).contains("\"version\":3"));
    let out = browser.request(Method::POST, "/auth/logout").header("x-csrf", "1");
    browser.send(out).await;
    assert!(next(&mut events).await.is_none(), "signed out");

    // The other session runs out by itself.
    stack.clock.advance(chrono::TimeDelta::hours(13));
    assert_eq!(hear(&mut socket).await, Err(4401), "run out");
}
