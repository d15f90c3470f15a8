//! Services that answer what a test wants, and remember who asked. They speak gRPC over the same in-memory channel as
//! the real ones do in one process, and verify the caller's token as those do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use cs_core::{Caller, Trace};
use cs_rpc::{Channel, InMemory, SigningKey};
use futures::StreamExt;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tonic::Status;
use tonic::service::Routes;

type Answer = Arc<dyn Fn(&Caller, &[u8]) -> Result<Streamed, Status> + Send + Sync>;
type Wait = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Messages of an answer.
pub(crate) struct Streamed {
    messages: Vec<Vec<u8>>,
    /// Stays open after the last one, as a watch does.
    open: bool,
}

/// One call that was made.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) caller: Caller,
    pub(crate) body: Vec<u8>,
    /// As it stands in `grpc-timeout`.
    pub(crate) timeout: Option<String>,
}

impl Call {
    pub(crate) fn message<M: Message + Default>(&self) -> M {
        M::decode(self.body.as_slice()).unwrap()
    }
}

#[derive(Clone)]
pub(crate) struct Fakes {
    key: SigningKey,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    calls: Arc<Mutex<Vec<Call>>>,
    waits: Arc<Mutex<HashMap<String, Wait>>>,
}

/// What became of a call that is never answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Begun,
    Dropped,
}

struct Telling(UnboundedSender<Held>);

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.send(Held::Dropped).ok();
    }
}

impl Fakes {
    pub(crate) fn new(key: &SigningKey) -> Self {
        let key = key.clone();
        let fakes = Self { key, answers: Arc::default(), calls: Arc::default(), waits: Arc::default() };
        fakes.answer("grpc.health.v1.Health/Check", |_, _: tonic_health::pb::HealthCheckRequest| {
            Ok(tonic_health::pb::HealthCheckResponse { status: 1 })
        });
        fakes
    }

    /// What a method answers from now on.
    pub(crate) fn answer<I, O>(
        &self,
        method: &str,
        answer: impl Fn(&Caller, I) -> Result<O, Status> + Send + Sync + 'static,
    ) where
        I: Message + Default,
        O: Message,
    {
        self.stream(method, false, move |caller, message| Ok(vec![answer(caller, message)?]));
    }

    /// The same, of a method that streams.
    pub(crate) fn stream<I, O>(
        &self,
        method: &str,
        open: bool,
        answer: impl Fn(&Caller, I) -> Result<Vec<O>, Status> + Send + Sync + 'static,
    ) where
        I: Message + Default,
        O: Message,
    {
        let answer: Answer = Arc::new(move |caller, body| {
            let message = I::decode(body).map_err(|e| Status::internal(e.to_string()))?;
            let messages = answer(caller, message)?.iter().map(Message::encode_to_vec).collect();
            Ok(Streamed { messages, open })
        });
        self.answers.lock().unwrap().insert(method.to_owned(), answer);
    }

    /// Calls of a method are never answered; tells when one begins, and when it is given up.
    pub(crate) fn hold(&self, method: &str) -> UnboundedReceiver<Held> {
        let (sender, told) = tokio::sync::mpsc::unbounded_channel();
        self.wait(method, move || {
            let sender = sender.clone();
            async move {
                sender.send(Held::Begun).ok();
                let _telling = Telling(sender);
                std::future::pending::<()>().await;
            }
        });
        told
    }

    /// Calls of a method are answered once `go` has a permit for each; tells when one begins, and when it is done or given
    /// up.
    pub(crate) fn hold_until(
        &self,
        method: &str,
        go: &Arc<tokio::sync::Semaphore>,
    ) -> UnboundedReceiver<Held> {
        let (sender, told) = tokio::sync::mpsc::unbounded_channel();
        let go = go.clone();
        self.wait(method, move || {
            let (sender, go) = (sender.clone(), go.clone());
            async move {
                sender.send(Held::Begun).ok();
                let _telling = Telling(sender);
                go.acquire().await.unwrap().forget();
            }
        });
        told
    }

    /// Calls of a method are answered by twos: each waits for another.
    pub(crate) fn pair(&self, method: &str) {
        let both = Arc::new(tokio::sync::Barrier::new(2));
        self.wait(method, move || {
            let both = both.clone();
            async move {
                both.wait().await;
            }
        });
    }

    fn wait<F>(&self, method: &str, wait: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.waits.lock().unwrap().insert(method.to_owned(), Arc::new(move || Box::pin(wait())));
    }

    /// What was asked since the last look, health checks apart.
    pub(crate) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// The names of what was asked since the last look.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.method).collect()
    }

    /// A channel to these answers, for one service.
    pub(crate) fn channel(&self, service: &'static str) -> Channel {
        let listener = InMemory::default();
        let channel = listener.channel();
        let fakes = self.clone();
        let router = axum::Router::new().fallback(move |request: Request| {
            let fakes = fakes.clone();
            async move { fakes.handle(service, request).await }
        });
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_routes(Routes::from(router))
                .serve_with_incoming(listener.incoming()),
        );
        channel
    }

    async fn handle(&self, service: &str, request: Request) -> Response {
        let method = request
            .uri()
            .path()
            .trim_start_matches('/')
            .trim_start_matches("councilsense.")
            .replace(".v1.", ".")
            .replace("grpc.health.Health", "grpc.health.v1.Health");
        let token = request
            .headers()
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default()
            .to_owned();
        let request_id =
            request.headers().get("x-request-id").map_or(String::new(), |id| id.to_str().unwrap().to_owned());
        let trace =
            request.headers().get("traceparent").and_then(|value| Trace::parse(value.to_str().unwrap()));
        let timeout = request.headers().get("grpc-timeout").map(|value| value.to_str().unwrap().to_owned());
        let framed = request.into_body().collect().await.unwrap().to_bytes();
        let body = framed.get(5..).unwrap_or_default().to_vec();
        let health = method.starts_with("grpc.health");
        let caller =
            match self.key.verifier(service).verify(&token, request_id, trace.unwrap_or_else(Trace::start)) {
                Ok(caller) => caller,
                Err(_) if health => Caller::service("bff", uuid::Uuid::nil().into(), Trace::start()),
                Err(error) => return status(&Status::unauthenticated(error.to_string())),
            };
        if !health {
            let call = Call { method: method.clone(), caller: caller.clone(), body: body.clone(), timeout };
            self.calls.lock().unwrap().push(call);
        }
        let wait = self.waits.lock().unwrap().get(&method).cloned();
        if let Some(wait) = wait {
            wait().await;
        }
        let answer = self.answers.lock().unwrap().get(&method).cloned();
        let result = match answer {
            Some(answer) => answer(&caller, &body),
            None => Err(Status::unimplemented(method)),
        };
        match result {
            Ok(streamed) => written(streamed),
            Err(refusal) => status(&refusal),
        }
    }
}

fn status(status: &Status) -> Response {
    status.clone().into_http::<Body>().into_response()
}

fn written(streamed: Streamed) -> Response {
    let frames = streamed.messages.into_iter().map(|message| {
        let mut framed = vec![0];
        framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        framed.extend(message);
        Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(framed)))
    });
    let frames = futures::stream::iter(frames);
    let body = if streamed.open {
        Body::new(StreamBody::new(frames.chain(futures::stream::pending())))
    } else {
        let mut trailers = axum::http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let end = futures::stream::iter([Ok(http_body::Frame::trailers(trailers))]);
        Body::new(StreamBody::new(frames.chain(end)))
    };
    ([("content-type", "application/grpc")], body).into_response()
}
