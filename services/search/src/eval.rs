//! Measures the search on a labelled collection, through the code that serves users, on an index of its own.

mod collection;
mod measures;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use cs_core::document::{ArtifactKind, ExtractedText, slice_code_points};
use cs_text::embed::{EmbedError, Embedder};
use cs_text::passages::{CHUNKER_VERSION, PassageOptions, passages};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::index::embedded::{EmbeddedIndex, OnDamage};
use crate::index::{
    Filters, IndexError, Mode, Part, PassageDoc, PassageKind, SearchIndex, SearchRequest, Visibility,
    VisibleTags,
};
use crate::query::parse;
use crate::rank::RankParams;
use collection::{Collection, Document};
use measures::{Judged, percentile};

/// Documents found per query: as deep as the deepest measure looks.
const DEPTH: usize = 100;
/// Passages embedded at a time.
const EMBED_AT_ONCE: usize = 256;
/// Documents handed to the index at a time.
const WRITE_AT_ONCE: usize = 256;

/// What to measure.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// Which legs answer.
    pub mode: Mode,
    /// Whether a query's `filter` is applied.
    pub use_filter: bool,
    /// How hits are ranked; only what tunes the ranking gives others than the default.
    pub params: RankParams,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self { mode: Mode::Hybrid, use_filter: true, params: RankParams::default() }
    }
}

/// Latencies of the queries, embedding included, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Half took no longer.
    pub p50: f64,
    /// Nineteen of twenty took no longer.
    pub p95: f64,
    /// Ninety-nine of a hundred took no longer.
    pub p99: f64,
}

/// What was measured. The fields are the keys of `councilsense eval search --json`, so they only ever grow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvalReport {
    /// Queries with at least one relevant document.
    pub queries: usize,
    /// Normalised discounted cumulative gain of the first ten, gain as judged (trec_eval's `ndcg_cut_10`).
    pub ndcg_at_10: f64,
    /// Share of the relevant documents among the first hundred.
    pub recall_at_100: f64,
    /// Reciprocal rank of the first relevant document, 0 behind the tenth.
    pub mrr_at_10: f64,
    /// How long searches took.
    pub latency_ms: Latency,
    /// The engine measured.
    pub engine: String,
    /// The legs that answered.
    pub mode: String,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// A file of the collection is missing or cannot be read.
    #[error(
        "{path} cannot be read ({source}): a collection is corpus.jsonl, queries.jsonl and qrels.tsv in one directory"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// No query has a relevant document in the corpus.
    #[error("no query of {0} has a relevant document: queries.jsonl and qrels.tsv do not belong together")]
    NothingJudged(PathBuf),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The embedder failed.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// Meaning cannot be measured without an embedder.
    #[error("{0} mode needs an embedder: choose one with --embedder, or measure --mode keyword")]
    NoEmbedder(&'static str),
    /// There is no room for the scratch index.
    #[error("no scratch directory can be made: {0}")]
    Scratch(std::io::Error),
}

/// Indexes the collection in `dir` on a scratch index and asks all its queries.
pub async fn eval_search(
    dir: &Path,
    options: EvalOptions,
    embedder: Option<Arc<dyn Embedder>>,
) -> Result<EvalReport, EvalError> {
    let scratch = tempfile::tempdir().map_err(EvalError::Scratch)?;
    let (index, _) = EmbeddedIndex::open(scratch.path(), options.params.clone(), OnDamage::Refuse)?;
    eval_search_on(dir, options, embedder, &index, "embedded").await
}

