//! A WebSocket that speaks `graphql-transport-ws`: its operations, its clock and its end.

pub(crate) mod protocol;

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, BoxStream, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_stream::StreamMap;
use tower_sessions::Session;
use tower_sessions::session::Id;

use self::protocol::{Close, Heard, Protocol};
use super::{RequestContext, graphql, problem, watches};
use crate::app::App;
use crate::auth::{Visitor, oidc};
use crate::graphql::{Execution, GraphqlRequest, execute, prepare, too_many};

const PROTOCOL: &str = "graphql-transport-ws";
/// A client that says nothing is let go.
const INITIALISATION: Duration = Duration::from_secs(10);
/// A session that is over ends its connections within this time.
const SESSION_CHECKED_EVERY: Duration = Duration::from_secs(5);
/// A store that answers nothing for this long ends the connections of sessions: nobody can tell whether they are over.
const STORE_MISSED: Duration = Duration::from_secs(15);

pub(crate) async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    Extension(session): Extension<Session>,
    method: Method,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    // Over HTTP/2 a socket is asked for by CONNECT.
    if method != Method::GET && method != Method::CONNECT {
        let mut response = problem::refused_method(&context);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    let Ok(upgrade) = upgrade else {
        return problem::problem(
            StatusCode::UPGRADE_REQUIRED,
            "BAD_USER_INPUT",
            "INVALID_ARGUMENT",
            "This address speaks WebSocket, graphql-transport-ws.",
            &context.request_id,
        );
    };
    let visitor = match graphql::visitor(&app, &context, &session, &headers).await {
        Ok(visitor) => visitor,
        Err(response) => return response,
    };
    // A browser that thinks it is signed in shall not go on as anybody.
    let lapsed = app.cookies.has_session(&headers) && visitor.signed_in.is_none();
    let limit = app.config.body_limit;
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| async move {
            let spoken = socket.protocol().is_some_and(|protocol| protocol == PROTOCOL);
            let connection = Connection {
                app,
                context,
                visitor,
                protocol: Protocol::new(lapsed),
                operations: StreamMap::new(),
                socket,
            };
            connection.serve(spoken).await;
        })
        .into_response()
}

/// Why a connection of a session goes on no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The session is over.
    Over,
    /// Nobody can tell: the store does not answer.
    Unknown,
}

impl From<Ended> for Close {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Over => Self::Unauthorized,
            Ended::Unknown => Self::TryAgainLater,
        }
    }
}

