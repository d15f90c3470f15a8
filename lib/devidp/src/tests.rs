use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use chrono::TimeDelta;
use cs_core::ManualClock;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::*;

// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const BACK: &str = "http://127.0.0.1:8080/auth/callback";

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());

fn provider() -> (Router, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    (router(config(clock.clone())).unwrap(), clock)
}

fn config(clock: Arc<ManualClock>) -> Config {
    Config {
        issuer: Url::parse("http://127.0.0.1:8081").unwrap(),
        client_id: "councilsense".into(),
        client_secret: "s&cret".into(),
        redirect_uris: vec![BACK.into()],
        post_logout_redirect_uris: vec!["http://127.0.0.1:8080/".into()],
        key: KEY.clone(),
        people: people(),
        clock,
    }
}

async fn send(router: &Router, request: Request<Body>) -> Response<Body> {
    router.clone().oneshot(request).await.unwrap()
}

async fn json(response: Response<Body>) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

fn authorize(extra: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://x/authorize").unwrap();
    let mut pairs = vec![
        ("client_id", "councilsense"),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", "openid email"),
        ("state", "st"),
        ("nonce", "no"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (key, value) in extra {
        pairs.retain(|(known, _)| known != key);
        pairs.push((key, value));
    }
    url.query_pairs_mut().extend_pairs(pairs);
    format!("{}?{}", url.path(), url.query().unwrap())
}

fn form(path: &str, body: &str) -> Request<Body> {
    let mut request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body.to_owned()))
        .unwrap();
    if path.starts_with("/token") || path.starts_with("/revoke") {
        use base64::Engine;
        let pair = base64::engine::general_purpose::STANDARD.encode("councilsense:s%26cret");
        request.headers_mut().insert(header::AUTHORIZATION, format!("Basic {pair}").parse().unwrap());
    }
    request
}

async fn chosen(router: &Router, person: &str) -> Url {
    let response = send(router, form(&authorize(&[]), &format!("person={person}"))).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    Url::parse(response.headers()[header::LOCATION].to_str().unwrap()).unwrap()
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn redeem(code: &str, verifier: &str) -> Request<Body> {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", BACK),
            ("code_verifier", verifier),
        ])
        .finish();
    form("/token", &body)
}

