//! What every handler shares.

use std::sync::Arc;

use cs_core::{Clock, Ids};
use cs_rpc::{Outbound, Tasks};
use tracing::Instrument;
use url::Url;

use crate::auth::cookies::Cookies;
use crate::auth::memory::Memory;
use crate::auth::oidc::{Fetch, Provider, Renewals, Tokens};
use crate::auth::session::{Engine, Keys, PostgresEngine, RedisEngine, Sessions};
use crate::clients::{Channels, Clients};
use crate::config::{Config, ConfigError};
use crate::graphql::{Documents, Schemas, Trusted, Types};
use crate::http::{Rates, Readiness, Watches, page_documents};
use crate::tenants::Tenants;

/// Writes the metrics of the process as Prometheus text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Where sessions are kept.
#[derive(Clone)]
pub enum Store {
    /// The schema `sessions`, as the role `sessions_app`.
    Postgres(sqlx::PgPool),
    /// A Redis 7 or newer, below a prefix; it should keep what it is told (`appendonly`), or a restart signs everybody
    /// out.
    Redis {
        /// `redis://` or `rediss://`.
        url: String,
        /// In front of every key.
        prefix: String,
    },
}

impl Store {
    fn engine(self) -> Result<Arc<dyn Engine>, ConfigError> {
        Ok(match self {
            Self::Postgres(pool) => Arc::new(PostgresEngine::new(pool)),
            Self::Redis { url, prefix } => Arc::new(RedisEngine::new(&url, &prefix)?),
        })
    }
}

/// What the BFF is given.
pub struct Deps {
    /// The services.
    pub channels: Channels,
    /// Signs requests as the role `bff`.
    pub outbound: Outbound,
    /// Where sessions are kept.
    pub sessions: Store,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Ids,
    /// Runs and drains background work.
    pub tasks: Tasks,
    /// For `/metrics`.
    pub metrics: RenderMetrics,
}

pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) origins: Vec<String>,
    pub(crate) cookies: Cookies,
    pub(crate) sessions: Sessions,
    pub(crate) providers: Vec<Provider>,
    pub(crate) renewals: Renewals,
    pub(crate) channels: Channels,
    pub(crate) clients: Arc<Clients>,
    pub(crate) tenants: Tenants,
    pub(crate) schema: Schemas,
    pub(crate) types: Types,
    pub(crate) documents: Documents,
    pub(crate) trusted: Trusted,
    pub(crate) memory: Memory,
    pub(crate) tokens: Tokens,
    pub(crate) rates: Rates,
    pub(crate) watches: Watches,
    pub(crate) readiness: Readiness,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Ids,
    pub(crate) tasks: Tasks,
    pub(crate) metrics: RenderMetrics,
}

impl App {
    pub(crate) fn new(config: Config, deps: Deps) -> Result<Self, ConfigError> {
        let secure = config.secure()?;
        if config.providers.is_empty() {
            return Err(ConfigError::NoProvider);
        }
        for (n, provider) in config.providers.iter().enumerate() {
            if config.providers[..n].iter().any(|other| other.id == provider.id) {
                return Err(ConfigError::ProviderTwice(provider.id.clone()));
            }
        }
        let cookies = Cookies { secure };
        if !secure {
            tracing::warn!(
                cookie = cookies.session(),
                "plain HTTP on loopback: the session's cookie has another name, and is not marked Secure"
            );
        }
        if secure && config.edge.trusted_proxies.is_empty() {
            tracing::warn!(
                "no proxy is trusted, and TLS ends at one: everybody who is not signed in counts as one address. Name it \
                 with --trusted-proxies"
            );
        }
        let trusted = Trusted::new(&config.edge, page_documents());
        if trusted.is_exclusive() && trusted.is_empty() {
            return Err(ConfigError::NoDocuments);
        }
        let fetch = Fetch::new(config.provider_timeout)?;
        let keys = Keys::new(&config.session_keys, &config.retired_session_keys)?;
        Ok(Self {
            origins: config.origin_texts(),
            cookies,
            sessions: Sessions::new(deps.sessions.engine()?, keys, deps.clock.clone(), config.session_idle),
            renewals: Renewals::default(),
            providers: config
                .providers
                .iter()
                .map(|provider| Provider::new(provider.clone(), fetch.clone(), deps.clock.clone()))
                .collect(),
            clients: Arc::new(Clients::new(&deps.channels, &deps.outbound)),
            channels: deps.channels,
            tenants: Tenants::default(),
            types: Types::of(&crate::graphql::schema_sdl()),
            schema: Schemas::new(config.limits, config.development),
            documents: Documents::default(),
            trusted,
            tokens: Tokens::default(),
            memory: Memory::new(config.edge.session_memory),
            rates: Rates::new(&config.edge.rates)?,
            watches: Watches::new(config.edge.watches),
            readiness: Readiness::default(),
            clock: deps.clock,
            ids: deps.ids,
            tasks: deps.tasks,
            metrics: deps.metrics,
            config,
        })
    }

    /// A configured provider.
    pub(crate) fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.config.id == id)
    }

    /// Does `work` to its end, whoever waits for it: a handler is dropped where its client hangs up, and what has begun to
    /// change something must not stop half-way.
    pub(crate) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self.tasks.spawn(work.in_current_span()).await {
            Ok(done) => done,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process is going: nobody is answered any more.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// The first configured origin.
    pub(crate) fn main_origin(&self) -> &str {
        self.origins.first().map_or("", String::as_str)
    }

    /// A path at the main origin.
    pub(crate) fn main_origin_url(&self, path: &str) -> Url {
        // `Config::secure` has seen at least one origin.
        let mut url = self.config.origins[0].clone();
        url.set_path(path);
        url.set_query(None);
        url
    }
}
