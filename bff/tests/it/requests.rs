//! What becomes of one request: how many errors it tells, what its end ends, and that it shares nothing with another.

use std::time::Duration;

use cs_proto::accounts::v1 as accounts;
use cs_proto::common::v1::PageInfo;
use cs_proto::meetings::v1 as meetings;
use cs_proto::summaries::v1 as summaries;
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::browser::Browser;
use crate::fakes::Held;
use crate::graphql::ulid;
use crate::stack::Stack;

const LIST: &str = "meetings.Meetings/ListMeetings";
const SUMMARIES: &str = "summaries.Summaries/BatchGetCurrentSummaries";

fn meetings_by_the_page(stack: &Stack) {
    stack.fakes.answer(LIST, |_, request: meetings::ListMeetingsRequest| {
        let first = request.page.unwrap_or_default().first.max(1) as usize;
        let meeting = |n| meetings::Meeting { id: ulid(n), title: "Council".into(), ..Default::default() };
        Ok(meetings::ListMeetingsResponse {
            meetings: (0..first).map(meeting).collect(),
            cursors: (0..first).map(|n| format!("c{n}")).collect(),
            page_info: Some(PageInfo::default()),
        })
    });
}

#[tokio::test]
async fn a_hundred_failures_are_told_by_the_first_errors() {
    let Some(stack) = Stack::start().await else { return };
    meetings_by_the_page(&stack);
    stack.fakes.answer(SUMMARIES, |_, _: summaries::BatchGetCurrentSummariesRequest| {
        Err::<summaries::BatchGetCurrentSummariesResponse, _>(tonic::Status::unavailable("away"))
    });
    let mut browser = Browser::new(&stack);
    let query = "{ meetings(first: 100) { nodes { title summary { version } } } }";
    let answer = browser.graphql(query, Value::Null).await;
    let nodes = answer["data"]["meetings"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 100);
    assert!(nodes.iter().all(|node| *node == json!({"title": "Council", "summary": null})), "{answer}");
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 25);
    assert!(errors.iter().all(|error| error["extensions"]["code"] == "UNAVAILABLE"));
}

async fn told(held: &mut UnboundedReceiver<Held>) -> Held {
    tokio::time::timeout(Duration::from_secs(20), held.recv()).await.expect("in time").unwrap()
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_calls_along() {
    // Longer than anything here waits: time alone gives nothing up.
    let Some(stack) = Stack::with(|config| config.deadline = Duration::from_secs(120)).await else { return };
    let mut browser = Browser::new(&stack);
    browser.sign_in("resident").await;
    let mut held = stack.fakes.hold("accounts.Accounts/GetViewer");
    let request = browser
        .request(Method::POST, "/graphql")
        .header("x-csrf", "1")
        .json(&json!({"query": "{ viewer { id } }"}));
    let waiting = tokio::spawn(request.send());
    assert_eq!(told(&mut held).await, Held::Begun);
    waiting.abort();
    assert_eq!(told(&mut held).await, Held::Dropped);
    assert!(held.is_empty(), "nobody asks again for somebody who left");

    // The same of one who listens.
    let mut held = stack.fakes.hold("meetings.Meetings/WatchPublished");
    let request = browser
        .request(Method::POST, "/graphql/stream")
        .header("x-csrf", "1")
        .json(&json!({"query": "subscription { meetingPublished { version } }"}));
    let waiting = tokio::spawn(async move {
        let mut events = request.send().await.unwrap().bytes_stream();
        while events.next().await.is_some() {}
    });
    assert_eq!(told(&mut held).await, Held::Begun);
    waiting.abort();
    assert_eq!(told(&mut held).await, Held::Dropped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_people_at_once_are_told_their_own() {
    let Some(stack) = Stack::start().await else { return };
    meetings_by_the_page(&stack);
    let (one, other) = (ulid(1), ulid(2));
    stack.fakes.answer(
        "accounts.Accounts/ResolveIdentity",
        move |_, request: accounts::ResolveIdentityRequest| {
            let id = if request.subject == "reviewer" { &other } else { &one };
            let user = accounts::User { id: id.clone(), roles: request.roles, ..Default::default() };
            Ok(accounts::ResolveIdentityResponse { user: Some(user), created: false })
        },
    );
    // By the caller, as a service does whose rows are a person's own.
    stack.fakes.answer(SUMMARIES, |caller, request: summaries::BatchGetCurrentSummariesRequest| {
        let own = caller.user().map(|user| user.to_string()).unwrap_or_default();
        let summary = |meeting_id: String| summaries::Summary {
            id: ulid(6000),
            meeting_id,
            version: 1,
            verdict: "pass".into(),
            short_summary: own.clone(),
            ..Default::default()
        };
        let summaries = request.meeting_ids.into_iter().map(summary).collect();
        Ok(summaries::BatchGetCurrentSummariesResponse { summaries })
    });
    let (mut resident, mut reviewer) = (Browser::new(&stack), Browser::new(&stack));
    resident.sign_in("resident").await;
    reviewer.sign_in("reviewer").await;
    // Neither request goes on before the other has come as far, and both ask for the same keys.
    stack.fakes.pair(LIST);
    stack.fakes.pair(SUMMARIES);
    let query = "{ viewer { id } meetings(first: 3) { nodes { summary { shortSummary } } } }";
    let ids = async |browser: &mut Browser| {
        let answer = browser.graphql(query, Value::Null).await;
        assert_eq!(answer.get("errors"), None, "{answer}");
        let nodes = answer["data"]["meetings"]["nodes"].as_array().unwrap().clone();
        assert_eq!(nodes.len(), 3);
        nodes
            .iter()
            .map(|node| node["summary"]["shortSummary"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for _ in 0..10 {
        let (first, second) = tokio::join!(ids(&mut resident), ids(&mut reviewer));
        assert_eq!((first, second), (vec![ulid(1); 3], vec![ulid(2); 3]));
    }
}