/// Resolves when a session is over or cannot be looked at; never for somebody without one. What the person may do is
/// looked at as often as for a session that is used.
pub(super) async fn session_ended(app: Arc<App>, session: Option<Id>) -> Ended {
    let Some(id) = session else { return std::future::pending().await };
    let mut answered = Instant::now();
    loop {
        tokio::time::sleep(SESSION_CHECKED_EVERY).await;
        match tokio::time::timeout(SESSION_CHECKED_EVERY, oidc::watched(&app, id)).await {
            Ok(Ok(true)) => answered = Instant::now(),
            Ok(Ok(false)) => return Ended::Over,
            Ok(Err(_)) | Err(_) if answered.elapsed() >= STORE_MISSED => {
                tracing::warn!(
                    event = "http.store_missed",
                    "a connection ends: the session store does not answer"
                );
                return Ended::Unknown;
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

enum Event {
    Answer(Execution),
    Done,
}

struct Connection {
    app: Arc<App>,
    context: RequestContext,
    visitor: Visitor,
    protocol: Protocol,
    operations: StreamMap<String, BoxStream<'static, Event>>,
    socket: WebSocket,
}

impl Connection {
    async fn serve(mut self, spoken: bool) {
        let close = if spoken { self.run().await } else { Some(Close::Subprotocol) };
        if let Some(close) = close {
            // The other side may be gone already.
            let _ = self.put(Message::Close(Some(close.frame()))).await;
        }
    }

    /// `None`: the client closed.
    async fn run(&mut self) -> Option<Close> {
        let stopping = self.app.tasks.stopping();
        let session = self.visitor.session.as_ref().and_then(Session::id);
        let mut ended = Box::pin(session_ended(self.app.clone(), session));
        let initialisation = Instant::now() + INITIALISATION;
        let mut ping = tokio::time::interval(self.app.config.ping_every);
        ping.tick().await;
        let mut heard = true;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Some(Close::GoingAway),
                ended = &mut ended => return Some(ended.into()),
                () = sleep_until(initialisation), if !self.protocol.is_initialised() => return Some(Close::Initialisation),
                _ = ping.tick() => {
                    if !heard {
                        return Some(Close::GoingAway);
                    }
                    heard = false;
                    self.send(&json!({"type": "ping"})).await?;
                }
                message = self.socket.recv() => {
                    heard = true;
                    match message {
                        None | Some(Err(_)) | Some(Ok(Message::Close(_))) => return None,
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Binary(_))) => return Some(Close::BadRequest),
                        Some(Ok(Message::Text(text))) => {
                            if let Err(close) = self.hear(text.as_str()).await {
                                return close;
                            }
                        }
                    }
                }
                Some((id, event)) = self.operations.next() => self.tell(&id, event).await?,
            }
        }
    }

    async fn send(&mut self, message: &Value) -> Option<()> {
        self.put(Message::text(message.to_string())).await
    }

    /// `None`: the other side is gone, or takes nothing. Nothing else is heard or looked at meanwhile, so it has only as
    /// long as a request may take.
    async fn put(&mut self, message: Message) -> Option<()> {
        let patience = self.app.config.deadline;
        match tokio::time::timeout(patience, self.socket.send(message)).await {
            Ok(sent) => sent.ok(),
            Err(_) => {
                tracing::info!(event = "http.socket_stuck", "a client takes nothing, and is let go");
                None
            }
        }
    }

    async fn hear(&mut self, text: &str) -> Result<(), Option<Close>> {
        let operations = &self.operations;
        match self.protocol.hear(text, |id| operations.contains_key(id)).map_err(Some)? {
            Heard::Nothing => Ok(()),
            Heard::Answer(message) => self.send(&message).await.ok_or(None),
            Heard::Begin(id, request) => self.begin(id, request).await,
            Heard::Leave(id) => {
                self.operations.remove(&id);
                Ok(())
            }
        }
    }

    async fn begin(&mut self, id: String, request: GraphqlRequest) -> Result<(), Option<Close>> {
        let request_id = self.visitor.caller.request_id.clone();
        if self.operations.len() >= self.app.config.limits.subscriptions {
            let refused = too_many("Too many subscriptions on one connection.", &request_id);
            return self.tell(&id, Event::Answer(refused)).await.ok_or(None);
        }
        let prepared = match prepare(&self.app, request, &request_id) {
            Ok(prepared) => prepared,
            Err(_) if self.app.rates.take_refused(self.context.from).await.is_err() => {
                let refused = too_many("Too many requests.", &request_id);
                return self.tell(&id, Event::Answer(refused)).await.ok_or(None);
            }
            Err(refused) => return self.tell(&id, Event::Answer(refused)).await.ok_or(None),
        };
        if graphql::spend(&self.app, &self.context, &self.visitor, &prepared).await.is_err() {
            let refused = too_many("Too many requests.", &request_id);
            return self.tell(&id, Event::Answer(refused)).await.ok_or(None);
        }
        let (app, visitor) = (self.app.clone(), self.visitor.clone());
        let answers: BoxStream<'static, Execution> = if prepared.kind == OperationType::Subscription {
            match watches::open(&app, &self.context, visitor, prepared) {
                Ok(answers) => answers,
                Err(refused) => return self.tell(&id, Event::Answer(refused)).await.ok_or(None),
            }
        } else {
            stream::once(async move { execute(&app, visitor, prepared).await }).boxed()
        };
        let done = stream::once(std::future::ready(Event::Done));
        self.operations.insert(id, answers.map(Event::Answer).chain(done).boxed());
        Ok(())
    }

    async fn tell(&mut self, id: &str, event: Event) -> Option<()> {
        match event {
            Event::Done => {
                self.operations.remove(id);
                self.send(&json!({"type": "complete", "id": id})).await
            }
            // Nothing was executed, and nothing more will come.
            Event::Answer(answer) if answer.is_request_error() => {
                self.operations.remove(id);
                self.send(&json!({"type": "error", "id": id, "payload": answer.errors})).await
            }
            Event::Answer(answer) => self.send(&json!({"type": "next", "id": id, "payload": answer})).await,
        }
    }
}
