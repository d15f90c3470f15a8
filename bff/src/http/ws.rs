//! The `graphql-transport-ws` protocol, with the close codes it names.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{
    CloseFrame, Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, BoxStream, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_stream::StreamMap;
use tower_sessions::Session;
use tower_sessions::session::Id;

use super::{RequestContext, graphql, problem, watches};
use crate::app::App;
use crate::auth::{Visitor, oidc};
use crate::graphql::{Execution, execute, prepare, too_many};

const PROTOCOL: &str = "graphql-transport-ws";
/// A client that says nothing is let go.
const INITIALISATION: Duration = Duration::from_secs(10);
const PING_EVERY: Duration = Duration::from_secs(25);
/// A session that is over ends its connections within this time.
const SESSION_CHECKED_EVERY: Duration = Duration::from_secs(5);
/// A store that answers nothing for this long ends the connections of sessions: nobody can tell whether they are over.
const STORE_MISSED: Duration = Duration::from_secs(15);
/// Longest id of an operation.
const LONGEST_ID: usize = 128;

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    GoingAway,
    BadRequest,
    Unauthorized,
    Forbidden,
    Subprotocol,
    Initialisation,
    Duplicate,
    InitialisedTwice,
    TryAgainLater,
}

impl Close {
    fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::GoingAway => (1001, "Going away"),
            Self::TryAgainLater => (1013, "Try again later"),
            Self::BadRequest => (4400, "Bad Request"),
            Self::Unauthorized => (4401, "Unauthorized"),
            Self::Forbidden => (4403, "Forbidden"),
            Self::Subprotocol => (4406, "Subprotocol not acceptable"),
            Self::Initialisation => (4408, "Connection initialisation timeout"),
            Self::Duplicate => (4409, "Subscriber already exists"),
            Self::InitialisedTwice => (4429, "Too many initialisation requests"),
        };
        CloseFrame { code, reason: reason.into() }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FromClient {
    ConnectionInit {
        #[allow(dead_code, reason = "refuses what is not a map")]
        #[serde(default)]
        payload: Option<serde_json::Map<String, Value>>,
    },
    Ping {
        #[serde(default)]
        payload: Option<serde_json::Map<String, Value>>,
    },
    Pong {
        #[allow(dead_code, reason = "refuses what is not a map")]
        #[serde(default)]
        payload: Option<serde_json::Map<String, Value>>,
    },
    Subscribe {
        id: String,
        payload: Value,
    },
    Complete {
        id: String,
    },
}

pub(crate) async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    Extension(session): Extension<Session>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
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
                lapsed,
                initialised: false,
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
    lapsed: bool,
    initialised: bool,
    operations: StreamMap<String, BoxStream<'static, Event>>,
    socket: WebSocket,
}

impl Connection {
    async fn serve(mut self, spoken: bool) {
        let close = if spoken { self.run().await } else { Some(Close::Subprotocol) };
        if let Some(close) = close {
            // The other side may be gone already.
            let _ = self.socket.send(Message::Close(Some(close.frame()))).await;
        }
    }

    /// `None`: the client closed.
    async fn run(&mut self) -> Option<Close> {
        let stopping = self.app.tasks.stopping();
        let session = self.visitor.session.as_ref().and_then(Session::id);
        let mut ended = Box::pin(session_ended(self.app.clone(), session));
        let initialisation = Instant::now() + INITIALISATION;
        let mut ping = tokio::time::interval(PING_EVERY);
        ping.tick().await;
        let mut heard = true;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Some(Close::GoingAway),
                ended = &mut ended => return Some(ended.into()),
                () = sleep_until(initialisation), if !self.initialised => return Some(Close::Initialisation),
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
        self.socket.send(Message::text(message.to_string())).await.ok()
    }

    async fn hear(&mut self, text: &str) -> Result<(), Option<Close>> {
        let message = serde_json::from_str(text).map_err(|_| Some(Close::BadRequest))?;
        match message {
            FromClient::ConnectionInit { .. } if self.initialised => Err(Some(Close::InitialisedTwice)),
            FromClient::ConnectionInit { .. } if self.lapsed => Err(Some(Close::Forbidden)),
            FromClient::ConnectionInit { .. } => {
                self.initialised = true;
                self.send(&json!({"type": "connection_ack"})).await.ok_or(None)
            }
            FromClient::Ping { payload } => {
                let pong = match payload {
                    Some(payload) => json!({"type": "pong", "payload": payload}),
                    None => json!({"type": "pong"}),
                };
                self.send(&pong).await.ok_or(None)
            }
            FromClient::Pong { .. } => Ok(()),
            FromClient::Subscribe { .. } if !self.initialised => Err(Some(Close::Unauthorized)),
            FromClient::Subscribe { id, .. } if id.is_empty() || id.len() > LONGEST_ID => {
                Err(Some(Close::BadRequest))
            }
            FromClient::Subscribe { id, .. } if self.operations.contains_key(&id) => {
                Err(Some(Close::Duplicate))
            }
            FromClient::Subscribe { id, payload } => self.begin(id, payload).await,
            FromClient::Complete { id } => {
                self.operations.remove(&id);
                Ok(())
            }
        }
    }

    async fn begin(&mut self, id: String, payload: Value) -> Result<(), Option<Close>> {
        // By this protocol a document is sent along always.
        let request = graphql::of_json(payload).filter(|request| request.query.is_some());
        let request = request.ok_or(Some(Close::BadRequest))?;
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

/// For feeding it rubbish.
#[cfg(test)]
pub(crate) fn read_socket_message(text: &str) -> bool {
    match serde_json::from_str::<FromClient>(text) {
        Ok(FromClient::Subscribe { payload, .. }) => {
            graphql::of_json(payload).is_some_and(|request| request.query.is_some())
        }
        Ok(_) => true,
        Err(_) => false,
    }
}
