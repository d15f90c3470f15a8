//! One person, several providers.

use std::sync::Arc;

use cs_proto::accounts::v1 as accounts;
use cs_proto::errors::v1::Reason;
use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Evil;
use crate::browser::{Browser, location};
use crate::stack::Stack;

const LINK: &str = "mutation($p: String!) { linkIdentity(input: {provider: $p, returnTo: \"/settings\"}) \
    { location userErrors { reason } } }";

struct Two {
    home: Arc<Evil>,
    other: Arc<Evil>,
    stack: Stack,
}

async fn two() -> Option<Two> {
    two_where(|_| {}).await
}

/// The same; `change` changes how the other provider is configured.
async fn two_where(change: impl FnOnce(&mut bff::ProviderConfig)) -> Option<Two> {
    let (home, other) = (Evil::start().await, Evil::start().await);
    let mut providers = vec![home.config("home"), other.config("other")];
    change(&mut providers[1]);
    let stack = Stack::with(|config| config.providers = providers).await?;
    home.follow(&stack);
    other.follow(&stack);
    *home.subject.lock().unwrap() = "rosa".into();
    *other.subject.lock().unwrap() = "rosa elsewhere".into();
    let user = stack.user.to_string();
    stack.fakes.answer(
        "accounts.Accounts/LinkIdentity",
        move |caller, request: accounts::LinkIdentityRequest| {
            assert!(caller.is_service());
            assert_eq!(request.user_id, user);
            let roles = vec!["resident".into()];
            let user = accounts::User {
                id: request.user_id,
                display_name: "Rosa".into(),
                roles,
                ..Default::default()
            };
            Ok(accounts::LinkIdentityResponse { user: Some(user) })
        },
    );
    Some(Two { home, other, stack })
}

/// Follows to where our page, a refusal or the end is.
async fn follow(browser: &mut Browser, start: &str) -> reqwest::Response {
    let mut response = browser.get(start).await;
    for _ in 0..6 {
        if response.status() != StatusCode::SEE_OTHER {
            break;
        }
        let next = response.headers()[LOCATION].to_str().unwrap().to_owned();
        if next.starts_with('/') {
            break;
        }
        response = browser.get(&next).await;
    }
    response
}

