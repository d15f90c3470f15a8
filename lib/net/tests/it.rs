//! The guard against a server on this machine and names that lie.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::response::Redirect;
use axum::routing::{get, post};
use cs_net::{Guarded, Limits, Lookup, NetError, Trust};
use futures::StreamExt;
use futures::stream::BoxStream;
use http::HeaderMap;
use url::Url;

/// Gives its answers in turn, the last for ever.
struct Scripted(Vec<Vec<&'static str>>, AtomicUsize);

#[async_trait]
impl Lookup for Scripted {
    async fn addresses(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        let turn = self.1.fetch_add(1, Ordering::SeqCst).min(self.0.len() - 1);
        Ok(self.0[turn].iter().map(|text| text.parse().unwrap()).collect())
    }
}

fn names(turns: &[&[&'static str]]) -> Arc<Scripted> {
    Arc::new(Scripted(turns.iter().map(|turn| turn.to_vec()).collect(), AtomicUsize::new(0)))
}

/// A server here; gives its port and how often it was asked.
async fn server() -> (u16, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let router = Router::new()
        .route("/", get(|| async { "hello" }).post(|body: String| async move { body }))
        .route("/large", get(|| async { "x".repeat(100_000) }))
        .route("/error", get(|| async { (http::StatusCode::SERVICE_UNAVAILABLE, "x".repeat(100_000)) }))
        .route("/slow", get(|| async { tokio::time::sleep(Duration::from_secs(20)).await }))
        .route(
            "/breaks",
            post(|| async {
                // What was begun has left before it breaks off.
                let breaks = futures::stream::once(async {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Err("gone")
                });
                begun(futures::stream::iter([Ok("x")]).chain(breaks).boxed())
            }),
        )
        .route(
            "/drips",
            post(|| async {
                begun(futures::stream::iter([Ok("x")]).chain(futures::stream::pending()).boxed())
            }),
        )
        .route("/loop", get(|| async { Redirect::temporary("/loop") }))
        .route("/inside", get(|| async { Redirect::temporary("http://169.254.169.254/latest/meta-data") }))
        .route(
            "/moved",
            post(|| async { Redirect::temporary("/") }).get(|| async { Redirect::temporary("/") }),
        )
        .layer(axum::middleware::map_request(move |request: axum::extract::Request| {
            count.fetch_add(1, Ordering::SeqCst);
            async move { request }
        }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, asked)
}

/// An answer that begins.
fn begun(body: BoxStream<'static, Result<&'static str, &'static str>>) -> axum::body::Body {
    axum::body::Body::from_stream(body)
}

fn here(port: u16, path: &str) -> Url {
    format!("http://127.0.0.1:{port}{path}").parse().unwrap()
}

#[tokio::test]
async fn what_is_not_public_is_never_asked() {
    let (port, asked) = server().await;
    let public = Guarded::new(Trust::Public).unwrap();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "a.localhost",
        "10.0.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00:ec2::254]",
    ] {
        for scheme in ["https", "http"] {
            let url: Url = format!("{scheme}://{host}:{port}/").parse().unwrap();
            let refused = public.get(&url, HeaderMap::new(), Limits::default()).await;
            assert!(matches!(refused, Err(NetError::Refused(_))), "{url}: {refused:?}");
        }
    }
    for url in
        ["http://example.org/", "ftp://example.org/", "https://user@example.org/", "https://u:p@example.org/"]
    {
        assert!(matches!(Trust::Public.check(&url.parse().unwrap()), Err(NetError::Refused(_))), "{url}");
    }
    assert!(Trust::Loopback.check(&"http://10.0.0.1/".parse().unwrap()).is_err(), "loopback is no wider");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_resolves_inside_is_refused_each_time_it_is_resolved() {
    let (port, asked) = server().await;
    let url: Url = format!("https://rebind.example:{port}/").parse().unwrap();
    for answers in [
        &["127.0.0.1"][..],
        &["10.1.2.3"],
        &["169.254.169.254"],
        &["::ffff:192.168.0.1"],
        &["93.184.216.34", "127.0.0.1"],
    ] {
        let client = Guarded::with_lookup(Trust::Public, names(&[answers])).unwrap();
        let refused = client.post(&url, HeaderMap::new(), "x", Limits::default()).await;
        assert!(
            matches!(&refused, Err(NetError::Refused(rule)) if rule.contains("not public")),
            "{refused:?}"
        );
    }
    // Good at first, bad when it is connected to again: the second answer is looked at as well.
    let lookup = names(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let client = Guarded::with_lookup(Trust::Loopback, lookup.clone()).unwrap();
    let one: Url = format!("http://rebind.example:{port}/").parse().unwrap();
    let other: Url = format!("http://again.example:{port}/").parse().unwrap();
    assert_eq!(client.get(&one, HeaderMap::new(), Limits::default()).await.unwrap().body, "hello");
    assert_eq!(lookup.1.load(Ordering::SeqCst), 1, "what was checked is what is connected to");
    let refused = client.get(&other, HeaderMap::new(), Limits::default()).await;
    assert!(matches!(refused, Err(NetError::Refused(_))), "{refused:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_own_network_is_reached_where_it_is_trusted_and_metadata_never() {
    let (port, asked) = server().await;
    let private = Guarded::new(Trust::Private).unwrap();
    assert_eq!(
        private.get(&here(port, "/"), HeaderMap::new(), Limits::default()).await.unwrap().body,
        "hello"
    );
    for url in ["http://10.0.0.1/", "http://localhost/", "https://[fd12:3456::1]/", "https://8.8.8.8/"] {
        Trust::Private.check(&url.parse().unwrap()).unwrap();
    }
    for url in [
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "https://0.0.0.0/",
        "file:///etc/passwd",
    ] {
        let refused = private.get(&url.parse().unwrap(), HeaderMap::new(), Limits::default()).await;
        assert!(matches!(refused, Err(NetError::Refused(_))), "{url}: {refused:?}");
    }
    // A neighbour's link-local address is passed over; a name that has no other is refused.
    let url: Url = format!("http://box.example:{port}/").parse().unwrap();
    let client = Guarded::with_lookup(Trust::Private, names(&[&["fe80::1", "127.0.0.1"]])).unwrap();
    assert_eq!(client.get(&url, HeaderMap::new(), Limits::default()).await.unwrap().body, "hello");
    let client = Guarded::with_lookup(Trust::Private, names(&[&["169.254.169.254"]])).unwrap();
    let refused = client.get(&url, HeaderMap::new(), Limits::default()).await;
    assert!(
        matches!(&refused, Err(NetError::Refused(rule)) if rule.contains("may not be reached")),
        "{refused:?}"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn redirects_are_looked_at_and_bounded() {
    let (port, _) = server().await;
    let client = Guarded::new(Trust::Loopback).unwrap();
    let limits = Limits { redirects: 3, ..Limits::default() };
    let moved = client.get(&here(port, "/moved"), HeaderMap::new(), limits).await.unwrap();
    assert_eq!((moved.body.as_ref(), moved.url.path()), (&b"hello"[..], "/"));
    let inside = client.get(&here(port, "/inside"), HeaderMap::new(), limits).await;
    assert!(matches!(inside, Err(NetError::Refused(_))), "{inside:?}");
    let endless = client.get(&here(port, "/loop"), HeaderMap::new(), limits).await;
    assert!(matches!(endless, Err(NetError::TooManyRedirects)), "{endless:?}");
    // A body is never sent on.
    let posted = client.post(&here(port, "/moved"), HeaderMap::new(), "secret", limits).await.unwrap();
    assert_eq!(posted.status, 307);
}

#[tokio::test]
async fn size_and_time_are_bounded() {
    let (port, _) = server().await;
    let client = Guarded::new(Trust::Loopback).unwrap();
    let limits = Limits { bytes: 99_999, ..Limits::default() };
    let large = client.get(&here(port, "/large"), HeaderMap::new(), limits).await;
    assert!(matches!(large, Err(NetError::TooLarge { most: 99_999, .. })), "{large:?}");
    let error = client.get(&here(port, "/error"), HeaderMap::new(), Limits::default()).await;
    assert!(
        matches!(&error, Err(NetError::TooLarge { cut, .. }) if cut.status == http::StatusCode::SERVICE_UNAVAILABLE),
        "{error:?}"
    );
    let limits = Limits { bytes: 100_000, ..Limits::default() };
    assert_eq!(
        client.get(&here(port, "/large"), HeaderMap::new(), limits).await.unwrap().body.len(),
        100_000
    );
    let limits = Limits { time: Duration::from_millis(200), ..Limits::default() };
    let slow = client.get(&here(port, "/slow"), HeaderMap::new(), limits).await.unwrap_err();
    assert!(slow.is_transient(), "{slow}");
    let cut = client.post(&here(port, "/breaks"), HeaderMap::new(), "", Limits::default()).await;
    assert!(matches!(&cut, Err(NetError::BrokenOff { cut, .. }) if cut.status == 200), "{cut:?}");
    let limits = Limits { time: Duration::from_secs(3), ..Limits::default() };
    let drips = client.post(&here(port, "/drips"), HeaderMap::new(), "", limits).await;
    assert!(matches!(&drips, Err(NetError::BrokenOff { cut, .. }) if cut.status == 200), "{drips:?}");
    let gone = client.get(&here(1, "/"), HeaderMap::new(), Limits::default()).await.unwrap_err();
    assert!(gone.is_transient(), "{gone}");
}
