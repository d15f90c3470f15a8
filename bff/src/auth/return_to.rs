//! Where a browser goes after signing in: a path of ours, and nothing that could lead elsewhere.

/// Longest path taken.
const LONGEST: usize = 2048;

/// `None` where the text is not plainly a local path.
///
/// Browsers read `\` as `/`, drop tabs and line ends, and some servers decode before they route: so all of that is
/// refused, also where it is percent-encoded, once or twice. Segments of dots are taken out before a path is asked for, so
/// what stands behind them is not what it seems.
pub(crate) fn local_path(text: &str) -> Option<&str> {
    if text.len() > LONGEST || !is_plain(text) {
        return None;
    }
    let mut decoded = text.to_owned();
    for _ in 0..3 {
        let next = percent_decoded(&decoded)?;
        if !is_plain(next.split(['?', '#']).next().unwrap_or_default()) {
            return None;
        }
        if next == decoded {
            break;
        }
        decoded = next;
    }
    let auth = decoded.trim_start_matches('/').split(['/', '?', '#']).next() == Some("auth");
    // A way back into signing in or out would be a loop, or worse.
    (!auth).then_some(text)
}

fn is_plain(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && !path.chars().any(char::is_control)
        && !path.split(['?', '#']).next().unwrap_or_default().contains("//")
        && !path
            .split(['?', '#'])
            .next()
            .unwrap_or_default()
            .split('/')
            .any(|part| matches!(part, "." | ".."))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn local_paths_are_taken() {
        for good in [
            "/",
            "/meetings",
            "/meetings/01H?tab=claims#decision-3",
            "/search?q=budget%202024&from=2023-01-01",
            "/search?q=caf%C3%A9",
            "/search?q=https%3A%2F%2Fexample.org",
            "/search?q=a%5Cb",
            "/author",
            "/a:b",
            "/caf\u{e9}",
        ] {
            assert_eq!(local_path(good), Some(good), "{good:?}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "meetings",
            "//evil.example",
            "///evil.example",
            "////evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "\\/evil.example",
            "/\\/evil.example",
            "http://evil.example",
            "https:evil.example",
            "HTTPS://evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            " /meetings",
            "\t/meetings",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r\nLocation: https://evil.example",
            "/\0",
            "/a\u{7f}",
            "/a\u{85}",
            "/%2Fevil.example",
            "/%2f%2fevil.example",
            "/%5Cevil.example",
            "/%5c%5cevil.example",
            "%2F%2Fevil.example",
            "/%09/evil.example",
            "/%0d%0aLocation:%20https://evil.example",
            "/%00",
            "/%252Fevil.example",
            "/%255Cevil.example",
            "/a//evil.example",
            "/a/../..//evil.example",
            "/%2e%2e/x",
            "/../x",
            "/./auth/login",
            "/%2e/auth/login",
            "/%252E/auth/login",
            "/meetings/.",
            "/%",
            "/%zz",
            "/%C3",
            "@evil.example",
            "/auth/logout",
            "/%61uth/login",
            "?next=//evil.example",
            "#x",
        ] {
            assert_eq!(local_path(bad), None, "{bad:?}");
        }
        assert_eq!(local_path(&format!("/{}", "a".repeat(3000))), None);
    }

    /// Generated paths: whatever is taken stays at our origin, as a browser's own parser sees it.
    #[test]
    fn what_is_taken_stays_here() {
        let here = url::Url::parse("https://council.example/auth/callback").unwrap();
        let pieces = [
            "/",
            "\\",
            "//",
            "evil.example",
            "%2f",
            "%5c",
            "%25",
            "..",
            ".",
            "@",
            ":",
            "?",
            "#",
            "a",
            "\t",
            "%09",
            "%00",
            "https:",
            "javascript:",
            "\u{e9}",
            "%C3%A9",
            "meetings",
            "auth",
            "&",
            "=",
            " ",
            "\r\n",
            "%",
        ];
        let (mut state, mut taken) = (0x5eed_u64, 0);
        for _ in 0..200_000 {
            let mut text = String::new();
            for n in 0..8 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if n > 1 && state % 3 == 0 {
                    break;
                }
                text.push_str(pieces[usize::try_from(state / 3 % pieces.len() as u64).unwrap()]);
            }
            if let Some(path) = local_path(&text) {
                taken += 1;
                let joined = here.join(path).unwrap();
                assert_eq!(joined.origin(), here.origin(), "{text:?}");
                assert!(joined.path().starts_with('/') && !joined.path().starts_with("//"), "{text:?}");
                assert!(!joined.path().starts_with("/auth/"), "{text:?}");
            }
        }
        assert!(taken > 1_000, "{taken}");
    }
}
