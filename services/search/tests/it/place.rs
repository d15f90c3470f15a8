//! The engines that the contract is asked of.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

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
        let mut options = Options::new(node()?.parse().unwrap(), DIMS);
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

/// The node that these tests share: the one named, else one started here, else none.
pub(crate) fn node() -> Option<String> {
    static NODE: OnceLock<Option<String>> = OnceLock::new();
    NODE.get_or_init(find_node).clone()
}

#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
fn find_node() -> Option<String> {
    if let Ok(url) = std::env::var("OPENSEARCH_URL") {
        return Some(url);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tools/opensearch-up");
    let ready = Command::new(&script).arg("--ready").status().is_ok_and(|s| s.success());
    if !ready {
        let advice =
            "OpenSearch is not here: tests/tools/opensearch-up --fetch gets it (needs Java 21 and Maven)";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{advice}");
        println!("skipped: {advice}");
        return None;
    }
    let data = std::env::temp_dir().join("councilsense-test-opensearch");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let started = Command::new(&script)
        .args(["--port", &port.to_string(), "--heap", "512m", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&started.stdout).into_owned();
    let url = said.split_whitespace().find_map(|word| word.strip_prefix("url="));
    Some(url.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&started.stderr))).to_owned())
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
