//! What only SNS and SQS can get wrong.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use chrono::TimeDelta;
use cs_core::TenantId;
use cs_events::bus::{DeadFilter, DeadMessage};
use cs_events::{Bus, Envelope, SnsBus};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::{World, elsewhere};

const LEASE: Duration = Duration::from_secs(30);

async fn url(sqs: &aws_sdk_sqs::Client, name: String) -> String {
    sqs.get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap()
}

async fn letters(bus: &SnsBus) -> Vec<DeadMessage> {
    bus.dead("q", DeadFilter::new(TenantId::of_slug("default"), ""), 100).await.unwrap()
}

async fn start(name: &str) -> Option<(SnsBus, aws_sdk_sqs::Client, World)> {
    let (options, config) = elsewhere(name).await?;
    let world = World::new(name).await;
    let bus = SnsBus::connect(options, world.bus_db.clone(), world.clock.clone()).await;
    Some((bus, aws_sdk_sqs::Client::new(&config), world))
}

/// The bus of a test as another process has it.
async fn other(name: &str, world: &World) -> SnsBus {
    let (options, _) = elsewhere(name).await.unwrap();
    SnsBus::connect(options, world.bus_db.clone(), world.clock.clone()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_made_once_and_put_right() {
    let Some((bus, sqs, _world)) = start("sns_ensure").await else { return };
    assert_eq!(bus.ensure("q", &["a", "b"]).await.unwrap().outcome, "made");
    assert_eq!(bus.ensure("q", &["a", "b"]).await.unwrap().outcome, "right as it was");
    assert_eq!(bus.ensure("q", &["a"]).await.unwrap().outcome, "changed");
    bus.verify("q", &["a"]).await.unwrap();
    let missing = bus.verify("q", &["a", "c"]).await.unwrap_err().to_string();
    assert!(missing.contains("the type c") && missing.contains("bus ensure"), "{missing}");
    let url = url(&sqs, bus.names().queue("q")).await;
    let got =
        sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All).send().await;
    let redrive = got.unwrap().attributes.unwrap().remove(&QueueAttributeName::RedrivePolicy).unwrap();
    let redrive: Value = serde_json::from_str(&redrive).unwrap();
    assert!(redrive["deadLetterTargetArn"].as_str().unwrap().ends_with(&bus.names().dead("q")));
    // Somebody turns a knob; it is turned back.
    sqs.set_queue_attributes()
        .queue_url(&url)
        .attributes(QueueAttributeName::VisibilityTimeout, "5")
        .send()
        .await
        .unwrap();
    assert_eq!(bus.ensure("q", &["a"]).await.unwrap().outcome, "changed");
    assert_eq!(bus.ensure("q", &["a"]).await.unwrap().outcome, "right as it was");
    // What others asked for stays, where it is not to be narrowed.
    assert_eq!(bus.ensure_also("q", &["c"]).await.unwrap().outcome, "changed");
    assert_eq!(bus.ensure_also("q", &["a"]).await.unwrap().outcome, "right as it was");
    bus.verify("q", &["a", "c"]).await.unwrap();
}

/// A queue that somebody else made and that would lose messages or bring them unreadable is not taken for right.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_made_is_looked_at() {
    let Some((bus, sqs, _world)) = start("sns_verify").await else { return };
    bus.ensure("q", &["a"]).await.unwrap();
    let url = url(&sqs, bus.names().queue("q")).await;
    let got = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All);
    let there = got.send().await.unwrap().attributes.unwrap();
    let mut redrive: Value = serde_json::from_str(&there[&QueueAttributeName::RedrivePolicy]).unwrap();
    redrive["maxReceiveCount"] = json!(3);
    for (attribute, wrong, said) in [
        (QueueAttributeName::RedrivePolicy, redrive.to_string(), "maxReceiveCount"),
        (QueueAttributeName::Policy, String::new(), "lets the topic send"),
    ] {
        let set = sqs.set_queue_attributes().queue_url(&url).attributes(attribute, wrong);
        set.send().await.unwrap();
        let error = bus.verify("q", &["a"]).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        bus.ensure("q", &["a"]).await.unwrap();
        bus.verify("q", &["a"]).await.unwrap();
    }
    let sns = aws_sdk_sns::Client::new(&elsewhere("sns_verify").await.unwrap().1);
    let all = sns.list_subscriptions().send().await.unwrap().subscriptions.unwrap();
    let name = bus.names().queue("q");
    let ours = all.iter().find(|s| s.endpoint().unwrap().ends_with(&format!(":{name}"))).unwrap();
    for (attribute, wrong, said) in [
        ("RawMessageDelivery", "false", "raw message delivery"),
        ("FilterPolicyScope", "MessageBody", "filter policy scope"),
    ] {
        let set = sns.set_subscription_attributes().subscription_arn(ours.subscription_arn().unwrap());
        set.attribute_name(attribute).attribute_value(wrong).send().await.unwrap();
        let error = bus.verify("q", &["a"]).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        bus.ensure("q", &["a"]).await.unwrap();
        bus.verify("q", &["a"]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wire_names_type_tenant_and_trace_and_stays_small() {
    let Some((bus, sqs, world)) = start("sns_wire").await else { return };
    bus.subscribe("q", &["a"]).await.unwrap();
    let sent = world.with_payload("a", "city", &json!({ "text": "x".repeat(700 << 10) }));
    bus.publish(std::slice::from_ref(&sent)).await.unwrap();
    let url = url(&sqs, bus.names().queue("q")).await;
    let got = sqs
        .receive_message()
        .queue_url(&url)
        .message_attribute_names("All")
        .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
        .wait_time_seconds(5)
        .send()
        .await;
    let message = got.unwrap().messages.unwrap().remove(0);
    let attribute =
        |name: &str| message.message_attributes().unwrap()[name].string_value().unwrap().to_owned();
    assert_eq!(attribute("type"), "a");
    assert_eq!(attribute("tenant_id"), sent.tenant_id.to_string());
    assert_eq!(attribute("traceparent"), sent.traceparent);
    // By which the server's own queues are fair.
    assert_eq!(message.attributes().unwrap()[&MessageSystemAttributeName::MessageGroupId], "city");
    assert!(message.body().unwrap().len() < 2_000, "the payload goes by reference");
    assert_eq!(world.number("SELECT count(*) FROM bus.payloads").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_queue_is_named() {
    let Some((bus, _sqs, _world)) = start("sns_missing").await else { return };
    let error = bus.receive("nowhere", 1, Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(&error, cs_events::BusError::Missing(what) if what.ends_with("nowhere")), "{error}");
    assert!(error.to_string().contains("councilsense bus ensure"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_city_behind_a_thousand_of_another_is_served_among_the_first() {
    let Some((bus, _sqs, world)) = start("sns_fair").await else { return };
    bus.subscribe("q", &["a"]).await.unwrap();
    let flood: Vec<Envelope> = (0..1_000).map(|_| world.envelope("a", "flooded")).collect();
    for batch in flood.chunks(200) {
        assert!(bus.publish(batch).await.unwrap().is_empty());
    }
    bus.publish(&[world.envelope("a", "small")]).await.unwrap();
    let mut before = 0;
    'served: loop {
        let taken = bus.receive("q", 8, LEASE).await.unwrap();
        for delivery in &taken {
            if delivery.envelope.as_ref().unwrap().payload["city_id"] == "small" {
                break 'served;
            }
            before += 1;
        }
        bus.done(&taken).await.unwrap();
        assert!(before < 1_000, "it came last");
    }
    assert!(before < 200, "{before} of the other city were served before");
    // What is in hand ahead of its turn can be had by others when this process stops.
    bus.let_go("q").await;
    let other = other("sns_fair", &world).await;
    assert_eq!(other.receive("q", 8, LEASE).await.unwrap().len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_ahead_of_its_turn_is_kept_from_others() {
    let Some((bus, _sqs, world)) = start("sns_ahead").await else { return };
    bus.subscribe("q", &["a"]).await.unwrap();
    let sent: Vec<Envelope> = (0..30).map(|_| world.envelope("a", "city")).collect();
    bus.publish(&sent).await.unwrap();
    let other = other("sns_ahead", &world).await;
    let lease = Duration::from_secs(12);
    let first = bus.receive("q", 8, lease).await.unwrap();
    assert_eq!(first.len(), 8);
    bus.done(&first).await.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        bus.hold("q", lease).await;
    }
    assert!(other.receive("q", 8, lease).await.unwrap().is_empty(), "it is in hand for longer than a lease");
    let second = bus.receive("q", 8, lease).await.unwrap();
    assert!(second.len() == 8 && second.iter().all(|d| d.attempt == 1), "and has been taken once");
    bus.done(&second).await.unwrap();
    // Nobody holds it any more: it comes again, to whoever asks, and not from here as if it were in hand.
    tokio::time::sleep(lease + Duration::from_secs(1)).await;
    let mut again = other.receive("q", 8, LEASE).await.unwrap();
    while again.len() < 14 {
        let more = other.receive("q", 8, LEASE).await.unwrap();
        assert!(!more.is_empty(), "{} of 14", again.len());
        again.extend(more);
    }
    assert!(again.iter().all(|d| d.attempt == 2));
    assert!(bus.receive("q", 8, lease).await.unwrap().is_empty(), "what others have is not handed out");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sqs_gives_up_is_kept_for_good_with_its_bytes() {
    let Some((bus, sqs, world)) = start("sns_letters").await else { return };
    bus.subscribe("q", &["a"]).await.unwrap();
    let (queue, dead) = (url(&sqs, bus.names().queue("q")).await, url(&sqs, bus.names().dead("q")).await);
    // One that nobody ends, by SQS's own count of three receives; the rubbish of somebody else with it.
    let arn =
        sqs.get_queue_attributes().queue_url(&dead).attribute_names(QueueAttributeName::QueueArn).send();
    let arn = arn.await.unwrap().attributes.unwrap().remove(&QueueAttributeName::QueueArn).unwrap();
    let redrive = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 3 }).to_string();
    let set = sqs.set_queue_attributes().queue_url(&queue);
    set.attributes(QueueAttributeName::RedrivePolicy, redrive).send().await.unwrap();
    let sent = world.envelope("a", "city");
    bus.publish(std::slice::from_ref(&sent)).await.unwrap();
    let rubbish = "{'no' \u{e9} json \u{1F3DB}";
    sqs.send_message().queue_url(&queue).message_body(rubbish).send().await.unwrap();
    let (mut taken, mut body) = (0, String::new());
    while taken < 6 {
        let got = sqs.receive_message().queue_url(&queue).visibility_timeout(0).wait_time_seconds(1);
        for message in got.max_number_of_messages(10).send().await.unwrap().messages.unwrap_or_default() {
            taken += 1;
            body = if message.body() == Some(rubbish) { body } else { message.body.unwrap() };
        }
    }
    // The next one that asks makes SQS give them up.
    assert!(bus.receive("q", 8, LEASE).await.unwrap().is_empty());
    assert_eq!(bus.count("q").await.unwrap(), (0, 2));
    // As a version before this one put it there, twice: it had died in between.
    let legacy = world.envelope("a", "city");
    let value = |text: &str| {
        aws_sdk_sqs::types::MessageAttributeValue::builder()
            .data_type("String")
            .string_value(text)
            .build()
            .unwrap()
    };
    for _ in 0..2 {
        sqs.send_message()
            .queue_url(&dead)
            .message_body(serde_json::to_string(&legacy).unwrap())
            .message_attributes("dead_error", value("the handler said so"))
            .message_attributes("dead_attempts", value("4"))
            .message_attributes("dead_at", value("2019-12-01T00:00:00Z"))
            .send()
            .await
            .unwrap();
    }
    for _ in 0..2 {
        let letters = letters(&bus).await;
        assert_eq!(letters.len(), 3);
        let of = |event| letters.iter().find(|letter| letter.event == event).unwrap();
        assert!(of(sent.id).error.contains("SQS gave it up"));
        assert_eq!((of(legacy.id).error.as_str(), of(legacy.id).attempts), ("the handler said so", 4));
        assert_eq!(letters.last().unwrap().event, legacy.id, "newest first");
        assert!(letters.iter().any(|letter| letter.envelope == rubbish));
    }
    let left = sqs.receive_message().queue_url(&dead).wait_time_seconds(1).send().await.unwrap();
    assert!(left.messages.unwrap_or_default().is_empty(), "nothing is left to a queue that forgets");
    let kept =
        world.text("SELECT body FROM bus.letters WHERE attributes ->> 'traceparent' IS NOT NULL").await;
    assert_eq!(kept, body, "as it came");
    // It goes on from there.
    assert_eq!(bus.replay("q", &[sent.id]).await.unwrap(), [sent.id]);
    let again = bus.receive("q", 8, LEASE).await.unwrap();
    assert_eq!(again[0].envelope.as_ref().unwrap(), &sent);
    assert_eq!(letters(&bus).await.len(), 2);
}

/// What is sent again may be given up again before the one who sends it has forgotten the letter.
#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_written_anew_while_it_is_sent_again_stays() {
    let Some((bus, _sqs, world)) = start("sns_rewritten").await else { return };
    bus.subscribe("q", &["a"]).await.unwrap();
    let sent = world.envelope("a", "city");
    bus.publish(std::slice::from_ref(&sent)).await.unwrap();
    bus.bury(&bus.receive("q", 1, LEASE).await.unwrap()[0], "first").await.unwrap();
    // Letters can be read, and not forgotten, until the consumer's is written.
    let mut consumer = PgConnection::connect(world.url.as_str()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE bus.letters IN SHARE MODE").execute(&mut consumer).await.unwrap();
    let bus = Arc::new(bus);
    let sending = {
        let (bus, id) = (bus.clone(), sent.id);
        tokio::spawn(async move { bus.replay("q", &[id]).await.unwrap() })
    };
    let mut again = Vec::new();
    while again.is_empty() {
        again = bus.receive("q", 1, LEASE).await.unwrap();
    }
    sqlx::raw_sql(
        "SELECT bus.bus_keep_letter(queue, event_id, type, tenant, version, body, attributes, 1, 'second', parked, died_at) FROM bus.letters;
         COMMIT",
    )
    .execute(&mut consumer)
    .await
    .unwrap();
    bus.done(&again).await.unwrap();
    assert_eq!(sending.await.unwrap(), [sent.id]);
    let letters = letters(&bus).await;
    assert_eq!(letters.iter().map(|letter| letter.error.as_str()).collect::<Vec<_>>(), ["second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_with_a_nul_in_it_holds_up_no_other() {
    let Some((bus, sqs, world)) = start("sns_nul").await else { return };
    bus.subscribe("q", &["a"]).await.unwrap();
    let dead = url(&sqs, bus.names().dead("q")).await;
    let mut odd = world.envelope("a", "city");
    odd.kind = "a\0b".to_owned();
    let odd = serde_json::to_string(&odd).unwrap();
    for body in [r#"{"tenant_id":"\u0000"}"#, odd.as_str(), "the one behind"] {
        sqs.send_message().queue_url(&dead).message_body(body).send().await.unwrap();
    }
    let letters = letters(&bus).await;
    assert_eq!(letters.len(), 3);
    assert_eq!(letters.iter().filter(|letter| letter.kind == "ab").count(), 1, "{letters:?}");
    assert_eq!(bus.unpark("q", &[("a", 1)]).await.unwrap(), 0, "a role starts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_keeps_its_large_payload_as_long_as_itself() {
    let Some((bus, _sqs, world)) = start("sns_payload").await else { return };
    bus.subscribe("q", &["a"]).await.unwrap();
    let text = "x".repeat(300 << 10);
    let sent = world.with_payload("a", "city", &json!({ "text": text }));
    bus.publish(std::slice::from_ref(&sent)).await.unwrap();
    let taken = bus.receive("q", 1, LEASE).await.unwrap();
    bus.bury(&taken[0], "too much").await.unwrap();
    let later = world.clock.now() + TimeDelta::days(1);
    assert_eq!(bus.tidy(later).await.unwrap(), 0);
    assert_eq!(letters(&bus).await[0].envelope["payload"]["text"], text);
    // Sent again after a long time, it is needed again.
    let old = "UPDATE bus.payloads SET created_at = now() - interval '100 days'";
    let lately = world.clock.now() - TimeDelta::days(90);
    world.admin(old).await;
    assert_eq!(bus.replay("q", &[sent.id]).await.unwrap(), [sent.id]);
    assert!(letters(&bus).await.is_empty());
    assert_eq!(bus.tidy(lately).await.unwrap(), 0);
    let taken = bus.receive("q", 1, LEASE).await.unwrap();
    assert_eq!(taken[0].envelope.as_ref().unwrap(), &sent);
    world.admin(old).await;
    bus.send("q", std::slice::from_ref(&sent)).await.unwrap();
    assert_eq!(bus.tidy(lately).await.unwrap(), 0);
    bus.bury(&taken[0], "too much").await.unwrap();
    assert!(bus.discard("q", sent.id).await.unwrap());
    assert_eq!(bus.tidy(later).await.unwrap(), 1);
}
