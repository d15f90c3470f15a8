//! What only SNS and SQS can get wrong.

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use cs_events::{Bus, SnsBus, SnsOptions};
use serde_json::{Value, json};

use crate::localstack;
use crate::support::World;

async fn start(name: &str) -> Option<(SnsBus, aws_sdk_sqs::Client, World)> {
    let endpoint = localstack::endpoint().await?;
    localstack::credentials();
    let world = World::new(name).await;
    let options = SnsOptions {
        endpoint: Some(endpoint.clone()),
        prefix: format!("{name}-{}", std::process::id()).replace('_', "-"),
        topic_arn: None,
        wait: Duration::from_secs(1),
    };
    let bus = SnsBus::connect(options, world.bus_db.clone(), world.clock.clone()).await;
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .endpoint_url(endpoint.as_str())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .load()
        .await;
    Some((bus, aws_sdk_sqs::Client::new(&config), world))
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
    let url = sqs.get_queue_url().queue_name(bus.names().queue("q")).send().await.unwrap().queue_url.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn the_wire_names_type_tenant_and_trace_and_stays_small() {
    let Some((bus, sqs, world)) = start("sns_wire").await else { return };
    bus.subscribe("q", &["a"]).await.unwrap();
    let sent = world.with_payload("a", "city", &json!({ "text": "x".repeat(700 << 10) }));
    bus.publish(std::slice::from_ref(&sent)).await.unwrap();
    let url = sqs.get_queue_url().queue_name(bus.names().queue("q")).send().await.unwrap().queue_url.unwrap();
    let got = sqs
        .receive_message()
        .queue_url(&url)
        .message_attribute_names("All")
        .wait_time_seconds(5)
        .send()
        .await;
    let message = got.unwrap().messages.unwrap().remove(0);
    let attribute =
        |name: &str| message.message_attributes().unwrap()[name].string_value().unwrap().to_owned();
    assert_eq!(attribute("type"), "a");
    assert_eq!(attribute("tenant_id"), sent.tenant_id.to_string());
    assert_eq!(attribute("traceparent"), sent.traceparent);
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
