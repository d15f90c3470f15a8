//! Which model makes the search's vectors.

use clap::{Args, ValueEnum};

use super::{Redacted, SecretUrl};

/// What makes the search's vectors.
#[derive(Clone, Debug, Args)]
pub struct EmbedderSettings {
    /// What makes the search's vectors; after a change run `councilsense reindex`
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_EMBEDDER",
        value_name = "KIND",
        default_value = "builtin"
    )]
    pub embedder: EmbedderKind,
    /// The embedding service, up to and without /embeddings
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_EMBEDDER_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub embedder_url: Option<SecretUrl>,
    /// The key it wants
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_EMBEDDER_KEY",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub embedder_key: Option<Redacted>,
    /// The model's name there
    #[arg(long, global = true, env = "COUNCILSENSE_EMBEDDER_MODEL", value_name = "NAME")]
    pub embedder_model: Option<String>,
    /// The length of the model's vectors
    #[arg(long, global = true, env = "COUNCILSENSE_EMBEDDER_DIMENSIONS", value_name = "N")]
    pub embedder_dimensions: Option<usize>,
    /// Longest that a request to it may take, in seconds
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_EMBEDDER_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 10
    )]
    pub embedder_timeout: u64,
    /// It may stand in the own network, and be reached without TLS
    #[arg(long, global = true, env = "COUNCILSENSE_EMBEDDER_PRIVATE")]
    pub embedder_private: bool,
    /// Tenants that may use it; all where none is named
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_EMBEDDER_TENANTS",
        value_name = "SLUGS",
        value_delimiter = ','
    )]
    pub embedder_tenants: Vec<String>,
    /// Tokens that each tenant may use a day
    #[arg(long, global = true, env = "COUNCILSENSE_EMBEDDER_TOKENS_A_DAY", value_name = "N")]
    pub embedder_tokens_a_day: Option<u64>,
    /// US dollars for a million tokens, for the metric of costs
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_EMBEDDER_PRICE",
        value_name = "DOLLARS",
        default_value_t = 0.0
    )]
    pub embedder_price: f64,
}

/// What makes the search's vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EmbedderKind {
    /// The model inside the program.
    Builtin,
    /// A service that speaks OpenAI's protocol.
    Openai,
    /// Nothing: search is by words alone.
    None,
}
