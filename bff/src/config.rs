//! What the BFF is told at start. Read by the binary, checked here.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use cs_core::Role;
use url::Url;

pub use crate::auth::session::{SealError, SessionKey};
pub use crate::edge::{AddressRange, Edge, InvalidRange, RateLimits, WatchLimits};

/// How the BFF is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The addresses people use, such as `https://council.example`; the first is the main one. Others serve other
    /// tenants by their host names.
    pub origins: Vec<Url>,
    /// Whether GraphiQL, introspection and suggestions are served.
    pub development: bool,
    /// Where people sign in; the first is used where none is named.
    pub providers: Vec<ProviderConfig>,
    /// Seal what is kept of a session. The first seals, all open.
    pub session_keys: Vec<SessionKey>,
    /// Names of keys that are not used any more: what they sealed is ended. What an unknown key sealed is left alone, and
    /// cannot be used here meanwhile.
    pub retired_session_keys: Vec<String>,
    /// A session that is not used for this long ends.
    pub session_idle: TimeDelta,
    /// A session ends after this long in any case.
    pub session_absolute: TimeDelta,
    /// The slug of the tenant where neither host nor provider names one.
    pub default_tenant: String,
    /// The time one request may take, calls below it included.
    pub deadline: Duration,
    /// Largest body of a GraphQL request, bytes.
    pub body_limit: usize,
    /// The time one request to an identity provider may take.
    pub provider_timeout: Duration,
    /// How often a WebSocket is asked whether somebody is there; one that says nothing until the next time is closed.
    pub ping_every: Duration,
    /// What a GraphQL document may ask for.
    pub limits: Limits,
    /// How much is taken from whom, and what is remembered.
    pub edge: Edge,
    /// Whether `/metrics` is served beside everything else. In production it has a listener of its own.
    pub metrics_here: bool,
}

/// What one GraphQL document may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Levels of nesting.
    pub depth: usize,
    /// Fields resolved, with lists counted by their page size.
    pub complexity: usize,
    /// Aliases in the document.
    pub aliases: usize,
    /// Fields at the root of an operation.
    pub root_fields: usize,
    /// Directives in the document.
    pub directives: usize,
    /// Lexical tokens.
    pub tokens: usize,
    /// Subscriptions at once on one connection.
    pub subscriptions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 16,
            complexity: 5_000,
            aliases: 30,
            root_fields: 20,
            directives: 50,
            tokens: 4_000,
            subscriptions: 20,
        }
    }
}

impl Config {
    /// The defaults, for one address.
    pub fn new(origin: Url, providers: Vec<ProviderConfig>, session_keys: Vec<SessionKey>) -> Self {
        Self {
            origins: vec![origin],
            development: false,
            providers,
            session_keys,
            retired_session_keys: Vec::new(),
            session_idle: TimeDelta::hours(12),
            session_absolute: TimeDelta::days(7),
            default_tenant: "default".to_owned(),
            deadline: Duration::from_secs(10),
            body_limit: 256 * 1024,
            provider_timeout: Duration::from_secs(8),
            ping_every: Duration::from_secs(25),
            limits: Limits::default(),
            edge: Edge::default(),
            metrics_here: false,
        }
    }

    /// Whether cookies can be `Secure`. An error where they cannot, and people elsewhere would use them.
    pub(crate) fn secure(&self) -> Result<bool, ConfigError> {
        let mut https = None;
        for origin in &self.origins {
            let this = match origin.scheme() {
                "https" => true,
                "http" if is_loopback(origin) => false,
                _ => return Err(ConfigError::Origin(origin.to_string())),
            };
            if *https.get_or_insert(this) != this {
                return Err(ConfigError::Mixed);
            }
        }
        https.ok_or(ConfigError::NoOrigin)
    }

