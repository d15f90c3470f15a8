//! `graphql-transport-ws`: close codes, watching, and the end of a session; and the same events over SSE.

use std::time::Duration;

use cs_proto::meetings::v1 as pb;
use futures::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::browser::Browser;
use crate::stack::Stack;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn connect(browser: &Browser, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let address = format!("{}/graphql/ws", browser.origin.replace("http://", "ws://"));
    let mut request = address.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    if let Some(session) = browser.session() {
        request.headers_mut().insert("cookie", format!("councilsense-dev={session}").parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

pub(crate) const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

pub(crate) async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

/// The next message, or the code that the socket was closed with.
pub(crate) async fn hear(socket: &mut Socket) -> Result<Value, u16> {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(15), socket.next()).await.expect("in time");
        match next {
            Some(Ok(Message::Text(text))) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["type"] != "ping" {
                    return Ok(message);
                }
            }
            Some(Ok(Message::Close(Some(frame)))) => return Err(frame.code.into()),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn published(stack: &Stack) {
    stack.fakes.stream("meetings.Meetings/WatchPublished", true, |_, request: pb::WatchPublishedRequest| {
        let meeting = pb::Meeting {
            id: "01J00000000000000000000000".into(),
            title: "Council".into(),
            ..pb::Meeting::default()
        };
        let first =
            pb::WatchPublishedResponse { meeting: Some(meeting), summary_version: 3, cursor: "c1".into() };
        Ok(if request.after.is_empty() { vec![first] } else { vec![] })
    });
}

#[tokio::test]
async fn each_mistake_has_its_close_code() {
    let Some(stack) = Stack::start().await else { return };
    published(&stack);
    let browser = Browser::new(&stack);
    let init = json!({"type": "connection_init"});
    let subscribe = json!({"type": "subscribe", "id": "1", "payload": {"query": "subscription { meetingPublished { version } }"}});
    let cases = [
        (vec![json!({"type": "nonsense"})], 4400),
        (vec![json!([])], 4400),
        (vec![json!({"type": "connection_init", "payload": 7})], 4400),
        (
            vec![
                init.clone(),
                json!({"type": "subscribe", "id": "", "payload": {"query": "{ __typename }"}}),
            ],
            4400,
        ),
        (vec![init.clone(), json!({"type": "subscribe", "id": "1", "payload": {"qry": ""}})], 4400),
        (vec![subscribe.clone()], 4401),
        (vec![init.clone(), init.clone()], 4429),
        (vec![init.clone(), subscribe.clone(), subscribe.clone()], 4409),
    ];
    for (messages, due) in cases {
        let mut socket = connect(&browser, &[PROTOCOL]).await.unwrap();
        for message in &messages {
            say(&mut socket, message.clone()).await;
        }
        let code = loop {
            if let Err(code) = hear(&mut socket).await {
                break code;
            }
        };
        assert_eq!(code, due, "{messages:?}");
    }
    let mut silent = connect(&browser, &[PROTOCOL]).await.unwrap();
    assert_eq!(hear(&mut silent).await, Err(4408));
    let mut other = connect(&browser, &[]).await.unwrap();
    assert_eq!(hear(&mut other).await, Err(4406));
}

#[tokio::test]
async fn the_origin_has_to_be_ours_and_the_session_alive() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    let foreign = ("origin", "https://evil.example");
    assert_eq!(connect(&browser, &[PROTOCOL, foreign]).await.unwrap_err(), 403);
    browser.sign_in("resident").await;
    let own = ("origin", stack.origin.as_str());
    assert_eq!(connect(&browser, &[PROTOCOL]).await.unwrap_err(), 403, "a session without an origin");
    assert_eq!(connect(&browser, &[PROTOCOL, foreign]).await.unwrap_err(), 403);
    let mut socket = connect(&browser, &[PROTOCOL, own]).await.unwrap();
    say(&mut socket, json!({"type": "connection_init"})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "connection_ack");

    let mut lapsed = Browser::new(&stack);
    lapsed.cookies = browser.cookies.clone();
    let out = browser.request(Method::POST, "/auth/logout").header("x-csrf", "1");
    browser.send(out).await;
    assert_eq!(hear(&mut socket).await, Err(4401), "signed out: the connection ends within seconds");
    let mut socket = connect(&lapsed, &[PROTOCOL, own]).await.unwrap();
    say(&mut socket, json!({"type": "connection_init"})).await;
    assert_eq!(hear(&mut socket).await, Err(4403));
}

#[tokio::test]
async fn a_publication_is_told_and_errors_end_what_they_concern() {
    let Some(stack) = Stack::start().await else { return };
    published(&stack);
    let browser = Browser::new(&stack);
    let mut socket = connect(&browser, &[PROTOCOL]).await.unwrap();
    say(&mut socket, json!({"type": "connection_init", "payload": {}})).await;
    hear(&mut socket).await.unwrap();
    say(&mut socket, json!({"type": "ping", "payload": {"a": 1}})).await;
    assert_eq!(hear(&mut socket).await.unwrap(), json!({"type": "pong", "payload": {"a": 1}}));
    let query = "subscription { meetingPublished { version meeting { title } } }";
    say(&mut socket, json!({"type": "subscribe", "id": "m", "payload": {"query": query}})).await;
    let next = hear(&mut socket).await.unwrap();
    assert_eq!(next["id"], "m");
    assert_eq!(
        next["payload"]["data"]["meetingPublished"],
        json!({"version": 3, "meeting": {"title": "Council"}})
    );

    say(&mut socket, json!({"type": "subscribe", "id": "q", "payload": {"query": "{ __typename }"}})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["payload"], json!({"data": {"__typename": "Query"}}));
    assert_eq!(hear(&mut socket).await.unwrap(), json!({"type": "complete", "id": "q"}));
    say(&mut socket, json!({"type": "subscribe", "id": "q", "payload": {"query": "{ nothing }"}})).await;
    let error = hear(&mut socket).await.unwrap();
    assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("q")));
    assert_eq!(error["payload"][0]["extensions"]["code"], "BAD_USER_INPUT");
    let inbox = "subscription { notificationReceived { id } }";
    say(&mut socket, json!({"type": "subscribe", "id": "n", "payload": {"query": inbox}})).await;
    let refused = hear(&mut socket).await.unwrap();
    assert_eq!(refused["type"], "next", "executed, and failed");
    assert_eq!(refused["payload"]["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "complete");
    // Its id is free again.
    say(&mut socket, json!({"type": "complete", "id": "m"})).await;
    say(&mut socket, json!({"type": "subscribe", "id": "m", "payload": {"query": query}})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "next");
}

#[tokio::test]
async fn one_connection_has_only_so_many_subscriptions() {
    let Some(stack) = Stack::with(|config| config.limits.subscriptions = 2).await else { return };
    published(&stack);
    let browser = Browser::new(&stack);
    let mut socket = connect(&browser, &[PROTOCOL]).await.unwrap();
    say(&mut socket, json!({"type": "connection_init"})).await;
    for id in ["1", "2", "3"] {
        let query = "subscription { meetingPublished { version } }";
        say(&mut socket, json!({"type": "subscribe", "id": id, "payload": {"query": query}})).await;
    }
    let refused = loop {
        let message = hear(&mut socket).await.unwrap();
        if message["type"] == "error" {
            break message;
        }
    };
    assert_eq!(refused["id"], "3");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "RATE_LIMITED");
}

#[tokio::test]
async fn a_stopping_process_says_so() {
    let Some(stack) = Stack::start().await else { return };
    let browser = Browser::new(&stack);
    let mut socket = connect(&browser, &[PROTOCOL]).await.unwrap();
    say(&mut socket, json!({"type": "connection_init"})).await;
    hear(&mut socket).await.unwrap();
    let tasks = stack.tasks.clone();
    let drained = tokio::spawn(async move { tasks.drain(Duration::from_secs(5)).await });
    assert_eq!(hear(&mut socket).await, Err(1001));
    assert!(drained.await.unwrap());
}

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
