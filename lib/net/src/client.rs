//! The one guarded client.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::Instant;
use url::{Host, Url};

use crate::address::{is_own, is_public};

/// Which addresses may be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The public internet, by https.
    #[default]
    Public,
    /// This machine as well, by http too: for development and tests.
    Loopback,
    /// The own network as well, by http too: for a service that the operator says stands there. Link-local addresses,
    /// where clouds keep their metadata, are never reached.
    Private,
}

/// What a request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the name's resolution to the last byte, redirects included.
    pub time: Duration,
    /// Largest body of an answer, bytes.
    pub bytes: usize,
    /// Redirects that are followed; only requests without a body are redirected.
    pub redirects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(10), bytes: 64 * 1024, redirects: 0 }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The address breaks a rule; asking again gives the same.
    #[error("{0}")]
    Refused(String),
    /// Nobody answered in time, or the connection broke.
    #[error("no answer: {0}")]
    Failed(String),
    /// An answer had begun, and did not come to its end.
    #[error("the answer broke off: {why}")]
    BrokenOff {
        /// What went wrong.
        why: String,
        /// Status, headers and as much of the body as was read: what happened there is known all the same.
        cut: Box<Answer>,
    },
    /// The answer is larger than allowed.
    #[error("the answer is larger than {most} bytes")]
    TooLarge {
        /// What is allowed.
        most: usize,
        /// Status, headers and as much of the body as was read: what happened there is known all the same.
        cut: Box<Answer>,
    },
    /// Redirected more often than allowed.
    #[error("redirected too often")]
    TooManyRedirects,
}

impl NetError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::BrokenOff { .. })
    }
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Where it came from, after redirects.
    pub url: Url,
}

impl Answer {
    /// `Retry-After` in seconds, where it is given so.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        text.trim().parse().ok().map(Duration::from_secs)
    }

    /// `Retry-After` from `now` on, given in seconds or as a date (RFC 9110, 10.2.3). Zero, where the date is over.
    pub fn retry_after_at(&self, now: SystemTime) -> Option<Duration> {
        self.retry_after().or_else(|| {
            let text = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
            let date = httpdate::parse_http_date(text.trim()).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
        })
    }
}

/// Names to addresses.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of a host.
    async fn addresses(&self, host: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The machine's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// An HTTP client for addresses that somebody else has chosen. Cheap to clone.
#[derive(Clone)]
pub struct Guarded {
    client: reqwest::Client,
    trust: Trust,
}

/// Gives a connection only what it may reach. It is asked for each new connection, and its answer is what is connected
/// to: there is no second resolution in between.
struct Checked {
    lookup: Arc<dyn Lookup>,
    trust: Trust,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, trust) = (self.lookup.clone(), self.trust);
        Box::pin(async move {
            let found = lookup.addresses(name.as_str()).await?;
            let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| trust.allows(*address));
            match (bad.first(), good.is_empty()) {
                (None, true) => Err("the name has no address".into()),
                // One bad address among good ones is somebody trying; in the own network, machines have link-local
                // addresses beside the others.
                (Some(bad), nothing_else) if nothing_else || trust != Trust::Private => {
                    let kind = if trust == Trust::Private { "may not be reached" } else { "is not public" };
                    let refused = NetError::Refused(format!("{} is at {bad}, which {kind}", name.as_str()));
                    Err(Box::new(refused) as Box<dyn std::error::Error + Send + Sync>)
                }
                _ => {
                    let good: Addrs = Box::new(good.into_iter().map(|address| SocketAddr::new(address, 0)));
                    Ok(good)
                }
            }
        })
    }
}

impl Trust {
    fn allows(self, address: IpAddr) -> bool {
        is_public(address)
            || match self {
                Self::Public => false,
                Self::Loopback => address.to_canonical().is_loopback(),
                Self::Private => is_own(address),
            }
    }

    /// Whether the address may be asked at all, as far as its text says; a name is looked at again when it is resolved.
    pub fn check(self, url: &Url) -> Result<(), NetError> {
        let refused = |rule: &str| Err(NetError::Refused(rule.to_owned()));
        match url.scheme() {
            "https" => {}
            "http" if self != Self::Public => {}
            _ => return refused("the address must begin with https://"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("the address must not hold a user name or password");
        }
        let literal = match url.host() {
            Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
            Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
            Some(Host::Domain(name)) => {
                let local = name == "localhost" || name.ends_with(".localhost");
                return if local && self == Self::Public {
                    refused("the address must be one that everybody can reach")
                } else {
                    Ok(())
                };
            }
            None => return refused("the address must name a host"),
        };
        match self {
            _ if self.allows(literal) => Ok(()),
            Self::Private => refused("the address must be public or of the own network, and not link-local"),
            Self::Public | Self::Loopback => refused("the address must be one that everybody can reach"),
        }
    }
}

impl Guarded {
    /// With the machine's resolver.
    pub fn new(trust: Trust) -> Result<Self, NetError> {
        Self::with_lookup(trust, Arc::new(SystemLookup))
    }

