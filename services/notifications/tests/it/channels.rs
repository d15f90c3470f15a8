//! E-mail, web push and webhooks, received by software that others wrote.

use chrono::TimeDelta;
use cs_core::{MeetingId, UserId};
use cs_net::Trust;
use notifications::addresses::{self, Browser};
use notifications::follow::Target;
use notifications::preferences::Change;
use notifications::{Deps, Error, Sender, Settings, unsubscribe};

use crate::receivers::Receivers;
use crate::support::World;

fn settings(receivers: &Receivers) -> Settings {
    Settings {
        public_url: Some("https://council.example/".parse().unwrap()),
        smtp_url: Some(format!("smtp://127.0.0.1:{}", receivers.smtp)),
        mail_from: Some("Council “News” <news@council.example>".into()),
        push_contact: Some("mailto:operator@council.example".into()),
        allow_loopback: true,
        keep_days: None,
    }
}

/// What was said by addresses that are gone.
const GONE: &str =
    "SELECT a.error FROM messages m JOIN message_attempts a ON a.message_id = m.id AND a.outcome = 'failed'
     WHERE m.state = 'suppressed' AND m.state_reason = 'the address is gone' ORDER BY 1";

pub(crate) async fn follower(world: &World, channels: &[&str]) -> UserId {
    let user: UserId = world.ids.next();
    world.follow(user, &Target::City(world.places.city)).await;
    let channels = channels.iter().map(|name| (*name).to_owned()).collect();
    world.prefer(user, &Change { channels: Some(channels), ..Change::default() }).await;
    user
}

async fn meeting(world: &World, summary: &str) -> MeetingId {
    let meeting = world.ids.next();
    let event = world.published(meeting, |event| event.short_summary = summary.into());
    world.announce(&event).await.unwrap();
    world.work().await;
    meeting
}

async fn until_done(sender: &Sender) {
    while sender.step().await.unwrap() > 0 {}
}

pub(crate) async fn browser(world: &World, user: UserId, receivers: &Receivers, path: &str) {
    let caller = world.person(user);
    let browser = Browser {
        endpoint: receivers.url(path),
        p256dh: receivers.p256dh.clone(),
        auth: receivers.auth.clone(),
        user_agent: "Firefox".into(),
    };
    let mut tx = world.tx(&caller).await;
    addresses::register(&mut tx, &caller, &world.deps, &browser).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_e_mail_says_what_why_and_how_to_stop_it_with_one_click() {
    let Some(mut receivers) = Receivers::start().await else { return };
    let world = World::start("e_mail").await;
    let user = follower(&world, &["in_app", "email"]).await;
    let meeting = meeting(&world, "Größe <b>&\n.\nA line that is a dot, and 你好.").await;
    let sender = notifications::sender(&world.deps, &settings(&receivers)).unwrap();
    until_done(&sender).await;

    let mail = receivers.next("mail").await;
    let header = |name: &str| mail["headers"][name].as_str().unwrap_or_default().to_owned();
    let address = format!("{}@example.org", user.to_string().to_lowercase());
    assert_eq!(mail["to"][0], address.as_str());
    assert_eq!(header("to"), format!("Zoë Núñez <{address}>"));
    assert_eq!(header("from"), "Council “News” <news@council.example>");
    assert_eq!(header("subject"), "City Council: Regular Meeting (2023-03-09) · New Orleans");
    assert_eq!(
        (mail["type"].as_str(), mail["defects"].as_array().unwrap().len()),
        (Some("multipart/alternative"), 0)
    );
    let key = &world.texts("SELECT dedupe_key FROM deliveries").await[0];
    assert_eq!(header("message-id"), format!("<{key}@council.example>"));
    assert_eq!(header("list-unsubscribe-post"), "List-Unsubscribe=One-Click");
    let link = header("list-unsubscribe");
    let link = link.strip_prefix('<').and_then(|link| link.strip_suffix('>')).unwrap();
    let token = link.strip_prefix("https://council.example/unsubscribe?token=").unwrap().to_owned();
    let (text, html) = (mail["text"].as_str().unwrap(), mail["html"].as_str().unwrap());
    assert!(text.contains("Größe <b>&\n.\nA line that is a dot, and 你好."), "{text}");
    assert!(text.contains("You follow New Orleans.") && text.contains(link), "{text}");
    assert!(html.contains("Größe &lt;b&gt;&amp;") && !html.contains("<b>"), "{html}");
    assert!(html.contains("You follow New Orleans.") && html.contains("Stop these e-mails"), "{html}");
    use base64::Engine;
    let page = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("Meeting:{meeting}"));
    assert!(text.contains(&format!("https://council.example/meetings/{page}")), "{text}");

    // The link stops e-mail, whoever posts it, and nothing else; a second time changes nothing.
    for _ in 0..2 {
        assert_eq!(
            unsubscribe::stop(&world.deps, &world.neighbour().service(), &token).await.unwrap(),
            "email"
        );
    }
    assert_eq!(world.texts("SELECT array_to_string(channels, ',') FROM preferences").await, ["in_app"]);
    let forged = unsubscribe::stop(&world.deps, &world.service(), &format!("{token}A")).await;
    assert!(matches!(forged, Err(Error::NotFound("link"))));
    let person = unsubscribe::stop(&world.deps, &world.person(user), &token).await;
    assert!(matches!(person, Err(Error::Denied(_))), "only our own edge may ask");
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    world.work().await;
    until_done(&sender).await;
    assert_eq!((world.count("messages").await, world.count("delivery_attempts").await), (1, 2));
}

