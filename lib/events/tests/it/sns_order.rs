//! The order of a resource, where SNS takes some facts of a call and others not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cs_core::EventId;
use cs_events::{Bus, Envelope, SnsBus, SnsOptions};
use cs_testkit::localstack;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::World;

/// An SNS that takes no fact named so, for now; and what it was sent, a call each.
async fn choosy(refused: EventId) -> (url::Url, Arc<Mutex<Vec<Vec<String>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let calls: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let noted = calls.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = Vec::new();
            let (head, length) = loop {
                let mut more = [0; 4096];
                let read = stream.read(&mut more).await.unwrap();
                asked.extend(&more[..read]);
                let text = String::from_utf8_lossy(&asked).to_lowercase();
                if let Some((head, _)) = text.split_once("\r\n\r\n") {
                    let length = head.split("content-length: ").nth(1).unwrap();
                    break (head.len() + 4, length.split("\r\n").next().unwrap().parse::<usize>().unwrap());
                }
            };
            let begun = asked.len();
            asked.resize(head + length, 0);
            stream.read_exact(&mut asked[begun..]).await.unwrap();
            let (mut messages, mut answer) = (Vec::new(), String::new());
            for (name, value) in url::form_urlencoded::parse(&asked[head..]) {
                if !name.ends_with(".Message") {
                    continue;
                }
                let envelope: Value = serde_json::from_str(&value).unwrap();
                let id = envelope["id"].as_str().unwrap().to_owned();
                answer += &match id == refused.to_string() {
                    true => format!(
                        "<Failed><member><Id>{}</Id><Code>InternalError</Code><SenderFault>false</SenderFault></member></Failed>",
                        messages.len()
                    ),
                    false => format!(
                        "<Successful><member><Id>{}</Id><MessageId>m</MessageId></member></Successful>",
                        messages.len()
                    ),
                };
                messages.push(id);
            }
            noted.lock().unwrap().push(messages);
            let body = format!(
                "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>{answer}</PublishBatchResult></PublishBatchResponse>"
            );
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (at, calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_resource_nothing_is_sent_behind_what_was_not_taken() {
    localstack::credentials();
    let world = World::new("sns_order").await;
    // One call takes ten; of two resources several facts each.
    let sent: Vec<Envelope> = (0..12)
        .map(|n| world.envelope("a", &format!("r{n}")))
        .chain((0..3).map(|n| world.envelope("a", &format!("r{n}"))))
        .collect();
    let (endpoint, calls) = choosy(sent[1].id).await;
    let options = SnsOptions {
        endpoint: Some(endpoint),
        prefix: "order".to_owned(),
        topic_arn: Some("arn:aws:sns:us-east-1:000000000000:order".to_owned()),
        wait: Duration::ZERO,
    };
    let bus = SnsBus::connect(options, world.bus_db.clone(), world.clock.clone()).await;
    let left = bus.publish(&sent).await.unwrap();
    let ids = |numbers: &[usize]| numbers.iter().map(|n| sent[*n].id.to_string()).collect::<Vec<_>>();
    let left: Vec<String> = left.into_iter().map(|one| one.event.to_string()).collect();
    assert_eq!(left, ids(&[1, 13]));
    let first: Vec<usize> = (0..10).collect();
    assert_eq!(*calls.lock().unwrap(), [ids(&first), ids(&[10, 11, 12, 14])]);
    // Also where one call would have taken both.
    calls.lock().unwrap().clear();
    let left = bus.publish(&[sent[1].clone(), sent[13].clone(), sent[2].clone()]).await.unwrap();
    assert_eq!(left.len(), 2);
    assert_eq!(*calls.lock().unwrap(), [ids(&[1]), ids(&[2])]);
}
