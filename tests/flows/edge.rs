//! The BFF before a harness' services, and the development provider beside it: what a browser talks to.

use std::sync::Arc;

use councilsense::wiring::system_clock;
use cs_core::Trace;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

use crate::harness::Harness;

/// The BFF, and the development provider beside it.
pub(crate) struct Edge {
    origin: String,
    client: Client,
}

/// A session's cookie; `None` for nobody, who is of the tenant `theirs` here.
pub(crate) type Who<'a> = Option<&'a str>;

impl Edge {
    pub(crate) async fn start(h: &Harness) -> Self {
        let (listener, idp) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let issuer = format!("http://{}", idp.local_addr().unwrap());
        let person = |key: &str, tenant: &str, role: &str| cs_devidp::Person {
            key: key.to_owned(),
            name: key.to_owned(),
            email: format!("{key}@example.test"),
            roles: vec!["resident".to_owned(), role.to_owned()],
            tenant: tenant.to_owned(),
        };
        let config = cs_devidp::Config {
            issuer: Url::parse(&issuer).unwrap(),
            client_id: "councilsense".to_owned(),
            client_secret: "secret".to_owned(),
            redirect_uris: vec![format!("{origin}/auth/callback")],
            post_logout_redirect_uris: vec![format!("{origin}/")],
            key: cs_devidp::SigningKey::generate().unwrap(),
            people: vec![
                person("ours", "ours", "operator"),
                person("resident", "theirs", "resident"),
                person("reviewer", "theirs", "reviewer"),
                person("operator", "theirs", "operator"),
            ],
            clock: system_clock(),
        };
        tokio::spawn(cs_devidp::serve(idp, config));
        let provider = bff::ProviderConfig::development(&issuer, "councilsense", "secret");
        let keys = vec![bff::SessionKey { id: "1".to_owned(), secret: [7; 32] }];
        let mut config = bff::Config::new(Url::parse(&origin).unwrap(), vec![provider], keys);
        config.default_tenant = "theirs".to_owned();
        let stack = &h.stacks[0];
        let deps = stack.bff_deps(Arc::new(String::new), None).unwrap();
        let bff::Served { router, .. } = bff::build(config, deps).await.unwrap();
        tokio::spawn(bff::serve(listener, router, stack.tasks.stopping().cancelled_owned()));
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { origin, client }
    }

    /// A session's cookie.
    pub(crate) async fn sign_in(&self, person: &str) -> String {
        let next = |response: &Response| {
            let location = response.headers().get(LOCATION).map(|value| value.to_str().unwrap().to_owned());
            location.unwrap_or_else(|| panic!("{person}: {}", response.status()))
        };
        let cookie = |response: &Response| {
            let set = response.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap());
            let pairs =
                set.filter(|text| !text.contains("Max-Age=0")).map(|text| text.split(';').next().unwrap());
            pairs.map(str::to_owned).collect::<Vec<_>>().join("; ")
        };
        let login = self.client.get(format!("{}/auth/login", self.origin)).send().await.unwrap();
        let page = self.client.post(next(&login)).form(&[("person", person)]).send().await.unwrap();
        let done = self.client.get(next(&page)).header(COOKIE, cookie(&login)).send().await.unwrap();
        let session = cookie(&done);
        assert!(session.starts_with("councilsense-dev="), "{person}: {} {session}", done.status());
        session
    }

    fn by(request: RequestBuilder, who: Who<'_>) -> RequestBuilder {
        let request = request.header("x-csrf", "1");
        who.into_iter().fold(request, |request, cookie| request.header(COOKIE, cookie))
    }

    /// The whole answer, under a trace of the client's own.
    pub(crate) async fn post_traced(
        &self,
        who: Who<'_>,
        trace: Trace,
        query: &str,
        variables: &Value,
    ) -> Value {
        let body = json!({"query": query, "variables": variables}).to_string();
        let request =
            self.client.post(format!("{}/graphql", self.origin)).header("traceparent", trace.to_string());
        let request = Self::by(request, who).header(CONTENT_TYPE, "application/json").body(body);
        serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
    }

    /// The status and the body, word for word.
    pub(crate) async fn post(&self, who: Who<'_>, query: &str, variables: &Value) -> (u16, String) {
        let body = json!({"query": query, "variables": variables}).to_string();
        let request = self.client.post(format!("{}/graphql", self.origin));
        let request = Self::by(request, who).header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// What is there for those who may.
    pub(crate) async fn data(&self, who: Who<'_>, query: &str, variables: Value) -> Value {
        let (status, text) = self.post(who, query, &variables).await;
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        assert!(status == 200 && answer.get("errors").is_none(), "{query}: {text}");
        answer["data"].take()
    }

    pub(crate) async fn artifact(&self, who: Who<'_>, path: &str) -> (u16, String) {
        let request = self.client.get(format!("{}{path}", self.origin));
        let response = Self::by(request, who).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}
