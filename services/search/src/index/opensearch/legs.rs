//! The searches that a search is made of.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{CallError, Client};
use super::document::key;
use super::wire::{Answer, Answers};
use crate::index::IndexError;
use crate::query::terms::Terms;
use crate::rank::{RankParams, inverse_document_frequency};

/// What the HTTP call may take beyond what the engine is told.
const SLACK: Duration = Duration::from_millis(100);
/// A step is given at least so long: with less it cannot end well.
const LEAST: Duration = Duration::from_millis(20);

/// The engine, one tenant's index and the time that is left.
pub(super) struct Asker<'a> {
    client: &'a Client,
    index: &'a str,
    until: Instant,
    /// Some step did not see everything.
    pub(super) partial: bool,
}

/// What became of a step.
pub(super) enum Step {
    Done(Vec<Answer>),
    /// There is no such index: nothing was ever written for the tenant.
    NoIndex,
}

impl<'a> Asker<'a> {
    pub(super) fn new(client: &'a Client, index: &'a str, within: Duration) -> Self {
        Self { client, index, until: Instant::now() + within, partial: false }
    }

    fn left(&self) -> Option<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        (left >= LEAST).then_some(left)
    }

    /// Whether there is time for a step that the answer can do without.
    pub(super) fn has_time(&self) -> bool {
        self.left().is_some()
    }

    /// Asks several things at once.
    pub(super) async fn ask(&mut self, bodies: Vec<Value>) -> Result<Step, IndexError> {
        let within = self.left().ok_or_else(|| self.client.told(CallError::Late(Duration::ZERO)))?;
        self.ask_within(bodies, within).await
    }

    async fn ask_within(&mut self, bodies: Vec<Value>, within: Duration) -> Result<Step, IndexError> {
        let timeout = format!("{}ms", within.as_millis());
        let mut lines = Vec::new();
        for mut body in bodies {
            body["timeout"] = json!(timeout);
            lines.extend_from_slice(b"{}\n");
            lines.extend_from_slice(body.to_string().as_bytes());
            lines.push(b'\n');
        }
        let path = format!("/{}/_msearch", self.index);
        let answers: Answers =
            self.client.asked(&path, lines, within + SLACK).await.map_err(|error| self.client.told(error))?;
        for answer in &answers.responses {
            self.partial |= answer.timed_out;
            if answer.status == 404 {
                return Ok(Step::NoIndex);
            }
            if let Some(error) = &answer.error {
                let cause = error.pointer("/root_cause/0").unwrap_or(error);
                let text = |k: &str| cause.get(k).and_then(Value::as_str).unwrap_or_default().to_owned();
                let refused = CallError::Refused {
                    status: answer.status,
                    reason: format!("{}: {}", text("type"), text("reason")),
                };
                return Err(self.client.told(refused));
            }
        }
        Ok(Step::Done(answers.responses))
    }

    /// The same for a step of one search on an index that was there a moment ago.
    pub(super) async fn ask_one(&mut self, body: Value) -> Result<Answer, IndexError> {
        match self.ask(vec![body]).await? {
            Step::Done(mut answers) => answers.pop().ok_or_else(|| super::engine("an answer without a part")),
            Step::NoIndex => Ok(Answer::default()),
        }
    }

    /// A word's spellings in the index, whoever may see them.
    pub(super) async fn suggest(&mut self, words: &[&str]) -> Result<Answer, IndexError> {
        let suggest: serde_json::Map<String, Value> = words
            .iter()
            .enumerate()
            .map(|(place, word)| {
                let term = json!({
                    "field": "words", "suggest_mode": "always", "sort": "frequency", "max_edits": 2,
                    "prefix_length": 0, "min_word_length": 4, "size": 20, "shard_size": 200,
                });
                (place.to_string(), json!({ "text": word, "term": term }))
            })
            .collect();
        // A search can do without: what comes after it keeps half of the time.
        let within = self.left().ok_or_else(|| self.client.told(CallError::Late(Duration::ZERO)))? / 2;
        match self.ask_within(vec![json!({ "size": 0, "suggest": suggest })], within).await? {
            Step::Done(mut answers) => answers.pop().ok_or_else(|| super::engine("an answer without a part")),
            Step::NoIndex => Ok(Answer::default()),
        }
    }
}