#[tokio::test]
async fn a_mailbox_that_is_none_fails_and_a_server_that_is_away_is_waited_for() {
    let Some(receivers) = Receivers::start().await else { return };
    let world = World::start("bad_mail").await;
    follower(&world, &["email"]).await;
    meeting(&world, "x").await;
    let away = Settings { smtp_url: Some("smtp://127.0.0.1:1".into()), ..settings(&receivers) };
    until_done(&notifications::sender(&world.deps, &away).unwrap()).await;
    assert_eq!(world.texts("SELECT state || ' ' || attempt FROM messages").await, ["sending 1"]);
    world.clock.advance(TimeDelta::minutes(31));
    // Without accounts nobody knows the address: it is waited for as well.
    let alone = Deps { accounts: None, ..world.deps.clone() };
    until_done(&notifications::sender(&alone, &settings(&receivers)).unwrap()).await;
    let failed = world.texts("SELECT error FROM message_attempts ORDER BY attempt").await;
    assert_eq!(failed.len(), 2);
    assert!(failed[1].contains("--services accounts"), "{failed:?}");
    world.clock.advance(TimeDelta::minutes(31));
    until_done(&notifications::sender(&world.deps, &settings(&receivers)).unwrap()).await;
    assert_eq!(world.texts("SELECT state FROM messages").await, ["sent"]);
    let wrong = Settings { smtp_url: Some("mailto:x".into()), ..settings(&receivers) };
    assert!(notifications::sender(&world.deps, &wrong).err().unwrap().to_string().contains("--smtp-url"));
    let nobody = Settings { mail_from: None, ..settings(&receivers) };
    assert!(notifications::sender(&world.deps, &nobody).err().unwrap().to_string().contains("--mail-from"));
    assert!(!format!("{:?}", settings(&receivers)).contains("127.0.0.1"), "the address holds a password");
}

