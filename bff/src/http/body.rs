//! Bodies: how large one may be, and how long it may take to come.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// The connection ended in the middle of it.
    Broken,
}

/// All of a body, at most `limit` bytes within `patience`.
pub(crate) async fn whole(body: Body, limit: usize, patience: Duration) -> Result<Bytes, Unread> {
    match tokio::time::timeout(patience, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Ok(Err(_)) => Err(Unread::Broken),
        Err(_) => Err(Unread::TooSlow),
    }
}
