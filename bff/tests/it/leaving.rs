//! A person takes along what is kept about them, and leaves for good.

use cs_proto::accounts::v1 as accounts;
use cs_proto::errors::v1::Reason;
use cs_proto::notifications::v1 as notifications;
use cs_proto::summaries::v1 as summaries;
use cs_rpc::FieldViolation;
use reqwest::Method;
use reqwest::header::SET_COOKIE;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::sockets::{PROTOCOL, connect, hear, say};
use crate::stack::Stack;

const DELETE: &str = "mutation($words: String!) { deleteAccount(input: {confirmation: $words}) { id userErrors { field message reason } } }";

fn accounts_deletes(stack: &Stack) {
    stack.fakes.answer(
        "accounts.Accounts/DeleteAccount",
        |caller, request: accounts::DeleteAccountRequest| {
            if request.confirmation == "delete my account" {
                let user_id = caller.user().map(|user| user.to_string()).unwrap_or_default();
                return Ok(accounts::DeleteAccountResponse { user_id });
            }
            let field = FieldViolation::new("confirmation", "write the words");
            Err(cs_rpc::status(Reason::InvalidArgument, "no", &[field]))
        },
    );
}

async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.graphql("{ viewer { id } }", Value::Null).await["data"]["viewer"] != Value::Null
}

/// Rows of the person in every table of sessions that names people.
async fn rows(stack: &Stack) -> i64 {
    sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM sessions WHERE user_id = $1) + (SELECT count(*) FROM idempotent_answers WHERE user_id = $1)",
    )
    .bind(stack.user.uuid())
    .fetch_one(&stack.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn who_deletes_their_account_is_signed_out_everywhere() {
    let Some(stack) = Stack::start().await else { return };
    accounts_deletes(&stack);
    let (mut here, mut there, mut nobody) =
        (Browser::new(&stack), Browser::new(&stack), Browser::new(&stack));
    here.sign_in("resident").await;
    there.sign_in("resident").await;
    let mut socket = connect(&there, &[PROTOCOL, ("origin", &stack.origin)]).await.unwrap();
    say(&mut socket, json!({"type": "connection_init"})).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "connection_ack");
    stack.fakes.answer("accounts.Accounts/UpdateProfile", |_, _: accounts::UpdateProfileRequest| {
        Ok(accounts::UpdateProfileResponse { user: Some(accounts::User::default()) })
    });
    let update = "mutation { updateProfile(input: {idempotencyKey: \"k\"}) { userErrors { message } } }";
    here.graphql(update, Value::Null).await;
    assert_eq!(rows(&stack).await, 3);

    let refused = nobody.graphql(DELETE, json!({"words": "delete my account"})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{refused}");
    let wrong = here.graphql(DELETE, json!({"words": "yes"})).await;
    assert_eq!(wrong["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{wrong}");
    assert_eq!(wrong["errors"][0]["extensions"]["fields"][0]["field"], "confirmation");
    assert!(is_signed_in(&mut here).await && is_signed_in(&mut there).await);

    let request = here
        .request(Method::POST, "/graphql")
        .header("x-csrf", "1")
        .json(&json!({"query": DELETE, "variables": {"words": "delete my account"}}));
    let response = here.send(request).await;
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("councilsense-dev=;") && cookie.contains("Max-Age=0"), "{cookie}");
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["data"]["deleteAccount"]["userErrors"], json!([]), "{answer}");
    assert!(answer["data"]["deleteAccount"]["id"].is_string());
    assert!(here.session().is_none() && !is_signed_in(&mut here).await);
    assert!(there.session().is_some() && !is_signed_in(&mut there).await, "the other browser's is dead");
    assert_eq!(hear(&mut socket).await, Err(4401), "open connections end within seconds");
    assert_eq!(rows(&stack).await, 0);

    here.sign_in("resident").await;
    assert!(is_signed_in(&mut here).await);
}

#[tokio::test]
async fn the_only_owner_stays_and_is_told_why() {
    let Some(stack) = Stack::start().await else { return };
    stack.fakes.answer("accounts.Accounts/DeleteAccount", |_, _: accounts::DeleteAccountRequest| {
        Err::<accounts::DeleteAccountResponse, _>(cs_rpc::status(Reason::LastOwner, "no", &[]))
    });
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    let answer = browser.graphql(DELETE, json!({"words": "delete my account"})).await;
    let payload = &answer["data"]["deleteAccount"];
    assert_eq!((&payload["id"], &payload["userErrors"][0]["reason"]), (&Value::Null, &json!("LAST_OWNER")));
    assert!(is_signed_in(&mut browser).await);
}

#[tokio::test]
async fn a_session_that_outlived_its_account_ends() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    stack.fakes.answer("accounts.Accounts/GetViewer", |_, _: accounts::GetViewerRequest| {
        Err::<accounts::GetViewerResponse, _>(cs_rpc::status(Reason::NotFound, "no such account", &[]))
    });
    let answer = browser.graphql("{ viewer { id } }", Value::Null).await;
    assert_eq!(answer, json!({"data": {"viewer": null}}));
    assert!(browser.session().is_none());
    assert_eq!(rows(&stack).await, 0);
}

#[tokio::test]
async fn an_export_is_whole_or_an_error() {
    let Some(stack) = Stack::start().await else { return };
    let export =
        "mutation { requestDataExport(input: {idempotencyKey: \"k\"}) { json userErrors { message } } }";
    let mut browser = Browser::new(&stack);
    let nobody = browser.graphql(export, Value::Null).await;
    assert_eq!(nobody["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    browser.sign_in("resident").await;
    stack.fakes.answer("accounts.Accounts/ExportAccount", |caller, _: accounts::ExportAccountRequest| {
        let id = caller.user().map(|user| user.to_string());
        Ok(accounts::ExportAccountResponse { json: json!({"users": {"id": id}}).to_string() })
    });
    stack.fakes.answer("summaries.Summaries/ExportPerson", |_, _: summaries::ExportPersonRequest| {
        Ok(summaries::ExportPersonResponse { json: r#"{"claim_flags": []}"#.to_owned() })
    });
    stack.fakes.answer(
        "notifications.Notifications/ExportPerson",
        |_, _: notifications::ExportPersonRequest| {
            Err::<notifications::ExportPersonResponse, _>(cs_rpc::status(Reason::Unavailable, "away", &[]))
        },
    );
    let away = browser.graphql(export, Value::Null).await;
    assert_eq!(away["errors"][0]["extensions"]["code"], "UNAVAILABLE");
    stack.fakes.answer(
        "notifications.Notifications/ExportPerson",
        |_, _: notifications::ExportPersonRequest| {
            Ok(notifications::ExportPersonResponse { json: r#"{"follows": []}"#.to_owned() })
        },
    );
    let answer = browser.graphql(export, Value::Null).await;
    let text = answer["data"]["requestDataExport"]["json"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let kept: Value = serde_json::from_str(text).unwrap();
    assert_eq!(kept["accounts"]["users"]["id"], stack.user.to_string());
    assert_eq!(kept["notifications"], json!({"follows": []}));
    assert_eq!(kept["summaries"], json!({"claim_flags": []}));
    assert_eq!(kept["sessions"].as_array().unwrap().len(), 1);
    assert!(!text.contains(browser.session().unwrap()));
    assert_eq!(rows(&stack).await, 1, "no copy of it is kept");
}
