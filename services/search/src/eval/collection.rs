//! A collection in BEIR's layout.

use std::collections::{BTreeMap, HashMap, HashSet};
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
    /// Those of its other fields that a query filters by.
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
    // Null in some collections.
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    filter: Map<String, Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Collection {
    pub(super) fn read(dir: &Path) -> Result<Self, EvalError> {
        let mut qrels = qrels(&dir.join("qrels.tsv"))?;
        let queries: Vec<Query> = lines(&dir.join("queries.jsonl"))?
            .into_iter()
            .filter_map(|line| {
                let relevant = qrels.remove(&line.id)?;
                let filter = line.filter.iter().map(|(k, v)| (k.clone(), plain(v))).collect();
                Some(Query { text: line.text.unwrap_or_default(), filter, relevant })
            })
            .collect();
        // Others would be kept for nobody; some collections carry whole texts in them.
        let asked: HashSet<&str> =
            queries.iter().flat_map(|query| &query.filter).map(|(name, _)| name.as_str()).collect();
        let documents = lines(&dir.join("corpus.jsonl"))?
            .into_iter()
            .map(|line| Document {
                labels: line
                    .others
                    .iter()
                    .filter(|(name, _)| asked.contains(name.as_str()))
                    .map(|(name, value)| (name.clone(), plain(value)))
                    .collect(),
                id: line.id,
                title: line.title.unwrap_or_default(),
                text: line.text.unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_no_query_filters_by_are_left_and_null_is_no_title() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write(
            "corpus.jsonl",
            r#"{"_id": "d1", "title": null, "text": "zoning", "year": 2023, "raw": "a whole page"}"#,
        );
        write("queries.jsonl", r#"{"_id": "q1", "text": "zoning", "filter": {"year": 2023}}"#);
        write("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n");
        let read = Collection::read(dir.path()).unwrap();
        let document = &read.documents[0];
        assert_eq!((document.title.as_str(), document.text.as_str()), ("", "zoning"));
        assert_eq!(document.labels, BTreeMap::from([("year".to_owned(), "2023".to_owned())]));
        assert_eq!(read.queries[0].filter, [("year".to_owned(), "2023".to_owned())]);
    }
}
