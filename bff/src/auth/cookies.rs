//! The cookies: one for the session, and one for each sign-in under way.

use axum::http::{HeaderMap, HeaderValue, header};
use ring::digest::{SHA256, digest};

/// How long a browser keeps the cookie of a sign-in, seconds.
const SIGN_IN_SECONDS: u32 = 600;
/// More sign-ins under way than this in one browser are forgotten, oldest knowledge first.
const MOST_SIGN_INS: usize = 8;

/// How cookies are named and marked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cookies {
    /// Served over HTTPS. Without it the `__Host-` prefix and `Secure` cannot be used.
    pub(crate) secure: bool,
}

impl Cookies {
    pub(crate) fn session(self) -> &'static str {
        if self.secure { "__Host-councilsense" } else { "councilsense-dev" }
    }

    fn sign_in_prefix(self) -> &'static str {
        if self.secure { "__Host-councilsense-signin-" } else { "councilsense-dev-signin-" }
    }

    /// Each sign-in has a cookie of its own, named by its state, so that tabs do not disturb each other.
    fn sign_in(self, state: &str) -> String {
        use std::fmt::Write;
        let hash = digest(&SHA256, state.as_bytes());
        hash.as_ref()[..6].iter().fold(self.sign_in_prefix().to_owned(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        })
    }

    /// Binds a sign-in to this browser. `Lax`, because the answer comes from another site.
    pub(crate) fn begin(self, state: &str, browser: &str) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        HeaderValue::try_from(format!(
            "{}={browser}; Path=/; HttpOnly; SameSite=Lax; Max-Age={SIGN_IN_SECONDS}{secure}",
            self.sign_in(state)
        ))
        .ok()
    }

    /// What the browser that began has to show.
    pub(crate) fn browser<'h>(self, headers: &'h HeaderMap, state: &str) -> Option<&'h str> {
        let name = self.sign_in(state);
        pairs(headers).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Takes the cookie of a sign-in back.
    pub(crate) fn end(self, state: &str) -> Option<HeaderValue> {
        self.expired(&self.sign_in(state))
    }

    /// Cookies of abandoned sign-ins, where there are too many of them.
    pub(crate) fn surplus(self, headers: &HeaderMap) -> Vec<HeaderValue> {
        let names: Vec<&str> = pairs(headers)
            .map(|(name, _)| name)
            .filter(|name| name.starts_with(self.sign_in_prefix()))
            .collect();
        let surplus = names.len().saturating_sub(MOST_SIGN_INS - 1);
        names.into_iter().take(surplus).filter_map(|name| self.expired(name)).collect()
    }

    fn expired(self, name: &str) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        HeaderValue::try_from(format!("{name}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{secure}")).ok()
    }

    /// Marks a removal of the session's cookie as its setting was. tower-sessions leaves `Secure` out of it, and a browser
    /// takes nothing for a `__Host-` name without: the cookie would stay.
    pub(crate) fn mark_removals(self, headers: &mut HeaderMap) {
        if !self.secure {
            return;
        }
        let session = self.session().as_bytes();
        for value in
            headers.iter_mut().filter_map(|(name, value)| (name == header::SET_COOKIE).then_some(value))
        {
            let text = value.as_bytes();
            let ours = text.strip_prefix(session).is_some_and(|rest| rest.starts_with(b"="));
            let marked = text
                .split(|byte| *byte == b';')
                .any(|part| part.trim_ascii().eq_ignore_ascii_case(b"secure"));
            if ours
                && !marked
                && let Ok(whole) =
                    HeaderValue::from_bytes(&[text, b"; Secure; HttpOnly; SameSite=Strict"].concat())
            {
                *value = whole;
            }
        }
    }

    /// Whether the request carries the session's cookie, good or not.
    pub(crate) fn has_session(self, headers: &HeaderMap) -> bool {
        pairs(headers).any(|(name, _)| name == self.session())
    }
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sign_in_has_its_own_cookie() {
        let cookies = Cookies { secure: true };
        let set = cookies.begin("one", "browser").unwrap();
        let text = set.to_str().unwrap();
        assert!(text.starts_with("__Host-councilsense-signin-"));
        assert!(text.contains("SameSite=Lax") && text.ends_with("; Secure") && text.contains("HttpOnly"));
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, text.split(';').next().unwrap().parse().unwrap());
        assert_eq!(cookies.browser(&headers, "one"), Some("browser"));
        assert_eq!(cookies.browser(&headers, "two"), None);
        assert!(!cookies.has_session(&headers));
    }

    #[test]
    fn abandoned_sign_ins_do_not_pile_up() {
        let cookies = Cookies { secure: false };
        let mut headers = HeaderMap::new();
        let sent: Vec<String> = (0..10).map(|n| format!("councilsense-dev-signin-{n}=x")).collect();
        headers.insert(header::COOKIE, sent.join("; ").parse().unwrap());
        assert_eq!(cookies.surplus(&headers).len(), 3);
    }
}
