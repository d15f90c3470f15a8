//! GraphQL over HTTP, by the specification's letter.
//!
//! The extractor of async-graphql's axum crate is not used: it executes form posts, text and multipart bodies, and
//! mutations by GET, each of which another site can cause, and no body limit of the router reaches it.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use tower_sessions::Session;

use super::body::{self, Unread};
use super::{RequestContext, problem, rates};
use crate::app::App;
use crate::auth::Visitor;
use crate::graphql::{Execution, GraphqlRequest, Prepared, execute, prepare, refusal, too_many};

/// The two media types that an answer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/graphql-response+json`: the status tells whether anything was executed.
    Response,
    /// `application/json`: older clients, who want 200 wherever there is an answer.
    Json,
}

impl Media {
    /// What the client prefers of the two; `None` where it wants neither. Who has no preference gets JSON, as the
    /// specification wishes.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        let mut any = false;
        for value in headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()) {
            for part in value.split(',') {
                any = true;
                let mut parameters = part.split(';').map(str::trim);
                let media = match parameters.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                    "application/graphql-response+json" => Self::Response,
                    "application/json" | "*/*" | "application/*" => Self::Json,
                    _ => continue,
                };
                let weight = parameters
                    .find_map(|parameter| parameter.strip_prefix("q="))
                    .map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
                if weight > 0.0 && best.is_none_or(|(known, _)| weight > known) {
                    best = Some((weight, media));
                }
            }
        }
        if any { best.map(|(_, media)| media) } else { Some(Self::Json) }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Response => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }
}

fn write(media: Media, status: StatusCode, execution: &Execution) -> Response {
    match serde_json::to_vec(execution) {
        Ok(body) => {
            let mut response = (status, body).into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media.name()));
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

pub(super) fn refused(media: Media, status: StatusCode, message: &str, context: &RequestContext) -> Response {
    write(media, status, &refusal(message, &context.request_id))
}

pub(crate) async fn post(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    Extension(session): Extension<Session>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(media) = Media::accepted(&parts.headers) else { return not_acceptable(&context) };
    let request = match read(&app, &parts.headers, body).await {
        Ok(request) => request,
        Err((status, message)) => {
            return unexecuted(&app, media, &context, refused(media, status, message, &context)).await;
        }
    };
    let visitor = visitor(&app, &context, &session, &parts.headers);
    answer(&app, &context, visitor, media, request, false).await
}

pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    Extension(session): Extension<Session>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(media) = Media::accepted(&headers) else { return not_acceptable(&context) };
    let request = match of_query(query.as_deref().unwrap_or_default()) {
        Ok(request) => request,
        Err(message) => {
            let refusal = refused(media, StatusCode::BAD_REQUEST, message, &context);
            return unexecuted(&app, media, &context, refusal).await;
        }
    };
    let visitor = visitor(&app, &context, &session, &headers);
    answer(&app, &context, visitor, media, request, true).await
}

/// Whoever has the session. A token beside the cookie could speak for somebody else; without one it belongs elsewhere.
pub(super) async fn visitor(
    app: &Arc<App>,
    context: &RequestContext,
    session: &Session,
    headers: &HeaderMap,
) -> Result<Visitor, Response> {
    if headers.contains_key(header::AUTHORIZATION) {
        let sentence = "Access tokens are taken at /api/graphql, where no cookie is read.";
        return Err(problem::problem(
            StatusCode::BAD_REQUEST,
            "BAD_USER_INPUT",
            "INVALID_ARGUMENT",
            sentence,
            &context.request_id,
        ));
    }
    Visitor::load(app, context, session, headers).await.map_err(|error| problem::store_lost(context, &error))
}

