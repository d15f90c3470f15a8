//! A Postgres that keeps sessions stops and starts again under a BFF that goes on.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::stack::{Stack, session_pool};

async fn ask(browser: &mut Browser) -> reqwest::Response {
    let request = browser
        .request(Method::POST, "/graphql")
        .header("x-csrf", "1")
        .json(&json!({"query": "{ viewer { id } }"}));
    browser.send(request).await
}

#[tokio::test]
async fn a_postgres_that_comes_back_is_used_again_without_a_restart() {
    // Where the server's user can reach it, unlike the usual place of temporary directories.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let start = async || {
        let options = cs_pg::Options { durable: false, ..cs_pg::Options::new(dir.path()) };
        cs_pg::start(options).await.unwrap_or_else(|error| panic!("{error}"))
    };
    let postgres = start().await;
    let address = postgres.url().clone();
    let pool = session_pool(&address, Duration::from_secs(2)).await;
    let Some(stack) = Stack::build(Some(bff::Store::Postgres(pool)), |config| {
        // Each request asks the store.
        config.edge.session_memory = Duration::ZERO;
    })
    .await
    else {
        return;
    };
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    let before: Value = ask(&mut browser).await.json().await.unwrap();
    assert!(before["data"]["viewer"]["id"].is_string(), "{before}");

    postgres.stop().await.unwrap();
    for _ in 0..2 {
        let away = ask(&mut browser).await;
        assert_eq!(away.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(away.headers().contains_key(RETRY_AFTER));
    }
    assert!(browser.session().is_some(), "the cookie stays");
    assert_eq!(browser.get("/readyz").await.status(), StatusCode::SERVICE_UNAVAILABLE);

    let postgres = start().await;
    assert_eq!(*postgres.url(), address, "on the port that it had");
    let after: Value = ask(&mut browser).await.json().await.unwrap();
    assert_eq!(after["data"], before["data"], "the session has outlived it");
    let mut ready = StatusCode::SERVICE_UNAVAILABLE;
    for _ in 0..100 {
        ready = browser.get("/readyz").await.status();
        if ready == StatusCode::OK {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(ready, StatusCode::OK);
    postgres.stop().await.unwrap();
}
