//! Requests that another site could cause are told apart from our own page's.
//!
//! A cookie travels by itself; a header of our own does not, and no other site can set one without asking by CORS, which
//! nobody is granted. `Origin` and `Sec-Fetch-Site` are looked at as well, where a browser sends them.

use axum::http::{HeaderMap, Method};

use super::cookies::Cookies;

/// What is asked for, as far as forgery goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Data for our page's scripts.
    Api,
    /// What a browser may also open as a page of its own.
    Page,
    /// Leads to the provider and back. Each sign-in is bound to its browser by a cookie of its own.
    Redirect,
    /// A WebSocket: a browser cannot set headers there.
    Socket,
    /// Changes the session: needs the header whether or not there is a cookie.
    SignOut,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Forged {
    #[error("this request comes from another site")]
    ForeignOrigin,
    #[error("a WebSocket with a session must name its origin")]
    NoOrigin,
    #[error("requests with a session need the header x-csrf: 1")]
    NoHeader,
}

/// `own` is the origin that the request came to. Another one of ours is as foreign as any: its page is another tenant's,
/// and browsers may call the two one site.
pub(crate) fn check(
    kind: Kind,
    method: &Method,
    headers: &HeaderMap,
    cookies: Cookies,
    own: Option<&str>,
) -> Result<(), Forged> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if kind == Kind::Redirect && method.is_safe() {
        return Ok(());
    }
    let with_session = cookies.has_session(headers);
    let origin = text("origin");
    let site = text("sec-fetch-site");
    if kind == Kind::Socket || !method.is_safe() {
        if origin.is_some_and(|origin| own != Some(origin)) {
            return Err(Forged::ForeignOrigin);
        }
        if site.is_some_and(|site| site != "same-origin") {
            return Err(Forged::ForeignOrigin);
        }
    }
    if kind == Kind::Socket {
        return if with_session && origin.is_none() { Err(Forged::NoOrigin) } else { Ok(()) };
    }
    if headers.get("x-csrf").is_some_and(|value| value == "1") {
        return Ok(());
    }
    // A link within our page, an address typed in: the browser says so, and no script of another site can.
    let opened = kind == Kind::Page
        && method.is_safe()
        && (text("sec-fetch-mode") == Some("navigate") || site == Some("same-origin"));
    if kind == Kind::SignOut || (with_session && !opened) { Err(Forged::NoHeader) } else { Ok(()) }
}

