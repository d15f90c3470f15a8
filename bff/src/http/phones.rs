//! `/api/graphql`: the same schema for clients that have an access token and no cookie.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::graphql::{Media, answer, not_acceptable, read, refused, unexecuted};
use super::{RequestContext, problem};
use crate::app::App;
use crate::auth::oidc::{AccessError, bearer};

/// The token of a request that has one and no other way of saying who asks.
fn token<'h>(headers: &'h HeaderMap, context: &RequestContext) -> Result<&'h str, Box<Response>> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let (first, more) = (sent.next(), sent.next());
    let text = first.and_then(|value| value.to_str().ok()).and_then(|value| value.split_once(' '));
    match (text, more) {
        (Some((scheme, token)), None) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ if first.is_none() => Err(unauthenticated(context, "Bearer").into()),
        _ => Err(bad(context, "One Authorization header of the kind Bearer is expected.").into()),
    }
}

fn bad(context: &RequestContext, sentence: &str) -> Response {
    problem::problem(
        StatusCode::BAD_REQUEST,
        "BAD_USER_INPUT",
        "INVALID_ARGUMENT",
        sentence,
        &context.request_id,
    )
}

fn unauthenticated(context: &RequestContext, challenge: &'static str) -> Response {
    let mut response = problem::problem(
        StatusCode::UNAUTHORIZED,
        "UNAUTHENTICATED",
        "UNAUTHENTICATED",
        "A valid access token is needed.",
        &context.request_id,
    );
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

pub(crate) async fn post(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    // Two ways of saying who asks could say two things.
    if app.cookies.has_session(&parts.headers) {
        return bad(&context, "This address reads no cookie: send an access token alone.");
    }
    let Some(media) = Media::accepted(&parts.headers) else { return not_acceptable(&context) };
    let token = match token(&parts.headers, &context) {
        Ok(token) => token,
        Err(response) => return unexecuted(&app, media, &context, *response).await,
    };
    let visitor = match bearer(&app, &context, token).await {
        Ok(visitor) => visitor,
        // Its signature may have been verified, and keys fetched: whoever sends made-up ones pays for that.
        Err(error) => return unexecuted(&app, media, &context, unbelieved(&context, &error)).await,
    };
    match read(&app, &parts.headers, body).await {
        Ok(request) => answer(&app, &context, std::future::ready(Ok(visitor)), media, request, false).await,
        Err((status, message)) => {
            unexecuted(&app, media, &context, refused(media, status, message, &context)).await
        }
    }
}

fn unbelieved(context: &RequestContext, error: &AccessError) -> Response {
    tracing::info!(event = "http.token_refused", %error, "an access token was refused");
    match error {
        AccessError::Invalid(_) => unauthenticated(context, "Bearer error=\"invalid_token\""),
        AccessError::Scope => {
            let mut response = problem::problem(
                StatusCode::FORBIDDEN,
                "FORBIDDEN",
                "FORBIDDEN",
                "The access token lacks the scope that this takes.",
                &context.request_id,
            );
            let challenge = HeaderValue::from_static("Bearer error=\"insufficient_scope\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
        AccessError::Elsewhere(_) => problem::unavailable(context),
    }
}
