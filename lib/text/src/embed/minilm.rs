//! all-MiniLM-L6-v2 inside the process: no network, no file beside the binary.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use rayon::prelude::*;
use tokenizers::{Tokenizer, TruncationParams};
use tokio::sync::Semaphore;

use super::encoder::{Encoder, Workspace};
use super::linear::Precision;
use super::{EmbedError, Embedder};

/// Length of a vector.
pub const DIMENSIONS: usize = 384;
/// Tokens of a text that count; the rest is cut off, as the model was published to be used.
pub const MAX_TOKENS: usize = 256;
/// Changes whenever vectors change enough that an index must be built again.
pub const MODEL_VERSION: &str = "all-MiniLM-L6-v2/i8.1";

static WEIGHTS: &[u8] = include_bytes!("../../model/minilm-l6-v2.i8.safetensors");
static TOKENIZER: &[u8] = include_bytes!("../../model/tokenizer.json");

/// Tokens that go through the network together: enough to keep the kernels busy, few enough to stay in the cache.
const TOKENS_AT_ONCE: usize = 512;

/// The model. Clones share the weights and the threads.
#[derive(Clone)]
pub struct MiniLm(Arc<Shared>);

struct Shared {
    tokenizer: Tokenizer,
    encoder: Encoder,
    queries: Lane,
    bulk: Lane,
}

/// Threads for one kind of call, and the number of calls let in at a time.
struct Lane {
    threads: rayon::ThreadPool,
    permits: Semaphore,
}

impl MiniLm {
    /// Reads the model out of the binary. Queries get one thread; batches get the rest of the processor, at least one.
    ///
    /// # Errors
    /// When the model in the binary is damaged or threads cannot be started.
    pub fn load() -> Result<Self, EmbedError> {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::load_with_bulk_threads(processors.saturating_sub(1).max(1))
    }

    /// As [`MiniLm::load`], with the number of threads for batches given.
    ///
    /// # Errors
    /// As [`MiniLm::load`].
    pub fn load_with_bulk_threads(bulk_threads: usize) -> Result<Self, EmbedError> {
        let model = |e: tokenizers::Error| EmbedError::Model(e.to_string());
        let mut tokenizer = Tokenizer::from_bytes(TOKENIZER).map_err(model)?;
        tokenizer.with_padding(None);
        let truncation = TruncationParams { max_length: MAX_TOKENS, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(model)?;
        Ok(Self(Arc::new(Shared {
            tokenizer,
            encoder: Encoder::read(WEIGHTS, Precision::of_this_processor())?,
            queries: Lane::new("embed-query", 1)?,
            bulk: Lane::new("embed-bulk", bulk_threads.max(1))?,
        })))
    }

    /// One vector of unit length for each text, in the order of the texts. Blocks the calling thread.
    ///
    /// # Errors
    /// When the model is damaged.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.0.lane(texts.len()).threads.install(|| self.0.embed(texts))
    }
}

impl Lane {
    fn new(name: &'static str, threads: usize) -> Result<Self, EmbedError> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(move |n| format!("{name}-{n}"))
            .build()
            .map_err(|e| EmbedError::Threads(e.to_string()))?;
        Ok(Self { threads, permits: Semaphore::new(1) })
    }
}

impl Shared {
    fn lane(&self, texts: usize) -> &Lane {
        if texts > 1 { &self.bulk } else { &self.queries }
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut tokens = texts
            .par_iter()
            .enumerate()
            .map(|(place, text)| {
                let encoding = self.tokenizer.encode_fast(*text, true);
                encoding.map(|e| (place, e.get_ids().to_vec())).map_err(|e| EmbedError::Model(e.to_string()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        // By length, so that the parts that run side by side take about the same time.
        tokens.sort_by_key(|(place, ids)| (ids.len(), *place));
        let encoded = groups(&tokens)
            .into_par_iter()
            .map_init(Workspace::default, |work, group| {
                self.encoder.encode(&group.iter().map(|(_, ids)| ids.as_slice()).collect::<Vec<_>>(), work)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut vectors = vec![Vec::new(); texts.len()];
        for ((place, _), vector) in tokens.iter().zip(encoded.into_iter().flatten()) {
            vectors[*place] = vector;
        }
        Ok(vectors)
    }
}

/// Cuts the texts into groups of about [`TOKENS_AT_ONCE`] tokens.
fn groups(tokens: &[(usize, Vec<u32>)]) -> Vec<&[(usize, Vec<u32>)]> {
    let mut groups = Vec::new();
    let (mut first, mut size) = (0, 0);
    for (n, (_, ids)) in tokens.iter().enumerate() {
        if n > first && size + ids.len() > TOKENS_AT_ONCE {
            groups.push(&tokens[first..n]);
            (first, size) = (n, 0);
        }
        size += ids.len();
    }
    if first < tokens.len() {
        groups.push(&tokens[first..]);
    }
    groups
}

#[async_trait]
impl Embedder for MiniLm {
    fn dimensions(&self) -> usize {
        DIMENSIONS
    }

    fn version(&self) -> &str {
        MODEL_VERSION
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let permit = self.0.lane(texts.len()).permits.acquire().await.map_err(|_| EmbedError::Stopping)?;
        let model = self.clone();
        let work = tokio::task::spawn_blocking(move || {
            model.embed(&texts.iter().map(String::as_str).collect::<Vec<_>>())
        });
        let vectors = work.await.map_err(|_| EmbedError::Stopping)?;
        drop(permit);
        vectors
    }
}

#[cfg(test)]
mod tests;
