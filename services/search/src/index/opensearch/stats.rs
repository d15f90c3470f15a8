//! What a tenant's index holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{CallError, Client, Method};
use super::document::{kind_word, label};
use super::filter;
use super::wire::Answer;
use crate::index::{BODY_LABEL, Counts, Held, IndexError, IndexStats, PassageKind, VisibleTags};

const WITHIN: Duration = Duration::from_secs(20);
/// Names of one body that are told apart: it is renamed seldom.
const NAMES: usize = 20;

pub(super) async fn stats(client: &Client, index: &str) -> Result<IndexStats, IndexError> {
    let body = json!({
        "size": 0,
        "track_total_hits": true,
        "query": { "term": { "entry": "passage" } },
        "aggs": {
            // Exact up to so many: a tenant with more meetings than that gets a close estimate.
            "meetings": { "cardinality": { "field": "meeting", "precision_threshold": 40_000 } },
            "vectors": { "filter": { "exists": { "field": "vector" } } },
            "embedder": { "terms": { "field": "embedder", "size": 20 } },
            "chunker": { "terms": { "field": "chunker", "size": 20 } },
        },
    });
    let found = client.json::<Answer>(Method::Post, &format!("/{index}/_search"), Some(&body), WITHIN).await;
    let answer = match found {
        Ok(answer) => answer,
        Err(CallError::NotFound(_)) => return Ok(IndexStats::default()),
        Err(error) => return Err(client.told(error)),
    };
    let named = |name: &str| {
        let names = answer.buckets(name).filter_map(|(key, _)| key.as_str()).filter(|n| !n.is_empty());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names
    };
    let with_vector = answer.count("/vectors");
    let dimensions = if with_vector > 0 { dimensions(client, index).await? } else { 0 };
    Ok(IndexStats {
        passages: answer.hits.total.value,
        meetings: answer.aggregations.pointer("/meetings/value").and_then(Value::as_u64).unwrap_or(0),
        with_vector,
        dimensions,
        embedders: named("embedder"),
        chunkers: named("chunker"),
    })
}

/// The models that made the vectors that are there.
pub(super) async fn embedders(
    client: &Client,
    index: &str,
    within: Duration,
) -> Result<Vec<String>, IndexError> {
    let body = json!({
        "size": 0,
        "query": { "bool": { "filter": [{ "term": { "entry": "passage" } }, { "exists": { "field": "vector" } }] } },
        "aggs": { "embedder": { "terms": { "field": "embedder", "size": 20 } } },
    });
    match client.json::<Answer>(Method::Post, &format!("/{index}/_search"), Some(&body), within).await {
        Ok(answer) => {
            Ok(answer.buckets("embedder").filter_map(|(key, _)| Some(key.as_str()?.to_owned())).collect())
        }
        Err(CallError::NotFound(_)) => Ok(Vec::new()),
        Err(error) => Err(client.told(error)),
    }
}

/// How many passages and claims there are of each meeting.
pub(super) async fn meetings(client: &Client, index: &str) -> Result<BTreeMap<Held, Counts>, IndexError> {
    let passages = json!({ "term": { "entry": "passage" } });
    let by = |field: &str| json!({ field: { "terms": { "field": field } } });
    let sources = json!([by("city"), by("meeting")]);
    let of_documents =
        json!({ "documents": { "filter": { "term": { "kind": kind_word(PassageKind::Passage) } } } });
    let mut meetings = BTreeMap::new();
    for bucket in pages(client, index, &passages, &sources, Some(&of_documents), WITHIN).await? {
        let named = |field: &str| bucket.pointer(&format!("/key/{field}"))?.as_str()?.parse::<Uuid>().ok();
        let count = |pointer: &str| bucket.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let (Some(city), Some(meeting)) = (named("city"), named("meeting")) else { continue };
        let passages = count("/documents/doc_count");
        let claims = count("/doc_count").saturating_sub(passages);
        meetings.insert(Held { city, meeting }, Counts { passages, claims });
    }
    Ok(meetings)
}

/// Bodies with a visible passage, and how those passages call them.
pub(super) async fn bodies(
    client: &Client,
    index: &str,
    visible: VisibleTags,
    within: Duration,
) -> Result<Vec<(Uuid, String)>, IndexError> {
    let sources = json!([{ "body": { "terms": { "field": "body" } } }]);
    let prefix = label(BODY_LABEL, "");
    // No other label begins so, and the prefix has nothing that a pattern could take for its own.
    let names = json!({ "names": { "terms": { "field": "labels", "include": format!("{prefix}.+"), "size": NAMES } } });
    let buckets = pages(client, index, &filter::visible(visible), &sources, Some(&names), within).await?;
    let mut bodies = BTreeSet::new();
    for bucket in &buckets {
        let Some(body) = bucket.pointer("/key/body").and_then(Value::as_str).and_then(|b| b.parse().ok())
        else {
            continue;
        };
        let labels = bucket.pointer("/names/buckets").and_then(Value::as_array).into_iter().flatten();
        let names = labels.filter_map(|l| l.get("key")?.as_str()?.strip_prefix(&prefix));
        bodies.extend(names.map(|name| (body, name.to_owned())));
    }
    Ok(bodies.into_iter().collect())
}

/// Every bucket of what `query` finds by `sources`, a page of them after another.
async fn pages(
    client: &Client,
    index: &str,
    query: &Value,
    sources: &Value,
    inner: Option<&Value>,
    within: Duration,
) -> Result<Vec<Value>, IndexError> {
    let (mut all, mut after) = (Vec::new(), None);
    let path = format!("/{index}/_search");
    loop {
        let mut composite = json!({ "size": 1_000, "sources": sources });
        if let Some(after) = after {
            composite["after"] = after;
        }
        let mut by = json!({ "composite": composite });
        if let Some(inner) = inner {
            by["aggs"] = inner.clone();
        }
        let body = json!({
            "size": 0,
            "query": { "bool": { "filter": [query] } },
            "aggs": { "by": by },
        });
        let mut answer: Answer = match client.json(Method::Post, &path, Some(&body), within).await {
            Ok(answer) => answer,
            Err(CallError::NotFound(_)) => return Ok(Vec::new()),
            Err(error) => return Err(client.told(error)),
        };
        if let Some(Value::Array(buckets)) = answer.aggregations.pointer_mut("/by/buckets").map(Value::take) {
            all.extend(buckets);
        }
        after = answer.aggregations.pointer("/by/after_key").cloned();
        if after.is_none() {
            return Ok(all);
        }
    }
}

pub(super) async fn dimensions(client: &Client, index: &str) -> Result<usize, IndexError> {
    let path = format!("/{index}/_mapping");
    let found: Value =
        client.json(Method::Get, &path, None, WITHIN).await.map_err(|error| client.told(error))?;
    let mapping = found.as_object().and_then(|indexes| indexes.values().next());
    let dimension = mapping.and_then(|m| m.pointer("/mappings/properties/vector/dimension"));
    Ok(dimension.and_then(Value::as_u64).unwrap_or(0) as usize)
}
