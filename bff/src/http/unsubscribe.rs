//! Stops what a message's link names, without signing in (RFC 8058).
//!
//! A mail program posts to the link at a click of the reader's; a reader who follows it gets a page with a button, since
//! programs that look at links before the reader does must not stop anything. The token is all that counts: no cookie is
//! read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use cs_core::{Caller, TenantId};
use cs_proto::errors::v1::Reason;
use cs_proto::notifications::v1::UnsubscribeRequest;
use cs_rpc::Failure;
use serde::Deserialize;

use super::{RequestContext, problem, rates};
use crate::app::App;

const DEADLINE: Duration = Duration::from_secs(5);
/// No token of ours is longer.
const LONGEST: usize = 400;

#[derive(Deserialize)]
pub(crate) struct Link {
    #[serde(default)]
    token: String,
}

impl Link {
    /// Whether it can be one of ours: only what a token is made of gets into the page.
    fn plausible(&self) -> bool {
        (1..=LONGEST).contains(&self.token.len())
            && self.token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    }
}

/// The page with the button.
pub(crate) async fn page(
    Extension(context): Extension<RequestContext>,
    link: Result<Query<Link>, QueryRejection>,
) -> Response {
    let Ok(Query(link)) = link else { return malformed(&context) };
    if !link.plausible() {
        return unknown();
    }
    shown(
        StatusCode::OK,
        "Stop these messages?",
        &format!(
            "<form method=\"post\" action=\"/unsubscribe?token={}\"><button type=\"submit\">Stop them</button></form>\n\
             <p>You need not sign in. What else you are told, and when, you choose \
             <a href=\"/notifications\">in your settings</a>.</p>",
            link.token
        ),
    )
}

/// Stops it: for the button, and for a mail program's one click.
pub(crate) async fn stop(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    link: Result<Query<Link>, QueryRejection>,
) -> Response {
    let Ok(Query(link)) = link else { return malformed(&context) };
    if !link.plausible() {
        return unknown();
    }
    // Each asks a service whether the token is one.
    if let Err(wait) = app.rates.take_refused(context.from).await {
        return problem::too_many(&context, rates::seconds(wait));
    }
    // Nobody has signed in: we ask for ourselves, and the token says whose it is.
    let tenant = TenantId::of_slug(&app.config.default_tenant);
    let us = Caller {
        request_id: context.request_id.clone(),
        ..Caller::service("bff", tenant, context.trace.child())
    };
    let request = UnsubscribeRequest { token: link.token };
    let answer = app
        .clients
        .notifications
        .write(&us, Instant::now() + DEADLINE, request, |mut client, request| async move {
            client.unsubscribe(request).await
        })
        .await;
    let channel = match answer {
        Ok(answer) => answer.channel,
        Err(status) => {
            let failure = Failure::from(&status);
            if failure.reason == Reason::NotFound {
                return unknown();
            }
            tracing::warn!(reason = failure.reason.as_str_name(), "a link could not stop its messages");
            return problem::unavailable(&context);
        }
    };
    let what = match channel.as_str() {
        "email" => "You get no more e-mails from here.",
        "push" => "Your browsers get no more pushes from here.",
        _ => "Your webhooks are called no more.",
    };
    shown(
        StatusCode::OK,
        "Stopped",
        &format!(
            "<p>{what}</p>\n<p>You can switch it on again <a href=\"/notifications\">in your settings</a>.</p>"
        ),
    )
}

fn malformed(context: &RequestContext) -> Response {
    problem::malformed(context, "The address is malformed.")
}

fn unknown() -> Response {
    shown(
        StatusCode::NOT_FOUND,
        "This link is not complete",
        "<p>Copy all of it from the message, or sign in and choose \
         <a href=\"/notifications\">in your settings</a> what you are told.</p>",
    )
}

fn shown(status: StatusCode, title: &str, body: &str) -> Response {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <title>{title} · CouncilSense</title>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</html>\n"
    );
    let mut response = (status, Html(page)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    // The token stands in the address.
    headers.insert(header::REFERRER_POLICY, header::HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_token_is_made_of_gets_into_the_page() {
        let plausible = |token: &str| Link { token: token.to_owned() }.plausible();
        assert!(plausible("MDFBUlo.x-_9"));
        for bad in ["", "<script>", "a b", "a\"b", "é", &"a".repeat(401)] {
            assert!(!plausible(bad), "{bad}");
        }
    }
}
