//! What another site could cause, over the wire. The matrix itself is tested beside the code.

use reqwest::header::{ORIGIN, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::stack::Stack;

#[tokio::test]
async fn a_session_alone_does_nothing() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    stack.fakes.calls();
    let body = json!({"query": "{ viewer { id } }"});
    let cases = [
        (vec![], StatusCode::FORBIDDEN),
        (vec![("x-csrf", "1")], StatusCode::OK),
        (vec![("x-csrf", "1"), ("origin", stack.origin.as_str())], StatusCode::OK),
        (vec![("x-csrf", "1"), ("origin", "https://evil.example")], StatusCode::FORBIDDEN),
        (vec![("x-csrf", "1"), ("origin", "null")], StatusCode::FORBIDDEN),
        (vec![("x-csrf", "1"), ("sec-fetch-site", "cross-site")], StatusCode::FORBIDDEN),
    ];
    for (headers, due) in cases {
        let mut request = browser.request(Method::POST, "/graphql").json(&body);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let response = browser.send(request).await;
        assert_eq!(response.status(), due, "{headers:?}");
        assert!(!response.headers().contains_key("access-control-allow-origin"));
        if due == StatusCode::FORBIDDEN {
            assert!(!response.headers().contains_key(RETRY_AFTER));
            let refusal: Value = response.json().await.unwrap();
            assert_eq!(refusal["errors"][0]["extensions"]["reason"], "CSRF");
        }
    }
    assert_eq!(stack.fakes.methods().len(), 2, "what is refused reaches no service");
    let by_get = browser.get("/graphql?query=%7B__typename%7D").await;
    assert_eq!(by_get.status(), StatusCode::FORBIDDEN);
    let session = browser.get("/auth/session").await;
    assert_eq!(session.status(), StatusCode::FORBIDDEN);
    let preflight = browser.request(Method::OPTIONS, "/graphql").header(ORIGIN, "https://evil.example");
    assert!(!browser.send(preflight).await.headers().contains_key("access-control-allow-origin"));
}
