//! Behind TLS: what the cookies are called and how they are marked, and that browsers are told to come by TLS alone.

use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE, STRICT_TRANSPORT_SECURITY};
use reqwest::{Method, StatusCode};
use url::Url;

use crate::browser::Browser;
use crate::stack::{PUBLIC, Stack};

/// The cookies that an answer sets, each by its name and its marks in lower case, sorted.
fn set(headers: &HeaderMap) -> Vec<(String, Vec<String>)> {
    let cookie = |text: &str| {
        let mut parts = text.split(';').map(str::trim);
        let (name, _) = parts.next().unwrap().split_once('=').unwrap();
        let mut marks: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
        marks.retain(|mark| !mark.starts_with("max-age=") && !mark.starts_with("expires="));
        marks.sort();
        (name.to_owned(), marks)
    };
    headers.get_all(SET_COOKIE).iter().map(|value| cookie(value.to_str().unwrap())).collect()
}

#[tokio::test]
async fn cookies_belong_to_one_host_and_to_tls() {
    let Some(stack) = Stack::with(|config| {
        config.origins = vec![Url::parse(PUBLIC).unwrap()];
        config.development = false;
    })
    .await
    else {
        return;
    };
    let mut browser = Browser::new(&stack).behind(PUBLIC);
    let own = |same_site: &str| {
        ["httponly", "path=/", &format!("samesite={same_site}"), "secure"].map(str::to_owned).to_vec()
    };

    let login = browser.get("/auth/login?return_to=/meetings").await;
    assert_eq!(login.status(), StatusCode::SEE_OTHER);
    let cookies = set(login.headers());
    let [(name, marks)] = cookies.as_slice() else { panic!("{cookies:?}") };
    assert!(name.starts_with("__Host-councilsense-signin-"), "{name}");
    assert_eq!(*marks, own("lax"), "the answer comes from another site");

    let page = Url::parse(login.headers()[LOCATION].to_str().unwrap()).unwrap();
    let back = browser.choose(&page, "resident").await;
    assert!(back.as_str().starts_with(&format!("{PUBLIC}/auth/callback?")), "{back}");
    let done = browser.get(back.as_str()).await;
    assert_eq!(
        (done.status(), &done.headers()[LOCATION]),
        (StatusCode::SEE_OTHER, &"/meetings".parse().unwrap())
    );
    let cookies = set(done.headers());
    let session: Vec<_> = cookies.iter().filter(|(name, _)| name == "__Host-councilsense").collect();
    assert_eq!(session, [&("__Host-councilsense".to_owned(), own("strict"))], "no Domain, and nothing else");

    let viewer = browser.graphql("{ viewer { displayName } }", serde_json::Value::Null).await;
    assert_eq!(viewer["data"]["viewer"]["displayName"], "Rosa Resident", "the cookie is taken: {viewer}");
    for address in ["/", "/healthz", "/auth/session", "/graphql", "/artifacts/none", "/no/such/page.css"] {
        let answer = browser.get(address).await;
        let told = answer.headers().get(STRICT_TRANSPORT_SECURITY).map(|value| value.to_str().unwrap());
        assert_eq!(told, Some("max-age=63072000; includeSubDomains"), "{address}");
    }

    // A browser takes nothing for such a name that is not marked as the cookie was when it was set: a removal too.
    let out = browser.request(Method::POST, "/auth/logout").header("x-csrf", "1");
    let out = browser.send(out).await;
    assert_eq!(out.status(), StatusCode::OK);
    assert_eq!(set(out.headers()), [("__Host-councilsense".to_owned(), own("strict"))]);
    let removal = out.headers()[SET_COOKIE].to_str().unwrap();
    assert!(removal.contains("Max-Age=0"), "{removal}");
    browser.sign_in("resident").await;

    // The name of the cookie of development opens nothing here.
    let value = browser.cookies.remove("__Host-councilsense").unwrap();
    browser.cookies.insert("councilsense-dev".into(), value);
    let nobody = browser.graphql("{ viewer { id } }", serde_json::Value::Null).await;
    assert_eq!(nobody["data"]["viewer"], serde_json::Value::Null);
}
