//! `councilsense eval …`: quality, through the code that serves users, leaving no trace in the data directory.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use search::eval::{EvalOptions, eval_search, eval_search_on};
use search::index::Mode;
use search::index::opensearch::OpenSearchIndex;

use super::embedder::{dimensions, embedder};
use crate::config::{EvalWhat, SearchEngine, Settings};

/// A search is measured, not given up.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

pub(crate) async fn eval(settings: &Settings, what: EvalWhat) -> anyhow::Result<ExitCode> {
    match what {
        EvalWhat::Search { dir, mode, no_filter, engine } => {
            search(settings, &dir, &mode, no_filter, engine.unwrap_or(settings.search_engine)).await?;
        }
        EvalWhat::Evidence { dir } => evidence(settings, &dir).await?,
        EvalWhat::Extraction { dir } => extraction(settings, &dir).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn search(
    settings: &Settings,
    dir: &Path,
    mode: &str,
    no_filter: bool,
    engine: SearchEngine,
) -> anyhow::Result<()> {
    let mode = match mode {
        "hybrid" => Mode::Hybrid,
        "keyword" => Mode::Keyword,
        "vector" => Mode::Vector,
        other => bail!("--mode {other}: use hybrid, keyword or vector"),
    };
    // Nobody waits for a query meanwhile: every core embeds.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = settings.embedder.clone();
    let load = move || if mode == Mode::Keyword { Ok(None) } else { embedder(&wanted, Some(cores)) };
    let embedder = tokio::task::spawn_blocking(load).await??;
    let options = EvalOptions { mode, use_filter: !no_filter, ..EvalOptions::default() };
    let report = match engine {
        SearchEngine::Embedded => eval_search(dir, options, embedder).await,
        SearchEngine::Opensearch => {
            // Indexes of its own, which go when it ends.
            let mut scratch = super::engine::opensearch(settings, dimensions(embedder.as_deref()));
            scratch.prefix = format!("{}_eval_{}", settings.opensearch_prefix, std::process::id());
            scratch.deadline = PATIENCE;
            let index = OpenSearchIndex::connect(scratch).await?;
            let report = eval_search_on(dir, options, embedder, &index, engine.as_str()).await;
            index.remove_everything().await?;
            report
        }
    };
    let report = report.with_context(|| format!("{} cannot be evaluated", dir.display()))?;
    show(settings, &serde_json::to_value(&report)?)
}

async fn evidence(settings: &Settings, dir: &Path) -> anyhow::Result<()> {
    let dir = dir.to_owned();
    let report = tokio::task::spawn_blocking(move || summaries::eval::eval_evidence(&dir)).await??;
    show(settings, &serde_json::to_value(&report)?)
}

async fn extraction(settings: &Settings, dir: &Path) -> anyhow::Result<()> {
    let dir = dir.to_owned();
    let report = tokio::task::spawn_blocking(move || summaries::eval::eval_extraction(&dir)).await??;
    show(settings, &serde_json::to_value(&report)?)
}

/// Figures as a table for people, whole for scripts.
fn show(settings: &Settings, report: &serde_json::Value) -> anyhow::Result<()> {
    if settings.json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    table("", report);
    Ok(())
}

/// A line a figure, at any depth; what fills pages (lists, details) is for `--json`.
fn table(above: &str, report: &serde_json::Value) {
    for (name, value) in report.as_object().into_iter().flatten().filter(|(name, _)| *name != "details") {
        let name = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        match value {
            serde_json::Value::Object(_) => table(&name, value),
            serde_json::Value::Array(_) => {}
            value => println!("{name:<32} {value}"),
        }
    }
}
