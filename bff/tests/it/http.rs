//! The edge: methods, media types, limits, headers.

use std::time::Duration;

use futures::StreamExt;
use reqwest::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::stack::Stack;

const RESPONSE: &str = "application/graphql-response+json";

#[tokio::test]
async fn graphql_takes_json_posts_and_nothing_that_a_form_can_send() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    let good = r#"{"query":"{ __typename }"}"#;
    let cases: Vec<(Option<&str>, &str, StatusCode)> = vec![
        (Some("application/json"), good, StatusCode::OK),
        (Some("application/json; charset=utf-8"), good, StatusCode::OK),
        (Some("APPLICATION/JSON;charset=UTF-8"), good, StatusCode::OK),
        (Some("application/json; charset=utf-16"), good, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (None, good, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Some("text/plain"), good, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Some("application/graphql"), "{ __typename }", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (
            Some("application/x-www-form-urlencoded"),
            "query=%7B__typename%7D",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (Some("multipart/form-data; boundary=x"), good, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Some("application/json"), "{", StatusCode::BAD_REQUEST),
        (Some("application/json"), "", StatusCode::BAD_REQUEST),
        (Some("application/json"), r#"[{"query":"{ __typename }"}]"#, StatusCode::BAD_REQUEST),
        (Some("application/json"), r#"{"qry":"{ __typename }"}"#, StatusCode::BAD_REQUEST),
        (Some("application/json"), r#"{"query":7}"#, StatusCode::BAD_REQUEST),
        (Some("application/json"), r#"{"query":"{ __typename }","variables":[]}"#, StatusCode::BAD_REQUEST),
        (
            Some("application/json"),
            r#"{"query":"{ __typename }","operationName":7}"#,
            StatusCode::BAD_REQUEST,
        ),
        (Some("application/json"), r#"{"query":"{ __typename }","extensions":""}"#, StatusCode::BAD_REQUEST),
        (
            Some("application/json"),
            r#"{"query":"{ __typename }","variables":null,"extensions":null}"#,
            StatusCode::OK,
        ),
        (Some("application/json"), r#"{"query":"{"}"#, StatusCode::BAD_REQUEST),
        (Some("application/json"), r#"{"query":"{ nothing }"}"#, StatusCode::BAD_REQUEST),
        (
            Some("application/json"),
            r#"{"query":"{ __typename }","operationName":"Other"}"#,
            StatusCode::BAD_REQUEST,
        ),
    ];
    for (kind, body, due) in cases {
        let mut request = browser.request(Method::POST, "/graphql").header("accept", RESPONSE).body(body);
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        let response = browser.send(request).await;
        assert_eq!(response.status(), due, "{kind:?} {body}");
        assert!(response.headers()[CONTENT_TYPE].to_str().unwrap().starts_with(RESPONSE));
        let answer: Value = response.json().await.unwrap();
        if due == StatusCode::OK {
            assert_eq!(answer, json!({"data": {"__typename": "Query"}}));
        } else {
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{body}");
            assert!(
                answer.get("data").is_none() && answer["errors"][0]["extensions"]["requestId"].is_string()
            );
        }
    }
}

#[tokio::test]
async fn get_is_for_queries_and_other_methods_are_for_nothing() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    let mutation = "mutation { updateProfile(input: {}) { userErrors { reason } } }";
    for (query, due) in [
        ("{ __typename }", StatusCode::OK),
        (mutation, StatusCode::METHOD_NOT_ALLOWED),
        ("subscription { notificationReceived { id } }", StatusCode::BAD_REQUEST),
        ("", StatusCode::BAD_REQUEST),
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let request = browser.request(Method::GET, &format!("/graphql?{query}")).header("accept", RESPONSE);
        assert_eq!(browser.send(request).await.status(), due, "{query}");
    }
    assert!(stack.fakes.methods().iter().all(|method| !method.ends_with("UpdateProfile")));
    let variables = "/graphql?query=query(%24n%3A%20Boolean!)%7B__typename%20viewer%20%40include(if%3A%20%24n)%7Bid%7D%7D&variables=";
    let answer = browser.get(&format!("{variables}%7B%22n%22%3Afalse%7D")).await.text().await.unwrap();
    assert_eq!(answer, r#"{"data":{"__typename":"Query"}}"#);
    assert_eq!(browser.get(&format!("{variables}7")).await.status(), StatusCode::BAD_REQUEST);
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let request = browser.request(method, "/graphql").header("x-csrf", "1");
        let response = browser.send(request).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, POST");
    }
}

#[tokio::test]
async fn the_media_type_follows_what_is_accepted() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    for (accept, query, due, kind) in [
        ("application/json", "{ nothing }", StatusCode::OK, "application/json"),
        (RESPONSE, "{ nothing }", StatusCode::BAD_REQUEST, RESPONSE),
        ("*/*", "{ __typename }", StatusCode::OK, "application/json"),
        ("text/html", "{ __typename }", StatusCode::NOT_ACCEPTABLE, RESPONSE),
    ] {
        let request =
            browser.request(Method::POST, "/graphql").header("accept", accept).json(&json!({"query": query}));
        let response = browser.send(request).await;
        assert_eq!(response.status(), due, "{accept}");
        assert!(response.headers()[CONTENT_TYPE].to_str().unwrap().starts_with(kind), "{accept}");
    }
}

#[tokio::test]
async fn a_body_has_its_limit_however_it_is_sent() {
    let Some(stack) = Stack::with(|config| config.body_limit = 1000).await else { return };
    let mut browser = Browser::new(&stack);
    let body = |length: usize| {
        let start = r#"{"query":"{ __typename }","pad":""#;
        format!("{start}{}\"}}", "x".repeat(length - start.len() - 2))
    };
    for (length, due) in [(1000, StatusCode::OK), (1001, StatusCode::PAYLOAD_TOO_LARGE)] {
        let json = ("content-type", "application/json");
        let whole = browser.request(Method::POST, "/graphql").header(json.0, json.1).body(body(length));
        assert_eq!(browser.send(whole).await.status(), due, "{length}");
        let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
            body(length).into_bytes().chunks(100).map(|chunk| Ok(chunk.to_vec())).collect();
        let stream = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
        let chunked = browser.request(Method::POST, "/graphql").header(json.0, json.1).body(stream);
        assert_eq!(browser.send(chunked).await.status(), due, "{length} in pieces");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let Some(stack) = Stack::with(|config| config.deadline = Duration::from_millis(700)).await else {
        return;
    };
    let client = reqwest::Client::new();
    let token = stack.token("at+jwt", "councilsense");
    for (address, kind) in [
        ("/graphql", "application/json"),
        ("/graphql/stream", "application/json"),
        ("/api/graphql", "application/json"),
        ("/auth/backchannel-logout", "application/x-www-form-urlencoded"),
    ] {
        let begun = futures::stream::iter([Ok::<_, std::io::Error>(b"{".to_vec())]);
        let body = reqwest::Body::wrap_stream(begun.chain(futures::stream::pending()));
        let mut request =
            client.post(format!("{}{address}", stack.origin)).header(CONTENT_TYPE, kind).body(body);
        if address.starts_with("/api") {
            request = request.bearer_auth(&token);
        }
        let answer =
            tokio::time::timeout(Duration::from_secs(10), request.send()).await.expect(address).unwrap();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT, "{address}");
        let refused: Value = answer.json().await.unwrap();
        assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{address}");
    }
}

#[tokio::test]
async fn every_refusal_has_a_code_and_repeats_nothing() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    for (method, address, due, allow) in [
        (Method::PUT, "/auth/login", StatusCode::METHOD_NOT_ALLOWED, "GET"),
        (Method::DELETE, "/auth/session", StatusCode::METHOD_NOT_ALLOWED, "GET"),
        (Method::GET, "/auth/logout", StatusCode::METHOD_NOT_ALLOWED, "POST"),
        (Method::GET, "/auth/backchannel-logout", StatusCode::METHOD_NOT_ALLOWED, "POST"),
        (Method::GET, "/api/graphql", StatusCode::METHOD_NOT_ALLOWED, "POST"),
        (Method::POST, "/graphql/ws", StatusCode::METHOD_NOT_ALLOWED, "GET"),
        (Method::GET, "/graphql/ws", StatusCode::UPGRADE_REQUIRED, ""),
        (Method::POST, "/artifacts/01J00000000000000000000000", StatusCode::METHOD_NOT_ALLOWED, "GET"),
        (Method::POST, "/readyz", StatusCode::METHOD_NOT_ALLOWED, "GET"),
        (Method::PUT, "/unsubscribe", StatusCode::METHOD_NOT_ALLOWED, "GET"),
        (Method::POST, "/meetings", StatusCode::METHOD_NOT_ALLOWED, "GET"),
        (Method::GET, "/nothing.js", StatusCode::NOT_FOUND, ""),
        (Method::GET, "/auth/nothing", StatusCode::NOT_FOUND, ""),
    ] {
        let request = browser.request(method.clone(), address).header("x-csrf", "1");
        let response = browser.send(request).await;
        assert_eq!(response.status(), due, "{method} {address}");
        let allowed = response.headers().get(ALLOW).map_or("", |value| value.to_str().unwrap()).to_owned();
        assert!(allowed.contains(allow) && (allow.is_empty() == allowed.is_empty()), "{address}: {allowed}");
        let refused: Value = response.json().await.unwrap_or_else(|e| panic!("{method} {address}: {e}"));
        let extensions = &refused["errors"][0]["extensions"];
        assert!(
            extensions["code"].is_string() && extensions["requestId"].is_string(),
            "{address}: {refused}"
        );
    }
    // The parser quotes what it cannot read.
    let refused = browser.graphql("{ cities(canary: \"canary\" { id }", Value::Null).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    assert!(refused["errors"][0]["locations"][0]["line"].is_number(), "{refused}");
    assert!(!refused.to_string().contains("canary"), "{refused}");
}

#[tokio::test]
async fn a_document_has_its_limits() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    let aliases: String =
        (0..50).map(|n| format!("a{n}: cities(first: 100) {{ nodes {{ id }} }} ")).collect();
    let nested = format!("{{ __schema {{ types {}{} }} }}", "{ fields { type ".repeat(20), "} }".repeat(20));
    let wide = "{ meetings(first: 100) { nodes { summary { decisions { evidence { artifact { id title kind } } } } } } }";
    for (name, query) in [
        ("aliases", format!("{{ {aliases} }}")),
        ("in a fragment", format!("{{ ...F }} fragment F on Query {{ {aliases} }}")),
        ("in another operation", format!("query A {{ __typename }} query B {{ {aliases} }}")),
        ("tokens", format!("{{ {} }}", "__typename ".repeat(5000))),
        ("nesting", nested),
        ("cost", wide.to_owned()),
        ("brackets", "{ a".repeat(10_000)),
    ] {
        let request = browser
            .request(Method::POST, "/graphql")
            .header("accept", RESPONSE)
            .json(&json!({"query": query, "operationName": name.contains("operation").then_some("A")}));
        let response = browser.send(request).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{name}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "TOO_COMPLEX", "{name}: {answer}");
    }
    assert!(stack.fakes.methods().iter().all(|method| method.contains("ResolveTenant")));
    for first in [0, 101] {
        let answer =
            browser.graphql(&format!("{{ cities(first: {first}) {{ nodes {{ id }} }} }}"), Value::Null).await;
        assert_eq!(answer["errors"][0]["extensions"]["fields"][0]["field"], "first", "{answer}");
    }
}

#[tokio::test]
async fn production_tells_nothing_about_itself() {
    let Some(stack) = Stack::with(|config| {
        config.development = false;
        config.metrics_here = false;
    })
    .await
    else {
        return;
    };
    let mut browser = Browser::new(&stack);
    for query in ["{ __schema { types { name } } }", "{ __type(name: \"City\") { name } }"] {
        let answer = browser.graphql(query, Value::Null).await;
        assert!(!answer.to_string().contains("\"City\""), "{answer}");
    }
    let answer = browser.graphql("{ citie { nodes { id } } }", Value::Null).await;
    assert!(!answer.to_string().contains("Did you mean"), "{answer}");
    for address in ["/graphiql", "/metrics"] {
        let page = browser.get(address).await.text().await.unwrap();
        assert!(!page.contains("graphiql") && !page.contains("# metrics"), "{address}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_careful_headers() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    for address in
        ["/", "/meetings", "/healthz", "/auth/session", "/graphql?query=%7B__typename%7D", "/nothing.js"]
    {
        let response = browser.get(address).await;
        let headers = response.headers();
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{address}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"));
        assert_eq!(headers["x-content-type-options"], "nosniff", "{address}");
        assert!(headers.contains_key("referrer-policy") && headers.contains_key("x-request-id"));
        assert!(!headers.contains_key("strict-transport-security"), "plain HTTP");
        let personal = address.starts_with("/auth") || address.starts_with("/graphql");
        assert_eq!(
            headers.get(CACHE_CONTROL).is_some_and(|value| value == "no-store"),
            personal,
            "{address}"
        );
    }
    let ready: Value = browser.get("/readyz").await.json().await.unwrap();
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["dependencies"].as_object().unwrap().len(), 6);
    assert_eq!(browser.get("/metrics").await.text().await.unwrap(), "# metrics\n");
}
