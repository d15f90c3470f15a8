//! `GET /artifacts/{id}`: the stored document, for who may see it.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use cs_core::ArtifactId;
use cs_proto::common::v1::{BatchGetRequest, Visibility};
use cs_proto::meetings::v1::{Artifact, ReadArtifactRequest};
use futures::stream::{self, StreamExt, TryStreamExt};
use tonic::{Code, Status};
use tower_sessions::Session;

use super::{RequestContext, graphql, problem};
use crate::app::App;
use crate::auth::Visitor;

/// Documents of others are shown, never run: no scripts, no forms, an origin of their own. A PDF viewer does not work
/// inside a sandbox, and a PDF has no business with our origin anyway. Styles within a document stay: minutes are unreadable
/// without them, and with nothing to be fetched they can tell nobody anything.
const SANDBOX: &str =
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'";
const PDF: &str = "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'self'";

/// What a document costs whoever asks for it: a session read, and two calls.
const BASE_COST: u32 = 50;
/// Bytes that cost one more.
const BYTES_OF_COST: u64 = 16 * 1024;

pub(crate) async fn read(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    Extension(session): Extension<Session>,
    id: Result<Path<String>, PathRejection>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let id = id.ok().and_then(|Path(id)| id.parse::<ArtifactId>().ok());
    let Some(id) = id else { return problem::not_found(&context) };
    let visitor = match Visitor::load(&app, &context, &session, &headers).await {
        Ok(visitor) => visitor,
        Err(error) => return problem::store_lost(&context, &error),
    };
    match answer(&app, &context, &visitor, id, &method, &headers).await {
        Ok(response) => response,
        Err(status) if matches!(status.code(), Code::NotFound | Code::PermissionDenied) => {
            problem::not_found(&context)
        }
        Err(status) => {
            tracing::warn!(code = ?status.code(), message = status.message(), "a document could not be read");
            problem::unavailable(&context)
        }
    }
}

async fn answer(
    app: &App,
    context: &RequestContext,
    visitor: &Visitor,
    id: ArtifactId,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Status> {
    if let Err(wait) = graphql::spend_points(app, context, visitor, BASE_COST).await {
        return Ok(problem::too_many(context, wait));
    }
    let until = Instant::now() + app.config.deadline;
    let found = app
        .clients
        .meetings
        .read(
            &visitor.caller,
            until,
            BatchGetRequest { ids: vec![id.to_string()] },
            |mut client, request| async move { client.batch_get_artifacts(request).await },
        )
        .await?;
    let artifact = found.artifacts.into_iter().next().ok_or_else(|| Status::not_found("no such artifact"))?;
    let tag = format!("\"{}\"", artifact.sha256);
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let known = text(header::IF_NONE_MATCH).is_some_and(|sent| {
        sent.split(',').any(|one| matches!(one.trim().trim_start_matches("W/"), t if t == tag || t == "*"))
    });
    if known {
        return Ok(described(StatusCode::NOT_MODIFIED.into_response(), &artifact, &tag));
    }
    // A range of another version of the document would not fit to what the client has.
    let range = text(header::RANGE).filter(|_| text(header::IF_RANGE).is_none_or(|sent| sent == tag));
    let wanted = range.map_or(Wanted::All, |range| wanted(range, artifact.size_bytes));
    let (status, offset, length) = match wanted {
        Wanted::All => (StatusCode::OK, 0, artifact.size_bytes),
        Wanted::Part { offset, length } => (StatusCode::PARTIAL_CONTENT, offset, length),
        Wanted::Beyond => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{}", artifact.size_bytes));
            return Ok(response);
        }
    };
    let body = if *method == Method::HEAD || length == 0 {
        Body::empty()
    } else {
        if let Err(wait) = graphql::spend_points(app, context, visitor, cost(length)).await {
            return Ok(problem::too_many(context, wait));
        }
        let request = ReadArtifactRequest { id: artifact.id.clone(), offset, length };
        body(app, visitor, request, until).await?
    };
    let mut response = described((status, body).into_response(), &artifact, &tag);
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        let last = offset + length - 1;
        set(&mut response, header::CONTENT_RANGE, &format!("bytes {offset}-{last}/{}", artifact.size_bytes));
    }
    Ok(response)
}

fn cost(bytes: u64) -> u32 {
    u32::try_from(bytes / BYTES_OF_COST).unwrap_or(u32::MAX)
}

