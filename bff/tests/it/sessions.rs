//! How long a session lives, where it is kept, and what happens when that place is away.

use chrono::TimeDelta;
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::Row;

use crate::browser::Browser;
use crate::stack::Stack;

async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.graphql("{ viewer { id } }", Value::Null).await["data"]["viewer"] != Value::Null
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_in_any_case() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    for _ in 0..13 {
        stack.clock.advance(TimeDelta::hours(11));
        assert!(is_signed_in(&mut browser).await, "in use");
    }
    let mut kept = Browser::new(&stack);
    kept.cookies = browser.cookies.clone();
    for _ in 0..3 {
        stack.clock.advance(TimeDelta::hours(10));
        is_signed_in(&mut browser).await;
    }
    assert!(!is_signed_in(&mut kept).await, "seven days");

    browser.sign_in("resident").await;
    stack.clock.advance(TimeDelta::hours(13));
    assert!(!is_signed_in(&mut browser).await, "idle");
}

#[tokio::test]
async fn the_table_opens_no_session_and_holds_no_token() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    browser.sign_in("operator").await;
    let cookie = browser.session().unwrap().clone();
    let rows = sqlx::query(
        "SELECT sessions::text AS row, sealed, issuer, subject, sid FROM sessions WHERE user_id = $1",
    )
    .bind(stack.user.uuid())
    .fetch_all(&stack.pool)
    .await
    .unwrap();
    let row = rows.last().unwrap();
    assert_eq!(row.get::<String, _>("subject"), "operator");
    assert!(row.get::<Option<String>, _>("sid").is_some());
    assert!(!row.get::<String, _>("row").contains(&cookie));
    let sealed = row.get::<Vec<u8>, _>("sealed");
    for plain in [&b"refresh_token"[..], b"Rosa", b"operator"] {
        assert!(!sealed.windows(plain.len()).any(|window| window == plain));
    }
}

#[tokio::test]
async fn a_person_lists_and_ends_sessions() {
    let Some(stack) = Stack::start().await else { return };
    let (mut here, mut there) = (Browser::new(&stack), Browser::new(&stack));
    here.sign_in("resident").await;
    there.sign_in("resident").await;
    let listed = here.graphql("{ sessions { id current userAgent } }", Value::Null).await;
    let sessions = listed["data"]["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let other = sessions.iter().find(|session| session["current"] == false).unwrap();
    let end = "mutation($id: ID!) { endSession(input: {id: $id}) { id userErrors { reason } } }";
    let ended = here.graphql(end, json!({"id": other["id"]})).await;
    assert_eq!(ended["data"]["endSession"]["id"], other["id"]);
    assert!(!is_signed_in(&mut there).await);
    assert!(is_signed_in(&mut here).await);
    let again = here.graphql(end, json!({"id": other["id"]})).await;
    assert_eq!(again["data"]["endSession"]["userErrors"][0]["reason"], "NOT_FOUND");
    let mut nobody = Browser::new(&stack);
    let refused = nobody.graphql("{ sessions { id } }", Value::Null).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_key_that_is_not_known_here_ends_nothing_and_a_retired_one_does() {
    let Some(first) = Stack::start().await else { return };
    let mut browser = Browser::new(&first);
    browser.sign_in("resident").await;
    let kept = browser.cookies.clone();
    let other = |retired: &'static [&'static str]| {
        let store = bff::Store::Postgres(first.pool.clone());
        Stack::build(Some(store), move |config| {
            config.session_keys = vec![bff::SessionKey { id: "2".into(), secret: [9; 32] }];
            config.retired_session_keys = retired.iter().map(|id| (*id).to_owned()).collect();
        })
    };
    let (Some(second), Some(third)) = (other(&[]).await, other(&["1"]).await) else { return };
    let mut there = Browser { origin: second.origin.clone(), ..browser.clone() };
    let request = there.request(Method::POST, "/graphql").header("x-csrf", "1");
    let refused = there.send(request.json(&json!({"query": "{ viewer { id } }"}))).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(there.cookies, kept, "the cookie stays");
    assert!(is_signed_in(&mut browser).await, "and the session");

    let mut gone = Browser { origin: third.origin.clone(), ..browser.clone() };
    assert!(!is_signed_in(&mut gone).await);
    // What was remembered of it a moment ago.
    first.clock.advance(TimeDelta::seconds(3));
    assert!(!is_signed_in(&mut browser).await, "ended");
}

#[tokio::test]
async fn nobody_makes_sessions_forgotten_by_signing_out_of_none() {
    let memory = std::time::Duration::from_secs(2);
    let Some(stack) = Stack::with(|config| config.edge.session_memory = memory).await else { return };
    let (mut browser, mut stranger) = (Browser::new(&stack), Browser::new(&stack));
    browser.sign_in("resident").await;
    assert!(is_signed_in(&mut browser).await);
    // What is remembered is all that is left of it.
    let gone = sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(stack.user.uuid());
    gone.execute(&stack.pool).await.unwrap();
    stranger.cookies.insert("councilsense-dev".into(), "AAAAAAAAAAAAAAAAAAAAAA".into());
    let out = stranger.request(Method::POST, "/auth/logout").header("x-csrf", "1");
    assert_eq!(stranger.send(out).await.status(), StatusCode::OK);
    assert!(is_signed_in(&mut browser).await, "remembered for as long as it may be");
    // Nor by a sign-in that comes to nothing.
    let page = stranger.begin("/auth/login?return_to=/").await;
    let state = page.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let issuer = format!("http://{}", stack.idp_address);
    let answer = format!("/auth/callback?state={state}&iss={issuer}&error=server_error");
    assert_eq!(stranger.get(&answer).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(is_signed_in(&mut browser).await, "still");
}

#[tokio::test]
async fn a_store_that_is_away_makes_nobody_anonymous() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    stack.pool.close().await;
    for (method, address) in [
        (Method::POST, "/graphql"),
        (Method::GET, "/auth/session"),
        (Method::POST, "/auth/logout"),
        (Method::GET, "/artifacts/01J00000000000000000000000"),
    ] {
        let request = browser
            .request(method, address)
            .header("x-csrf", "1")
            .json(&json!({"query": "{ viewer { id } }"}));
        let response = browser.send(request).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{address}");
        assert!(response.headers().contains_key(RETRY_AFTER));
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "UNAVAILABLE");
    }
    assert!(browser.session().is_some(), "the cookie stays, for when the store is back");
    let ready = browser.get("/readyz").await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready: Value = ready.json().await.unwrap();
    assert_eq!(ready["dependencies"]["sessions"], "unavailable");
    assert_eq!(ready["dependencies"]["accounts"], "ok");
}
