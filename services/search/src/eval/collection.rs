//! A collection in BEIR's layout.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::EvalError;

/// A document to index.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) text: String,
    /// Its other fields.
    pub(super) labels: BTreeMap<String, String>,
}

/// A query with what is relevant to it.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) text: String,
    pub(super) filter: Vec<(String, String)>,
    /// Grades above 0, by document.
    pub(super) relevant: HashMap<String, f64>,
}

/// Documents, and the queries that have something relevant among them.
#[derive(Debug)]
pub(super) struct Collection {
    pub(super) documents: Vec<Document>,
    pub(super) queries: Vec<Query>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    filter: Map<String, Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Collection {
    pub(super) fn read(dir: &Path) -> Result<Self, EvalError> {
        let documents = lines(&dir.join("corpus.jsonl"))?
            .into_iter()
            .map(|line| Document {
                labels: line.others.iter().map(|(k, v)| (k.clone(), plain(v))).collect(),
                id: line.id,
                title: line.title,
                text: line.text,
            })
            .collect();
        let mut qrels = qrels(&dir.join("qrels.tsv"))?;
        let queries = lines(&dir.join("queries.jsonl"))?
            .into_iter()
            .filter_map(|line| {
                let relevant = qrels.remove(&line.id)?;
                let filter = line.filter.iter().map(|(k, v)| (k.clone(), plain(v))).collect();
                Some(Query { text: line.text, filter, relevant })
            })
            .collect();
        Ok(Self { documents, queries })
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn read(path: &Path) -> Result<String, EvalError> {
    fs::read_to_string(path).map_err(|source| EvalError::Read { path: path.to_owned(), source })
}

fn bad(path: &Path, place: usize, reason: impl ToString) -> EvalError {
    EvalError::Line { path: PathBuf::from(path), line: place + 1, reason: reason.to_string() }
}

fn lines(path: &Path) -> Result<Vec<Line>, EvalError> {
    let text = read(path)?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(place, line)| serde_json::from_str(line).map_err(|e| bad(path, place, e)))
        .collect()
}

fn qrels(path: &Path) -> Result<HashMap<String, HashMap<String, f64>>, EvalError> {
    let mut qrels: HashMap<String, HashMap<String, f64>> = HashMap::new();
    let text = read(path)?;
    for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [query, document, score] = columns.as_slice() else {
            return Err(bad(path, place, "not three columns separated by tabs"));
        };
        match score.trim().parse::<f64>() {
            Ok(score) if score > 0.0 => {
                qrels.entry((*query).to_owned()).or_default().insert((*document).to_owned(), score);
            }
            Ok(_) => {}
            Err(_) if place == 0 => {}
            Err(e) => return Err(bad(path, place, e)),
        }
    }
    Ok(qrels)
}
