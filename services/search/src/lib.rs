//! The search service: finds passages by words and by meaning, says why, and never shows what its reader may not see.
//!
//! It owns the index alone, which can be rebuilt from meetings' sections and summaries' claims. Start at
//! [`index::SearchIndex`].

pub mod embedder;
pub mod eval;
pub mod index;
pub mod query;
pub mod rank;

mod error;
mod grpc;
mod grpc_indexes;
mod indexer;
pub mod reindex;
mod saved;

use std::sync::Arc;
use std::time::Duration;

use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::summaries::v1::summaries_client::SummariesClient;
use cs_rpc::{Channel, Outbound};
use cs_text::embed::Embedder;

pub use error::Error;
pub use grpc::SearchService;
pub use grpc_indexes::IndexesService;
pub use indexer::{EVENTS, QUEUE, consumer};
pub use saved::best_match;

/// The role's name.
pub const NAME: &str = "search";

/// What the service needs.
#[derive(Clone)]
pub struct Deps {
    /// The engine.
    pub index: Arc<dyn index::SearchIndex>,
    /// Makes vectors; `None`: keywords only, and answers say so.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Where the texts are.
    pub meetings: MeetingsClient<Channel>,
    /// Where the claims are.
    pub summaries: SummariesClient<Channel>,
    /// Signs calls to both.
    pub outbound: Outbound,
    /// Longest a call to them may take.
    pub deadline: Duration,
}
