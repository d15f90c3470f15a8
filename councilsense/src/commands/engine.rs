//! The configured search engine.

use std::sync::Arc;

use search::index::embedded::OnDamage;
use search::index::opensearch::{OpenSearchIndex, Options};
use search::index::versions::VersionedIndex;
use search::index::{IndexError, SearchIndex};
use search::rank::RankParams;

use crate::config::{SearchEngine, Settings};
use crate::data_dir::DataDir;

/// An engine, open.
pub(crate) struct Engine {
    pub(crate) index: Arc<dyn SearchIndex>,
    /// Some tenant's index was damaged, or there is nothing in it: what the services have may be lacking.
    pub(crate) lacking: bool,
}

/// Opens the configured engine. An OpenSearch that does not answer is no reason not to start.
pub(crate) async fn open(settings: &Settings, dir: &DataDir, dimensions: usize) -> anyhow::Result<Engine> {
    match settings.search_engine {
        SearchEngine::Embedded => {
            let (index, damaged) =
                VersionedIndex::open(dir.path(), RankParams::default(), OnDamage::StartEmpty)?;
            // An index of nobody is one that somebody removed, or one never used: the services know.
            let lacking = index.is_empty() || !damaged.is_empty();
            index.set_lacking(lacking);
            Ok(Engine { index: Arc::new(index), lacking })
        }
        SearchEngine::Opensearch => {
            let index = match OpenSearchIndex::connect(opensearch(settings, dimensions)).await {
                Err(error @ IndexError::Unavailable { .. }) => {
                    tracing::error!(%error, "search answers that it is unavailable until then");
                    OpenSearchIndex::lazy(opensearch(settings, dimensions))?
                }
                connected => connected?,
            };
            Ok(Engine { index: Arc::new(index), lacking: false })
        }
    }
}

/// How the configured OpenSearch is reached.
pub(crate) fn opensearch(settings: &Settings, dimensions: usize) -> Options {
    let mut options = Options::new(settings.opensearch_url.expose().clone(), dimensions);
    options.prefix.clone_from(&settings.opensearch_prefix);
    options
}
