//! How a person is told: preferences, addresses, saved searches, and the link that stops it.

use cs_proto::errors::v1::Reason;
use cs_proto::notifications::v1 as pb;
use reqwest::StatusCode;
use reqwest::header::{CACHE_CONTROL, REFERRER_POLICY};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::stack::Stack;

#[tokio::test]
async fn a_link_stops_its_channel_without_a_session_and_a_look_at_it_stops_nothing() {
    let Some(stack) = Stack::start().await else { return };
    stack.fakes.answer(
        "notifications.Notifications/Unsubscribe",
        |caller, request: pb::UnsubscribeRequest| {
            assert!(caller.is_service(), "nobody is signed in");
            if request.token == "good.token" {
                Ok(pb::UnsubscribeResponse { channel: "email".into() })
            } else {
                Err(cs_rpc::status(Reason::NotFound, "there is no such link", &[]))
            }
        },
    );
    let client = reqwest::Client::new();
    let link = |token: &str| format!("{}/unsubscribe?token={token}", stack.origin);
    stack.fakes.calls();
    // What looks at links before the reader does.
    let page = client.get(link("good.token")).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(
        (page.headers()[CACHE_CONTROL].as_bytes(), page.headers()[REFERRER_POLICY].as_bytes()),
        (&b"no-store"[..], &b"no-referrer"[..])
    );
    let text = page.text().await.unwrap();
    assert!(text.contains("<form method=\"post\" action=\"/unsubscribe?token=good.token\">"), "{text}");
    assert!(stack.fakes.methods().is_empty());

    // A mail program's click (RFC 8058), and the page's button; from elsewhere, and with a session's cookie or without.
    for (kind, body, origin) in [
        ("application/x-www-form-urlencoded", "List-Unsubscribe=One-Click", None),
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n",
            Some("https://mail.example"),
        ),
        ("application/x-www-form-urlencoded", "", Some(stack.origin.as_str())),
    ] {
        let mut request = client.post(link("good.token")).header("content-type", kind).body(body);
        if let Some(origin) = origin {
            request = request.header("origin", origin).header("cookie", "councilsense=x");
        }
        let stopped = request.send().await.unwrap();
        assert_eq!(stopped.status(), StatusCode::OK, "{kind}");
        assert!(!stopped.headers().contains_key("set-cookie"));
        assert!(stopped.text().await.unwrap().contains("no more e-mails"));
    }
    assert_eq!(stack.fakes.methods(), ["notifications.Notifications/Unsubscribe"; 3]);

    for bad in ["", "other.token", "%3Cscript%3E", &"x".repeat(500)] {
        for request in [client.get(link(bad)), client.post(link(bad))] {
            let answer = request.send().await.unwrap();
            let shown = answer.status() == StatusCode::OK && bad == "other.token";
            assert!(shown || answer.status() == StatusCode::NOT_FOUND, "{bad}");
            assert!(!answer.text().await.unwrap().contains("<script>"));
        }
    }
    let nothing = client.post(format!("{}/unsubscribe", stack.origin)).send().await.unwrap();
    assert_eq!(nothing.status(), StatusCode::NOT_FOUND);
    for request in [client.get(link("a&token=b")), client.post(link("a&token=b"))] {
        let malformed = request.send().await.unwrap();
        assert_eq!(malformed.status(), StatusCode::BAD_REQUEST);
        let problem: Value = malformed.json().await.unwrap();
        assert_eq!(problem["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    }
    stack.fakes.answer("notifications.Notifications/Unsubscribe", |_, _: pb::UnsubscribeRequest| {
        Err::<pb::UnsubscribeResponse, _>(cs_rpc::status(Reason::Unavailable, "secret", &[]))
    });
    let away = client.post(link("good.token")).send().await.unwrap();
    assert_eq!(away.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!away.text().await.unwrap().contains("secret"));
}

#[tokio::test]
async fn preferences_are_changed_as_far_as_they_are_given() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    let kept = || pb::Preferences {
        enabled: true,
        channels: vec!["in_app".into(), "push".into()],
        available_channels: vec!["in_app".into(), "push".into(), "webhook".into()],
        time_zone: "America/Chicago".into(),
        quiet_hours: Some(pb::QuietHours { from: "22:00".into(), until: "07:00".into() }),
        digest: "weekly".into(),
        digest_hour: 9,
        changed_summaries: true,
        ..Default::default()
    };
    stack.fakes.answer(
        "notifications.Notifications/UpdatePreferences",
        move |_, _: pb::UpdatePreferencesRequest| {
            Ok(pb::UpdatePreferencesResponse { preferences: Some(kept()) })
        },
    );
    stack
        .fakes
        .answer("notifications.Notifications/GetPreferences", move |_, _: pb::GetPreferencesRequest| {
            Ok(pb::GetPreferencesResponse { preferences: Some(kept()) })
        });
    let query = "mutation($input: UpdateNotificationPreferencesInput!) { updateNotificationPreferences(input: $input) {
        viewer { notificationPreferences { channels availableChannels timeZone quietHours { from until } digest digestHour changedSummaries } } } }";
    stack.fakes.calls();
    let input = json!({"channels": ["IN_APP", "PUSH"], "digest": "WEEKLY", "quietHours": {"from": "22:00", "until": "07:00"}});
    let answer = browser.graphql(query, json!({"input": input})).await;
    let shown = &answer["data"]["updateNotificationPreferences"]["viewer"]["notificationPreferences"];
    assert_eq!(
        *shown,
        json!({"channels": ["IN_APP", "PUSH"], "availableChannels": ["IN_APP", "PUSH", "WEBHOOK"],
               "timeZone": "America/Chicago", "quietHours": {"from": "22:00", "until": "07:00"}, "digest": "WEEKLY",
               "digestHour": 9, "changedSummaries": true}),
        "{answer}"
    );
    let asked = |calls: Vec<crate::fakes::Call>| -> pb::UpdatePreferencesRequest {
        calls.iter().find(|call| call.method.ends_with("UpdatePreferences")).unwrap().message()
    };
    let request = asked(stack.fakes.calls());
    assert_eq!(request.channels.unwrap().names, ["in_app", "push"]);
    assert_eq!(
        (request.digest.as_deref(), request.digest_hour, request.time_zone, request.enabled),
        (Some("weekly"), None, None, None)
    );
    browser.graphql(query, json!({"input": {"quietHours": null}})).await;
    let request = asked(stack.fakes.calls());
    assert_eq!((request.quiet_hours, request.channels), (Some(pb::QuietHours::default()), None));
    let bad = browser.graphql(query, json!({"input": {"channels": ["PIGEON"]}})).await;
    assert_eq!(bad["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{bad}");
}

