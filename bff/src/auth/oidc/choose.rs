//! Where several providers are configured: which one.

use axum::response::{Html, IntoResponse, Response};

use super::Provider;

/// A page of links, one a provider. Names are the operator's, but they are text all the same.
pub(super) fn page(providers: &[Provider], return_to: &str) -> Response {
    let links: String = providers
        .iter()
        .map(|provider| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("provider", &provider.config.id)
                .append_pair("return_to", return_to)
                .finish();
            format!(
                "<li><a href=\"/auth/login?{}\">{}</a></li>\n",
                escape(&query),
                escape(&provider.config.name)
            )
        })
        .collect();
    Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Sign in</title>\n\
         <h1>Sign in</h1>\n<p>Choose where you have an account.</p>\n<ul>\n{links}</ul>\n</html>\n"
    ))
    .into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