    /// Origins as browsers write them: scheme, host and port, no slash at the end.
    pub(crate) fn origin_texts(&self) -> Vec<String> {
        self.origins.iter().map(|origin| origin.origin().ascii_serialization()).collect()
    }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No address.
    #[error("no public address is configured: give one, such as https://council.example")]
    NoOrigin,
    /// Plain HTTP for others.
    #[error(
        "{0} is neither https nor loopback: a session's cookie would travel in the clear. Put TLS in front, and give the https address"
    )]
    Origin(String),
    /// Both kinds.
    #[error("the public addresses must be all https, or all http on loopback")]
    Mixed,
    /// Nobody could sign in.
    #[error("no identity provider is configured: give its issuer, client id and secret")]
    NoProvider,
    /// Two providers of one name.
    #[error("two identity providers have the id {0:?}")]
    ProviderTwice(String),
    /// No usable key for sessions.
    #[error(transparent)]
    Keys(#[from] SealError),
    /// Rates cannot be counted.
    #[error("rates and bursts must be at least 1, and the burst of a caller at least its rate")]
    Rates,
    /// The address of the Redis that counts rates is not one.
    #[error("the address of the Redis that counts rates is not one: write redis://HOST:6379/0")]
    RatesRedis,
    /// Nothing could be asked.
    #[error(
        "only trusted documents are executed, and there are none: this binary was built without the page. Build web/ first, or name a file with --trusted-documents"
    )]
    NoDocuments,
    /// The address of Redis cannot be used.
    #[error("the address of Redis, REDIS_URL, cannot be used: {0}. It looks like redis://HOST:6379/0")]
    Redis(#[from] redis::RedisError),
    /// The HTTP client could not be made.
    #[error("no HTTP client for identity providers: {0}")]
    Http(#[from] reqwest::Error),
}

/// An OpenID provider.
#[derive(Clone)]
pub struct ProviderConfig {
    /// Its name in `/auth/login?provider=`.
    pub id: String,
    /// Its name for people, where they choose.
    pub name: String,
    /// The issuer identifier, exactly as the provider writes it.
    pub issuer: String,
    /// Ours at the provider.
    pub client_id: String,
    /// Ours at the provider.
    pub client_secret: String,
    /// Asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The slug of the tenant of everyone who comes from here.
    pub tenant: Option<String>,
    /// The claim that names the tenant's slug, where the provider may say.
    pub tenant_claim: Option<String>,
    /// The claim that lists groups.
    pub roles_claim: Option<String>,
    /// Which group gives which role.
    pub roles: BTreeMap<String, Role>,
    /// Whether the id token goes along as a hint when a person signs out (RP-Initiated Logout §2). It spares them the
    /// provider's question, and puts the token into an address of their browser.
    pub id_token_hint: bool,
    /// What the provider calls the address to come back to after signing out; Cognito says `logout_uri`.
    pub logout_redirect_parameter: String,
}

impl ProviderConfig {
    /// A provider that names people and nothing else.
    pub fn new(id: &str, issuer: &str, client_id: &str, client_secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            scopes: vec!["profile".to_owned(), "email".to_owned()],
            tenant: None,
            tenant_claim: None,
            roles_claim: None,
            roles: BTreeMap::new(),
            id_token_hint: false,
            logout_redirect_parameter: "post_logout_redirect_uri".to_owned(),
        }
    }

    /// The development provider: it may name the tenant, and its roles are ours.
    pub fn development(issuer: &str, client_id: &str, client_secret: &str) -> Self {
        Self {
            tenant_claim: Some("tenant".to_owned()),
            roles_claim: Some("roles".to_owned()),
            roles: [Role::Resident, Role::Reviewer, Role::Operator, Role::Owner]
                .map(|role| (role.as_str().to_owned(), role))
                .into(),
            ..Self::new("development", issuer, client_id, client_secret)
        }
    }
}

impl std::fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderConfig")
            .field("id", &self.id)
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("client_secret", &"redacted")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_only() {
        let config = |origins: &[&str]| {
            let mut config = Config::new(
                Url::parse("https://x.example").unwrap(),
                vec![ProviderConfig::new("p", "https://id.example", "c", "s")],
                vec![],
            );
            config.origins = origins.iter().map(|o| Url::parse(o).unwrap()).collect();
            config
        };
        assert!(config(&["https://a.example", "https://b.example"]).secure().unwrap());
        assert!(!config(&["http://127.0.0.1:8080"]).secure().unwrap());
        assert!(!config(&["http://[::1]:8080"]).secure().unwrap());
        assert!(matches!(config(&["http://a.example"]).secure(), Err(ConfigError::Origin(_))));
        assert!(matches!(
            config(&["http://localhost:1", "https://a.example"]).secure(),
            Err(ConfigError::Mixed)
        ));
        assert!(matches!(config(&[]).secure(), Err(ConfigError::NoOrigin)));
        assert_eq!(config(&["https://a.example:443/"]).origin_texts(), ["https://a.example"]);
        let shown = format!("{:?}", ProviderConfig::new("p", "https://id.example", "c", "canary"));
        assert!(!shown.contains("canary"));
    }
}
