//! Measures collections with the ranking as it is or with other parameters:
//! `eval [--mode M] [--no-filter] [--vectors DIR] [--opensearch URL] [NAME=VALUE…] COLLECTION…`. Vectors are kept in DIR
//! between runs.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cs_text::embed::{EmbedError, Embedder, MiniLm};
use search::eval::{EvalOptions, eval_search, eval_search_on};
use search::index::Mode;
use search::index::opensearch::{OpenSearchIndex, Options};

struct Kept {
    model: MiniLm,
    known: Mutex<HashMap<String, Vec<f32>>>,
}

#[async_trait]
impl Embedder for Kept {
    fn dimensions(&self) -> usize {
        self.model.dimensions()
    }

    fn version(&self) -> &str {
        self.model.version()
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let missing: Vec<String> = {
            let known = self.known.lock().expect("no panic holds it");
            texts.iter().filter(|t| !known.contains_key(*t)).cloned().collect()
        };
        if !missing.is_empty() {
            let vectors = Embedder::embed(&self.model, missing.clone()).await?;
            self.known.lock().expect("no panic holds it").extend(missing.into_iter().zip(vectors));
        }
        let known = self.known.lock().expect("no panic holds it");
        Ok(texts.iter().map(|t| known[t].clone()).collect())
    }
}

fn set(options: &mut EvalOptions, name: &str, value: f32) {
    let params = &mut options.params;
    match name {
        "candidates" => params.candidates = value as usize,
        "k1" => params.bm25.k1 = value,
        "b" => params.bm25.b = value,
        "bigram" => params.bigram_weight = value,
        "share" => params.keyword_share = value,
        "feedback" => params.feedback = value,
        "adjacent" => params.adjacent = value,
        "docs" => params.feedback_docs = value as usize,
        "smoothed" => params.smoothed = value as usize,
        "neighbours" => params.neighbours = value as usize,
        "smoothing" => params.smoothing = value,
        other => panic!("no parameter {other}"),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = EvalOptions::default();
    let mut vectors: Option<PathBuf> = None;
    let mut opensearch: Option<String> = None;
    let mut collections = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--mode" => {
                options.mode = match args.next().as_deref() {
                    Some("keyword") => Mode::Keyword,
                    Some("vector") => Mode::Vector,
                    _ => Mode::Hybrid,
                }
            }
            "--no-filter" => options.use_filter = false,
            "--opensearch" => opensearch = args.next(),
            "--vectors" => vectors = args.next().map(PathBuf::from),
            other => match other.split_once('=') {
                Some((name, value)) => set(&mut options, name, value.parse()?),
                None => collections.push(PathBuf::from(other)),
            },
        }
    }
    for dir in collections {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = vectors.as_ref().map(|v| v.join(format!("{name}.json")));
        let known = file.as_deref().filter(|f| f.exists()).map(read).transpose()?.unwrap_or_default();
        let before = known.len();
        let kept = Arc::new(Kept { model: MiniLm::load()?, known: Mutex::new(known) });
        let embedder = Arc::clone(&kept) as Arc<dyn Embedder>;
        let report = match &opensearch {
            None => eval_search(&dir, options.clone(), Some(embedder)).await?,
            Some(url) => {
                let mut place = Options::new(url.parse()?, embedder.dimensions());
                place.prefix = format!("eval_{}", std::process::id());
                place.params = options.params.clone();
                place.deadline = std::time::Duration::from_secs(30);
                let index = OpenSearchIndex::connect(place).await?;
                let report =
                    eval_search_on(&dir, options.clone(), Some(embedder), &index, "opensearch").await;
                index.remove_everything().await?;
                report?
            }
        };
        println!("{name}\t{}", serde_json::to_string(&report)?);
        let known = kept.known.lock().expect("no panic holds it");
        if let Some(file) = file.filter(|_| known.len() > before) {
            fs::write(file, serde_json::to_vec(&*known)?)?;
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<HashMap<String, Vec<f32>>, Box<dyn std::error::Error>> {
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}
