//! A client of OpenAI's `POST /embeddings`.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use cs_core::TenantId;
use cs_text::embed::{EmbedError, Embedder};
use reqwest::{Client, StatusCode, Url};
use serde::{Deserialize, Serialize};

use super::address::{Checked, may_reach};
use super::allowance::Allowance;

/// Texts in one request.
const TEXTS_AT_ONCE: usize = 64;
/// Bytes of an answer, at most: 64 vectors of 4,096 dimensions written out take some 6 MB.
const LONGEST_ANSWER: usize = 16 << 20;
/// Tries of one request.
const TRIES: u32 = 3;
/// Before the second try; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest that `Retry-After` is heeded.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Where the service is and what it is asked for.
#[derive(Clone)]
pub struct OpenAiOptions {
    /// Up to and without `/embeddings`, as in `https://api.openai.com/v1`.
    pub url: Url,
    /// Sent as bearer token.
    pub key: Option<String>,
    /// The model's name there.
    pub model: String,
    /// Length of its vectors.
    pub dimensions: usize,
    /// Longest that one request may take.
    pub timeout: Duration,
    /// Whether the service may stand in the own network, and be reached without TLS.
    pub private: bool,
    /// US dollars for a million tokens, for the metric of costs.
    pub price: f64,
}

/// An embedder over the network.
pub struct OpenAi {
    client: Client,
    endpoint: Url,
    version: String,
    options: OpenAiOptions,
    allowance: Allowance,
}

#[derive(Serialize)]
struct Asked<'a> {
    model: &'a str,
    input: &'a [String],
    encoding_format: &'static str,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<One>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct One {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Usage {
    total_tokens: u64,
}

/// Why a try failed.
enum Failed {
    /// Worth another try, after this long where the service said so.
    Again(String, Option<Duration>),
    Final(String),
}

impl OpenAi {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// When the address is none that may be reached.
    pub fn new(options: OpenAiOptions, allowance: Allowance) -> Result<Self, EmbedError> {
        let refuse = |reason: String| EmbedError::Remote(reason);
        let literal = options.url.host_str().and_then(|h| h.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        if literal.is_some_and(|ip| !may_reach(ip, options.private)) {
            return Err(refuse(format!("{} is in the own network, which must be allowed", options.url)));
        }
        if options.url.scheme() != "https" && !(options.private && options.url.scheme() == "http") {
            return Err(refuse(format!("{} is not https", options.url)));
        }
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Checked::resolver(options.private))
            .timeout(options.timeout)
            .build()
            .map_err(|e| refuse(e.to_string()))?;
        let base = options.url.as_str().trim_end_matches('/');
        let endpoint = Url::parse(&format!("{base}/embeddings")).map_err(|e| refuse(e.to_string()))?;
        let version = format!("{}/{}", options.model, options.dimensions);
        Ok(Self { client, endpoint, version, options, allowance })
    }

    /// Vectors, and the tokens they took.
    async fn ask(&self, texts: &[String]) -> Result<(Vec<Vec<f32>>, u64), EmbedError> {
        let (mut vectors, mut tokens) = (Vec::with_capacity(texts.len()), 0);
        for batch in texts.chunks(TEXTS_AT_ONCE) {
            let (more, used) = self.batch(batch).await?;
            vectors.extend(more);
            tokens += used;
        }
        Ok((vectors, tokens))
    }

    async fn batch(&self, texts: &[String]) -> Result<(Vec<Vec<f32>>, u64), EmbedError> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let failed = match self.attempt(texts).await {
                Ok(answer) => {
                    metrics::counter!("search_embedding_requests_total", "outcome" => "answered")
                        .increment(1);
                    return Ok(answer);
                }
                Err(failed) => failed,
            };
            metrics::counter!("search_embedding_requests_total", "outcome" => "failed").increment(1);
            match failed {
                Failed::Again(_, after) if attempt < TRIES => {
                    tokio::time::sleep(after.unwrap_or(wait).min(LONGEST_WAIT)).await;
                    wait *= 2;
                }
                Failed::Again(reason, _) | Failed::Final(reason) => return Err(EmbedError::Remote(reason)),
            }
        }
        Err(EmbedError::Stopping)
    }

    async fn attempt(&self, texts: &[String]) -> Result<(Vec<Vec<f32>>, u64), Failed> {
        let asked = Asked { model: &self.options.model, input: texts, encoding_format: "float" };
        let body = serde_json::to_vec(&asked).map_err(|e| Failed::Final(e.to_string()))?;
        let mut request =
            self.client.post(self.endpoint.clone()).header("content-type", "application/json").body(body);
        if let Some(key) = &self.options.key {
            request = request.bearer_auth(key);
        }
        // Not the whole error: it names the address, which is the operator's alone to know.
        let network = |e: reqwest::Error| Failed::Again(e.without_url().to_string(), None);
        let mut response = request.send().await.map_err(network)?;
        let status = response.status();
        if !status.is_success() {
            let reason = format!("it answered {status}");
            let after = response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
            let again = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            return Err(if again {
                Failed::Again(reason, after.map(Duration::from_secs))
            } else {
                Failed::Final(reason)
            });
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST_ANSWER {
                return Err(Failed::Final("its answer is too long".to_owned()));
            }
        }
        self.read(&bytes, texts).map_err(Failed::Final)
    }

    fn read(&self, bytes: &[u8], texts: &[String]) -> Result<(Vec<Vec<f32>>, u64), String> {
        let Answer { mut data, usage } =
            serde_json::from_slice(bytes).map_err(|e| format!("its answer cannot be read: {e}"))?;
        data.sort_by_key(|one| one.index);
        if !data.iter().map(|one| one.index).eq(0..texts.len()) {
            return Err(format!("it was asked for {} vectors and gave others", texts.len()));
        }
        let expected = self.options.dimensions;
        if let Some(odd) = data.iter().find(|one| one.embedding.len() != expected) {
            let found = odd.embedding.len();
            return Err(format!("its vectors have {found} dimensions, {expected} are configured"));
        }
        // A service that does not count is taken at four letters a token.
        let letters: usize = texts.iter().map(|text| text.chars().count()).sum();
        let tokens = usage.map_or(letters as u64 / 4, |usage| usage.total_tokens);
        Ok((data.into_iter().map(|one| one.embedding).collect(), tokens))
    }
}

#[async_trait]
impl Embedder for OpenAi {
    fn dimensions(&self) -> usize {
        self.options.dimensions
    }

    fn version(&self) -> &str {
        &self.version
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.ask(&texts).await.map(|(vectors, _)| vectors)
    }

    async fn embed_for(
        &self,
        tenant: TenantId,
        texts: Vec<String>,
    ) -> Result<Option<Vec<Vec<f32>>>, EmbedError> {
        if let Some(reason) = self.allowance.refuses(tenant) {
            metrics::counter!("search_embedding_refused_total", "reason" => reason).increment(1);
            return Ok(None);
        }
        let (vectors, tokens) = self.ask(&texts).await?;
        self.allowance.spend(tenant, tokens);
        let labels = [("tenant", tenant.to_string()), ("model", self.options.model.clone())];
        metrics::counter!("search_embedding_tokens_total", &labels).increment(tokens);
        // A price for a million tokens in dollars is one for a token in millionths of a dollar.
        let cost = (tokens as f64 * self.options.price).round() as u64;
        metrics::counter!("search_embedding_cost_microdollars_total", &labels).increment(cost);
        Ok(Some(vectors))
    }
}

#[cfg(test)]
#[path = "openai_tests.rs"]
mod tests;