/// Which kind a request to the data endpoints is.
pub(crate) fn kind(path: &str) -> Kind {
    match path {
        "/graphql/ws" => Kind::Socket,
        "/auth/logout" => Kind::SignOut,
        "/auth/login" | "/auth/callback" | "/auth/link" => Kind::Redirect,
        "/graphiql" => Kind::Page,
        _ if path.starts_with("/artifacts/") => Kind::Page,
        _ => Kind::Api,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "https://council.example";
    const COOKIE: (&str, &str) = ("cookie", "a=b; __Host-councilsense=x");
    const CSRF: (&str, &str) = ("x-csrf", "1");

    fn checked(kind: Kind, method: &Method, sent: &[(&'static str, &str)]) -> Result<(), Forged> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.insert(*name, value.parse().unwrap());
        }
        check(kind, method, &headers, Cookies { secure: true }, Some(OURS))
    }

    #[test]
    fn the_path_alone_says_what_is_asked_for() {
        for (path, due) in [
            ("/graphql/ws", Kind::Socket),
            ("/graphql", Kind::Api),
            ("/graphql/stream", Kind::Api),
            ("/graphql/ws/", Kind::Api),
            ("/auth/session", Kind::Api),
            ("/auth/backchannel-logout", Kind::Api),
            ("/auth/logout", Kind::SignOut),
            ("/auth/login", Kind::Redirect),
            ("/auth/callback", Kind::Redirect),
            ("/auth/link", Kind::Redirect),
            ("/graphiql", Kind::Page),
            ("/artifacts/01J00000000000000000000000", Kind::Page),
        ] {
            assert_eq!(kind(path), due, "{path}");
        }
    }

    #[test]
    fn the_matrix() {
        use Forged::{ForeignOrigin, NoHeader, NoOrigin};
        let (get, post) = (Method::GET, Method::POST);
        let own = ("origin", OURS);
        let foreign = ("origin", "https://evil.example");
        // Another tenant's, that this process serves too.
        let sibling = ("origin", "https://news.council.example");
        let null = ("origin", "null");
        let site = |value| ("sec-fetch-site", value);
        type Case<'a> = (Kind, &'a Method, Vec<(&'static str, &'a str)>, Result<(), Forged>);
        let cases: Vec<Case<'_>> = vec![
            (Kind::Api, &post, vec![], Ok(())),
            (Kind::Api, &post, vec![COOKIE], Err(NoHeader)),
            (Kind::Api, &post, vec![COOKIE, ("x-csrf", "0")], Err(NoHeader)),
            (Kind::Api, &post, vec![COOKIE, CSRF], Ok(())),
            (Kind::Api, &post, vec![COOKIE, CSRF, own, site("same-origin")], Ok(())),
            (Kind::Api, &post, vec![COOKIE, CSRF, foreign], Err(ForeignOrigin)),
            (Kind::Api, &post, vec![CSRF, foreign], Err(ForeignOrigin)),
            (Kind::Api, &post, vec![foreign], Err(ForeignOrigin)),
            (Kind::Api, &post, vec![COOKIE, CSRF, sibling], Err(ForeignOrigin)),
            (Kind::Api, &post, vec![COOKIE, CSRF, null], Err(ForeignOrigin)),
            (Kind::Api, &post, vec![COOKIE, CSRF, ("origin", "http://council.example")], Err(ForeignOrigin)),
            (
                Kind::Api,
                &post,
                vec![COOKIE, CSRF, ("origin", "https://council.example.evil.example")],
                Err(ForeignOrigin),
            ),
            (Kind::Api, &post, vec![COOKIE, CSRF, site("cross-site")], Err(ForeignOrigin)),
            (Kind::Api, &post, vec![COOKIE, CSRF, site("same-site")], Err(ForeignOrigin)),
            (Kind::Api, &post, vec![COOKIE, CSRF, own, site("cross-site")], Err(ForeignOrigin)),
            (Kind::Api, &get, vec![], Ok(())),
            (Kind::Api, &get, vec![COOKIE], Err(NoHeader)),
            (Kind::Api, &get, vec![COOKIE, ("sec-fetch-mode", "navigate")], Err(NoHeader)),
            (Kind::Api, &get, vec![COOKIE, CSRF], Ok(())),
            (Kind::Page, &get, vec![COOKIE], Err(NoHeader)),
            (Kind::Page, &get, vec![COOKIE, ("sec-fetch-mode", "navigate"), site("none")], Ok(())),
            (Kind::Page, &get, vec![COOKIE, site("same-origin")], Ok(())),
            (Kind::Page, &get, vec![COOKIE, site("cross-site")], Err(NoHeader)),
            (Kind::Page, &get, vec![COOKIE, CSRF], Ok(())),
            (Kind::Page, &post, vec![COOKIE, ("sec-fetch-mode", "navigate")], Err(NoHeader)),
            (Kind::Redirect, &get, vec![COOKIE, site("cross-site")], Ok(())),
            (Kind::Redirect, &post, vec![COOKIE], Err(NoHeader)),
            (Kind::SignOut, &post, vec![], Err(NoHeader)),
            (Kind::SignOut, &post, vec![CSRF], Ok(())),
            (Kind::SignOut, &post, vec![COOKIE, CSRF, foreign], Err(ForeignOrigin)),
            (Kind::Socket, &get, vec![], Ok(())),
            (Kind::Socket, &get, vec![foreign], Err(ForeignOrigin)),
            (Kind::Socket, &get, vec![COOKIE, sibling], Err(ForeignOrigin)),
            (Kind::SignOut, &post, vec![COOKIE, CSRF, sibling], Err(ForeignOrigin)),
            (Kind::Socket, &get, vec![null], Err(ForeignOrigin)),
            (Kind::Socket, &get, vec![COOKIE], Err(NoOrigin)),
            (Kind::Socket, &get, vec![COOKIE, own], Ok(())),
            (Kind::Socket, &get, vec![COOKIE, null], Err(ForeignOrigin)),
            (Kind::Socket, &get, vec![COOKIE, own, site("cross-site")], Err(ForeignOrigin)),
        ];
        for (kind, method, sent, due) in cases {
            assert_eq!(checked(kind, method, &sent), due, "{kind:?} {method} {sent:?}");
        }
    }

    #[test]
    fn at_a_name_that_is_not_configured_every_origin_is_foreign() {
        let mut headers = HeaderMap::new();
        headers.insert("x-csrf", "1".parse().unwrap());
        let checked =
            |headers: &HeaderMap| check(Kind::Api, &Method::POST, headers, Cookies { secure: true }, None);
        assert_eq!(checked(&headers), Ok(()));
        headers.insert("origin", OURS.parse().unwrap());
        assert_eq!(checked(&headers), Err(Forged::ForeignOrigin));
    }
}
