//! Several addresses, of which a host name may lead to a tenant of its own.

use cs_core::TenantId;
use cs_proto::accounts::v1 as accounts;
use cs_proto::accounts::v1::resolve_tenant_request::By;
use reqwest::header::{HOST, LOCATION};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::browser::{Browser, location};
use crate::evil::{Evil, Wrong};
use crate::stack::Stack;

/// Asks at another name of the same listener.
async fn at(browser: &mut Browser, host: &str, method: Method, path: &str) -> Response {
    let request = browser.request(method, path).header(HOST, host).header("x-csrf", "1");
    browser.send(request.json(&json!({"query": "{ cities { nodes { id } } }"}))).await
}

/// A BFF with a second host, `news.localhost`, of the tenant `news`; that host with its port.
async fn hosts(evil: &Evil, provider: bff::ProviderConfig) -> Option<(Stack, String)> {
    let mut other = String::new();
    let stack = Stack::with(|config| {
        let port = config.origins[0].port().unwrap();
        other = format!("news.localhost:{port}");
        config.origins.push(format!("http://{other}").parse().unwrap());
        config.providers = vec![provider];
    })
    .await?;
    evil.follow(&stack);
    let (main, theirs) = (stack.tenant, TenantId::of_slug("news"));
    stack.fakes.answer(
        "accounts.Accounts/ResolveTenant",
        move |_, request: accounts::ResolveTenantRequest| {
            let id = match request.by {
                Some(By::Host(host)) if host == "news.localhost" => theirs,
                Some(By::Host(host)) if host == "127.0.0.1" => main,
                Some(By::Slug(slug)) if slug == "default" => main,
                Some(By::Slug(slug)) if slug == "news" => theirs,
                _ => {
                    return Err(cs_rpc::status(
                        cs_proto::errors::v1::Reason::NotFound,
                        "no such tenant",
                        &[],
                    ));
                }
            };
            Ok(accounts::ResolveTenantResponse {
                tenant: Some(accounts::Tenant { id: id.to_string(), ..Default::default() }),
            })
        },
    );
    Some((stack, other))
}

/// Signs in at a host; the last answer.
async fn signed_in_at(browser: &mut Browser, host: &str) -> Response {
    let begun = at(browser, host, Method::GET, "/auth/login?return_to=/meetings").await;
    let page = location(begun.headers());
    let back = location(browser.get(page.as_str()).await.headers());
    assert!(back.as_str().starts_with(&format!("http://{host}/auth/callback?")), "{back}");
    at(browser, host, Method::GET, &format!("{}?{}", back.path(), back.query().unwrap())).await
}

#[tokio::test]
async fn a_host_leads_to_its_tenant() {
    let evil = Evil::start().await;
    let Some((stack, other)) = hosts(&evil, evil.config("evil")).await else { return };
    let (main, theirs) = (stack.tenant, TenantId::of_slug("news"));
    let tenants = |stack: &Stack, method: &str| -> Vec<TenantId> {
        let calls = stack.fakes.calls().into_iter();
        calls.filter(|call| call.method.ends_with(method)).map(|call| call.caller.tenant).collect()
    };

    // Who did not sign in.
    let mut browser = Browser::new(&stack);
    browser.graphql("{ cities { nodes { id } } }", Value::Null).await;
    at(&mut browser, &other, Method::POST, "/graphql").await;
    assert_eq!(tenants(&stack, "ListCities"), [main, theirs]);

    // Who does: there and back to the same host.
    let done = signed_in_at(&mut browser, &other).await;
    assert_eq!(
        (done.status(), &done.headers()[LOCATION]),
        (StatusCode::SEE_OTHER, &"/meetings".parse().unwrap())
    );
    assert_eq!(tenants(&stack, "ResolveIdentity"), [theirs]);
    at(&mut browser, &other, Method::POST, "/graphql").await;
    assert_eq!(tenants(&stack, "ListCities"), [theirs]);
}

#[tokio::test]
async fn who_belongs_to_one_tenant_is_nobody_at_the_host_of_another() {
    let evil = Evil::start().await;
    let mut provider = evil.config("evil");
    provider.tenant_claim = Some("tenant".into());
    let Some((stack, news)) = hosts(&evil, provider).await else { return };
    let main = stack.origin.strip_prefix("http://").unwrap().to_owned();
    let of_news: Wrong = |plan| plan.claims["tenant"] = json!("news");
    let of_main: Wrong = |plan| plan.claims["tenant"] = json!("default");
    for (claim, host, own) in
        [(of_news, &main, false), (of_main, &news, false), (of_main, &main, true), (of_news, &news, true)]
    {
        evil.be(claim);
        stack.fakes.calls();
        let done = signed_in_at(&mut Browser::new(&stack), host).await;
        assert_eq!(done.status(), if own { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN }, "{host}");
        // The same with an access token.
        let token = evil.access_token(&stack.origin, claim);
        let request = reqwest::Client::new().post(format!("{}/api/graphql", stack.origin)).header(HOST, host);
        let request = request.bearer_auth(token).json(&json!({"query": "{ viewer { id } }"}));
        let due = if own { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(request.send().await.unwrap().status(), due, "{host}");
        let known = stack.fakes.methods().iter().any(|method| method.ends_with("ResolveIdentity"));
        assert_eq!(known, own, "accounts is told of nobody who does not belong here");
    }
}

#[tokio::test]
async fn the_page_of_one_tenant_asks_nothing_of_another() {
    let evil = Evil::start().await;
    let Some((stack, news)) = hosts(&evil, evil.config("evil")).await else { return };
    let main = stack.origin.strip_prefix("http://").unwrap().to_owned();
    for (host, page, due) in [
        (&main, &main, StatusCode::OK),
        (&news, &news, StatusCode::OK),
        (&main, &news, StatusCode::FORBIDDEN),
        (&news, &main, StatusCode::FORBIDDEN),
    ] {
        let request = reqwest::Client::new().post(format!("{}/graphql", stack.origin)).header(HOST, host);
        let request =
            request.header("origin", format!("http://{page}")).json(&json!({"query": "{ __typename }"}));
        assert_eq!(request.send().await.unwrap().status(), due, "{page} asks {host}");
    }
}
