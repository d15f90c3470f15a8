//! The authorization endpoint: a page with a button a person, then a code.

use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use url::Url;

use crate::Shared;
use crate::grants::{SignIn, random};

/// An authorization request (OpenID Connect Core §3.1.2.1, RFC 7636).
#[derive(Deserialize)]
pub(crate) struct Request {
    client_id: Option<String>,
    redirect_uri: Option<String>,
    response_type: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    nonce: Option<String>,
    prompt: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Choice {
    person: String,
}

struct Checked {
    redirect_uri: Url,
    redirect_text: String,
    state: Option<String>,
    nonce: Option<String>,
    scope: String,
    challenge: String,
}

pub(crate) async fn page(State(provider): State<Shared>, Query(request): Query<Request>) -> Response {
    let silent = request.prompt.as_deref() == Some("none");
    let checked = match check(&provider, request) {
        Ok(checked) => checked,
        Err(refusal) => return *refusal,
    };
    if silent {
        return refuse(&provider, checked.redirect_uri, checked.state.as_deref(), "login_required");
    }
    let buttons: String = provider
        .config
        .people
        .iter()
        .map(|person| {
            format!(
                "<p><button name=\"person\" value=\"{}\">{}</button> {}, tenant {}</p>\n",
                escape(&person.key),
                escape(&person.name),
                escape(&person.roles.join(" and ")),
                escape(&person.tenant)
            )
        })
        .collect();
    // The form has no action: it posts to this very address, so the request's parameters come along.
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Sign in (development)</title>\n\
         <h1>Sign in (development)</h1>\n<p>Nobody is checked here. Choose who you are.</p>\n\
         <form method=\"post\">\n{buttons}</form>\n</html>\n"
    );
    let headers: [(HeaderName, &str); 4] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    ];
    (headers, Html(html)).into_response()
}

pub(crate) async fn choose(
    State(provider): State<Shared>,
    Query(request): Query<Request>,
    Form(choice): Form<Choice>,
) -> Response {
    let checked = match check(&provider, request) {
        Ok(checked) => checked,
        Err(refusal) => return *refusal,
    };
    let Some(person) = provider.config.people.iter().find(|person| person.key == choice.person).cloned()
    else {
        return refuse(&provider, checked.redirect_uri, checked.state.as_deref(), "access_denied");
    };
    let now = provider.config.clock.now();
    let code = random().and_then(|sid| {
        let sign_in = SignIn { sid, person, scope: checked.scope, nonce: checked.nonce, at: now };
        provider.grants(|grants| grants.code(sign_in, checked.redirect_text, checked.challenge, now))
    });
    let Some(code) = code else {
        return refuse(&provider, checked.redirect_uri, checked.state.as_deref(), "server_error");
    };
    let mut location = checked.redirect_uri;
    location.query_pairs_mut().append_pair("code", &code);
    respond(&provider, location, checked.state.as_deref())
}

/// Before the address is known to be the client's, nothing is sent there: a page says what is wrong instead.
fn check(provider: &Shared, request: Request) -> Result<Checked, Box<Response>> {
    let said = |what: &'static str| Box::new((StatusCode::BAD_REQUEST, what).into_response());
    if request.client_id.as_deref() != Some(provider.config.client_id.as_str()) {
        return Err(said("unknown client_id"));
    }
    let redirect_text = request.redirect_uri.unwrap_or_default();
    if !provider.config.redirect_uris.contains(&redirect_text) {
        return Err(said("this redirect_uri is not registered"));
    }
    let redirect_uri = Url::parse(&redirect_text).map_err(|_| said("this redirect_uri is not a URL"))?;
    let refused =
        |code: &str| Box::new(refuse(provider, redirect_uri.clone(), request.state.as_deref(), code));
    if request.response_type.as_deref() != Some("code") {
        return Err(refused("unsupported_response_type"));
    }
    let scope = request.scope.unwrap_or_default();
    if !scope.split(' ').any(|one| one == "openid") {
        return Err(refused("invalid_scope"));
    }
    let challenge = request.code_challenge.unwrap_or_default();
    if request.code_challenge_method.as_deref() != Some("S256") || challenge.len() != 43 {
        return Err(refused("invalid_request"));
    }
    Ok(Checked { redirect_uri, redirect_text, state: request.state, nonce: request.nonce, scope, challenge })
}

fn refuse(provider: &Shared, mut location: Url, state: Option<&str>, error: &str) -> Response {
    location.query_pairs_mut().append_pair("error", error);
    respond(provider, location, state)
}

/// Every answer carries `state` and, by RFC 9207, `iss`.
fn respond(provider: &Shared, mut location: Url, state: Option<&str>) -> Response {
    if let Some(state) = state {
        location.query_pairs_mut().append_pair("state", state);
    }
    location.query_pairs_mut().append_pair("iss", provider.issuer());
    ([(header::CACHE_CONTROL, "no-store")], Redirect::to(location.as_str())).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
