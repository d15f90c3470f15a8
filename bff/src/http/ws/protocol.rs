//! The `graphql-transport-ws` protocol: what may be said when, and the close codes it names. No socket and no clock.

use axum::extract::ws::CloseFrame;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::graphql::GraphqlRequest;
use crate::http::graphql::of_json;

/// Longest id of an operation.
const LONGEST_ID: usize = 128;

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
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
    pub(crate) fn frame(self) -> CloseFrame {
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
        payload: Option<Map<String, Value>>,
    },
    Ping {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    Pong {
        #[allow(dead_code, reason = "refuses what is not a map")]
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    Subscribe {
        id: String,
        payload: Value,
    },
    Complete {
        id: String,
    },
}

/// What a message asks for.
pub(crate) enum Heard {
    Nothing,
    /// A message to be sent back.
    Answer(Value),
    /// An operation under an id that no other has.
    Begin(String, GraphqlRequest),
    /// An operation that nobody listens to any more.
    Leave(String),
}

/// How far a connection is.
pub(crate) struct Protocol {
    initialised: bool,
    lapsed: bool,
}

impl Protocol {
    /// `lapsed`: the browser showed a session that is over.
    pub(crate) fn new(lapsed: bool) -> Self {
        Self { initialised: false, lapsed }
    }

    pub(crate) fn is_initialised(&self) -> bool {
        self.initialised
    }

    /// `open` tells whether an operation of an id is under way.
    pub(crate) fn hear(&mut self, text: &str, open: impl Fn(&str) -> bool) -> Result<Heard, Close> {
        let message = serde_json::from_str(text).map_err(|_| Close::BadRequest)?;
        match message {
            FromClient::ConnectionInit { .. } if self.initialised => Err(Close::InitialisedTwice),
            FromClient::ConnectionInit { .. } if self.lapsed => Err(Close::Forbidden),
            FromClient::ConnectionInit { .. } => {
                self.initialised = true;
                Ok(Heard::Answer(json!({"type": "connection_ack"})))
            }
            FromClient::Ping { payload: Some(payload) } => {
                Ok(Heard::Answer(json!({"type": "pong", "payload": payload})))
            }
            FromClient::Ping { payload: None } => Ok(Heard::Answer(json!({"type": "pong"}))),
            FromClient::Pong { .. } => Ok(Heard::Nothing),
            FromClient::Subscribe { .. } if !self.initialised => Err(Close::Unauthorized),
            FromClient::Subscribe { id, .. } if id.is_empty() || id.len() > LONGEST_ID => {
                Err(Close::BadRequest)
            }
            FromClient::Subscribe { id, .. } if open(&id) => Err(Close::Duplicate),
            FromClient::Subscribe { id, payload } => {
                // By this protocol a document is sent along always.
                let request = of_json(payload).filter(|request| request.query.is_some());
                Ok(Heard::Begin(id, request.ok_or(Close::BadRequest)?))
            }
            FromClient::Complete { id } => Ok(Heard::Leave(id)),
        }
    }
}