/// The same on an index that is given, empty, and named in the report. Without words alone an embedder is needed.
pub async fn eval_search_on(
    dir: &Path,
    options: EvalOptions,
    embedder: Option<Arc<dyn Embedder>>,
    index: &dyn SearchIndex,
    engine: &str,
) -> Result<EvalReport, EvalError> {
    let collection = Collection::read(dir)?;
    let embedder = embedder.filter(|_| options.mode != Mode::Keyword);
    if embedder.is_none() && options.mode != Mode::Keyword {
        return Err(EvalError::NoEmbedder(options.mode.as_str()));
    }
    fill(index, &collection.documents, embedder.as_deref()).await?;

    let mut judged = Judged::default();
    let mut latencies = Vec::new();
    for query in &collection.queries {
        let started = Instant::now();
        let parsed = parse(&query.text);
        let vector = match &embedder {
            Some(embedder) => embedder.embed(vec![parsed.meaning().to_owned()]).await?.pop(),
            None => None,
        };
        let filters = if options.use_filter { query.filter.clone() } else { Vec::new() };
        let request = SearchRequest {
            tenant: Uuid::nil(),
            visible: VisibleTags::of([Visibility::Public]),
            query: parsed,
            vector,
            mode: options.mode,
            filters: Filters { labels: filters, ..Filters::default() },
            first: DEPTH,
            after: None,
            // A document of several passages is as good as its best.
            group_by_meeting: true,
        };
        let found = index.search(request).await?;
        latencies.push(started.elapsed().as_secs_f64() * 1_000.0);
        judged.add(&query.relevant, found.hits.iter().map(|hit| hit.passage.text_sha256.as_str()));
    }
    if judged.queries == 0 {
        return Err(EvalError::NothingJudged(dir.to_owned()));
    }
    latencies.sort_by(f64::total_cmp);
    Ok(EvalReport {
        queries: judged.queries,
        ndcg_at_10: judged.ndcg(),
        recall_at_100: judged.recall(),
        mrr_at_10: judged.reciprocal_rank(),
        latency_ms: Latency {
            p50: percentile(&latencies, 0.50),
            p95: percentile(&latencies, 0.95),
            p99: percentile(&latencies, 0.99),
        },
        engine: engine.to_owned(),
        mode: options.mode.as_str().to_owned(),
    })
}

/// Cuts, embeds and indexes the documents, each as a meeting of its own.
async fn fill(
    index: &dyn SearchIndex,
    documents: &[Document],
    embedder: Option<&dyn Embedder>,
) -> Result<(), EvalError> {
    let mut cut: Vec<Vec<PassageDoc>> = documents.iter().map(cut).collect();
    if let Some(embedder) = embedder {
        let mut flat: Vec<&mut PassageDoc> = cut.iter_mut().flatten().collect();
        for chunk in flat.chunks_mut(EMBED_AT_ONCE) {
            let texts = chunk.iter().map(|doc| doc.embedded_text()).collect();
            for (doc, vector) in chunk.iter_mut().zip(embedder.embed(texts).await?) {
                doc.vector = vector;
                doc.embedder = embedder.version().to_owned();
            }
        }
    }
    stream::iter(cut.into_iter().filter(|passages| !passages.is_empty()))
        .map(|docs| index.replace_meeting(Uuid::nil(), docs[0].meeting_id, Part::Documents, 1, docs))
        .buffer_unordered(WRITE_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(())
}

/// A document's passages. One without text is its title.
fn cut(document: &Document) -> Vec<PassageDoc> {
    let (title, text) = match document.text.trim() {
        "" => ("", document.title.as_str()),
        _ => (document.title.as_str(), document.text.as_str()),
    };
    let extracted = ExtractedText { text: text.to_owned(), sections: Vec::new(), marks: Vec::new() };
    passages(&extracted, title, PassageOptions::default())
        .into_iter()
        .filter_map(|passage| {
            let body = slice_code_points(text, passage.start, passage.end)?;
            Some(PassageDoc {
                id: format!("{}#{}", document.id, passage.ordinal),
                tenant_id: Uuid::nil(),
                meeting_id: uuid_of(&document.id),
                city_id: Uuid::nil(),
                body_id: Uuid::nil(),
                artifact_id: uuid_of(&document.id),
                derived_from: Vec::new(),
                artifact_kind: ArtifactKind::Attachment,
                // A collection's documents have no text versions; their id stands here to be told by.
                text_sha256: document.id.clone(),
                section: passage.section,
                start: passage.start,
                end: passage.end,
                page: None,
                time_ms: None,
                date: chrono::NaiveDate::default(),
                visibility: Visibility::Public,
                kind: PassageKind::Passage,
                confidence: None,
                title: title.to_owned(),
                heading: None,
                text: body.to_owned(),
                vector: Vec::new(),
                embedder: String::new(),
                chunker: CHUNKER_VERSION.to_owned(),
                labels: document.labels.clone(),
            })
        })
        .collect()
}

fn uuid_of(id: &str) -> Uuid {
    let digest = Sha256::digest(id.as_bytes());
    Uuid::from_u128(digest.iter().take(16).fold(0, |value, byte| value << 8 | u128::from(*byte)))
}