#[tokio::test]
async fn a_push_is_opened_by_the_browser_it_was_made_for() {
    let Some(mut receivers) = Receivers::start().await else { return };
    let world = World::start("push").await;
    let user = follower(&world, &["in_app"]).await;
    browser(&world, user, &receivers, "/push/201").await;
    meeting(&world, &"Ein sehr langer Text mit \"Zeichen\" und 市議会. ".repeat(200)).await;
    let sender = notifications::sender(&world.deps, &settings(&receivers)).unwrap();
    until_done(&sender).await;
    let push = receivers.next("push").await;
    assert_eq!(push["error"], serde_json::Value::Null, "{push}");
    assert!(push["length"].as_u64().unwrap() <= 4096);
    let headers = &push["headers"];
    assert_eq!(
        (headers["content-encoding"].as_str(), headers["ttl"].as_str()),
        (Some("aes128gcm"), Some("86400"))
    );
    assert!(headers["topic"].as_str().unwrap().len() <= 32);
    assert_eq!(
        (push["scheme"].as_str(), push["key"].as_str()),
        (Some("vapid"), Some(world.deps.keys.push_public().as_str()))
    );
    assert_eq!(push["claims"]["sub"], "mailto:operator@council.example");
    let life = push["claims"]["exp"].as_i64().unwrap() - world.now().timestamp();
    assert!((1..=24 * 3600).contains(&life));
    let payload = &push["payload"];
    assert_eq!(payload["title"], "City Council: Regular Meeting (2023-03-09) · New Orleans");
    assert_eq!(payload["reason"], "You follow New Orleans");
    assert!(payload["body"].as_str().unwrap().ends_with('…'));
    let stop = payload["stop"].as_str().unwrap();
    let token = stop.strip_prefix("https://council.example/unsubscribe?token=").unwrap();
    assert_eq!(unsubscribe::stop(&world.deps, &world.service(), token).await.unwrap(), "push");
}

#[tokio::test]
async fn a_subscription_that_is_gone_is_removed_and_a_busy_service_is_given_its_time() {
    let Some(mut receivers) = Receivers::start().await else { return };
    let world = World::start("push_gone").await;
    let user = follower(&world, &["in_app"]).await;
    for path in ["/push/201", "/push/404", "/push/410", "/push/429", "/push/400"] {
        browser(&world, user, &receivers, path).await;
    }
    meeting(&world, "x").await;
    let sender = notifications::sender(&world.deps, &settings(&receivers)).unwrap();
    until_done(&sender).await;
    for _ in 0..5 {
        assert_eq!(receivers.next("push").await["error"], serde_json::Value::Null);
    }
    let states =
        "SELECT coalesce(split_part(s.endpoint, '/push/', 2), 'gone') || ' ' || m.state FROM messages m
                  LEFT JOIN push_subscriptions s ON s.id = m.target_id ORDER BY 1";
    assert_eq!(
        world.texts(states).await,
        ["201 sent", "400 failed", "429 sending", "gone suppressed", "gone suppressed"]
    );
    // Tried all the same, and no dead letters: nobody could mend anything.
    assert_eq!(world.texts(GONE).await, ["the receiver answered 404", "the receiver answered 410"]);
    // 120 seconds were asked for.
    world.clock.advance(TimeDelta::seconds(119));
    assert_eq!(sender.step().await.unwrap(), 0);
    world.clock.advance(TimeDelta::seconds(1));
    assert_eq!(sender.step().await.unwrap(), 1);
    receivers.next("push").await;
}

#[tokio::test]
async fn a_webhook_is_verified_by_who_gets_it() {
    let Some(mut receivers) = Receivers::start().await else { return };
    let world = World::start("webhook").await;
    let user = follower(&world, &["in_app"]).await;
    let caller = world.person(user);
    let mut tx = world.tx(&caller).await;
    let url = receivers.url("/webhook/200");
    let (made, secret) = addresses::add_webhook(&mut tx, &caller, &world.deps, &url).await.unwrap();
    let again = addresses::add_webhook(&mut tx, &caller, &world.deps, &url).await.unwrap();
    assert_eq!((again.0.id, &again.1), (made.id, &secret), "the same address is the same webhook");
    tx.commit().await.unwrap();
    receivers.secret(&secret).await;
    let meeting = meeting(&world, "The council adopted the budget.").await;
    until_done(&notifications::sender(&world.deps, &settings(&receivers)).unwrap()).await;
    let got = receivers.next("webhook").await;
    assert_eq!((&got["verified"], &got["forged"]), (&true.into(), &false.into()), "{got}");
    let key = &world.texts("SELECT dedupe_key FROM deliveries").await[0];
    assert_eq!(got["headers"]["webhook-id"], key.as_str());
    assert_eq!(got["body"]["type"], "meeting.published");
    let told = &got["body"]["data"]["meetings"][0];
    assert_eq!(told["meeting_id"], meeting.to_string());
    assert_eq!(
        (&told["summary"], &told["reason"]),
        (&"The council adopted the budget.".into(), &"You follow New Orleans".into())
    );
    assert!(
        got["body"]["data"]["unsubscribe_url"]
            .as_str()
            .unwrap()
            .starts_with("https://council.example/unsubscribe?token=")
    );
}