async fn asked(browser: &mut Browser) -> String {
    let answer = browser.graphql(LINK, json!({"p": "other"})).await;
    answer["data"]["linkIdentity"]["location"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn linked(two: &Two) -> Vec<accounts::LinkIdentityRequest> {
    let calls = two.stack.fakes.calls().into_iter();
    calls.filter(|call| call.method.ends_with("LinkIdentity")).map(|call| call.message()).collect()
}

#[tokio::test]
async fn linking_takes_a_fresh_sign_in_with_both() {
    let Some(two) = two().await else { return };
    let mut browser = Browser::new(&two.stack);
    follow(&mut browser, "/auth/login?provider=home").await;
    let before = browser.session().unwrap().clone();
    let start = asked(&mut browser).await;
    two.other.be(|p| p.claims["roles"] = json!(["editors", "strangers"]));
    let done = follow(&mut browser, &start).await;
    assert_eq!(
        (done.status(), &done.headers()[LOCATION]),
        (StatusCode::SEE_OTHER, &"/settings".parse().unwrap())
    );
    let linked = linked(&two);
    assert_eq!(linked.len(), 1);
    assert_eq!(
        (linked[0].issuer.as_str(), linked[0].subject.as_str()),
        (&*two.other.issuer, "rosa elsewhere")
    );
    assert_eq!(linked[0].roles, ["reviewer"], "what its own provider says");
    for evil in [&two.home, &two.other] {
        let asked = evil.asked.lock().unwrap();
        let last = asked.last().unwrap();
        assert_eq!((last["prompt"].as_str(), last["max_age"].as_str()), ("login", "0"));
    }
    assert_ne!(browser.session().unwrap(), &before, "a new id");
    browser.cookies.insert("councilsense-dev".into(), before);
    let viewer = browser.graphql("{ viewer { id } }", Value::Null).await;
    assert_eq!(viewer["data"]["viewer"], Value::Null, "the old one is dead");
    assert_eq!(browser.get(&start).await.status(), StatusCode::BAD_REQUEST, "an address works once");
}

#[tokio::test]
async fn what_is_not_fresh_or_not_theirs_links_nothing() {
    let Some(two) = two().await else { return };
    let stale: super::Wrong = |p| {
        let now = p.claims["iat"].as_i64().unwrap();
        p.claims["auth_time"] = json!(now - 300);
    };
    let silent: super::Wrong = |p| drop(p.claims.as_object_mut().unwrap().remove("auth_time"));
    let somebody: super::Wrong = |p| p.claims["sub"] = json!("somebody else");
    let right: super::Wrong = |_| {};
    for (name, at_home, elsewhere) in [
        ("an old sign-in at home", stale, right),
        ("an old sign-in elsewhere", right, stale),
        ("a sign-in of no time at home", silent, right),
        ("a sign-in of no time elsewhere", right, silent),
        ("somebody else at home", somebody, right),
    ] {
        let mut browser = Browser::new(&two.stack);
        two.home.be(right);
        two.other.be(right);
        follow(&mut browser, "/auth/login?provider=home").await;
        let start = asked(&mut browser).await;
        two.home.be(at_home);
        two.other.be(elsewhere);
        let ended = follow(&mut browser, &start).await;
        assert_eq!(ended.status(), StatusCode::FORBIDDEN, "{name}");
        assert!(linked(&two).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_provider_of_another_tenant_gives_nobody_roles_here() {
    // One that is pinned elsewhere is refused before anybody signs in with it.
    let Some(two) = two_where(|other| other.tenant = Some("elsewhere".into())).await else { return };
    let mut browser = Browser::new(&two.stack);
    follow(&mut browser, "/auth/login?provider=home").await;
    let refused = browser.graphql(LINK, json!({"p": "other"})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{refused}");
    assert!(linked(&two).is_empty() && two.other.asked.lock().unwrap().is_empty());

    // One that says of each person where they belong, once it has said so.
    let Some(two) = two_where(|other| other.tenant_claim = Some("tenant".into())).await else { return };
    let elsewhere: super::Wrong = |p| {
        (p.claims["tenant"], p.claims["roles"]) = (json!("elsewhere"), json!(["editors"]));
    };
    let here: super::Wrong = |p| p.claims["tenant"] = json!("default");
    for (said, status, due) in [(elsewhere, StatusCode::FORBIDDEN, 0), (here, StatusCode::SEE_OTHER, 1)] {
        let mut browser = Browser::new(&two.stack);
        two.other.be(|_| {});
        follow(&mut browser, "/auth/login?provider=home").await;
        let start = asked(&mut browser).await;
        two.other.be(said);
        assert_eq!(follow(&mut browser, &start).await.status(), status);
        assert_eq!(linked(&two).len(), due);
    }
}

#[tokio::test]
async fn a_link_belongs_to_its_session() {
    let Some(two) = two().await else { return };
    let (mut browser, mut thief) = (Browser::new(&two.stack), Browser::new(&two.stack));
    follow(&mut browser, "/auth/login?provider=home").await;
    follow(&mut thief, "/auth/login?provider=home").await;
    let start = asked(&mut browser).await;
    assert_eq!(thief.get(&start).await.status(), StatusCode::BAD_REQUEST, "another session");
    assert_eq!(Browser::new(&two.stack).get(&start).await.status(), StatusCode::BAD_REQUEST, "no session");
    // Signed out half-way: the second sign-in links nothing.
    let home = location(browser.get(&start).await.headers());
    let back = location(browser.get(home.as_str()).await.headers());
    let elsewhere = location(browser.get(back.as_str()).await.headers());
    assert!(elsewhere.as_str().starts_with(&two.other.issuer));
    let out = browser.request(Method::POST, "/auth/logout").header("x-csrf", "1");
    browser.send(out).await;
    assert_eq!(follow(&mut browser, elsewhere.as_str()).await.status(), StatusCode::BAD_REQUEST);
    assert!(linked(&two).is_empty());
    for (input, code) in
        [(json!({"p": "nowhere"}), "BAD_USER_INPUT"), (json!({"p": "other"}), "UNAUTHENTICATED")]
    {
        let mut who = if code == "UNAUTHENTICATED" { Browser::new(&two.stack) } else { thief.clone() };
        let answer = who.graphql(LINK, input).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], code);
    }
}

#[tokio::test]
async fn an_identity_of_somebody_else_is_not_taken() {
    let Some(two) = two().await else { return };
    two.stack.fakes.answer("accounts.Accounts/LinkIdentity", |_, _: accounts::LinkIdentityRequest| {
        Err::<accounts::LinkIdentityResponse, _>(cs_rpc::status(Reason::AlreadyExists, "taken", &[]))
    });
    let mut browser = Browser::new(&two.stack);
    follow(&mut browser, "/auth/login?provider=home").await;
    let start = asked(&mut browser).await;
    assert_eq!(follow(&mut browser, &start).await.status(), StatusCode::CONFLICT);
    let viewer = browser.graphql("{ viewer { id } }", Value::Null).await;
    assert_ne!(viewer["data"]["viewer"], Value::Null, "the session goes on");
    // What the other provider gave for it belongs to nobody here.
    assert_eq!(revoked(&two.other, 1).await, [latest(&two.other)]);
}

/// The refresh token that is good at a provider.
fn latest(evil: &Evil) -> String {
    evil.refresh.lock().unwrap().clone().unwrap()
}

/// What was revoked, once it is as much, or some time has passed.
async fn revoked(evil: &Evil, due: usize) -> Vec<String> {
    for _ in 0..40 {
        if evil.revoked.lock().unwrap().len() >= due {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    evil.revoked.lock().unwrap().clone()
}

#[tokio::test]
async fn tokens_of_a_session_that_is_replaced_go_back() {
    let Some(two) = two().await else { return };
    let mut browser = Browser::new(&two.stack);
    follow(&mut browser, "/auth/login?provider=home").await;
    let first = latest(&two.home);
    // The same sign-in at the provider: to take the one back would take the other.
    follow(&mut browser, "/auth/login?provider=home").await;
    let second = latest(&two.home);
    two.home.be(|p| p.claims["sid"] = json!("another"));
    follow(&mut browser, "/auth/login?provider=home").await;
    let third = latest(&two.home);
    assert_eq!(revoked(&two.home, 1).await, [second], "not {first}");
    // As browsers do: a strict cookie does not come along from another site.
    let page = location(browser.get("/auth/login?provider=other").await.headers());
    browser.cookies.remove("councilsense-dev");
    follow(&mut browser, page.as_str()).await;
    assert_eq!(revoked(&two.home, 2).await[1], third);
    assert!(two.other.revoked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn tokens_of_a_sign_in_that_came_to_nothing_go_back() {
    let Some(two) = two().await else { return };
    two.stack.fakes.answer("accounts.Accounts/ResolveIdentity", |_, _: accounts::ResolveIdentityRequest| {
        Err::<accounts::ResolveIdentityResponse, _>(cs_rpc::status(Reason::Unavailable, "away", &[]))
    });
    let ended = follow(&mut Browser::new(&two.stack), "/auth/login?provider=other").await;
    assert_eq!(ended.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(revoked(&two.other, 1).await, [latest(&two.other)]);
}

#[tokio::test]
async fn an_equal_address_links_nothing() {
    let Some(two) = two().await else { return };
    let mut browser = Browser::new(&two.stack);
    follow(&mut browser, "/auth/login?provider=home").await;
    follow(&mut browser, "/auth/login?provider=other").await;
    let calls = two.stack.fakes.calls();
    assert!(calls.iter().all(|call| !call.method.ends_with("LinkIdentity")));
    let resolved: Vec<(String, String)> = calls
        .iter()
        .filter(|call| call.method.ends_with("ResolveIdentity"))
        .map(|call| call.message::<accounts::ResolveIdentityRequest>())
        .map(|request| (request.issuer, request.subject))
        .collect();
    assert_eq!(
        resolved,
        [(two.home.issuer.clone(), "rosa".into()), (two.other.issuer.clone(), "rosa elsewhere".into())],
        "each is asked for by issuer and subject"
    );
}

#[tokio::test]
async fn unlinking_ends_the_sessions_of_that_identity() {
    let Some(two) = two().await else { return };
    let (mut here, mut there) = (Browser::new(&two.stack), Browser::new(&two.stack));
    follow(&mut here, "/auth/login?provider=home").await;
    follow(&mut there, "/auth/login?provider=other").await;
    let gone = accounts::Identity {
        id: two.stack.user.to_string(),
        issuer: two.other.issuer.clone(),
        subject: "rosa elsewhere".into(),
        created_at: String::new(),
    };
    two.stack.fakes.answer(
        "accounts.Accounts/UnlinkIdentity",
        move |_, _: accounts::UnlinkIdentityRequest| {
            Ok(accounts::UnlinkIdentityResponse { identity: Some(gone.clone()) })
        },
    );
    let listed = accounts::Identity { id: two.stack.user.to_string(), ..Default::default() };
    two.stack.fakes.answer(
        "accounts.Accounts/ListIdentities",
        move |_, _: accounts::ListIdentitiesRequest| {
            Ok(accounts::ListIdentitiesResponse { identities: vec![listed.clone()] })
        },
    );
    let listed = here.graphql("{ identities { id } }", Value::Null).await;
    let id = listed["data"]["identities"][0]["id"].clone();
    let unlink = "mutation($id: ID!) { unlinkIdentity(input: {id: $id}) { id userErrors { reason } } }";
    let answer = here.graphql(unlink, json!({"id": id})).await;
    assert_eq!(answer["data"]["unlinkIdentity"]["id"], id, "{answer}");
    let viewer = "{ viewer { id } }";
    assert_eq!(there.graphql(viewer, Value::Null).await["data"]["viewer"], Value::Null);
    assert_ne!(here.graphql(viewer, Value::Null).await["data"]["viewer"], Value::Null);
    assert_eq!(revoked(&two.other, 1).await.len(), 1);
}

#[tokio::test]
async fn where_there_are_several_providers_a_person_chooses() {
    let Some(two) = two().await else { return };
    let mut browser = Browser::new(&two.stack);
    let page = browser.get("/auth/login?return_to=/a%26b%22").await;
    assert_eq!(page.status(), StatusCode::OK);
    let html = page.text().await.unwrap();
    for id in ["home", "other"] {
        assert!(
            html.contains(&format!("/auth/login?provider={id}&amp;return_to=%2Fa%26b%22\">{id}</a>")),
            "{html}"
        );
    }
    assert!(browser.cookies.is_empty(), "nothing has begun");
    let session: Value = browser.get("/auth/session").await.json().await.unwrap();
    assert_eq!(session["providers"], json!(["home", "other"]));
}
