//! Several addresses, of which a host name may lead to a tenant of its own.

use cs_core::TenantId;
use cs_proto::accounts::v1 as accounts;
use cs_proto::accounts::v1::resolve_tenant_request::By;
use reqwest::header::{HOST, LOCATION};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::browser::{Browser, location};
use crate::evil::Evil;
use crate::stack::Stack;

/// Asks at another name of the same listener.
async fn at(browser: &mut Browser, host: &str, method: Method, path: &str) -> Response {
    let request = browser.request(method, path).header(HOST, host).header("x-csrf", "1");
    browser.send(request.json(&json!({"query": "{ cities { nodes { id } } }"}))).await
}

#[tokio::test]
async fn a_host_leads_to_its_tenant() {
    let evil = Evil::start().await;
    let provider = evil.config("evil");
    let mut other = String::new();
    let Some(stack) = Stack::with(|config| {
        let port = config.origins[0].port().unwrap();
        other = format!("news.localhost:{port}");
        config.origins.push(format!("http://{other}").parse().unwrap());
        config.providers = vec![provider];
    })
    .await
    else {
        return;
    };
    evil.follow(&stack);
    let (main, theirs) = (stack.tenant, TenantId::of_slug("news"));
    stack.fakes.answer(
        "accounts.Accounts/ResolveTenant",
        move |_, request: accounts::ResolveTenantRequest| {
            let id = match request.by {
                Some(By::Host(host)) if host == "news.localhost" => theirs,
                Some(By::Slug(slug)) if slug == "default" => main,
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
    let begun = at(&mut browser, &other, Method::GET, "/auth/login?return_to=/meetings").await;
    let page = location(begun.headers());
    let back = location(browser.get(page.as_str()).await.headers());
    assert!(back.as_str().starts_with(&format!("http://{other}/auth/callback?")), "{back}");
    let path = format!("{}?{}", back.path(), back.query().unwrap());
    let done = at(&mut browser, &other, Method::GET, &path).await;
    assert_eq!(
        (done.status(), &done.headers()[LOCATION]),
        (StatusCode::SEE_OTHER, &"/meetings".parse().unwrap())
    );
    assert_eq!(tenants(&stack, "ResolveIdentity"), [theirs]);
    at(&mut browser, &other, Method::POST, "/graphql").await;
    assert_eq!(tenants(&stack, "ListCities"), [theirs]);
}
