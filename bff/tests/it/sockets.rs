//! `graphql-transport-ws`: close codes, watching, and the end of a session.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cs_proto::errors::v1::Reason;
use cs_proto::meetings::v1 as pb;
use cs_proto::ops::v1 as ops;
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
    hear_within(socket, Duration::from_secs(15)).await
}

async fn hear_within(socket: &mut Socket, time: Duration) -> Result<Value, u16> {
    loop {
        let next = tokio::time::timeout(time, socket.next()).await.expect("in time");
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

pub(crate) fn published(stack: &Stack) {
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

pub(crate) const WATCH: &str = "subscription { meetingPublished { version } }";

/// Over a connection of its own; the code that it was refused with.
async fn watch(browser: &Browser, headers: &[(&'static str, &str)]) -> Result<Socket, String> {
    let mut socket = connect(browser, &[&[PROTOCOL][..], headers].concat()).await.unwrap();
    say(&mut socket, json!({"type": "connection_init"})).await;
    hear(&mut socket).await.unwrap();
    say(&mut socket, json!({"type": "subscribe", "id": "1", "payload": {"query": WATCH}})).await;
    let answer = hear(&mut socket).await.unwrap();
    match answer["type"].as_str().unwrap() {
        "next" => Ok(socket),
        _ => Err(answer["payload"][0]["extensions"]["code"].as_str().unwrap().to_owned()),
    }
}

#[tokio::test]
async fn one_person_has_only_so_many_subscriptions_over_all_connections() {
    let Some(stack) = Stack::with(|config| {
        config.edge.watches = bff::WatchLimits { person: 2, address: 1 };
        config.edge.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await
    else {
        return;
    };
    published(&stack);
    let limited = Err("RATE_LIMITED".to_owned());
    let own = ("origin", stack.origin.as_str());
    // Two browsers of one person.
    let (mut one, mut two) = (Browser::new(&stack), Browser::new(&stack));
    one.sign_in("resident").await;
    two.sign_in("resident").await;
    let first = watch(&one, &[own]).await.unwrap();
    let events = async |browser: &mut Browser| {
        let request = browser.request(Method::POST, "/graphql/stream").header("x-csrf", "1");
        browser.send(request.json(&json!({"query": WATCH}))).await.bytes_stream()
    };
    let mut second = events(&mut two).await;
    let told = second.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&told).contains("\"version\":3"));
    assert_eq!(watch(&two, &[own]).await.map(drop), limited);
    let refused =
        events(&mut one).await.map(|chunk| chunk.unwrap().to_vec()).collect::<Vec<_>>().await.concat();
    let refused = String::from_utf8(refused).unwrap();
    assert!(refused.contains("RATE_LIMITED") && refused.contains("event: complete"), "{refused}");
    // A query is none.
    assert_ne!(one.graphql("{ viewer { id } }", Value::Null).await["data"]["viewer"], Value::Null);

    // Who did not sign in is told by the address.
    let stranger = Browser::new(&stack);
    let from = |address: &'static str| [("x-forwarded-for", address)];
    let here = watch(&stranger, &from("192.0.2.1")).await.unwrap();
    assert_eq!(watch(&stranger, &from("192.0.2.1")).await.map(drop), limited);
    assert!(watch(&stranger, &from("192.0.2.2")).await.is_ok());

    // What is left is free again, whether it was closed or torn.
    drop((first, second, here));
    for (browser, headers) in [(&one, [own]), (&two, [own]), (&stranger, from("192.0.2.1"))] {
        let mut again = Err(String::new());
        for _ in 0..50 {
            again = watch(browser, &headers).await;
            if again.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(again.is_ok(), "{headers:?}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_answer_a_ping_is_let_go() {
    let Some(stack) = Stack::with(|config| config.ping_every = Duration::from_millis(300)).await else {
        return;
    };
    let browser = Browser::new(&stack);
    let mut socket = connect(&browser, &[PROTOCOL]).await.unwrap();
    say(&mut socket, json!({"type": "connection_init"})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "connection_ack");
    let next = async |socket: &mut Socket| {
        tokio::time::timeout(Duration::from_secs(15), socket.next()).await.expect("in time").unwrap().unwrap()
    };
    let ping = Message::text(json!({"type": "ping"}).to_string());
    for _ in 0..4 {
        assert_eq!(next(&mut socket).await, ping);
        say(&mut socket, json!({"type": "pong"})).await;
    }
    // Nobody is there any more, as far as the server can tell.
    assert_eq!(next(&mut socket).await, ping);
    match next(&mut socket).await {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1001),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_socket_opens_over_http_2_too() {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let Some(stack) = Stack::start().await else { return };
    let host = stack.origin.strip_prefix("http://").unwrap();
    let stream = TokioIo::new(TcpStream::connect(host).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    // RFC 8441 §5.1.
    let request = axum::http::Request::connect(format!("{}/graphql/ws", stack.origin))
        .extension(hyper::ext::Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .header(PROTOCOL.0, PROTOCOL.1)
        .body(axum::body::Body::empty())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()[PROTOCOL.0], PROTOCOL.1);
    let upgraded = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let role = tokio_tungstenite::tungstenite::protocol::Role::Client;
    let mut socket = WebSocketStream::from_raw_socket(upgraded, role, None).await;
    let init = Message::text(json!({"type": "connection_init"}).to_string());
    socket.send(init).await.unwrap();
    let ack = tokio::time::timeout(Duration::from_secs(15), socket.next()).await.expect("in time");
    assert!(matches!(ack, Some(Ok(Message::Text(text))) if text.contains("connection_ack")));
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go() {
    let Some(stack) = Stack::with(|config| {
        config.deadline = Duration::from_millis(500);
        config.edge.watches = bff::WatchLimits { person: 1, address: 1 };
    })
    .await
    else {
        return;
    };
    // More than the buffers on the way hold.
    stack.fakes.stream("meetings.Meetings/WatchPublished", true, |_, request: pb::WatchPublishedRequest| {
        let told = |n: usize| {
            let title = "x".repeat(1_000_000);
            let meeting = pb::Meeting { id: crate::graphql::ulid(n), title, ..pb::Meeting::default() };
            let cursor = format!("c{n}");
            pb::WatchPublishedResponse { meeting: Some(meeting), summary_version: 3, cursor }
        };
        Ok(if request.after.is_empty() { (0..40).map(told).collect() } else { vec![] })
    });
    let browser = Browser::new(&stack);
    let mut stuck = connect(&browser, &[PROTOCOL]).await.unwrap();
    say(&mut stuck, json!({"type": "connection_init"})).await;
    hear(&mut stuck).await.unwrap();
    let query = "subscription { meetingPublished { version meeting { title } } }";
    say(&mut stuck, json!({"type": "subscribe", "id": "1", "payload": {"query": query}})).await;
    hear(&mut stuck).await.unwrap();
    // It reads no more; what it had open is free again soon.
    let mut again = Err(String::new());
    for _ in 0..100 {
        again = watch(&browser, &[]).await.map(drop);
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(again, Ok(()));
    drop(stuck);
}

#[tokio::test]
async fn a_run_is_told_until_it_has_ended() {
    let Some(stack) = Stack::start().await else { return };
    // The service's stream ends with the caller's token, in the middle of the run.
    stack.fakes.stream("ops.Runs/WatchRun", false, |_, request: ops::WatchRunRequest| {
        let told = |state: &str, cursor: &str| {
            let run = ops::Run { id: request.id.clone(), state: state.into(), ..ops::Run::default() };
            ops::WatchRunResponse { run: Some(run), cursor: cursor.into() }
        };
        match request.after.as_str() {
            _ if request.id.ends_with('9') => Err(cs_rpc::status(Reason::NotFound, "no such run", &[])),
            "" => Ok(vec![told("ingested", "c1"), told("extracted", "c2")]),
            "c2" => Ok(vec![told("published", "c3")]),
            other => panic!("asked for again behind the end: {other}"),
        }
    });
    let mut browser = Browser::new(&stack);
    let watch = async |browser: &Browser, own: &str| {
        let id = URL_SAFE_NO_PAD.encode(format!("Run:{own}"));
        let mut socket = connect(browser, &[PROTOCOL, ("origin", stack.origin.as_str())]).await.unwrap();
        say(&mut socket, json!({"type": "connection_init"})).await;
        hear(&mut socket).await.unwrap();
        let query = format!("subscription {{ runProgress(runId: \"{id}\") {{ state }} }}");
        say(&mut socket, json!({"type": "subscribe", "id": "1", "payload": {"query": query}})).await;
        let mut heard = Vec::new();
        loop {
            let message = hear(&mut socket).await.unwrap();
            let has_ended = message["type"] != "next";
            heard.push(message);
            if has_ended {
                return heard;
            }
        }
    };
    let id = "01J00000000000000000000000";
    assert!(watch(&browser, id).await[0].to_string().contains("UNAUTHENTICATED"));
    browser.sign_in("resident").await;
    assert!(watch(&browser, id).await[0].to_string().contains("FORBIDDEN"));
    assert!(stack.fakes.calls().iter().all(|call| !call.method.ends_with("WatchRun")));
    let mut browser = Browser::new(&stack);
    browser.sign_in("reviewer").await;
    let heard = watch(&browser, id).await;
    let states: Vec<&Value> =
        heard.iter().map(|message| &message["payload"]["data"]["runProgress"]["state"]).collect();
    assert_eq!(states, [&json!("INGESTED"), &json!("EXTRACTED"), &json!("PUBLISHED"), &Value::Null]);
    assert_eq!(heard[3]["type"], "complete");
    let nothing = watch(&browser, "01J00000000000000000000009").await;
    assert!(nothing[0].to_string().contains("NOT_FOUND"), "{nothing:?}");
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
async fn a_store_that_stays_away_ends_the_connections_of_sessions() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    let open = async |browser: &Browser| {
        let mut socket = connect(browser, &[PROTOCOL, ("origin", stack.origin.as_str())]).await.unwrap();
        say(&mut socket, json!({"type": "connection_init"})).await;
        hear(&mut socket).await.unwrap();
        socket
    };
    let mut nobody = open(&browser).await;
    browser.sign_in("resident").await;
    let mut socket = open(&browser).await;
    let began = std::time::Instant::now();
    stack.pool.close().await;
    assert_eq!(hear_within(&mut socket, Duration::from_secs(30)).await, Err(1013));
    assert!(began.elapsed() > Duration::from_secs(9), "a moment away ends nothing: {:?}", began.elapsed());
    say(&mut nobody, json!({"type": "ping"})).await;
    assert_eq!(hear(&mut nobody).await.unwrap()["type"], "pong", "who has no session needs no store");
}

#[tokio::test]
async fn a_token_beside_the_cookie_is_refused_here_too() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    let bearer = ("authorization", "Bearer x.y.z");
    let own = ("origin", stack.origin.as_str());
    assert_eq!(connect(&browser, &[PROTOCOL, own, bearer]).await.unwrap_err(), 400);
    let request = browser.request(Method::POST, "/graphql/stream").header("x-csrf", "1");
    let request = request.header(bearer.0, bearer.1).json(&json!({"query": "{ __typename }"}));
    assert_eq!(browser.send(request).await.status().as_u16(), 400);
}
