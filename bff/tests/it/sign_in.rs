//! Signing in and out, and everything that must not work.

use cs_core::{Role, Subject};
use cs_proto::accounts::v1::ResolveIdentityRequest;
use reqwest::header::{CACHE_CONTROL, LOCATION, RETRY_AFTER, SET_COOKIE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::stack::Stack;

fn with(url: &url::Url, name: &str, value: Option<&str>) -> String {
    let mut changed = url.clone();
    let pairs: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    changed.query_pairs_mut().clear().extend_pairs(pairs);
    if let Some(value) = value {
        changed.query_pairs_mut().append_pair(name, value);
    }
    changed.into()
}

#[tokio::test]
async fn a_person_signs_in_and_out() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    let nobody: Value = browser.get("/auth/session").await.json().await.unwrap();
    assert_eq!(nobody["signedIn"], false);
    assert_eq!(nobody["csrf"], json!({"header": "x-csrf", "value": "1"}));

    let done = browser.sign_in("reviewer").await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    assert_eq!(done.headers()[LOCATION], "/meetings");
    assert_eq!(done.headers()[CACHE_CONTROL], "no-store");
    let cookies: Vec<&str> =
        done.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
    let session = cookies.iter().find(|cookie| cookie.starts_with("councilsense-dev=")).unwrap();
    assert!(
        session.contains("HttpOnly") && session.contains("SameSite=Strict") && session.contains("Path=/")
    );
    assert!(!session.contains("Secure"), "plain HTTP on loopback");
    assert_eq!(browser.cookies.len(), 1, "the sign-in's own cookie is gone");

    let resolved =
        stack.fakes.calls().into_iter().find(|call| call.method.ends_with("ResolveIdentity")).unwrap();
    assert_eq!(resolved.caller.subject, Subject::Service("bff".into()));
    assert_eq!(resolved.caller.tenant, stack.tenant);
    let request: ResolveIdentityRequest = resolved.message();
    assert_eq!((request.subject.as_str(), request.email.as_str()), ("reviewer", "reviewer@example.test"));
    assert_eq!(request.roles, ["resident", "reviewer"]);

    let viewer = browser.graphql("{ viewer { displayName roles } }", Value::Null).await;
    assert_eq!(
        viewer["data"]["viewer"],
        json!({"displayName": "Rosa Resident", "roles": ["RESIDENT", "REVIEWER"]})
    );
    let call = stack.fakes.calls().pop().unwrap();
    assert_eq!(call.caller.subject, Subject::User(stack.user));
    assert!(call.caller.has(Role::Reviewer) && !call.caller.request_id.is_empty());

    let old = browser.cookies.clone();
    let refused = browser.request(Method::POST, "/auth/logout");
    assert_eq!(browser.send(refused).await.status(), StatusCode::FORBIDDEN);
    let request = browser.request(Method::POST, "/auth/logout").header("x-csrf", "1");
    let out: Value = browser.send(request).await.json().await.unwrap();
    assert!(
        out["location"].as_str().unwrap().starts_with(&format!("http://{}/end_session?", stack.idp_address))
    );
    assert!(!out.to_string().contains("id_token"), "tokens stay here");
    assert!(browser.session().is_none());
    let back = browser.get(out["location"].as_str().unwrap()).await;
    assert_eq!(back.headers()[LOCATION].to_str().unwrap(), format!("{}/", stack.origin));
    browser.cookies = old;
    let viewer = browser.graphql("{ viewer { id } }", Value::Null).await;
    assert_eq!(viewer["data"]["viewer"], Value::Null, "the old session is dead");
}

#[tokio::test]
async fn two_tabs_sign_in_at_once() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    let one = browser.begin("/auth/login?return_to=/one").await;
    let two = browser.begin("/auth/login?return_to=/two").await;
    assert_eq!(browser.cookies.len(), 2);
    let (one, two) = (browser.choose(&one, "resident").await, browser.choose(&two, "resident").await);
    assert_eq!(browser.get(two.as_str()).await.headers()[LOCATION], "/two");
    let second = browser.session().cloned();
    assert_eq!(browser.get(one.as_str()).await.headers()[LOCATION], "/one");
    assert_ne!(browser.session().cloned(), second, "a new id at each sign-in");
}

