//! Calls to the engine: a deadline each, one way to tell what went wrong, and a breaker.

use std::time::{Duration, Instant};

use opensearch::auth::Credentials;
pub(super) use opensearch::http::Method;
use opensearch::http::headers::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use opensearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::breaker::Breaker;
use crate::index::IndexError;

/// Further tries of a call that the engine puts off (429), each after twice the wait.
const TRIES: u32 = 6;
/// The first wait.
const WAIT: Duration = Duration::from_millis(100);

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// There is no such index or document.
    #[error("not found: {0}")]
    NotFound(String),
    /// The deadline passed.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// Nobody answers there, or not now.
    #[error("{0}")]
    Unavailable(String),
    /// The engine refused it.
    #[error("{status} {reason}")]
    Refused {
        /// HTTP.
        status: u16,
        /// In the engine's words.
        reason: String,
    },
}

/// What a call that is late says of the engine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    /// That it may be down.
    Fails,
    /// Nothing.
    Passes,
}

#[derive(Deserialize)]
struct Failure {
    error: Value,
}

/// The engine, from here.
#[derive(Debug)]
pub(super) struct Client {
    transport: Transport,
    /// Its address without credentials.
    pub(super) address: String,
    breaker: Breaker,
}

impl Client {
    /// To the engine at `url`; a name and password in it are sent as basic authentication.
    pub(super) fn new(mut url: Url) -> Result<Self, IndexError> {
        // Refused where another part of the process was first: the same provider then.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let credentials = (!url.username().is_empty()).then(|| {
            let decoded = |text: &str| percent(text);
            Credentials::Basic(decoded(url.username()), decoded(url.password().unwrap_or_default()))
        });
        // What was read from it stays; a URL that cannot have them has none.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let address = url.to_string();
        let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(url))
            .disable_proxy()
            // Packing costs more than it saves on a way this short.
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(credentials) = credentials {
            builder = builder.auth(credentials);
        }
        let transport = builder
            .build()
            .map_err(|e| IndexError::Engine(format!("no client for {address} can be made: {e}")))?;
        Ok(Self { transport, address, breaker: Breaker::default() })
    }

    /// A call with a JSON body, or none.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        within: Duration,
    ) -> Result<T, CallError> {
        let bytes = body.map(|body| body.to_string().into_bytes());
        self.patient(method, path, bytes, "application/json", within, Late::Fails).await
    }

    /// A call with a line of JSON after another.
    pub(super) async fn lines<T: DeserializeOwned>(
        &self,
        path: &str,
        lines: Vec<u8>,
        within: Duration,
    ) -> Result<T, CallError> {
        self.patient(Method::Post, path, Some(lines), "application/x-ndjson", within, Late::Fails).await
    }

    /// The same for searches: one that is late says more of what was asked than of the engine, and opens no breaker.
    pub(super) async fn asked<T: DeserializeOwned>(
        &self,
        path: &str,
        lines: Vec<u8>,
        within: Duration,
    ) -> Result<T, CallError> {
        self.patient(Method::Post, path, Some(lines), "application/x-ndjson", within, Late::Passes).await
    }

    /// Repeats what the engine puts off, while the deadline allows.
    async fn patient<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        kind: &'static str,
        within: Duration,
        late: Late,
    ) -> Result<T, CallError> {
        let until = Instant::now() + within;
        let mut wait = WAIT;
        for _ in 1..TRIES {
            let left = until.saturating_duration_since(Instant::now());
            match self.once(method, path, body.clone(), kind, left, late).await {
                Err(CallError::Refused { status: 429, .. }) if left > wait => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                answer => return answer,
            }
        }
        self.once(method, path, body, kind, until.saturating_duration_since(Instant::now()), late).await
    }

    async fn once<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        kind: &'static str,
        within: Duration,
        late: Late,
    ) -> Result<T, CallError> {
        self.breaker.allow(Instant::now()).map_err(CallError::Unavailable)?;
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        let called = async {
            let response =
                self.transport.send(method, path, headers, None::<&()>, body, Some(within)).await?;
            let status = response.status_code().as_u16();
            Ok::<_, opensearch::Error>((status, response.bytes().await?))
        };
        let (status, bytes) = match called.await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => {
                if late == Late::Fails {
                    self.breaker.failed(Instant::now());
                }
                return Err(CallError::Late(within));
            }
            Err(error) => {
                self.breaker.failed(Instant::now());
                return Err(CallError::Unavailable(root(&error)));
            }
        };
        if matches!(status, 502..=504) {
            self.breaker.failed(Instant::now());
            return Err(CallError::Unavailable(format!("it answered {status}: {}", reason(&bytes))));
        }
        self.breaker.answered();
        match status {
            200..=299 => serde_json::from_slice(&bytes)
                .map_err(|e| CallError::Refused { status, reason: format!("an answer not understood: {e}") }),
            404 => Err(CallError::NotFound(reason(&bytes))),
            _ => Err(CallError::Refused { status, reason: reason(&bytes) }),
        }
    }

    /// As the index's callers are told.
    pub(super) fn told(&self, error: CallError) -> IndexError {
        match error {
            CallError::Refused { status: 429, reason } | CallError::Unavailable(reason) => {
                IndexError::Unavailable { engine: self.address.clone(), reason }
            }
            CallError::Late(_) => {
                IndexError::Unavailable { engine: self.address.clone(), reason: error.to_string() }
            }
            CallError::NotFound(_) | CallError::Refused { .. } => IndexError::Engine(error.to_string()),
        }
    }
}

/// The innermost cause says most: the outer ones repeat the address.
fn root(error: &opensearch::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The engine's reason, in one line.
fn reason(bytes: &[u8]) -> String {
    let Ok(Failure { error }) = serde_json::from_slice(bytes) else {
        return String::from_utf8_lossy(bytes).chars().take(200).collect();
    };
    if let Some(text) = error.as_str() {
        return text.to_owned();
    }
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let cause = error.pointer("/root_cause/0").unwrap_or(&error);
    format!("{}: {}", text(cause, "type"), text(cause, "reason"))
}

/// `%40` in a URL's user part is an at sign.
fn percent(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|d| std::str::from_utf8(d).ok());
        match code.and_then(|d| u8::from_str_radix(d, 16).ok()).filter(|_| byte == b'%') {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_the_address() {
        let client = Client::new("https://me:p%40ss@search.example:9200/".parse().unwrap()).unwrap();
        assert_eq!(client.address, "https://search.example:9200/");
        assert!(!format!("{:?}", client.address).contains("ss"));
        assert_eq!(percent("p%40ss%"), "p@ss%");
    }

    #[test]
    fn the_engines_reason_is_one_line() {
        let bytes = br#"{"error":{"root_cause":[{"type":"index_not_found_exception","reason":"no such index [x]"}]},"status":404}"#;
        assert_eq!(reason(bytes), "index_not_found_exception: no such index [x]");
        assert_eq!(reason(b"<html>"), "<html>");
    }
}
