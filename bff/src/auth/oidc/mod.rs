//! Signing in with an OpenID provider: authorization code with PKCE, as a confidential client.

mod access;
mod backchannel;
mod callback;
mod choose;
mod claims;
mod fetch;
mod link;
mod login;
mod logout;
mod logout_token;
mod person;
mod provider;
mod renew;
mod tokens;
mod verify;

#[cfg(test)]
pub(crate) use access::read_access_token;
pub(crate) use access::{AccessError, Tokens, bearer};
pub(crate) use backchannel::backchannel_logout;
pub(crate) use callback::callback;
pub(crate) use fetch::Fetch;
pub(crate) use link::{LinkError, ask as ask_to_link, link};
pub(crate) use login::login;
pub(crate) use logout::{logout, revoke, revoke_later};
pub(crate) use provider::Provider;
pub(crate) use renew::{Lost, Renewals, current, watched};

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::http::rates;

/// Why a sign-in ended. The browser is told the sentence; the log is told why.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// The request itself is wrong.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The provider, the store or a service is not there.
    #[error("{0}")]
    Unavailable(String),
    /// The provider said no, or something that must not be believed.
    #[error("{0}")]
    Refused(String),
    /// The identity to be linked is somebody else's here.
    #[error("this identity belongs to another account")]
    Taken,
    /// The address asks for too much.
    #[error("too many requests")]
    TooMany(Duration),
}

impl IntoResponse for SignInError {
    fn into_response(self) -> Response {
        let (status, sentence) = match &self {
            Self::BadRequest(why) => {
                tracing::info!(event = "sign_in.bad_request", %why, "a sign-in request was refused");
                (StatusCode::BAD_REQUEST, *why)
            }
            Self::Unavailable(why) => {
                tracing::warn!(event = "sign_in.unavailable", %why, "a sign-in could not go on");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Signing in is not possible just now. Try again in a moment.",
                )
            }
            Self::Refused(why) => {
                tracing::warn!(event = "sign_in.refused", %why, "a sign-in was refused");
                (StatusCode::FORBIDDEN, "You were not signed in. Try again.")
            }
            Self::TooMany(_) => {
                tracing::info!(event = "http.rate_limited", "an address asks for too many sign-ins");
                (StatusCode::TOO_MANY_REQUESTS, "Too many requests. Try again in a minute.")
            }
            Self::Taken => {
                tracing::info!(event = "link.taken", "an identity of another account was not linked");
                (StatusCode::CONFLICT, "That sign-in belongs to another account here. Nothing was linked.")
            }
        };
        // Fixed sentences only: nothing that came in is shown.
        let page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>Sign in</title>\n\
             <h1>Sign in</h1>\n<p>{sentence}</p>\n<p><a href=\"/\">Go to the start page</a></p>\n</html>\n"
        );
        let mut response = (status, Html(page)).into_response();
        let wait = match &self {
            Self::Unavailable(_) => Some(5),
            Self::TooMany(wait) => Some(rates::seconds(*wait)),
            Self::BadRequest(_) | Self::Refused(_) | Self::Taken => None,
        };
        if let Some(wait) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, wait.into());
        }
        response
    }
}
