//! Stored documents: who sees them, in which pieces, and how careful the browser is told to be.

use std::time::Duration;

use cs_proto::common::v1::{BatchGetRequest, Visibility};
use cs_proto::meetings::v1 as pb;
use reqwest::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG,
};
use reqwest::{Method, StatusCode};

use crate::browser::Browser;
use crate::stack::Stack;

const ID: &str = "01J00000000000000000000000";
/// For members.
const INNER: &str = "01J00000000000000000000002";
const HIDDEN: &str = "01J00000000000000000000001";
const TEXT: &[u8] = b"<h1>0123456789</h1>";

fn documents(stack: &Stack) {
    stack.fakes.answer("meetings.Meetings/BatchGetArtifacts", |_, request: BatchGetRequest| {
        let visibility = if request.ids == [INNER] { Visibility::Member } else { Visibility::Public };
        let artifacts = (request.ids != [HIDDEN])
            .then(|| pb::Artifact {
                id: request.ids[0].clone(),
                visibility: visibility.into(),
                media_type: "text/html".into(),
                file_name: "minutes \"1\".html".into(),
                size_bytes: TEXT.len() as u64,
                sha256: "abc".into(),
                ..pb::Artifact::default()
            })
            .into_iter()
            .collect();
        Ok(pb::BatchGetArtifactsResponse { artifacts })
    });
    stack.fakes.stream("meetings.Meetings/ReadArtifact", false, |_, request: pb::ReadArtifactRequest| {
        let from = usize::try_from(request.offset).unwrap();
        let to = from + usize::try_from(request.length).unwrap();
        let header = pb::ReadArtifactResponse { artifact: Some(pb::Artifact::default()), chunk: vec![] };
        let chunks = TEXT[from..to].chunks(4);
        let chunks = chunks.map(|chunk| pb::ReadArtifactResponse { artifact: None, chunk: chunk.to_vec() });
        Ok([header].into_iter().chain(chunks).collect())
    });
}

#[tokio::test]
async fn a_document_is_served_whole_in_part_or_not_again() {
    let Some(stack) = Stack::start().await else { return };
    documents(&stack);
    let mut browser = Browser::new(&stack);
    let address = format!("/artifacts/{ID}");
    let whole = browser.get(&address).await;
    assert_eq!(whole.status(), StatusCode::OK);
    let headers = whole.headers().clone();
    assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(headers[ETAG], "\"abc\"");
    assert_eq!(headers[ACCEPT_RANGES], "bytes");
    assert_eq!(headers[CONTENT_DISPOSITION], "inline; filename*=UTF-8''minutes%20%221%22.html");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers[CACHE_CONTROL], "private, no-cache");
    assert!(headers[CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("sandbox;"));
    assert_eq!(whole.bytes().await.unwrap(), TEXT);

    for (range, status, due) in [
        ("bytes=4-7", StatusCode::PARTIAL_CONTENT, &TEXT[4..8]),
        ("bytes=-5", StatusCode::PARTIAL_CONTENT, &TEXT[14..]),
        ("bytes=15-", StatusCode::PARTIAL_CONTENT, &TEXT[15..]),
        ("bytes=99-", StatusCode::RANGE_NOT_SATISFIABLE, &[]),
        ("bytes=0-1,4-5", StatusCode::OK, TEXT),
    ] {
        let request = browser.request(Method::GET, &address).header("range", range);
        let response = browser.send(request).await;
        assert_eq!(response.status(), status, "{range}");
        if status != StatusCode::OK {
            assert!(response.headers()[CONTENT_RANGE].to_str().unwrap().ends_with("/19"));
        }
        assert_eq!(response.bytes().await.unwrap(), due, "{range}");
    }
    let other =
        browser.request(Method::GET, &address).header("range", "bytes=0-1").header("if-range", "\"old\"");
    assert_eq!(browser.send(other).await.status(), StatusCode::OK);
    let known = browser.request(Method::GET, &address).header("if-none-match", "\"x\", \"abc\"");
    assert_eq!(browser.send(known).await.status(), StatusCode::NOT_MODIFIED);
    let head = browser.request(Method::HEAD, &address);
    assert_eq!(browser.send(head).await.headers()["content-length"], "19");
}

#[tokio::test]
async fn what_may_not_be_seen_is_not_there() {
    let Some(stack) = Stack::start().await else { return };
    documents(&stack);
    let mut browser = Browser::new(&stack);
    for id in [HIDDEN, "x", "..%2Fx", "%FF"] {
        let answer = browser.get(&format!("/artifacts/{id}")).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{id}");
        let refused: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(refused["errors"][0]["extensions"]["code"], "NOT_FOUND", "{id}");
    }
    browser.sign_in("resident").await;
    let address = format!("/artifacts/{ID}");
    assert_eq!(
        browser.get(&address).await.status(),
        StatusCode::FORBIDDEN,
        "a session, and nothing that says why"
    );
    let opened = browser.request(Method::GET, &address).header("sec-fetch-mode", "navigate");
    assert_eq!(browser.send(opened).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_only_some_may_see_stays_on_no_disk() {
    let Some(stack) = Stack::start().await else { return };
    documents(&stack);
    let mut browser = Browser::new(&stack);
    for (id, due) in [(ID, "private, no-cache"), (INNER, "no-store")] {
        let whole = browser.request(Method::GET, &format!("/artifacts/{id}"));
        let known =
            browser.request(Method::GET, &format!("/artifacts/{id}")).header("if-none-match", "\"abc\"");
        for (request, status) in [(whole, StatusCode::OK), (known, StatusCode::NOT_MODIFIED)] {
            let response = browser.send(request).await;
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[CACHE_CONTROL], due, "{id}");
        }
    }
}

#[tokio::test]
async fn a_document_that_does_not_come_is_not_waited_for_for_ever() {
    let Some(stack) = Stack::with(|config| config.deadline = Duration::from_millis(700)).await else {
        return;
    };
    documents(&stack);
    let address = format!("/artifacts/{ID}");
    let answers = |messages: &'static [&'static [u8]]| {
        stack.fakes.stream("meetings.Meetings/ReadArtifact", true, move |_, _: pb::ReadArtifactRequest| {
            let chunk = |chunk: &&[u8]| pb::ReadArtifactResponse { artifact: None, chunk: chunk.to_vec() };
            Ok(messages.iter().map(chunk).collect())
        });
    };
    let mut browser = Browser::new(&stack);
    answers(&[]);
    let none = tokio::time::timeout(Duration::from_secs(5), browser.get(&address)).await.unwrap();
    assert_eq!(none.status(), StatusCode::SERVICE_UNAVAILABLE);
    answers(&[b"<h1>"]);
    let half = browser.get(&address).await;
    assert_eq!(half.status(), StatusCode::OK);
    let read = tokio::time::timeout(Duration::from_secs(5), half.bytes()).await.expect("it ends");
    assert!(read.is_err(), "and not as if it were whole");
}
