//! Refusals outside GraphQL's own errors, in the same shape: a code, a request id, a sentence of ours.

use std::any::Any;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::json;

use super::RequestContext;
use crate::auth::csrf::Forged;

/// What a client waits before it tries again, seconds.
const RETRY_AFTER: &str = "1";

pub(crate) fn problem(
    status: StatusCode,
    code: &str,
    reason: &str,
    message: &str,
    request_id: &str,
) -> Response {
    let away = status == StatusCode::SERVICE_UNAVAILABLE;
    let retryable = away || status == StatusCode::TOO_MANY_REQUESTS;
    let body = json!({"errors": [{"message": message, "extensions": {
        "code": code, "reason": reason, "requestId": request_id, "retryable": retryable
    }}]});
    let mut response = (status, Json(body)).into_response();
    if away {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    }
    response
}

pub(crate) fn forged(context: RequestContext, forged: &Forged) -> Response {
    tracing::info!(event = "http.forged", reason = %forged, "a request was refused");
    problem(StatusCode::FORBIDDEN, "FORBIDDEN", "CSRF", &forged.to_string(), &context.request_id)
}

/// The session store is away. Nobody becomes anonymous by that.
pub(crate) fn store_lost(context: &RequestContext, error: &dyn std::error::Error) -> Response {
    tracing::warn!(%error, "the session store does not answer");
    unavailable(context)
}

pub(crate) fn unavailable(context: &RequestContext) -> Response {
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "UNAVAILABLE",
        "UNAVAILABLE",
        "This is not possible just now. Try again in a moment.",
        &context.request_id,
    )
}

/// A caller asks for too much; how many seconds to wait.
pub(crate) fn too_many(context: &RequestContext, wait: u64) -> Response {
    let sentence = "Too many requests. Try again in a moment.";
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut response = problem(status, "RATE_LIMITED", "RATE_LIMITED", sentence, &context.request_id);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    response
}

/// What came cannot be read.
pub(crate) fn malformed(context: &RequestContext, sentence: &str) -> Response {
    let status = StatusCode::BAD_REQUEST;
    problem(status, "BAD_USER_INPUT", "INVALID_ARGUMENT", sentence, &context.request_id)
}

pub(crate) fn not_found(context: &RequestContext) -> Response {
    problem(StatusCode::NOT_FOUND, "NOT_FOUND", "NOT_FOUND", "There is no such thing.", &context.request_id)
}

/// Another method is served at this address; the router says which.
pub(crate) async fn not_allowed(Extension(context): Extension<RequestContext>) -> Response {
    refused_method(&context)
}

/// The same, without who says which.
pub(crate) fn refused_method(context: &RequestContext) -> Response {
    let sentence = "This address does not take this method; Allow says which it takes.";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    problem(status, "BAD_USER_INPUT", "INVALID_ARGUMENT", sentence, &context.request_id)
}

/// The body did not come in time.
pub(crate) fn too_slow(context: &RequestContext) -> Response {
    let sentence = "The body took too long. Try again.";
    let status = StatusCode::REQUEST_TIMEOUT;
    problem(status, "BAD_USER_INPUT", "INVALID_ARGUMENT", sentence, &context.request_id)
}

/// A defect. It is logged by the panic hook; the client learns nothing of it.
pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!(event = "http.panic", "a handler panicked");
    problem(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "INTERNAL", "Something went wrong here.", "")
}
