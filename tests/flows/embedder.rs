//! The embedder goes away while documents come in: what is published is found by words at once, and by meaning when the
//! embedder is back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use councilsense::wiring::Role;
use cs_proto::search::v1::search_client::SearchClient;
use cs_proto::search::v1::{SearchMode, SearchRequest, SearchResponse};
use cs_text::embed::{EmbedError, Embedder, MiniLm};
use sqlx::PgConnection;

use crate::harness::{Harness, MINUTES, Mode, operator};

/// The built-in model, which a test may take away.
pub(crate) struct Switched {
    inner: MiniLm,
    pub(crate) away: AtomicBool,
}

impl Switched {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { inner: MiniLm::load().unwrap(), away: AtomicBool::new(false) })
    }
}

#[async_trait]
impl Embedder for Switched {
    fn dimensions(&self) -> usize {
        self.inner.dimensions()
    }
    fn version(&self) -> &str {
        self.inner.version()
    }
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(EmbedError::Remote("connection refused".to_owned()));
        }
        Embedder::embed(&self.inner, texts).await
    }
}

async fn search(h: &Harness, caller: &cs_core::Caller, query: &str, mode: SearchMode) -> SearchResponse {
    let request = SearchRequest { query: query.to_owned(), mode: mode.into(), ..Default::default() };
    let mut client = SearchClient::new(h.channel(Role::Search));
    client.search(h.request(caller, request)).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_embedder_documents_are_found_by_words_until_it_is_back() {
    let h = Harness::start("embedder_away", Mode::Together).await;
    let clerk = operator(h.tenant().await);
    h.embedder.away.store(true, Ordering::SeqCst);
    let text = format!("{MINUTES}\nThe clerk noted the zanzibar petition.\n");
    h.ingest(&clerk, "springfield", "m1", &[("minutes.txt", "minutes", text.as_bytes())]).await;
    h.drain_what_is_due().await;

    let found = search(&h, &clerk, "zanzibar", SearchMode::Hybrid).await;
    assert_eq!(found.degraded, ["keyword_only"]);
    assert!(!found.hits.is_empty(), "its words are found while the embedder is away");

    h.embedder.away.store(false, Ordering::SeqCst);
    // What waits for its next try, the longer the slower all of this was, is due now. A round may do a part of it.
    let mut admin = <PgConnection as sqlx::Connection>::connect(h.database.as_str()).await.unwrap();
    let mut parts = BTreeSet::new();
    for _ in 0..10 {
        sqlx::query("UPDATE bus.messages SET visible_at = now() WHERE dead_at IS NULL")
            .execute(&mut admin)
            .await
            .unwrap();
        h.drain_what_is_due().await;
        let found = search(&h, &clerk, "council decision", SearchMode::Vector).await;
        parts = found.hits.iter().map(|hit| hit.passage.as_ref().unwrap().kind == "passage").collect();
        if parts.len() == 2 {
            break;
        }
    }
    assert_eq!(
        parts.len(),
        2,
        "its documents and its claims are embedded in the end, and nothing was given up on"
    );
    let found = search(&h, &clerk, "a request signed by citizens", SearchMode::Vector).await;
    assert!(!found.hits.is_empty());
    assert!(found.degraded.is_empty(), "{:?}", found.degraded);
}
