//! The engines that the contract is asked of.

use search::index::SearchIndex;
use search::index::embedded::{EmbeddedIndex, OnDamage};
use search::index::opensearch::{OpenSearchIndex, Options};
use search::rank::RankParams;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::DIMS;

/// Where an index lies; it is opened again and again.
pub(crate) enum Place {
    Embedded(TempDir),
    OpenSearch(Options),
}

impl Place {
    pub(crate) fn embedded() -> Self {
        Self::Embedded(TempDir::new().unwrap())
    }

    /// `None`, and said, where there is no OpenSearch on this machine.
    pub(crate) fn opensearch() -> Option<Self> {
        let mut options = Options::new(cs_testkit::opensearch::node()?, DIMS);
        options.prefix = format!("test_{}", Uuid::new_v4().simple());
        // A machine that builds at the same time is slow.
        options.deadline = std::time::Duration::from_secs(30);
        Some(Self::OpenSearch(options))
    }

    pub(crate) async fn open(&self) -> Box<dyn SearchIndex> {
        match self {
            Self::Embedded(dir) => {
                Box::new(EmbeddedIndex::open(dir.path(), RankParams::default(), OnDamage::Refuse).unwrap().0)
            }
            Self::OpenSearch(options) => Box::new(OpenSearchIndex::connect(options.clone()).await.unwrap()),
        }
    }

    pub(crate) async fn remove(self) {
        if let Self::OpenSearch(options) = self {
            OpenSearchIndex::lazy(options).unwrap().remove_everything().await.unwrap();
        }
    }
}

/// Asks each of these of both engines.
macro_rules! contract {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            #[tokio::test]
            async fn embedded() {
                super::$name(&crate::place::Place::embedded()).await;
            }

            #[tokio::test]
            async fn opensearch() {
                let Some(place) = crate::place::Place::opensearch() else { return };
                super::$name(&place).await;
                place.remove().await;
            }
        }
    )* };
}
pub(crate) use contract;
