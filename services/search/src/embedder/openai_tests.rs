use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use cs_core::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers one request after the other with the given status, headers and body; keeps what was asked.
async fn service(answers: Vec<(&'static str, String)>) -> (Url, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/v1/", listener.local_addr().unwrap())).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = asked.clone();
    tokio::spawn(async move {
        for (head, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let count = stream.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&request).to_lowercase();
                let length =
                    text.split("content-length: ").nth(1).and_then(|l| l.lines().next()?.parse().ok());
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
                if count == 0 || length.is_some_and(|length: usize| body.is_some_and(|body| body >= length)) {
                    break;
                }
            }
            kept.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
            let answer = format!(
                "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, asked)
}

fn options(url: Url) -> OpenAiOptions {
    OpenAiOptions {
        url,
        key: Some("secret".to_owned()),
        model: "small".to_owned(),
        dimensions: 2,
        timeout: Duration::from_secs(5),
        private: true,
        price: 0.02,
    }
}

fn client(url: Url) -> OpenAi {
    OpenAi::new(options(url), Allowance::new(Arc::new(SystemClock), None, None)).unwrap()
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("text {n}")).collect()
}

const TWO: &str = r#"{"data": [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}], "usage": {"total_tokens": 7}}"#;

#[tokio::test]
async fn vectors_come_in_the_order_of_the_texts_after_another_try() {
    let (url, asked) =
        service(vec![("429 Too Many Requests\r\nretry-after: 0", String::new()), ("200 OK", TWO.to_owned())])
            .await;
    let client = client(url);
    assert_eq!(client.embed(texts(2)).await.unwrap(), [[1.0, 0.0], [0.0, 1.0]]);
    assert_eq!((client.version(), client.dimensions()), ("small/2", 2));
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].starts_with("POST /v1/embeddings ") && asked[1].contains("Bearer secret"));
    assert!(asked[1].contains(r#""model":"small","input":["text 0","text 1"]"#), "{}", asked[1]);
}

#[tokio::test]
async fn what_is_wrong_is_said_and_not_tried_again() {
    for (head, body, reason) in [
        ("401 Unauthorized", String::new(), "401"),
        ("302 Found\r\nlocation: http://169.254.169.254/", String::new(), "302"),
        ("200 OK", "nonsense".to_owned(), "cannot be read"),
        ("200 OK", TWO.replace("[0, 1]", "[0, 1, 2]"), "3 dimensions"),
        ("200 OK", r#"{"data": []}"#.to_owned(), "gave others"),
        ("200 OK", " ".repeat(LONGEST_ANSWER + 1), "too long"),
    ] {
        let (url, asked) = service(vec![(head, body)]).await;
        let error = client(url).embed(texts(2)).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("secret"));
        assert_eq!(asked.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_service_that_is_away_fails_in_bounded_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let mut options = options(url);
    // It takes connections and never answers.
    options.timeout = Duration::from_millis(100);
    let client = OpenAi::new(options, Allowance::new(Arc::new(SystemClock), None, None)).unwrap();
    let started = std::time::Instant::now();
    assert!(matches!(client.embed(texts(1)).await, Err(EmbedError::Remote(_))));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn tenants_have_a_share() {
    let (url, asked) = service(vec![("200 OK", TWO.to_owned())]).await;
    let [one, stranger] = ["one", "stranger"].map(TenantId::of_slug);
    let allowance = Allowance::new(Arc::new(SystemClock), Some(HashSet::from([one])), Some(7));
    let client = OpenAi::new(options(url), allowance).unwrap();
    assert!(client.embed_for(stranger, texts(2)).await.unwrap().is_none());
    assert_eq!(client.embed_for(one, texts(2)).await.unwrap().unwrap().len(), 2);
    assert!(client.embed_for(one, texts(2)).await.unwrap().is_none(), "seven tokens were its share");
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_address_that_was_not_allowed_is_never_asked() {
    let refused = |url: &str, private| {
        let options = OpenAiOptions { private, ..options(Url::parse(url).unwrap()) };
        OpenAi::new(options, Allowance::new(Arc::new(SystemClock), None, None)).is_err()
    };
    assert!(refused("http://embeddings.example/v1", false));
    assert!(refused("https://127.0.0.1/v1", false));
    assert!(refused("https://[::1]/v1", false));
    assert!(refused("https://10.0.0.7/v1", false));
    assert!(refused("http://169.254.169.254/latest", true));
    assert!(refused("file:///etc/passwd", true));
    assert!(refused("https://name:word@embeddings.example/v1", true), "the key has an option of its own");
    for url in ["http://10.0.0.7/v1", "http://embeddings.example/v1", "http://localhost:4000/v1"] {
        assert!(!refused(url, true), "{url}: private means the own network, and no need of TLS");
    }
    assert!(!refused("https://embeddings.example/v1", false));
    assert!(refused("https://localhost:1/v1", false));
}
