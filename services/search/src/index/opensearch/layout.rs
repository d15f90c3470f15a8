//! How passages are laid out in the engine, and whether an index there is laid out so.
//!
//! Words are analysed here, as for the embedded engine, and handed over as terms that the engine only splits at
//! blanks: two analysers never agree for long. BM25's saturation is a scripted similarity; its inverse document
//! frequency comes with the query, counted over what the reader may see.

use serde_json::{Map, Value, json};

use crate::rank::RankParams;

/// Version of the layout. Raise it with every change: an older program then leaves the template alone.
pub(super) const LAYOUT: u64 = 1;
/// Positions between the last word of the title and the first of what follows: no phrase crosses it.
const GAP: usize = 16;
/// As many differences are told.
const TOLD: usize = 5;

/// Settings and mappings of an index with vectors of `dims`.
pub(super) fn layout(dims: usize, params: &RankParams) -> Value {
    let (k1, b) = (params.bm25.k1, params.bm25.b);
    let saturation = format!(
        "double mean = 1.0 * field.sumTotalTermFreq / field.docCount; \
         return query.boost * doc.freq * {up} / (doc.freq + {k1} * ({free} + {b} * doc.length / mean));",
        up = k1 + 1.0,
        free = 1.0 - b,
    );
    let keyword = json!({ "type": "keyword", "norms": false });
    json!({
        "settings": { "index": {
            "knn": true,
            "number_of_shards": 1,
            "auto_expand_replicas": "0-1",
            // Every change refreshes when it is whole; nothing half-made is seen in between.
            "refresh_interval": "-1",
            "similarity": { "saturation": { "type": "scripted", "script": { "source": saturation } } },
            "analysis": {
                "analyzer": {
                    "terms": { "type": "custom", "tokenizer": "whitespace" },
                    "pairs": { "type": "custom", "tokenizer": "whitespace", "filter": ["pairs"] },
                },
                "filter": { "pairs": {
                    "type": "shingle", "min_shingle_size": 2, "max_shingle_size": 2,
                    "output_unigrams": false, "token_separator": " ",
                } },
            },
        } },
        "mappings": { "dynamic": "strict", "properties": {
            // passage, part or artifact: the last two keep versions and tags, and are found by nobody.
            "entry": keyword,
            "version": { "type": "long" },
            "stamp": keyword,
            "part": keyword,
            "artifacts": keyword,
            "overrides": { "type": "object", "enabled": false },
            "indexed_tag": { "type": "byte" },
            "tag": { "type": "byte" },
            "key": keyword,
            "place": { "type": "keyword", "index": false, "doc_values": true },
            "meeting": keyword,
            "city": keyword,
            "body": keyword,
            "artifact_kind": keyword,
            "kind": keyword,
            "day": { "type": "integer" },
            "year": { "type": "integer" },
            "confidence": { "type": "float" },
            "labels": keyword,
            "embedder": keyword,
            "chunker": keyword,
            "terms": {
                "type": "text", "analyzer": "terms", "similarity": "saturation", "position_increment_gap": GAP,
                "fields": { "pairs": {
                    "type": "text", "analyzer": "pairs", "similarity": "saturation", "index_options": "freqs",
                } },
            },
            "words": {
                "type": "text", "analyzer": "terms", "similarity": "saturation", "position_increment_gap": GAP,
            },
            "vector": {
                "type": "knn_vector", "dimension": dims,
                // The default engine needs a native library that not every distribution has.
                "method": { "name": "hnsw", "engine": "lucene", "space_type": "cosinesimil" },
            },
            "small": { "type": "binary", "doc_values": true },
            "passage": { "type": "object", "enabled": false },
        } },
    })
}

/// What of `expected` is otherwise in `found`, and which fields are there beside it; `None` where they agree. What
/// the engine adds by itself outside the fields does not count.
pub(super) fn difference(expected: &Value, found: &Value) -> Option<String> {
    let mut told = Vec::new();
    compare("", expected, found, &mut told);
    let fields = |layout: &Value| {
        layout.pointer("/mappings/properties").and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let ours = fields(expected);
    let beside = |fields: Map<String, Value>| fields.into_iter().map(|(name, _)| name);
    told.extend(
        beside(fields(found))
            .filter(|name| !ours.contains_key(name))
            .map(|name| format!("mappings.properties.{name}: found, not expected")),
    );
    let more = told.len().saturating_sub(TOLD);
    told.truncate(TOLD);
    match (told.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(told.join("; ")),
        (false, more) => Some(format!("{}; and {more} more", told.join("; "))),
    }
}

fn compare(path: &str, expected: &Value, found: &Value, told: &mut Vec<String>) {
    match expected {
        Value::Object(fields) => {
            for (name, expected) in fields {
                // The engine leaves out what it would assume anyway.
                let assumed = matches!(
                    (name.as_str(), expected),
                    ("norms", Value::Bool(false)) | ("doc_values", Value::Bool(true))
                );
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match found.get(name) {
                    Some(found) => compare(&path, expected, found, told),
                    None if assumed => {}
                    None => told.push(format!("{path}: missing, expected {}", plain(expected))),
                }
            }
        }
        Value::Array(values) => {
            let same = found.as_array().is_some_and(|found| {
                found.len() == values.len() && found.iter().zip(values).all(|(a, b)| plain(a) == plain(b))
            });
            if !same {
                told.push(format!("{path}: found {}, expected {}", plain(found), plain(expected)));
            }
        }
        _ if plain(expected) == plain(found) => {}
        _ => told.push(format!("{path}: found {}, expected {}", plain(found), plain(expected))),
    }
}

/// Settings come back as texts.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_and_what_the_engine_adds_is_not() {
        let ours = layout(384, &RankParams::default());
        let mut found = ours.clone();
        found["settings"]["index"]["uuid"] = json!("x");
        found["settings"]["index"]["number_of_shards"] = json!("1");
        assert_eq!(difference(&ours, &found), None);
        found["mappings"]["properties"]["vector"]["dimension"] = json!(768);
        let told = difference(&ours, &found).unwrap();
        assert_eq!(told, "mappings.properties.vector.dimension: found 768, expected 384");
        found = ours.clone();
        found["mappings"]["properties"]["extra"] = json!({ "type": "keyword" });
        found["mappings"]["properties"].as_object_mut().unwrap().remove("tag");
        let told = difference(&ours, &found).unwrap();
        assert!(told.contains("tag.type") || told.contains("properties.tag: missing"), "{told}");
        assert!(told.contains("properties.extra: found"), "{told}");
    }

    #[test]
    fn other_parameters_of_the_ranking_are_another_layout() {
        let params = RankParams { bm25: crate::rank::Bm25 { k1: 1.2, b: 0.75 }, ..RankParams::default() };
        assert!(difference(&layout(4, &RankParams::default()), &layout(4, &params)).is_some());
    }
}
