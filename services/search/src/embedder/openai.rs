//! A client of OpenAI's `POST /embeddings`.

use std::time::Duration;

use async_trait::async_trait;
use cs_core::TenantId;
use cs_net::{Guarded, Limits, NetError, Trust};
use cs_text::embed::{EmbedError, Embedder};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

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
    client: Guarded,
    endpoint: Url,
    headers: HeaderMap,
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
        let trust = if options.private { Trust::Private } else { Trust::Public };
        trust.check(&options.url).map_err(|rule| {
            let advice = if options.private { "" } else { "; --embedder-private allows the own network" };
            refuse(format!("{} cannot be asked: {rule}{advice}", options.url))
        })?;
        let client = Guarded::new(trust).map_err(|e| refuse(e.to_string()))?;
        let base = options.url.as_str().trim_end_matches('/');
        let endpoint = Url::parse(&format!("{base}/embeddings")).map_err(|e| refuse(e.to_string()))?;
        let mut headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        if let Some(key) = &options.key {
            let mut bearer = HeaderValue::try_from(format!("Bearer {key}"))
                .map_err(|_| refuse("the key holds what no header may".to_owned()))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let version = format!("{}/{}", options.model, options.dimensions);
        Ok(Self { client, endpoint, headers, version, options, allowance })
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
        let limits = Limits { time: self.options.timeout, bytes: LONGEST_ANSWER, redirects: 0 };
        let answered = self.client.post(&self.endpoint, self.headers.clone(), body, limits).await;
        let answer = answered.map_err(|error| match error {
            NetError::Failed(_) | NetError::BrokenOff { .. } => Failed::Again(error.to_string(), None),
            NetError::TooLarge { .. } => Failed::Final("its answer is too long".to_owned()),
            NetError::Refused(_) | NetError::TooManyRedirects => Failed::Final(error.to_string()),
        })?;
        let status = answer.status;
        if !status.is_success() {
            let reason = format!("it answered {status}");
            let again = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            return Err(if again {
                Failed::Again(reason, answer.retry_after())
            } else {
                Failed::Final(reason)
            });
        }
        self.read(&answer.body, texts).map_err(Failed::Final)
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