    /// With another resolver.
    pub fn with_lookup(trust: Trust, lookup: Arc<dyn Lookup>) -> Result<Self, NetError> {
        let client = reqwest::Client::builder()
            .dns_resolver(Arc::new(Checked { lookup, trust }))
            // A proxy would resolve names where nobody looks.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(Duration::from_secs(5))
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent("councilsense")
            .build()
            .map_err(|error| NetError::Failed(error.to_string()))?;
        Ok(Self { client, trust })
    }

    /// Whom it may reach.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// Sends a body. Never redirected: a redirect is the answer.
    pub async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: impl Into<Bytes>,
        limits: Limits,
    ) -> Result<Answer, NetError> {
        let until = Until::after(limits.time);
        self.once(Method::POST, url, headers, Some(body.into()), limits.bytes, until).await
    }

    /// Fetches, following redirects as far as allowed; each is looked at like the first address.
    pub async fn get(&self, url: &Url, headers: HeaderMap, limits: Limits) -> Result<Answer, NetError> {
        let (mut url, until) = (url.clone(), Until::after(limits.time));
        for _ in 0..=limits.redirects {
            let answer = self.once(Method::GET, &url, headers.clone(), None, limits.bytes, until).await?;
            let to = answer.headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
            match to {
                Some(to) if answer.status.is_redirection() && limits.redirects > 0 => {
                    url = url
                        .join(to)
                        .map_err(|_| NetError::Refused("redirected to what is no address".to_owned()))?;
                }
                _ => return Ok(answer),
            }
        }
        Err(NetError::TooManyRedirects)
    }

    async fn once(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Option<Bytes>,
        most: usize,
        until: Until,
    ) -> Result<Answer, NetError> {
        self.trust.check(url)?;
        let mut request = self.client.request(method, url.clone()).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = until.wait(request.send()).await.map_err(NetError::Failed)?.map_err(failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let told = response.content_length();
        let answer = |body: Vec<u8>| Answer { status, headers, body: body.into(), url: url.clone() };
        let mut body = Vec::new();
        if told.is_some_and(|length| length > most as u64) {
            return Err(NetError::TooLarge { most, cut: Box::new(answer(body)) });
        }
        let mut chunks = response.bytes_stream();
        loop {
            let chunk = match until.wait(chunks.next()).await {
                Ok(None) => return Ok(answer(body)),
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(error))) => {
                    let why = match failed(error) {
                        NetError::Failed(why) => why,
                        other => other.to_string(),
                    };
                    return Err(NetError::BrokenOff { why, cut: Box::new(answer(body)) });
                }
                Err(why) => return Err(NetError::BrokenOff { why, cut: Box::new(answer(body)) }),
            };
            if body.len() + chunk.len() > most {
                return Err(NetError::TooLarge { most, cut: Box::new(answer(body)) });
            }
            body.extend_from_slice(&chunk);
        }
    }
}

/// When an exchange has to be over.
#[derive(Clone, Copy)]
struct Until {
    at: Instant,
    time: Duration,
}

impl Until {
    fn after(time: Duration) -> Self {
        Self { at: Instant::now() + time, time }
    }

    /// What comes before then, or how long was waited.
    async fn wait<T>(self, comes: impl Future<Output = T>) -> Result<T, String> {
        let late = |_| format!("not within {} s", self.time.as_secs_f32());
        tokio::time::timeout_at(self.at, comes).await.map_err(late)
    }
}

/// Our own refusal inside a client's error, or the innermost cause without the address: an endpoint is a secret.
fn failed(error: reqwest::Error) -> NetError {
    let error = error.without_url();
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    loop {
        if let Some(NetError::Refused(rule)) = cause.downcast_ref() {
            return NetError::Refused(rule.clone());
        }
        match cause.source() {
            Some(next) => cause = next,
            None => return NetError::Failed(cause.to_string()),
        }
    }
}
