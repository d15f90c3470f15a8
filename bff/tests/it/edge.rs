//! Documents by their hash, what a caller may spend, what is remembered of a session.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{CACHE_CONTROL, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::stack::Stack;

fn sha256(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn by_hash(text: &str) -> Value {
    json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256(text)}}})
}

async fn post(browser: &mut Browser, body: &Value) -> (StatusCode, Value) {
    let request = browser
        .request(Method::POST, "/graphql")
        .header("x-csrf", "1")
        .header("accept", "application/graphql-response+json")
        .json(body);
    let response = browser.send(request).await;
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_document_is_found_by_its_hash_once_it_was_sent() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    let text = "{ __typename # found by its hash\n }";
    let (status, missing) = post(&mut browser, &by_hash(text)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(missing["errors"][0]["message"], "PersistedQueryNotFound", "what clients look for");
    assert_eq!(missing["errors"][0]["extensions"]["reason"], "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(missing["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");

    let mut both = by_hash(text);
    both["query"] = text.into();
    let answer = json!({"data": {"__typename": "Query"}});
    assert_eq!(post(&mut browser, &both).await, (StatusCode::OK, answer.clone()));
    assert_eq!(post(&mut browser, &by_hash(text)).await, (StatusCode::OK, answer.clone()));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("extensions", &by_hash(text)["extensions"].to_string())
        .finish();
    let by_get: Value = browser.get(&format!("/graphql?{query}")).await.json().await.unwrap();
    assert_eq!(by_get, answer);

    both["query"] = "{ viewer { id } }".into();
    let (status, other) = post(&mut browser, &both).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "a text cannot be kept under another's hash: {other}");
    // What is refused is refused again, whether or not it is known.
    let wrong = "{ nothing }";
    for body in [json!({"query": wrong}), json!({"query": wrong}), by_hash(wrong)] {
        let (status, refused) = post(&mut browser, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    }
}

#[tokio::test]
async fn variables_are_validated_each_time_they_differ() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    let query = "query($yes: Boolean!) { __typename viewer @include(if: $yes) { id } }";
    let with = |yes: Value| json!({"query": query, "variables": {"yes": yes}});
    for _ in 0..2 {
        assert_eq!(post(&mut browser, &with(false.into())).await.0, StatusCode::OK);
        let (status, refused) = post(&mut browser, &with("no".into())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
        assert!(refused.get("data").is_none());
        assert_eq!(post(&mut browser, &json!({"query": query})).await.0, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn only_trusted_documents_where_that_is_asked_for() {
    const OURS: &str = "{ __typename }";
    let Some(stack) = Stack::with(|config| {
        config.edge.trusted_documents = vec![OURS.to_owned()];
        config.edge.trusted_documents_only = true;
    })
    .await
    else {
        return;
    };
    let mut browser = Browser::new(&stack);
    assert_eq!(post(&mut browser, &by_hash(OURS)).await.0, StatusCode::OK, "known before anybody sent it");
    assert_eq!(post(&mut browser, &json!({"query": OURS})).await.0, StatusCode::OK);
    let (status, refused) = post(&mut browser, &json!({"query": "{ viewer { id } }"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN");
    assert!(stack.fakes.methods().iter().all(|method| !method.ends_with("GetViewer")));
}

#[tokio::test]
async fn each_session_spends_its_own_and_strangers_by_their_address() {
    let Some(stack) = Stack::with(|config| {
        let rates = &mut config.edge.rates;
        (rates.session_per_second, rates.session_burst) = (1, 30);
        // Two sign-ins, whose beginning and end cost a hundred each.
        (rates.address_per_second, rates.address_burst) = (1, 410);
        config.edge.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await
    else {
        return;
    };
    let (mut one, mut other) = (Browser::new(&stack), Browser::new(&stack));
    one.sign_in("resident").await;
    other.sign_in("resident").await;
    let login = one.get("/auth/login?return_to=/").await;
    assert_eq!(login.status(), StatusCode::TOO_MANY_REQUESTS, "a third has to wait");
    assert!(login.headers().contains_key(RETRY_AFTER));
    let dear =
        json!({"query": "{ a: viewer { id locale } b: viewer { id locale } c: viewer { id locale } }"});
    let mut answered = 0;
    let refused = loop {
        let request = one.request(Method::POST, "/graphql").header("x-csrf", "1").json(&dear);
        let response = one.send(request).await;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            break response;
        }
        assert_eq!(response.status(), StatusCode::OK);
        answered += 1;
        assert!(answered < 6, "nine a request, thirty in all");
    };
    assert!((3..=4).contains(&answered), "{answered}");
    let wait: u64 = refused.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(refused.headers()[CACHE_CONTROL], "no-store");
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    assert_eq!(refused["errors"][0]["extensions"]["retryable"], true);
    assert_eq!(post(&mut other, &dear).await.0, StatusCode::OK, "another session at the same address");

    let stranger = async |address: &str| {
        let stranger = Browser::new(&stack);
        let from: IpAddr = address.parse().unwrap();
        let request = stranger
            .request(Method::POST, "/graphql")
            .header("x-forwarded-for", from.to_string())
            .json(&json!({"query": "{ a: cities(first: 100) { nodes { id } } b: cities(first: 100) { nodes { id } } c: cities(first: 100) { nodes { id } } }"}));
        request.send().await.unwrap().status()
    };
    assert_eq!(stranger("192.0.2.1").await, StatusCode::OK);
    assert_eq!(stranger("192.0.2.1").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(stranger("192.0.2.2").await, StatusCode::OK, "a proxy of ours says who it is");
}

#[tokio::test]
async fn whatever_is_done_for_anybody_is_counted() {
    use cs_proto::{
        common::v1::BatchGetRequest, meetings::v1 as meetings, notifications::v1 as notifications,
    };
    let Some(stack) = Stack::with(|config| {
        let rates = &mut config.edge.rates;
        (rates.address_per_second, rates.address_burst) = (1, 250);
        config.edge.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await
    else {
        return;
    };
    let id = "01J00000000000000000000000";
    let size = 50 * 16 * 1024;
    stack.fakes.answer("meetings.Meetings/BatchGetArtifacts", move |_, _: BatchGetRequest| {
        let artifact = meetings::Artifact { id: id.into(), size_bytes: size, ..Default::default() };
        Ok(meetings::BatchGetArtifactsResponse { artifacts: vec![artifact] })
    });
    stack.fakes.stream("meetings.Meetings/ReadArtifact", false, |_, _: meetings::ReadArtifactRequest| {
        let chunk = vec![0; 50 * 16 * 1024];
        Ok(vec![meetings::ReadArtifactResponse { artifact: None, chunk }])
    });
    stack.fakes.answer(
        "notifications.Notifications/Unsubscribe",
        |_, _: notifications::UnsubscribeRequest| {
            Ok(notifications::UnsubscribeResponse { channel: "email".into() })
        },
    );
    let at = |address: &str| format!("{}{address}", stack.origin);
    let client = reqwest::Client::new();
    let graphql = |query: &str| {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        at(&format!("/graphql?{query}"))
    };
    let made_up = ("cookie", "councilsense-dev=AAAAAAAAAAAAAAAAAAAAAA");
    let token = stack.token("at+jwt", "councilsense");
    let broken =
        |address: &str| client.post(at(address)).header("content-type", "application/json").body("{");
    let watch = json!({"query": "subscription { meetingPublished { version } }"});
    let read = json!({"query": "{ __typename }"});
    // Each costs a hundred.
    let requests = [
        ("a subscription by POST", client.post(at("/graphql")).json(&watch)),
        ("a subscription by GET", client.get(graphql("subscription { meetingPublished { version } }"))),
        (
            "a mutation by GET",
            client.get(graphql("mutation { updateProfile(input: {}) { userErrors { reason } } }")),
        ),
        ("no token", client.post(at("/api/graphql")).json(&read)),
        ("no bearer's token", client.post(at("/api/graphql")).basic_auth("x", Some("y")).json(&read)),
        ("a made-up token", client.post(at("/api/graphql")).bearer_auth("x.y.z").json(&read)),
        ("a document", client.get(at(&format!("/artifacts/{id}")))),
        ("a link of a message", client.post(at("/unsubscribe?token=good.token"))),
        ("a body that is none", broken("/graphql")),
        ("a body that is none, for a stream", broken("/graphql/stream")),
        ("a body that is none, of a phone", broken("/api/graphql").bearer_auth(token)),
        ("an address that is none", client.get(at("/graphql?query=a&query=b"))),
        ("an answer to no sign-in", client.get(at("/auth/callback?state=x&code=y"))),
        ("a link of nobody", client.get(at("/auth/link?ticket=x"))),
        ("a made-up cookie", client.get(at("/auth/session")).header(made_up.0, made_up.1)),
        ("signing out with one", client.post(at("/auth/logout")).header(made_up.0, made_up.1)),
        (
            "a made-up logout token",
            client.post(at("/auth/backchannel-logout")).form(&[("logout_token", "x.y.z")]),
        ),
    ];
    for (n, (name, request)) in requests.into_iter().enumerate() {
        let request = request.header("x-forwarded-for", format!("192.0.2.{n}")).header("x-csrf", "1");
        let mut statuses = Vec::new();
        for _ in 0..3 {
            let response = request.try_clone().unwrap().send().await.unwrap();
            let limited = response.status() == StatusCode::TOO_MANY_REQUESTS;
            assert_eq!(response.headers().contains_key(RETRY_AFTER), limited, "{name}");
            statuses.push(response.status());
            // What people see is a page.
            let page =
                response.headers()["content-type"].to_str().unwrap_or_default().starts_with("text/html");
            if limited && !page {
                let refused: Value = response.json().await.unwrap();
                assert_eq!(refused["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{name}");
            } else {
                response.bytes().await.unwrap();
            }
        }
        let limited: Vec<bool> =
            statuses.iter().map(|status| *status == StatusCode::TOO_MANY_REQUESTS).collect();
        assert_eq!(limited, [false, false, true], "{name}: {statuses:?}");
    }
}

#[tokio::test]
async fn a_thousand_probes_are_no_more_work_than_one() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let Some(stack) = Stack::start().await else { return };
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    stack.fakes.answer("grpc.health.v1.Health/Check", move |_, _: tonic_health::pb::HealthCheckRequest| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(tonic_health::pb::HealthCheckResponse { status: 1 })
    });
    let client = reqwest::Client::new();
    let probe = async || client.get(format!("{}/readyz", stack.origin)).send().await.unwrap().status();
    let probed = futures::future::join_all((0..30).map(|_| probe())).await;
    assert!(probed.iter().all(|status| *status == StatusCode::OK), "none is refused");
    assert_eq!(asked.load(Ordering::Relaxed), 5, "each service once");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    probe().await;
    assert_eq!(asked.load(Ordering::Relaxed), 10, "and again a second later");
}

#[tokio::test]
async fn a_session_is_remembered_for_seconds_and_forgotten_when_it_ends() {
    let Some(stack) = Stack::with(|config| config.edge.session_memory = Duration::from_secs(2)).await else {
        return;
    };
    let who = json!({"query": "{ viewer { id } }"});
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    assert_ne!(post(&mut browser, &who).await.1["data"]["viewer"], Value::Null);
    let mut kept = Browser::new(&stack);
    kept.cookies = browser.cookies.clone();
    let out = browser.request(Method::POST, "/auth/logout").header("x-csrf", "1");
    browser.send(out).await;
    assert_eq!(post(&mut kept, &who).await.1["data"]["viewer"], Value::Null, "at once where it was ended");

    browser.sign_in("resident").await;
    assert_ne!(post(&mut browser, &who).await.1["data"]["viewer"], Value::Null);
    // As another process would end it.
    sqlx::query("DELETE FROM sessions WHERE user_id = $1")
        .bind(stack.user.uuid())
        .execute(&stack.pool)
        .await
        .unwrap();
    stack.clock.advance(chrono::TimeDelta::seconds(2));
    assert_eq!(post(&mut browser, &who).await.1["data"]["viewer"], Value::Null, "within seconds elsewhere");
}

#[tokio::test]
async fn what_a_client_says_of_itself_reaches_no_service() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    stack.fakes.calls();
    let request = browser
        .request(Method::POST, "/graphql")
        .header("x-csrf", "1")
        .header("x-request-id", "chosen-by-the-client")
        .header("x-tenant-id", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
        .header("grpc-timeout", "1n")
        .header("grpc-metadata-authorization", "Bearer forged")
        .json(&json!({"query": "{ viewer { id } }"}));
    let response = browser.send(request).await;
    assert_ne!(response.headers()["x-request-id"], "chosen-by-the-client");
    assert_eq!(response.status(), StatusCode::OK);
    let calls = stack.fakes.calls();
    let call = calls.iter().find(|call| call.method.ends_with("GetViewer")).unwrap();
    // The service verified the token: the person and the tenant are those of the session.
    assert_eq!((call.caller.tenant, call.caller.user()), (stack.tenant, Some(stack.user)));
    assert_ne!(call.caller.request_id, "chosen-by-the-client");
}

#[tokio::test]
async fn the_time_that_a_request_has_goes_down_with_its_calls() {
    let Some(stack) = Stack::with(|config| config.deadline = Duration::from_secs(3)).await else { return };
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    stack.fakes.calls();
    browser.graphql("{ viewer { id } }", Value::Null).await;
    let calls = stack.fakes.calls();
    let timeout = calls.last().unwrap().timeout.as_deref().unwrap();
    let (digits, unit) = timeout.split_at(timeout.len() - 1);
    let scale = match unit {
        "n" => 1_000_000,
        "u" => 1_000,
        "m" => 1,
        other => panic!("{other}"),
    };
    let milliseconds = digits.parse::<u64>().unwrap() / scale;
    assert!((1..=3_000).contains(&milliseconds), "{timeout}");
}

#[tokio::test]
async fn phones_have_a_token_or_nothing() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    let body = json!({"query": "{ viewer { id } }"});
    let cookie = format!("councilsense-dev={}", browser.session().unwrap());
    let long = format!("Bearer {}", "A".repeat(6_000));
    for (address, headers, due) in [
        ("/api/graphql", vec![], StatusCode::UNAUTHORIZED),
        ("/api/graphql", vec![("cookie", cookie.as_str()), ("x-csrf", "1")], StatusCode::BAD_REQUEST),
        (
            "/api/graphql",
            vec![("cookie", cookie.as_str()), ("authorization", "Bearer x.y.z")],
            StatusCode::BAD_REQUEST,
        ),
        (
            "/graphql",
            vec![("cookie", cookie.as_str()), ("x-csrf", "1"), ("authorization", "Bearer x.y.z")],
            StatusCode::BAD_REQUEST,
        ),
        ("/graphql", vec![("authorization", "Bearer x.y.z")], StatusCode::BAD_REQUEST),
        ("/api/graphql", vec![("authorization", "Basic eDp5")], StatusCode::BAD_REQUEST),
        ("/api/graphql", vec![("authorization", "Bearer x.y.z")], StatusCode::UNAUTHORIZED),
        ("/api/graphql", vec![("authorization", long.as_str())], StatusCode::UNAUTHORIZED),
    ] {
        let mut request = browser.client.post(format!("{}{address}", stack.origin)).json(&body);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), due, "{address} {headers:?}");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers().contains_key("www-authenticate"), due == StatusCode::UNAUTHORIZED);
        let refused: Value = response.json().await.unwrap();
        assert!(refused["errors"][0]["extensions"]["requestId"].is_string(), "{refused}");
        assert!(!refused.to_string().contains("x.y.z"));
    }
    let id_token = stack.token("JWT", "councilsense");
    let request =
        browser.client.post(format!("{}/api/graphql", stack.origin)).bearer_auth(id_token).json(&body);
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED,
        "an id token is no access token"
    );
    let access = stack.token("at+jwt", "councilsense");
    let request =
        browser.client.post(format!("{}/api/graphql", stack.origin)).bearer_auth(&access).json(&body);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert!(answer["data"]["viewer"]["id"].is_string(), "{answer}");
    let narrow = stack.token("at+jwt", "profile");
    let request =
        browser.client.post(format!("{}/api/graphql", stack.origin)).bearer_auth(&narrow).json(&body);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let middle = access.rfind('.').unwrap() + 20;
    let other = if access[middle..].starts_with('A') { "B" } else { "A" };
    let forged = format!("{}{other}{}", &access[..middle], &access[middle + 1..]);
    let request =
        browser.client.post(format!("{}/api/graphql", stack.origin)).bearer_auth(&forged).json(&body);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}