fn of_query(query: &str) -> Result<GraphqlRequest, &'static str> {
    let (mut document, mut operation_name, mut variables, mut extensions) = (None, None, None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "query" => &mut document,
            "operationName" => &mut operation_name,
            "variables" => &mut variables,
            "extensions" => &mut extensions,
            _ => continue,
        };
        if place.replace(value.into_owned()).is_some() {
            return Err("A parameter stands twice.");
        }
    }
    let map = |text: Option<String>, wrong| match text.as_deref() {
        None | Some("" | "null") => Ok(None),
        Some(text) => serde_json::from_str(text).map(Some).map_err(|_| wrong),
    };
    Ok(GraphqlRequest {
        query: document,
        operation_name: operation_name.filter(|name| !name.is_empty()),
        variables: map(variables, "variables has to be a JSON object.")?,
        extensions: map(extensions, "extensions has to be a JSON object.")?,
    })
}

/// The body of a POST: JSON, within the limit, one request.
pub(super) async fn read(
    app: &App,
    headers: &HeaderMap,
    sent: Body,
) -> Result<GraphqlRequest, (StatusCode, &'static str)> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let utf8 = parameters.split(';').all(|parameter| match parameter.trim().split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if !essence.trim().eq_ignore_ascii_case("application/json") || !utf8 {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body has to be application/json in UTF-8."));
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "A compressed body is not taken."));
    }
    let bytes =
        body::whole(sent, app.config.body_limit, app.config.deadline).await.map_err(|why| match why {
            Unread::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large."),
            Unread::TooSlow => (StatusCode::REQUEST_TIMEOUT, "The body took too long. Try again."),
            Unread::Broken => (StatusCode::BAD_REQUEST, "The body ended early."),
        })?;
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|_| (StatusCode::BAD_REQUEST, "The body is not JSON."))?;
    if value.is_array() {
        return Err((StatusCode::BAD_REQUEST, "Send one request at a time."));
    }
    of_json(value).ok_or((
        StatusCode::BAD_REQUEST,
        "The body has to be an object: query a text, operationName a text, variables and extensions objects.",
    ))
}

/// A request from its JSON form. One that neither has a text nor names one is none: not well-formed, rather than refused.
pub(super) fn of_json(value: serde_json::Value) -> Option<GraphqlRequest> {
    serde_json::from_value(value).ok().filter(|request: &GraphqlRequest| {
        let named = |extensions: &serde_json::Map<_, _>| extensions.contains_key("persistedQuery");
        request.query.is_some() || request.extensions.as_ref().is_some_and(named)
    })
}

