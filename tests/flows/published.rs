//! Whoever watches hears of each publication once, in order, also after being away.

use std::time::Duration;

use councilsense::wiring::Role;
use cs_core::Caller;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::meetings::v1::{WatchPublishedRequest, WatchPublishedResponse};
use tonic::Streaming;

use crate::harness::{Harness, MINUTES, Mode, anonymous, operator, tenant};

async fn watch(h: &Harness, caller: &Caller, city: &str, after: &str) -> Streaming<WatchPublishedResponse> {
    let request = WatchPublishedRequest { city_id: city.to_owned(), after: after.to_owned() };
    let request = h.outbound().stream(caller, request).unwrap();
    let mut client = MeetingsClient::new(h.channel(Role::Meetings));
    let mut stream = client.watch_published(request).await.unwrap().into_inner();
    let opened = next(&mut stream).await;
    assert!(opened.meeting.is_none() && !opened.cursor.is_empty(), "where it stands: {opened:?}");
    stream
}

async fn next(stream: &mut Streaming<WatchPublishedResponse>) -> WatchPublishedResponse {
    let message = tokio::time::timeout(Duration::from_secs(50), stream.message()).await;
    message.expect("something comes").unwrap().expect("it has not ended")
}

fn about(told: &WatchPublishedResponse) -> (&str, u64) {
    (&told.meeting.as_ref().unwrap().id, told.summary_version)
}

/// Publishes a meeting of a city, and gives its id.
async fn publish(h: &Harness, ops: &Caller, city: &str, uid: &str) -> String {
    let text = format!("{MINUTES}\nOf {city}, {uid}.\n");
    let taken = h.ingest(ops, city, uid, &[("minutes.txt", "minutes", text.as_bytes())]).await;
    h.drain().await;
    taken.meeting_id
}

async fn each_publication_is_heard_once(mode: Mode, name: &str) {
    let h = Harness::start(name, mode).await;
    let (ops, elsewhere) = (operator(tenant()), operator(tenant()));
    let reader = anonymous(ops.tenant);
    publish(&h, &ops, "springfield", "before").await;
    let mut all = watch(&h, &reader, "", "").await;
    let mut of_others = watch(&h, &anonymous(elsewhere.tenant), "", "").await;

    let first = publish(&h, &ops, "springfield", "first").await;
    let told = next(&mut all).await;
    assert_eq!(about(&told), (first.as_str(), 1), "not what was published before");
    let springfield = told.meeting.as_ref().unwrap().city_id.clone();
    let mut of_city = watch(&h, &reader, &springfield, "").await;
    drop(all);

    // While nobody of this one listened.
    let second = publish(&h, &ops, "shelbyville", "second").await;
    let third = publish(&h, &ops, "springfield", "third").await;
    assert_eq!(about(&next(&mut of_city).await), (third.as_str(), 1), "of this city alone");
    let mut back = watch(&h, &reader, "", &told.cursor).await;
    let (one, other) = (next(&mut back).await, next(&mut back).await);
    assert_eq!([about(&one), about(&other)], [(second.as_str(), 1), (third.as_str(), 1)], "in order, once");
    let mut from_there = watch(&h, &reader, "", &one.cursor).await;
    assert_eq!(about(&next(&mut from_there).await), (third.as_str(), 1));

    let theirs = publish(&h, &elsewhere, "springfield", "theirs").await;
    assert_eq!(about(&next(&mut of_others).await), (theirs.as_str(), 1), "nothing of another tenant");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_publication_is_heard_once_in_one_process() {
    each_publication_is_heard_once(Mode::Together, "heard").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_publication_is_heard_once_across_ports() {
    each_publication_is_heard_once(Mode::Split, "heard_apart").await;
}
