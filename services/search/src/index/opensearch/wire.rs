//! The engine's answers, as far as they are read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Several searches' answers.
#[derive(Debug, Deserialize)]
pub(super) struct Answers {
    pub(super) responses: Vec<Answer>,
}

/// One search's.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub(super) status: u16,
    #[serde(default)]
    pub(super) timed_out: bool,
    #[serde(default)]
    pub(super) error: Option<Value>,
    #[serde(default)]
    pub(super) hits: Hits,
    #[serde(default)]
    pub(super) aggregations: Value,
    #[serde(default)]
    pub(super) suggest: BTreeMap<String, Vec<Suggested>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Hits {
    #[serde(default)]
    pub(super) total: Total,
    #[serde(default)]
    pub(super) hits: Vec<Row>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Total {
    #[serde(default)]
    pub(super) value: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Row {
    #[serde(default, rename = "_score")]
    pub(super) score: Option<f32>,
    #[serde(default)]
    pub(super) fields: Fields,
    #[serde(default, rename = "_source")]
    pub(super) source: Source,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    place: Vec<String>,
    #[serde(default)]
    key: Vec<String>,
    #[serde(default)]
    small: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Source {
    #[serde(default)]
    pub(super) passage: Option<Value>,
    #[serde(default)]
    pub(super) vector: Vec<f32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Suggested {
    #[serde(default)]
    pub(super) options: Vec<Spelling>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Spelling {
    pub(super) text: String,
}

impl Row {
    pub(super) fn place(&self) -> Option<super::document::Placed> {
        self.fields.place.first().and_then(|text| super::document::Placed::read(text))
    }

    /// The passage's number, from its key.
    pub(super) fn id(&self) -> Option<u64> {
        self.fields.key.first().and_then(|key| u64::from_str_radix(key, 16).ok())
    }

    pub(super) fn small(&self) -> Option<Vec<f32>> {
        self.fields.small.first().and_then(|small| super::document::large(small))
    }
}

impl Answer {
    /// How many documents fall into a bucket of a `filters` aggregation.
    pub(super) fn count(&self, pointer: &str) -> u64 {
        self.aggregations
            .pointer(pointer)
            .and_then(|b| b.get("doc_count"))
            .and_then(Value::as_u64)
            .unwrap_or(0)
    }

    /// The buckets of a `terms` aggregation.
    pub(super) fn buckets(&self, name: &str) -> impl Iterator<Item = (&Value, u64)> {
        let buckets = self.aggregations.pointer(&format!("/{name}/buckets")).and_then(Value::as_array);
        buckets.into_iter().flatten().filter_map(|b| Some((b.get("key")?, b.get("doc_count")?.as_u64()?)))
    }
}
