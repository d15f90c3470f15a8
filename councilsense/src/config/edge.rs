//! What the edge takes from whom, and which policies hold.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use bff::{AddressRange, Edge, RateLimits, WatchLimits};
use clap::Args;

use super::Redacted;

/// Options of the edge, and of authorisation.
#[derive(Clone, Debug, Args)]
pub struct EdgeSettings {
    /// What a session may ask for in a second, in fields with lists counted by their length
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_RATE_SESSION_PER_SECOND",
        value_name = "COST",
        default_value_t = RateLimits::default().session_per_second
    )]
    pub rate_session_per_second: u32,
    /// What a session may ask for at once
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_RATE_SESSION_BURST",
        value_name = "COST",
        default_value_t = RateLimits::default().session_burst
    )]
    pub rate_session_burst: u32,
    /// What an address without a session may ask for in a second
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_RATE_ADDRESS_PER_SECOND",
        value_name = "COST",
        default_value_t = RateLimits::default().address_per_second
    )]
    pub rate_address_per_second: u32,
    /// What an address without a session may ask for at once
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_RATE_ADDRESS_BURST",
        value_name = "COST",
        default_value_t = RateLimits::default().address_burst
    )]
    pub rate_address_burst: u32,
    /// A Redis where replicas count rates together; without one each counts for itself
    #[arg(long, global = true, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub rates_redis_url: Option<Redacted>,
    /// How many subscriptions a person may have open at once, over all connections to a process
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_SUBSCRIPTIONS_PERSON",
        value_name = "COUNT",
        default_value_t = WatchLimits::default().person
    )]
    pub subscriptions_person: usize,
    /// How many an address may have open without a session
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_SUBSCRIPTIONS_ADDRESS",
        value_name = "COUNT",
        default_value_t = WatchLimits::default().address
    )]
    pub subscriptions_address: usize,
    /// Proxies whose X-Forwarded-For is believed, as in 10.0.0.0/8
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_TRUSTED_PROXIES",
        value_name = "RANGES",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<AddressRange>,
    /// GraphQL documents known from the start beside the page's own: a JSON file, a list of texts or a map whose values are texts
    #[arg(long, global = true, env = "COUNCILSENSE_TRUSTED_DOCUMENTS", value_name = "FILE")]
    pub trusted_documents: Option<PathBuf>,
    /// Execute no document but the page's own and those of --trusted-documents
    #[arg(long, global = true, env = "COUNCILSENSE_TRUSTED_DOCUMENTS_ONLY")]
    pub trusted_documents_only: bool,
    /// How long a session that was read is believed without asking the store, in milliseconds; 0: not at all
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_SESSION_MEMORY_MS",
        value_name = "MS",
        default_value_t = 2_000
    )]
    pub session_memory_ms: u64,
    /// The audience that access tokens at /api/graphql are meant for; left out: the public address
    #[arg(long, global = true, env = "COUNCILSENSE_API_AUDIENCE", value_name = "AUDIENCE")]
    pub api_audience: Option<String>,
    /// The scope that they need
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_API_SCOPE",
        value_name = "SCOPE",
        default_value = "councilsense"
    )]
    pub api_scope: String,
    /// A directory of *.cedar files instead of the policies compiled in
    #[arg(long, global = true, env = "COUNCILSENSE_POLICIES", value_name = "DIR")]
    pub policies: Option<PathBuf>,
}

impl EdgeSettings {
    /// As the BFF is told.
    pub fn edge(&self) -> anyhow::Result<Edge> {
        Ok(Edge {
            session_memory: Duration::from_millis(self.session_memory_ms),
            rates: RateLimits {
                session_per_second: self.rate_session_per_second,
                session_burst: self.rate_session_burst,
                address_per_second: self.rate_address_per_second,
                address_burst: self.rate_address_burst,
                redis: self.rates_redis_url.as_ref().map(|url| url.expose().to_owned()),
            },
            watches: WatchLimits { person: self.subscriptions_person, address: self.subscriptions_address },
            trusted_proxies: self.trusted_proxies.clone(),
            trusted_documents: self.documents()?,
            trusted_documents_only: self.trusted_documents_only,
            api_audience: self.api_audience.clone(),
            api_scope: self.api_scope.clone(),
        })
    }

    fn documents(&self) -> anyhow::Result<Vec<String>> {
        let Some(path) = &self.trusted_documents else { return Ok(Vec::new()) };
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("--trusted-documents {shown}"))?;
        let texts = match serde_json::from_str(&text) {
            Ok(serde_json::Value::Array(items)) => items,
            Ok(serde_json::Value::Object(map)) => map.into_iter().map(|(_, text)| text).collect(),
            Ok(_) | Err(_) => Vec::new(),
        };
        let documents: Option<Vec<String>> =
            texts.into_iter().map(|text| text.as_str().map(str::to_owned)).collect();
        documents.filter(|documents| !documents.is_empty()).with_context(|| {
            format!("--trusted-documents {shown}: a JSON list or map of GraphQL texts is expected")
        })
    }

    /// Makes the policies of `--policies` hold, before anything is asked.
    pub fn install_policies(&self) -> anyhow::Result<()> {
        match &self.policies {
            Some(directory) => cs_policy::install(directory).context("--policies"),
            None => Ok(()),
        }
    }
}