#[tokio::test]
async fn webhooks_are_tried_again_not_redirected_and_forgotten_when_they_are_gone() {
    let Some(mut receivers) = Receivers::start().await else { return };
    let world = World::start("webhook_answers").await;
    let user = follower(&world, &["in_app"]).await;
    let caller = world.person(user);
    for status in ["500", "302", "410", "400"] {
        let mut tx = world.tx(&caller).await;
        let url = receivers.url(&format!("/webhook/{status}"));
        addresses::add_webhook(&mut tx, &caller, &world.deps, &url).await.unwrap();
        tx.commit().await.unwrap();
    }
    meeting(&world, "x").await;
    until_done(&notifications::sender(&world.deps, &settings(&receivers)).unwrap()).await;
    for _ in 0..4 {
        receivers.next("webhook").await;
    }
    let states =
        "SELECT coalesce(split_part(w.url, '/webhook/', 2), 'gone') || ' ' || m.state FROM messages m
                  LEFT JOIN webhooks w ON w.id = m.target_id ORDER BY 1";
    assert_eq!(world.texts(states).await, ["302 failed", "400 failed", "500 sending", "gone suppressed"]);
    assert_eq!(world.texts(GONE).await, ["the receiver answered 410"]);
}

#[tokio::test]
async fn addresses_inside_are_refused_when_they_are_given_and_when_they_are_sent_to() {
    let Some(receivers) = Receivers::start().await else { return };
    let world = World::start("inside").await;
    let user = follower(&world, &["in_app"]).await;
    let caller = world.person(user);
    let public = Deps { trust: Trust::Public, ..world.deps.clone() };
    let mut tx = world.tx(&caller).await;
    for url in [
        receivers.url("/webhook/200"),
        "https://127.0.0.1/".into(),
        "https://localhost/".into(),
        "https://169.254.169.254/latest/".into(),
        "http://example.org/".into(),
        "https://user:word@example.org/".into(),
        "ftp://example.org/".into(),
        "nonsense".into(),
        format!("https://example.org/{}", "x".repeat(2_000)),
    ] {
        let refused = addresses::add_webhook(&mut tx, &caller, &public, &url).await;
        assert!(
            matches!(refused, Err(Error::Invalid(ref field)) if field.field == "url"),
            "{url}: {refused:?}"
        );
        let browser = Browser {
            endpoint: url.clone(),
            p256dh: receivers.p256dh.clone(),
            auth: receivers.auth.clone(),
            ..Browser::default()
        };
        assert!(addresses::register(&mut tx, &caller, &public, &browser).await.is_err(), "{url}");
    }
    let good = Browser {
        endpoint: "https://push.example.org/1".into(),
        p256dh: receivers.p256dh.clone(),
        auth: receivers.auth.clone(),
        ..Browser::default()
    };
    for bad in [
        Browser { p256dh: receivers.auth.clone(), ..good.clone() },
        // 65 bytes that are no point of the curve.
        Browser { p256dh: format!("B{}", "A".repeat(86)), ..good.clone() },
        Browser { p256dh: "%%".into(), ..good.clone() },
        Browser { auth: receivers.p256dh.clone(), ..good.clone() },
    ] {
        let refused = addresses::register(&mut tx, &caller, &public, &bad).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{bad:?}");
    }
    drop(tx);
    // One that was registered while that was allowed is not reached any more.
    browser(&world, user, &receivers, "/push/201").await;
    meeting(&world, "x").await;
    until_done(&notifications::sender(&public, &settings(&receivers)).unwrap()).await;
    let failed = world.texts("SELECT state || ': ' || state_reason FROM messages").await;
    assert_eq!(failed, ["failed: the address must begin with https://"]);
}
