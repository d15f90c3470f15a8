//! Connections: how long one may say nothing, and how they end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Response;
use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For the head of a request, counted from the answer before it: so also how long a connection of HTTP/1 may be idle.
    /// Longer than proxies keep theirs (60 s is common), or they would meet one that is just being closed.
    pub head: Duration,
    /// HTTP/2: a connection on which nothing came for this long is asked whether anybody is there, and has as long to answer.
    pub ping: Duration,
    /// HTTP/2: requests at once on a connection.
    pub streams: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { head: Duration::from_secs(75), ping: Duration::from_secs(30), streams: 128 }
    }
}

/// Serves until `shutdown` resolves, then lets requests under way finish.
pub async fn serve<F>(listener: TcpListener, router: Router, shutdown: F) -> std::io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    serve_within(Bounds::default(), listener, router, shutdown).await
}

/// The same within other bounds.
pub async fn serve_within<F>(
    bounds: Bounds,
    mut listener: TcpListener,
    router: Router,
    shutdown: F,
) -> std::io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(bounds.head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(bounds.ping)
        .keep_alive_timeout(bounds.ping)
        .max_concurrent_streams(bounds.streams)
        // WebSockets over HTTP/2.
        .enable_connect_protocol();
    let (builder, stopping, connections) = (Arc::new(builder), CancellationToken::new(), TaskTracker::new());
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = &mut shutdown => break,
        };
        // An answer goes out at once, not when the last one was acknowledged.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection cannot be told to send at once");
        }
        let service = Connected { router: router.clone(), peer, asked: Arc::default() };
        connections.spawn(connection(builder.clone(), bounds.head, stream, service, stopping.clone()));
    }
    drop(listener);
    stopping.cancel();
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn connection(
    builder: Arc<Builder<TokioExecutor>>,
    head: Duration,
    stream: TcpStream,
    service: Connected,
    stopping: CancellationToken,
) {
    let asked = service.asked.clone();
    let serving =
        builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut serving = pin!(serving);
    // The first bytes tell HTTP/1 from HTTP/2; until they are there, neither's own bounds hold.
    let mut silent = pin!(sleep(head));
    let (mut told, mut looked) = (false, false);
    loop {
        tokio::select! {
            result = &mut serving => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection failed");
                }
                return;
            }
            () = stopping.cancelled(), if !told => {
                told = true;
                serving.as_mut().graceful_shutdown();
            }
            () = &mut silent, if !looked => {
                looked = true;
                if !asked.load(Ordering::Relaxed) {
                    tracing::debug!("a connection asked for nothing");
                    return;
                }
            }
        }
    }
}

/// The router as one connection has it.
#[derive(Clone)]
struct Connected {
    router: Router,
    peer: SocketAddr,
    /// Whether a request has come whole, its body apart.
    asked: Arc<AtomicBool>,
}

impl<B> Service<Request<B>> for Connected
where
    Router: Service<Request<B>, Response = Response, Error = Infallible>,
    B: HttpBody,
{
    type Response = Response;
    type Error = Infallible;
    type Future = <Router as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<B>>::poll_ready(&mut self.router, context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        self.router.call(request)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Serves with short bounds; connects.
    async fn connected(stop: CancellationToken) -> TcpStream {
        let bounds = Bounds { head: Duration::from_millis(300), ..Bounds::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = get(|| async {
            sleep(Duration::from_millis(900)).await;
            "late"
        });
        let peer = get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() });
        let router = Router::new().route("/slow", slow).route("/peer", peer);
        tokio::spawn(serve_within(bounds, listener, router, async move { stop.cancelled().await }));
        TcpStream::connect(address).await.unwrap()
    }

    /// What comes until the other side closes.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut all = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut all)).await;
        read.expect("closed in time").unwrap_or_default();
        String::from_utf8(all).unwrap()
    }

    #[tokio::test]
    async fn who_never_finishes_a_head_is_let_go() {
        for said in ["", "P", "PRI * HTT", "GET /peer HT", "GET /peer HTTP/1.1\r\nhost: x\r\nslow:"] {
            let mut stream = connected(CancellationToken::new()).await;
            stream.write_all(said.as_bytes()).await.unwrap();
            let heard = rest(&mut stream).await;
            assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 4"), "{said:?}: {heard}");
        }
    }

    #[tokio::test]
    async fn an_answer_may_take_longer_and_an_idle_connection_ends() {
        let mut stream = connected(CancellationToken::new()).await;
        for path in ["/slow", "/peer"] {
            stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        }
        let heard = rest(&mut stream).await;
        assert!(heard.contains("late") && heard.ends_with("127.0.0.1"), "{heard}");
    }

    #[tokio::test]
    async fn a_request_under_way_is_finished() {
        let stop = CancellationToken::new();
        let mut stream = connected(stop.clone()).await;
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        sleep(Duration::from_millis(100)).await;
        stop.cancel();
        assert!(rest(&mut stream).await.ends_with("late"));
    }
}