/// Answers for `visitor`, who is looked for only where there is something to execute.
pub(super) async fn answer(
    app: &Arc<App>,
    context: &RequestContext,
    visitor: impl Future<Output = Result<Visitor, Response>>,
    media: Media,
    request: GraphqlRequest,
    by_get: bool,
) -> Response {
    // Older clients want 200 with any answer of GraphQL's own.
    let bad = if media == Media::Json { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let prepared = match prepare(app, request, &context.request_id) {
        Ok(prepared) => prepared,
        Err(execution) => {
            return unexecuted(app, media, context, write(media, bad, &execution)).await;
        }
    };
    match prepared.kind {
        OperationType::Subscription => {
            let sentence = "Subscriptions are served at /graphql/ws and /graphql/stream.";
            let response = refused(media, StatusCode::BAD_REQUEST, sentence, context);
            return unexecuted(app, media, context, response).await;
        }
        OperationType::Mutation if by_get => {
            let sentence = "A mutation needs POST.";
            let mut response = refused(media, StatusCode::METHOD_NOT_ALLOWED, sentence, context);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return unexecuted(app, media, context, response).await;
        }
        OperationType::Query | OperationType::Mutation => {}
    }
    let visitor = match visitor.await {
        Ok(visitor) => visitor,
        Err(response) => return response,
    };
    if let Err(wait) = spend(app, context, &visitor, &prepared).await {
        return rate_limited(media, context, wait);
    }
    let execution = execute(app, visitor, prepared).await;
    let status = if execution.is_request_error() { bad } else { StatusCode::OK };
    write(media, status, &execution)
}

/// What was read and is refused unexecuted: its address pays for the reading.
pub(super) async fn unexecuted(
    app: &App,
    media: Media,
    context: &RequestContext,
    refusal: Response,
) -> Response {
    match app.rates.take_refused(context.from).await {
        Ok(()) => refusal,
        Err(wait) => rate_limited(media, context, rates::seconds(wait)),
    }
}

fn rate_limited(media: Media, context: &RequestContext, wait: u64) -> Response {
    let refused = too_many("Too many requests.", &context.request_id);
    let mut response = write(media, StatusCode::TOO_MANY_REQUESTS, &refused);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    response
}

/// Counts what a request costs. An error is how many seconds to wait.
pub(super) async fn spend(
    app: &App,
    context: &RequestContext,
    visitor: &Visitor,
    prepared: &Prepared,
) -> Result<(), u64> {
    spend_points(app, context, visitor, prepared.cost).await
}

/// The same of what is not GraphQL.
pub(super) async fn spend_points(
    app: &App,
    context: &RequestContext,
    visitor: &Visitor,
    cost: u32,
) -> Result<(), u64> {
    // Who has no session but a token spends as a person.
    let session = match &visitor.signed_in {
        Some(who) => Some(who.session),
        None => visitor.caller.user().map(|user| user.uuid()),
    };
    app.rates.take(session, context.from, cost).await.map_err(|wait| {
        tracing::info!(event = "http.rate_limited", cost, "a caller asks for too much");
        rates::seconds(wait)
    })
}

pub(crate) async fn other_method(Extension(context): Extension<RequestContext>) -> Response {
    let mut response = refused(
        Media::Response,
        StatusCode::METHOD_NOT_ALLOWED,
        "GraphQL is served by GET and POST.",
        &context,
    );
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
    response
}

pub(super) fn not_acceptable(context: &RequestContext) -> Response {
    refused(
        Media::Response,
        StatusCode::NOT_ACCEPTABLE,
        "Answers are application/graphql-response+json or application/json.",
        context,
    )
}

/// A place to try queries, in development. It is loaded from a public address, so it has a policy of its own.
pub(crate) async fn graphiql() -> Response {
    const POLICY: &str = "default-src 'self'; script-src 'self' 'unsafe-inline' https://unpkg.com; \
         style-src 'self' 'unsafe-inline' https://unpkg.com; font-src https: data:; img-src 'self' data: https:; \
         worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'";
    let page = async_graphql::http::GraphiQLSource::build()
        .endpoint("/graphql")
        .subscription_endpoint("/graphql/ws")
        .header("x-csrf", "1")
        .title("CouncilSense")
        .finish();
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(page)).into_response()
}

/// For feeding it rubbish.
#[cfg(test)]
pub(crate) fn read_request(body: &[u8]) -> Option<GraphqlRequest> {
    serde_json::from_slice(body).ok().and_then(of_json)
}

/// For feeding it rubbish.
#[cfg(test)]
pub(crate) fn read_query(query: &str) -> bool {
    of_query(query).is_ok_and(|request| request.query.is_some())
}

/// For feeding it rubbish.
#[cfg(test)]
pub(crate) fn read_accept(headers: &HeaderMap) {
    Media::accepted(headers);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_is_the_one_that_is_preferred() {
        for (accept, due) in [
            (None, Some(Media::Json)),
            (Some("*/*"), Some(Media::Json)),
            (Some("application/json"), Some(Media::Json)),
            (Some("application/json, application/graphql-response+json;q=0.9"), Some(Media::Json)),
            (Some("application/graphql-response+json, application/json;q=0.9"), Some(Media::Response)),
            (Some("application/graphql-response+json; charset=utf-8"), Some(Media::Response)),
            (Some("text/html, */*;q=0.1"), Some(Media::Json)),
            (Some("text/html"), None),
            (Some("application/json;q=0"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(Media::accepted(&headers), due, "{accept:?}");
        }
    }
}
