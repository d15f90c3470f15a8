//! The web page, carried inside the binary. In a debug build the files are read from `web/dist` as they are.

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

use super::{RequestContext, problem};

#[derive(Embed)]
#[folder = "$CARGO_MANIFEST_DIR/../web/dist"]
#[allow_missing = true]
struct Page;

/// Named by their content, so they never change.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Asked for again each time, answered with 304 where nothing changed.
const FRESH: &str = "no-cache";

/// The GraphQL documents that the page sends, as its build wrote them down; none where it was not built.
pub(crate) fn documents() -> Vec<String> {
    let Some(file) = Page::get("trusted-documents.json") else { return Vec::new() };
    match serde_json::from_slice::<BTreeMap<String, String>>(&file.data) {
        Ok(by_hash) => by_hash.into_values().collect(),
        Err(error) => {
            tracing::error!(%error, "the page's list of its documents cannot be read: build web/ again");
            Vec::new()
        }
    }
}

/// A file, or the page itself for every address that the page's own router knows.
pub(crate) async fn serve(request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = problem::refused_method(&RequestContext::of(&request));
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let path = request.uri().path().trim_start_matches('/');
    if let Some(file) = Page::get(path) {
        let cache = if path.starts_with("assets/") { FOREVER } else { FRESH };
        return answer(&file, cache, request.headers());
    }
    let is_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    if is_file
        || ["auth", "graphql", "artifacts", "api"].contains(&path.split('/').next().unwrap_or_default())
    {
        return problem::not_found(&RequestContext::of(&request));
    }
    match Page::get("index.html") {
        Some(page) => answer(&page, FRESH, request.headers()),
        None => (
            StatusCode::NOT_FOUND,
            Html(
                "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>CouncilSense</title>\n\
                 <h1>The web page is not built</h1>\n\
                 <p>This binary was built without it. Run <code>npm ci</code> and <code>npm run build</code> in \
                 <code>web/</code>, then build again. GraphQL is served at <code>/graphql</code>.</p>\n</html>\n",
            ),
        )
            .into_response(),
    }
}

fn answer(file: &EmbeddedFile, cache: &'static str, asked: &HeaderMap) -> Response {
    use std::fmt::Write;
    let mut tag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    let known = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim().trim_start_matches("W/") == tag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = file.data.clone().into_owned().into_response();
        if let Ok(kind) = HeaderValue::try_from(content_type(file.metadata.mimetype())) {
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        response
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn content_type(mime: &str) -> String {
    if mime.starts_with("text/") || mime == "application/javascript" {
        format!("{mime}; charset=utf-8")
    } else {
        mime.to_owned()
    }
}