/// Rows with their place and nothing else.
fn rows(size: usize, query: Value) -> Value {
    json!({
        "size": size, "query": query, "track_total_hits": false,
        "stored_fields": "_none_", "docvalue_fields": ["place"],
    })
}

/// Rows with their key and score.
fn keyed(size: usize, query: Value) -> Value {
    json!({
        "size": size, "query": query, "track_total_hits": false,
        "stored_fields": "_none_", "docvalue_fields": ["key"],
    })
}

/// How many visible passages there are, how many of them hold each word, and how many of the passing ones each phrase
/// with those before it.
pub(super) fn counts(visible: &Value, words: &[Value]) -> Value {
    let filters: serde_json::Map<String, Value> =
        words.iter().enumerate().map(|(place, word)| (place.to_string(), word.clone())).collect();
    let mut body = json!({
        "size": 0, "track_total_hits": true, "query": { "bool": { "filter": [visible] } },
    });
    if !filters.is_empty() {
        body["aggs"] = json!({ "held": { "filters": { "filters": filters } } });
    }
    body
}

/// The vector leg: the nearest of those that pass.
pub(super) fn nearest(vector: &[f32], pass: &Value, count: usize) -> Value {
    rows(count, json!({ "knn": { "vector": { "vector": vector, "k": count, "filter": pass } } }))
}

/// The best of those that pass and hold every file number. Among equals the lower key wins, as everywhere.
pub(super) fn named(words: &[Weighed], pass: &Value, numbers: &[Value], count: usize) -> Value {
    let mut all = numbers.to_vec();
    all.push(pass.clone());
    let mut body = rows(count, json!({ "bool": { "filter": all, "should": any(words) } }));
    body["sort"] = json!(["_score", "key"]);
    body
}

/// Which of these hold every file number.
pub(super) fn holding(numbers: &[Value], ids: &[u64]) -> Value {
    let mut all = numbers.to_vec();
    all.push(of(ids));
    keyed(ids.len(), json!({ "bool": { "filter": all } }))
}

/// A word or a pair of a query, and what it weighs.
pub(super) struct Weighed {
    pub(super) field: &'static str,
    pub(super) term: String,
    pub(super) boost: f32,
}

impl Weighed {
    fn query(&self) -> Value {
        json!({ "term": { (self.field): { "value": self.term, "boost": self.boost } } })
    }

    /// Unweighed.
    pub(super) fn holds(field: &str, term: &str) -> Value {
        json!({ "term": { (field): { "value": term } } })
    }
}

/// The field that words are scored in: where nothing but common ones was asked for, the one that has them.
pub(super) fn field(terms: &Terms) -> &'static str {
    if terms.common { "words" } else { "terms" }
}

/// Weighs a term by how telling it is among what the reader may see.
pub(super) fn weigh(field: &'static str, term: &str, weight: f32, with: u64, all: u64) -> Option<Weighed> {
    let boost = inverse_document_frequency(with, all) * weight;
    (with > 0 && boost > 0.0).then(|| Weighed { field, term: term.to_owned(), boost })
}

fn any(words: &[Weighed]) -> Vec<Value> {
    words.iter().map(Weighed::query).collect()
}

/// The keyword leg: the best of those that pass and hold a word. Among equals the lower key wins, as everywhere.
pub(super) fn best(words: &[Weighed], pass: &Value, count: usize) -> Value {
    let query = json!({ "bool": { "filter": [pass], "should": any(words), "minimum_should_match": 1 } });
    let mut body = rows(count, query);
    body["sort"] = json!(["_score", "key"]);
    body
}

/// The keyword scores of these.
pub(super) fn keyword_scores(words: &[Weighed], ids: &[u64]) -> Value {
    let query = json!({ "bool": { "filter": [of(ids)], "should": any(words), "minimum_should_match": 1 } });
    keyed(ids.len(), query)
}

