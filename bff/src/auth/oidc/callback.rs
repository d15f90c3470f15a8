//! `GET /auth/callback`: the provider's answer becomes a session, or a step of linking an identity.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use tower_sessions::Session;

use super::login::Begin;
use super::provider::Claims;
use super::tokens::Granted;
use super::{Provider, SignInError, link, person};
use crate::app::App;
use crate::auth::session::{Purpose, SignInUnderWay, Standing};
use crate::http::RequestContext;

/// Longest parameter taken.
const LONGEST: usize = 4096;

const UNKNOWN: SignInError =
    SignInError::BadRequest("This sign-in is not known here, or it took too long. Begin again.");

#[derive(Default)]
struct Answer {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

pub(crate) async fn callback(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    Extension(session): Extension<Session>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let answer = match parse(query.as_deref().unwrap_or_default()) {
        Ok(answer) => answer,
        Err(error) => return error.into_response(),
    };
    // Each asks the store, and the provider where a sign-in is under way.
    if let Err(wait) = app.rates.take_refused(context.from).await {
        return SignInError::TooMany(wait).into_response();
    }
    let ended = answer.state.as_deref().and_then(|state| app.cookies.end(state));
    let all = app.clone();
    // The code is good once, and what it brings is to be kept or given back.
    let finished = app.to_its_end(async move { finish(&all, &context, &session, &headers, &answer).await });
    let mut response = finished.await.unwrap_or_else(IntoResponse::into_response);
    if let Some(cookie) = ended {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn parse(query: &str) -> Result<Answer, SignInError> {
    const WRONG: SignInError = SignInError::BadRequest("This is not the answer to a sign-in of ours.");
    let mut answer = Answer::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "state" => &mut answer.state,
            "code" => &mut answer.code,
            "iss" => &mut answer.iss,
            "error" => &mut answer.error,
            // Providers add parameters of their own.
            _ => continue,
        };
        if value.len() > LONGEST || place.replace(value.into_owned()).is_some() {
            return Err(WRONG);
        }
    }
    Ok(answer)
}

async fn finish(
    app: &Arc<App>,
    context: &RequestContext,
    session: &Session,
    headers: &HeaderMap,
    answer: &Answer,
) -> Result<Response, SignInError> {
    let state = answer.state.as_deref().ok_or(UNKNOWN)?;
    let browser = app.cookies.browser(headers, state).ok_or(UNKNOWN)?;
    let under_way: SignInUnderWay = app
        .sessions
        .take(state, browser)
        .await
        .map_err(|e| SignInError::Unavailable(e.to_string()))?
        .ok_or(UNKNOWN)?;
    let provider = app.provider(&under_way.provider).ok_or(UNKNOWN)?;
    provider.check_iss(answer.iss.as_deref()).await?;
    if let Some(error) = answer.error.as_deref() {
        return Err(match error {
            "server_error" | "temporarily_unavailable" => {
                SignInError::Unavailable(format!("{} answered {error}", provider.config.id))
            }
            _ => SignInError::Refused(format!("{} answered with an error", provider.config.id)),
        });
    }
    let code = answer.code.clone().ok_or(SignInError::BadRequest("The answer carries no code."))?;
    let since = (under_way.purpose != Purpose::Session).then_some(under_way.began);
    let (claims, granted) = provider.redeem(code, &under_way, since).await?;

    let (refresh, at) = (granted.tokens.refresh.clone(), Standing::of(provider, &claims));
    let came = Came { provider, claims, granted };
    let done = used(app, context, session, headers, &under_way, came).await;
    if let (Err(_), Some(token)) = (&done, refresh) {
        // Nobody has these tokens: they go back. Nobody waits for that.
        let app_of_task = app.clone();
        app.tasks.spawn(async move { give_back(&app_of_task, &under_way, &at, &token).await });
    }
    done
}

/// Takes back at the provider what a sign-in had from it that came to nothing; not where the session that this browser
/// still has may stand on the same.
async fn give_back(app: &App, under_way: &SignInUnderWay, at: &Standing, token: &str) {
    let shared = match under_way.previous {
        Some(session) => app.sessions.stands_on(session, at).await,
        None => Ok(false),
    };
    match (shared, app.provider(&under_way.provider)) {
        (Ok(false), Some(provider)) => provider.revoke(token).await,
        (Err(error), _) => tracing::warn!(%error, "a refresh token was not revoked"),
        _ => {}
    }
}

/// What the provider gave for the code, verified.
struct Came<'a> {
    provider: &'a Provider,
    claims: Claims,
    granted: Granted,
}

/// What was redeemed becomes what the sign-in was for.
async fn used(
    app: &Arc<App>,
    context: &RequestContext,
    session: &Session,
    headers: &HeaderMap,
    under_way: &SignInUnderWay,
    Came { provider, claims, granted }: Came<'_>,
) -> Result<Response, SignInError> {
    let (tenant, user) = match &under_way.purpose {
        Purpose::Session => {
            let tenant = person::tenant(app, context, provider, &claims).await?;
            let named = granted.named.clone();
            (tenant, person::resolve(app, context.trace, tenant, provider, &claims, named).await?)
        }
        Purpose::ProveFirst { user, tenant, subject, other } => {
            if claims.subject().as_str() != subject {
                return Err(SignInError::Refused("somebody else signed in".to_owned()));
            }
            // These tokens have done their work.
            if let Some(token) = &granted.tokens.refresh {
                provider.revoke(token).await;
            }
            let other = app.provider(other).ok_or(UNKNOWN)?;
            let begin = Begin {
                origin: &under_way.origin,
                return_to: &under_way.return_to,
                previous: under_way.previous,
            };
            let purpose = Purpose::Link { user: *user, tenant: *tenant };
            return begin.at(app, headers, other, purpose).await;
        }
        Purpose::Link { user, tenant } => {
            // Whoever signed out meanwhile does not want this any more.
            let open = match under_way.previous {
                Some(session) => app.sessions.is_open(session).await,
                None => Ok(false),
            };
            if !open.map_err(|e| SignInError::Unavailable(e.to_string()))? {
                return Err(UNKNOWN);
            }
            (*tenant, link::linked(app, context, (*user, *tenant), provider, &claims).await?)
        }
    };
    let who = person::signed_in(app, headers, provider, tenant, user, (&claims, granted))?;
    person::begin(app, session, &who, under_way.previous).await?;
    Ok(Redirect::to(&under_way.return_to).into_response())
}
