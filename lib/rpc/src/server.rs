//! The server stack of every role: verified caller, span, one line a call, reflection, drain.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use cs_core::{Caller, Subject, Trace};
use cs_proto::errors::v1::Reason;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::service::{Interceptor, Routes};
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpIncoming};
use tonic::{Code, Request, Status};

use crate::{Verifier, status};

/// Longest any call may take. Callers name shorter deadlines; what needs this long is the upload of a meeting's packet.
const LONGEST_CALL: Duration = Duration::from_secs(600);
/// Connections that ask for more streams than this at once wait.
const STREAMS_PER_CONNECTION: u32 = 512;

/// What calls in flight are given when a server stops. Streams that are meant to stay open end with it.
pub const GRACE: Duration = Duration::from_secs(3);

/// Puts the verified [`Caller`] into each request; refuses calls without one.
#[derive(Clone)]
pub struct Guard(Verifier);

impl Guard {
    /// Takes tokens that `verifier` takes.
    pub fn new(verifier: Verifier) -> Self {
        Self(verifier)
    }
}

impl Interceptor for Guard {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let text = |name: &str| request.metadata().get(name).and_then(|v| v.to_str().ok());
        let trace = text("traceparent").and_then(Trace::parse).unwrap_or_else(Trace::start);
        let request_id =
            text("x-request-id").filter(|id| id.len() <= 64).map_or_else(|| trace.trace_id(), str::to_owned);
        let refused = || {
            status(
                Reason::Unauthenticated,
                "a valid caller token is needed: `councilsense token` makes one",
                &[],
            )
        };
        let token = text("authorization").and_then(|v| v.strip_prefix("Bearer ")).ok_or_else(refused)?;
        let caller = self.0.verify(token, request_id, trace.child()).map_err(|error| {
            tracing::warn!(%error, "a call was refused");
            refused()
        })?;
        let span = tracing::Span::current();
        span.record("tenant_id", tracing::field::display(caller.tenant));
        if let Subject::User(user) = &caller.subject {
            span.record("user_id", tracing::field::display(user));
        }
        request.extensions_mut().insert(caller);
        Ok(request)
    }
}

/// Who calls. Present on every guarded service.
pub fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    request
        .extensions()
        .get::<Caller>()
        .cloned()
        .ok_or_else(|| status(Reason::Unauthenticated, "a valid caller token is needed", &[]))
}

/// Adds reflection, v1 and v1alpha: it names these services and health, and describes every message of ours.
pub fn reflection(routes: Routes, services: &[&str]) -> Result<Routes, tonic_reflection::server::Error> {
    let builder = || {
        let all = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(cs_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health");
        services.iter().fold(all, |builder, service| builder.with_service_name(*service))
    };
    Ok(routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}

/// The connections of a port. Small frames go out at once: held back, each answer waits some 40 ms for an acknowledgement.
pub fn incoming(listener: tokio::net::TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

type Answering = <Routes as tower::Service<http::Request<tonic::body::Body>>>::Future;

/// One line a call, in its span: for operators what was refused or failed, and for who asks for more what went well.
async fn told(answering: Answering) -> Result<http::Response<tonic::body::Body>, Infallible> {
    let began = Instant::now();
    let answer = answering.await;
    // A stream that breaks off later is its reader's to tell; what a call says of itself stands at its beginning.
    let code = answer.as_ref().map_or(Code::Internal, |answer| {
        answer.headers().get("grpc-status").map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()))
    });
    let duration_ms = began.elapsed().as_millis();
    match code {
        Code::Ok => tracing::debug!(event = "rpc.answered", outcome = "ok", duration_ms, "call"),
        code => tracing::info!(event = "rpc.answered", outcome = ?code, duration_ms, "call"),
    }
    answer
}

/// Serves until `stop`, then lets calls in flight finish, for [`GRACE`] at most.
pub async fn serve<S, IO, E>(
    incoming: S,
    routes: Routes,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error>
where
    S: Stream<Item = Result<IO, E>>,
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let gone = stop.clone();
    let serving = Server::builder()
        .timeout(LONGEST_CALL)
        .max_concurrent_streams(Some(STREAMS_PER_CONNECTION))
        .trace_fn(|request| {
            let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
            let trace = header("traceparent").and_then(Trace::parse).map(Trace::trace_id).unwrap_or_default();
            tracing::info_span!(
                "rpc",
                rpc.method = request.uri().path(),
                trace_id = trace,
                request_id = header("x-request-id").unwrap_or_default(),
                tenant_id = tracing::field::Empty,
                user_id = tracing::field::Empty,
            )
        })
        .layer(tower::util::MapFutureLayer::new(told))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, async move { stop.cancelled().await });
    tokio::select! {
        result = serving => result,
        () = async { gone.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}