/// Exact cosines of these to a vector, computed in the engine.
pub(super) fn cosines(vector: &[f32], ids: &[u64]) -> Value {
    let present = json!({ "exists": { "field": "vector" } });
    let script = json!({
        "lang": "knn", "source": "knn_score",
        "params": { "field": "vector", "query_value": vector, "space_type": "cosinesimil" },
    });
    let of = json!({ "bool": { "filter": [of(ids), present] } });
    keyed(ids.len(), json!({ "script_score": { "query": of, "script": script } }))
}

/// The engine's scores are (1 + cosine) / 2, so as not to be negative.
pub(super) fn cosine(score: f32) -> f32 {
    2.0 * score - 1.0
}

/// The vectors of these few, whole.
pub(super) fn vectors(ids: &[u64]) -> Value {
    json!({
        "size": ids.len(), "query": { "bool": { "filter": [of(ids)] } }, "track_total_hits": false,
        "_source": ["vector"], "docvalue_fields": ["key"],
    })
}

/// The vectors of these, small.
pub(super) fn small_vectors(ids: &[u64]) -> Value {
    json!({
        "size": ids.len(), "query": { "bool": { "filter": [of(ids)] } }, "track_total_hits": false,
        "stored_fields": "_none_", "docvalue_fields": ["key", "small"],
    })
}

/// What is shown of these, as far as it may be read by now.
pub(super) fn passages(ids: &[u64], visible: &Value) -> Value {
    json!({
        "size": ids.len(), "query": { "bool": { "filter": [of(ids), visible] } }, "track_total_hits": false,
        "_source": ["passage"], "docvalue_fields": ["key"],
    })
}

/// How many answer, and the facets over them: those that pass and hold a word, and every other candidate.
pub(super) fn facets(words: &[Weighed], pass: &Value, candidates: &[u64]) -> Value {
    let mut answers: Vec<Value> = words.iter().map(|w| Weighed::holds(w.field, &w.term)).collect();
    if !candidates.is_empty() {
        answers.push(of(candidates));
    }
    // A bool without clauses would match everything.
    let answering = match answers.is_empty() {
        true => json!({ "match_none": {} }),
        false => json!({ "bool": { "should": answers, "minimum_should_match": 1 } }),
    };
    let terms = |field: &str| json!({ "terms": { "field": field, "size": 1_000 } });
    json!({
        "size": 0, "track_total_hits": true,
        // In a filter, where nothing is scored.
        "query": { "bool": { "filter": [pass, answering] } },
        "aggs": {
            "city": terms("city"), "body": terms("body"), "year": terms("year"),
            "artifact_kind": terms("artifact_kind"),
        },
    })
}

fn of(ids: &[u64]) -> Value {
    json!({ "terms": { "key": ids.iter().map(|id| key(*id)).collect::<Vec<_>>() } })
}

/// The queries whose hits are counted before anything is scored: words, then pairs.
pub(super) fn held(terms: &Terms) -> Vec<Value> {
    let words = terms.words.iter().map(|word| Weighed::holds(field(terms), &word.term));
    words.chain(terms.pairs.iter().map(|pair| Weighed::holds("terms.pairs", pair))).collect()
}

/// Words and pairs with their weights, from the counts of [`held`].
pub(super) fn weighed(params: &RankParams, terms: &Terms, counts: &Answer) -> Vec<Weighed> {
    let all = counts.hits.total.value;
    let with = |place: usize| counts.count(&format!("/held/buckets/{place}"));
    let words = terms
        .words
        .iter()
        .enumerate()
        .filter_map(|(place, word)| weigh(field(terms), &word.term, word.weight, with(place), all));
    let pairs = terms.pairs.iter().enumerate().filter_map(|(place, pair)| {
        weigh("terms.pairs", pair, params.bigram_weight, with(terms.words.len() + place), all)
    });
    words.chain(pairs).collect()
}