#[tokio::test]
async fn a_new_sign_in_ends_the_old_session() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    let old = browser.session().unwrap().clone();
    let page = browser.begin("/auth/login").await;
    let back = browser.choose(&page, "resident").await;
    // A browser does not send a strict cookie along when it comes from another site.
    browser.cookies.remove("councilsense-dev");
    browser.get(back.as_str()).await;
    let new = browser.session().unwrap().clone();
    assert_ne!(old, new);
    browser.cookies.insert("councilsense-dev".into(), old);
    let viewer = browser.graphql("{ viewer { id } }", Value::Null).await;
    assert_eq!(viewer["data"]["viewer"], Value::Null);
}

#[tokio::test]
async fn an_answer_works_once_and_in_its_own_browser() {
    let Some(stack) = Stack::start().await else { return };
    let (mut browser, mut other) = (Browser::new(&stack), Browser::new(&stack));
    let page = browser.begin("/auth/login").await;
    let back = browser.choose(&page, "resident").await;
    let stolen = other.get(back.as_str()).await;
    assert_eq!(stolen.status(), StatusCode::BAD_REQUEST);
    assert!(other.session().is_none());
    let kept = browser.cookies.clone();
    assert_eq!(browser.get(back.as_str()).await.status(), StatusCode::SEE_OTHER, "its own browser still may");
    browser.cookies = kept;
    assert_eq!(browser.get(back.as_str()).await.status(), StatusCode::BAD_REQUEST, "a second time");
    let page = browser.begin("/auth/login").await;
    let late = browser.choose(&page, "resident").await;
    stack.clock.advance(chrono::TimeDelta::minutes(11));
    assert_eq!(browser.get(late.as_str()).await.status(), StatusCode::BAD_REQUEST, "too late");
    for malformed in [
        "/auth/callback",
        "/auth/callback?state=x",
        "/auth/callback?state=x&state=y",
        "/auth/callback?code=%FF",
    ] {
        assert_eq!(browser.get(malformed).await.status(), StatusCode::BAD_REQUEST, "{malformed}");
    }
}

#[tokio::test]
async fn an_answer_that_names_another_issuer_or_none_is_refused() {
    let Some(stack) = Stack::start().await else { return };
    for iss in [None, Some("https://evil.example"), Some("http://127.0.0.1")] {
        let mut browser = Browser::new(&stack);
        let page = browser.begin("/auth/login").await;
        let back = browser.choose(&page, "resident").await;
        let refused = browser.get(&with(&back, "iss", iss)).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{iss:?}");
        assert!(browser.session().is_none());
        assert_eq!(browser.get(back.as_str()).await.status(), StatusCode::BAD_REQUEST, "the sign-in is over");
    }
}

#[tokio::test]
async fn an_error_of_the_provider_ends_the_sign_in_and_is_not_shown() {
    let Some(stack) = Stack::start().await else { return };
    for (error, status) in [
        ("access_denied", StatusCode::FORBIDDEN),
        ("<script>canary</script>", StatusCode::FORBIDDEN),
        ("temporarily_unavailable", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let mut browser = Browser::new(&stack);
        let page = browser.begin("/auth/login").await;
        let back = browser.choose(&page, "resident").await;
        let address = format!("{}&error_description=canary", with(&back, "error", Some(error)));
        let response = browser.get(&address).await;
        assert_eq!(response.status(), status, "{error}");
        assert!(!response.text().await.unwrap().contains("canary"));
        assert!(browser.session().is_none());
    }
}

#[tokio::test]
async fn a_provider_that_is_away_is_503() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    let page = browser.begin("/auth/login").await;
    let back = browser.choose(&page, "resident").await;
    stack.idp.abort();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let response = browser.get(back.as_str()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(RETRY_AFTER));
    assert!(browser.session().is_none());
}

#[tokio::test]
async fn return_to_leads_nowhere_else() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    for bad in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/%09/evil.example",
        "/%2F%2Fevil.example",
    ] {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", bad).finish();
        let response = browser.get(&format!("/auth/login?{query}")).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
    assert_eq!(browser.get("/auth/login?provider=other").await.status(), StatusCode::BAD_REQUEST);
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn another_name_of_this_machine_is_led_to_the_configured_one() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    let port = stack.origin.rsplit(':').next().unwrap().to_owned();
    let request = browser
        .request(Method::GET, "/auth/login?return_to=/meetings")
        .header("host", format!("localhost:{port}"));
    let response = browser.send(request).await;
    let due = format!("{}/auth/login?return_to=%2Fmeetings", stack.origin);
    assert_eq!(response.headers()[LOCATION].to_str().unwrap(), due);
}

#[tokio::test]
async fn a_person_of_a_tenant_that_is_not_there_is_refused() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    assert_eq!(browser.sign_in("resident-b").await.status(), StatusCode::FORBIDDEN);
    assert!(browser.session().is_none());
}
