//! A browser as far as these tests need one: cookies, no redirects of its own.

use std::collections::BTreeMap;

use reqwest::header::{COOKIE, HOST, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::stack::Stack;

#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) origin: String,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) client: reqwest::Client,
    /// The address of the BFF as people know it, where a proxy stands in between.
    pub(crate) public: Option<Url>,
}

impl Browser {
    pub(crate) fn new(stack: &Stack) -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { origin: stack.origin.clone(), cookies: BTreeMap::new(), client, public: None }
    }

    /// Knows the BFF by a public address; what a proxy does with it is done here.
    pub(crate) fn behind(mut self, public: &str) -> Self {
        self.public = Some(Url::parse(public).unwrap());
        self
    }

    pub(crate) fn request(&self, method: Method, address: &str) -> reqwest::RequestBuilder {
        let public = self.public.as_ref().map(|public| public.origin().ascii_serialization());
        let path = match &public {
            Some(public) => address.strip_prefix(public.as_str()).unwrap_or(address),
            None => address,
        };
        let address = if path.starts_with('/') { format!("{}{path}", self.origin) } else { path.to_owned() };
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.client.request(method, &address);
        if address.starts_with(&self.origin) && !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        if let Some(host) = self.public.as_ref().and_then(Url::host_str)
            && address.starts_with(&self.origin)
        {
            request = request.header(HOST, host);
        }
        request
    }

    pub(crate) async fn send(&mut self, request: reqwest::RequestBuilder) -> Response {
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }

    pub(crate) async fn get(&mut self, address: &str) -> Response {
        let request = self.request(Method::GET, address);
        self.send(request).await
    }

    /// To the provider's page.
    pub(crate) async fn begin(&mut self, login: &str) -> Url {
        let response = self.get(login).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        location(response.headers())
    }

    /// Presses a person's button; where that leads.
    pub(crate) async fn choose(&mut self, page: &Url, person: &str) -> Url {
        let request = self.request(Method::POST, page.as_str()).form(&[("person", person)]);
        let response = self.send(request).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        location(response.headers())
    }

    pub(crate) async fn sign_in(&mut self, person: &str) -> Response {
        let page = self.begin("/auth/login?return_to=/meetings").await;
        let back = self.choose(&page, person).await;
        self.get(back.as_str()).await
    }

    pub(crate) async fn graphql(&mut self, query: &str, variables: Value) -> Value {
        let request = self
            .request(Method::POST, "/graphql")
            .header("x-csrf", "1")
            .json(&json!({"query": query, "variables": variables}));
        self.send(request).await.json().await.unwrap()
    }

    pub(crate) fn session(&self) -> Option<&String> {
        self.cookies.get("councilsense-dev")
    }
}

pub(crate) fn location(headers: &HeaderMap) -> Url {
    Url::parse(headers[LOCATION].to_str().unwrap()).unwrap()
}
