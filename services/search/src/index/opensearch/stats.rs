//! What a tenant's index holds.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{CallError, Client, Method};
use super::wire::Answer;
use crate::index::{IndexError, IndexStats};

const WITHIN: Duration = Duration::from_secs(20);

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

/// Meetings with a passage, a page of them after another.
pub(super) async fn meetings(client: &Client, index: &str) -> Result<Vec<Uuid>, IndexError> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let mut composite =
            json!({ "size": 1_000, "sources": [{ "meeting": { "terms": { "field": "meeting" } } }] });
        if let Some(after) = after {
            composite["after"] = after;
        }
        let body = json!({
            "size": 0,
            "query": { "term": { "entry": "passage" } },
            "aggs": { "meetings": { "composite": composite } },
        });
        let path = format!("/{index}/_search");
        let answer: Answer = match client.json(Method::Post, &path, Some(&body), WITHIN).await {
            Ok(answer) => answer,
            Err(CallError::NotFound(_)) => return Ok(Vec::new()),
            Err(error) => return Err(client.told(error)),
        };
        let named = |(key, _): (&Value, u64)| key.get("meeting")?.as_str()?.parse::<Uuid>().ok();
        all.extend(answer.buckets("meetings").filter_map(named));
        after = answer.aggregations.pointer("/meetings/after_key").cloned();
        if after.is_none() {
            return Ok(all);
        }
    }
}

async fn dimensions(client: &Client, index: &str) -> Result<usize, IndexError> {
    let path = format!("/{index}/_mapping");
    let found: Value =
        client.json(Method::Get, &path, None, WITHIN).await.map_err(|error| client.told(error))?;
    let mapping = found.as_object().and_then(|indexes| indexes.values().next());
    let dimension = mapping.and_then(|m| m.pointer("/mappings/properties/vector/dimension"));
    Ok(dimension.and_then(Value::as_u64).unwrap_or(0) as usize)
}