#[tokio::test]
async fn addresses_and_searches_are_a_person_s_own() {
    let Some(stack) = Stack::start().await else { return };
    let mut browser = Browser::new(&stack);
    for query in ["{ pushing { publicKey } }", "{ webhooks { id } }", "{ savedSearches { id } }"] {
        let nobody = browser.graphql(query, serde_json::Value::Null).await;
        assert_eq!(nobody["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{query}");
    }
    browser.sign_in("resident").await;
    stack.fakes.answer("notifications.Notifications/AddWebhook", |_, request: pb::AddWebhookRequest| {
        let webhook = pb::Webhook {
            id: crate::graphql::ulid(1),
            url: request.url,
            created_at: "2024-01-01T00:00:00Z".into(),
        };
        Ok(pb::AddWebhookResponse { webhook: Some(webhook), secret: "whsec_x".into() })
    });
    stack.fakes.answer("notifications.Notifications/SaveSearch", |_, request: pb::SaveSearchRequest| {
        let saved = pb::SavedSearch {
            id: crate::graphql::ulid(2),
            name: request.name,
            query: request.query,
            filter: request.filter,
            created_at: "2024-01-01T00:00:00Z".into(),
            followed: request.follow,
        };
        Ok(pb::SaveSearchResponse { saved_search: Some(saved) })
    });
    let add = "mutation { addWebhook(input: {url: \"https://hook.example/\"}) { webhook { id url } secret userErrors { message } } }";
    let added = browser.graphql(add, serde_json::Value::Null).await;
    assert_eq!(added["data"]["addWebhook"]["secret"], "whsec_x", "{added}");
    let save = "mutation { saveSearch(input: {query: \"rentals\", name: \"Hosts\", artifactKinds: [\"minutes\"], follow: true}) {
        savedSearch { name query followed filter { artifactKinds cityIds } } } }";
    let saved = browser.graphql(save, serde_json::Value::Null).await;
    assert_eq!(
        saved["data"]["saveSearch"]["savedSearch"],
        json!({"name": "Hosts", "query": "rentals", "followed": true, "filter": {"artifactKinds": ["minutes"], "cityIds": []}}),
        "{saved}"
    );
}