#[tokio::test]
async fn a_person_signs_in_and_the_code_works_once() {
    let (router, _) = provider();
    let page = send(&router, Request::get(authorize(&[])).body(Body::empty()).unwrap()).await;
    let html = String::from_utf8(page.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert_eq!(html.matches("<form method=\"post\">").count(), 1);
    for key in ["resident", "reviewer", "operator", "resident-b"] {
        assert!(html.contains(&format!("name=\"person\" value=\"{key}\"")), "{key}");
    }

    let back = chosen(&router, "reviewer").await;
    assert_eq!(parameter(&back, "state").as_deref(), Some("st"));
    assert_eq!(parameter(&back, "iss").as_deref(), Some("http://127.0.0.1:8081"));
    let code = parameter(&back, "code").unwrap();

    let tokens = json(send(&router, redeem(&code, VERIFIER)).await).await;
    let claims = KEY.open(tokens["id_token"].as_str().unwrap()).unwrap();
    assert_eq!(claims["sub"], "reviewer");
    assert_eq!(claims["nonce"], "no");
    assert_eq!(claims["aud"], "councilsense");
    assert_eq!(claims["roles"], serde_json::json!(["resident", "reviewer"]));

    let userinfo = |token: String| {
        Request::get("/userinfo")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap()
    };
    let access = tokens["access_token"].as_str().unwrap().to_owned();
    assert_eq!(json(send(&router, userinfo(access.clone())).await).await["email"], "reviewer@example.test");

    // The second use fails, and ends what the first one gave.
    assert_eq!(send(&router, redeem(&code, VERIFIER)).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(send(&router, userinfo(access)).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_code_needs_its_verifier_and_a_minute() {
    let (router, clock) = provider();
    let code = parameter(&chosen(&router, "resident").await, "code").unwrap();
    let wrong = send(&router, redeem(&code, "not-the-verifier-not-the-verifier-not-the-verifier")).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);

    let code = parameter(&chosen(&router, "resident").await, "code").unwrap();
    clock.advance(TimeDelta::seconds(61));
    assert_eq!(send(&router, redeem(&code, VERIFIER)).await.status(), StatusCode::BAD_REQUEST);

    let code = parameter(&chosen(&router, "resident").await, "code").unwrap();
    let mut stranger = redeem(&code, VERIFIER);
    stranger.headers_mut().remove(header::AUTHORIZATION);
    assert_eq!(send(&router, stranger).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn refresh_rotates_and_reuse_ends_the_sign_in() {
    let (router, _) = provider();
    let code = parameter(&chosen(&router, "resident").await, "code").unwrap();
    let first = json(send(&router, redeem(&code, VERIFIER)).await).await;
    let refresh = |token: &Value| {
        form("/token", &format!("grant_type=refresh_token&refresh_token={}", token.as_str().unwrap()))
    };
    let second = json(send(&router, refresh(&first["refresh_token"])).await).await;
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert!(KEY.open(second["id_token"].as_str().unwrap()).unwrap().get("nonce").is_none());
    assert_eq!(send(&router, refresh(&first["refresh_token"])).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(send(&router, refresh(&second["refresh_token"])).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_restart_signs_nobody_out() {
    let (before, _) = provider();
    let code = parameter(&chosen(&before, "reviewer").await, "code").unwrap();
    let first = json(send(&before, redeem(&code, VERIFIER)).await).await;
    let refresh = first["refresh_token"].as_str().unwrap().to_owned();
    let renew = |token: &str| form("/token", &format!("grant_type=refresh_token&refresh_token={token}"));

    let (after, later) = provider();
    assert_eq!(
        send(&after, renew(&refresh)).await.status(),
        StatusCode::BAD_REQUEST,
        "not from before it began"
    );
    later.advance(TimeDelta::minutes(10));
    let after = router(config(later)).unwrap();
    let second = json(send(&after, renew(&refresh)).await).await;
    assert_eq!(KEY.open(second["id_token"].as_str().unwrap()).unwrap()["sub"], "reviewer");
    assert_eq!(send(&after, renew(&refresh)).await.status(), StatusCode::BAD_REQUEST, "once");
    let id_token = first["id_token"].as_str().unwrap();
    assert_eq!(
        send(&after, renew(id_token)).await.status(),
        StatusCode::BAD_REQUEST,
        "no other token of ours"
    );
}

#[tokio::test]
async fn bad_requests_are_refused_where_they_belong() {
    let (router, _) = provider();
    for (extra, page) in [
        (("client_id", "other"), true),
        (("redirect_uri", "http://127.0.0.1:8080/elsewhere"), true),
        (("response_type", "token"), false),
        (("scope", "email"), false),
        (("code_challenge_method", "plain"), false),
        (("code_challenge", ""), false),
        (("prompt", "none"), false),
    ] {
        let response = send(&router, Request::get(authorize(&[extra])).body(Body::empty()).unwrap()).await;
        if page {
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{extra:?}");
        } else {
            let location = Url::parse(response.headers()[header::LOCATION].to_str().unwrap()).unwrap();
            assert!(location.as_str().starts_with(BACK), "{extra:?}");
            assert!(parameter(&location, "error").is_some() && parameter(&location, "iss").is_some());
        }
    }
}

#[tokio::test]
async fn signing_out_leads_back_to_a_known_client_only() {
    let (router, _) = provider();
    let code = parameter(&chosen(&router, "resident").await, "code").unwrap();
    let tokens = json(send(&router, redeem(&code, VERIFIER)).await).await;
    let back = "post_logout_redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2F";
    let out = |query: String| Request::get(format!("/end_session?{query}")).body(Body::empty()).unwrap();
    assert_eq!(send(&router, out(back.into())).await.status(), StatusCode::BAD_REQUEST);
    let named = send(&router, out(format!("{back}&client_id=councilsense"))).await;
    assert_eq!(named.headers()[header::LOCATION], "http://127.0.0.1:8080/");
    let elsewhere =
        "client_id=councilsense&post_logout_redirect_uri=https%3A%2F%2Fevil.example%2F".to_owned();
    assert_eq!(send(&router, out(elsewhere)).await.status(), StatusCode::BAD_REQUEST);
    let hint = format!("{back}&state=x&id_token_hint={}", tokens["id_token"].as_str().unwrap());
    let response = send(&router, out(hint)).await;
    assert_eq!(response.headers()[header::LOCATION], "http://127.0.0.1:8080/?state=x");
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let dead =
        send(&router, form("/token", &format!("grant_type=refresh_token&refresh_token={refresh}"))).await;
    assert_eq!(dead.status(), StatusCode::BAD_REQUEST);
}

#[test]
fn it_serves_this_machine_only() {
    let config = Config {
        issuer: Url::parse("http://example.org").unwrap(),
        client_id: String::new(),
        client_secret: String::new(),
        redirect_uris: vec![],
        post_logout_redirect_uris: vec![],
        key: KEY.clone(),
        people: people(),
        clock: Arc::new(ManualClock::default()),
    };
    assert!(matches!(router(config), Err(Error::NotLoopback(_))));
}

#[test]
fn a_key_is_kept_as_pem() {
    let kept = SigningKey::from_pem(&KEY.to_pem().unwrap()).unwrap();
    assert!(kept.open(&KEY.sign(&serde_json::json!({"a": 1}))).is_some());
    assert!(SigningKey::from_pem("rubbish").is_err());
}
