//! Texts as vectors: one trait, and all-MiniLM-L6-v2 inside the process as its built-in implementation.

mod encoder;
mod linear;
mod minilm;
mod weights;

use async_trait::async_trait;
use cs_core::TenantId;

pub use minilm::{DIMENSIONS, MAX_TOKENS, MODEL_VERSION, MiniLm};

/// Why a text has no vector.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model inside the binary cannot be read.
    #[error("the built-in embedding model is damaged ({0}): build again from a clean checkout")]
    Model(String),
    /// The threads for the model cannot be started.
    #[error("the embedding threads did not start ({0}): raise the limit on threads of this process")]
    Threads(String),
    /// The embedder was asked while the process was stopping.
    #[error("the embedder is stopping: ask again after the restart")]
    Stopping,
    /// A service outside this process gave no vectors.
    #[error(
        "the embedding service gave no vectors ({0}): see that it runs, and that its address, key, model and dimensions are those configured"
    )]
    Remote(String),
}

/// Turns texts into vectors of unit length.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Length of each vector.
    fn dimensions(&self) -> usize;

    /// Names the model and its precision. Vectors of two versions must not be compared.
    fn version(&self) -> &str;

    /// One vector for each text, in the order of the texts. A call with one text is taken for a query and does not
    /// wait behind calls with many.
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError>;

    /// As [`Embedder::embed`], for one tenant; `None` where it may not use this embedder, or has used up its share.
    async fn embed_for(
        &self,
        _tenant: TenantId,
        texts: Vec<String>,
    ) -> Result<Option<Vec<Vec<f32>>>, EmbedError> {
        self.embed(texts).await.map(Some)
    }
}