/// The bytes, as they come. The first of them has to be there in the time that the request has; one that does not come
/// then is an answer of its own. Of the others each has as long again, counted from when the client could take it.
async fn body(
    app: &App,
    visitor: &Visitor,
    request: ReadArtifactRequest,
    until: Instant,
) -> Result<Body, Status> {
    let begun = async {
        let mut stream = app
            .clients
            .meetings
            .watch(&visitor.caller, request, |mut client, request| async move {
                client.read_artifact(request).await
            })
            .await?;
        let first = stream.message().await?;
        Ok::<_, Status>((stream, first))
    };
    let (stream, first) = tokio::time::timeout_at(until.into(), begun)
        .await
        .map_err(|_| Status::deadline_exceeded("the first bytes of a document do not come"))??;
    let idle = app.config.deadline;
    let rest = stream::try_unfold(stream, move |mut stream| async move {
        match tokio::time::timeout(idle, stream.message()).await {
            Ok(Ok(next)) => Ok(next.map(|message| (message.chunk, stream))),
            Ok(Err(status)) => Err(std::io::Error::other(status.message().to_owned())),
            Err(_) => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "a document stopped coming")),
        }
    });
    let first = stream::iter(first.map(|message| Ok(message.chunk)));
    let chunks = first
        .chain(rest)
        .map_ok(Bytes::from)
        .try_filter(|chunk| std::future::ready(!chunk.is_empty()))
        .inspect_err(|error| tracing::warn!(%error, "a document was not read to its end"));
    Ok(Body::from_stream(chunks))
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part { offset: u64, length: u64 },
    Beyond,
}

/// One range of bytes (RFC 9110 §14.1.2). What is not understood, several ranges among it, is ignored, as it may be.
fn wanted(range: &str, size: u64) -> Wanted {
    let Some((first, last)) = range.trim().strip_prefix("bytes=").and_then(|spec| spec.split_once('-'))
    else {
        return Wanted::All;
    };
    let (first, last) = match (first.trim(), last.trim()) {
        ("", suffix) => match suffix.parse::<u64>() {
            Ok(0) => return Wanted::Beyond,
            Ok(suffix) => (size.saturating_sub(suffix), size.saturating_sub(1)),
            Err(_) => return Wanted::All,
        },
        (first, "") => match first.parse() {
            Ok(first) => (first, size.saturating_sub(1)),
            Err(_) => return Wanted::All,
        },
        (first, last) => match (first.parse(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
            _ => return Wanted::All,
        },
    };
    if first >= size { Wanted::Beyond } else { Wanted::Part { offset: first, length: last - first + 1 } }
}

fn described(mut response: Response, artifact: &Artifact, tag: &str) -> Response {
    let media = artifact.media_type.split(';').next().unwrap_or_default().trim();
    let media = if media.is_empty() { "application/octet-stream" } else { media };
    let content_type =
        if media.starts_with("text/") { format!("{media}; charset=utf-8") } else { media.to_owned() };
    let policy = if media == "application/pdf" { PDF } else { SANDBOX };
    set(&mut response, header::CONTENT_TYPE, &content_type);
    set(&mut response, header::CONTENT_SECURITY_POLICY, policy);
    set(&mut response, header::CONTENT_DISPOSITION, &disposition(&artifact.file_name));
    set(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut response, header::ETAG, tag);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    // What anybody may see is kept by the reader's own browser, but asked for each time: that can change. What only some
    // may see stays on no disk, for whoever uses that browser next.
    let public = artifact.visibility() == Visibility::Public;
    set(&mut response, header::CACHE_CONTROL, if public { "private, no-cache" } else { "no-store" });
    response
}

/// RFC 6266: inline, with the name percent-encoded.
fn disposition(file_name: &str) -> String {
    use std::fmt::Write;
    if file_name.is_empty() {
        return "inline".to_owned();
    }
    let mut text = "inline; filename*=UTF-8''".to_owned();
    for byte in file_name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let part = |offset, length| Wanted::Part { offset, length };
        for (range, due) in [
            ("bytes=0-9", part(0, 10)),
            ("bytes=90-", part(90, 10)),
            ("bytes=-10", part(90, 10)),
            ("bytes=-1000", part(0, 100)),
            ("bytes=50-1000", part(50, 50)),
            ("bytes=99-99", part(99, 1)),
            ("bytes=100-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=9-0", Wanted::All),
            ("bytes=0-1,5-6", Wanted::All),
            ("lines=0-1", Wanted::All),
            ("bytes=x-y", Wanted::All),
        ] {
            assert_eq!(wanted(range, 100), due, "{range}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Beyond);
    }

    #[test]
    fn a_file_name_cannot_break_the_header() {
        assert_eq!(disposition("a\"\r\nb é.pdf"), "inline; filename*=UTF-8''a%22%0D%0Ab%20%C3%A9.pdf");
    }
}
