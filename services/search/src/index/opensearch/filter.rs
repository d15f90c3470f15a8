//! What a passage must be to answer, as the engine asks it. It stands in both legs, before anything is ranked.

use chrono::Datelike;
use serde_json::{Value, json};

use super::document::{kind_word, label};
use crate::index::types::bit;
use crate::index::{SearchRequest, Visibility, VisibleTags};
use crate::query::analysis::tokens;

/// Readable by whoever asks. Statistics are counted over these.
pub(super) fn visible(tags: VisibleTags) -> Value {
    let bits: Vec<u8> = Visibility::ALL.into_iter().filter(|tag| tags.contains(*tag)).map(bit).collect();
    json!({ "terms": { "tag": bits } })
}

/// Visible, and as the filters and the exclusions ask; phrases are added by who knows which of them stand.
pub(super) fn clauses(request: &SearchRequest) -> (Vec<Value>, Vec<Value>) {
    let filters = &request.filters;
    let mut all = vec![visible(request.visible)];
    let one_of = |all: &mut Vec<Value>, field: &str, values: Vec<Value>| {
        if !values.is_empty() {
            all.push(json!({ "terms": { field: values } }));
        }
    };
    one_of(&mut all, "city", filters.cities.iter().map(|id| json!(id)).collect());
    one_of(&mut all, "body", filters.bodies.iter().map(|id| json!(id)).collect());
    one_of(&mut all, "meeting", filters.meetings.iter().map(|id| json!(id)).collect());
    one_of(&mut all, "artifact_kind", filters.artifact_kinds.iter().map(|k| json!(k.as_str())).collect());
    one_of(&mut all, "kind", filters.kinds.iter().map(|k| json!(kind_word(*k))).collect());
    if let Some(from) = filters.from {
        all.push(json!({ "range": { "day": { "gte": from.num_days_from_ce() } } }));
    }
    if let Some(to) = filters.to {
        all.push(json!({ "range": { "day": { "lte": to.num_days_from_ce() } } }));
    }
    if let Some(least) = filters.min_confidence {
        let unsure = json!({ "range": { "confidence": { "lt": least } } });
        all.push(json!({ "bool": { "must_not": [unsure] } }));
    }
    for (name, value) in &filters.labels {
        all.push(json!({ "term": { "labels": label(name, value) } }));
    }
    let not = request.query.excluded.iter().filter_map(|words| phrase(words)).collect();
    (all, not)
}

/// All of these and none of those.
pub(super) fn pass(all: &[Value], not: &[Value]) -> Value {
    json!({ "bool": { "filter": all, "must_not": not } })
}

/// These words in this order; `None` where the text has no words.
pub(super) fn phrase(words: &str) -> Option<Value> {
    let tokens = tokens(words);
    let terms: Vec<&str> = tokens.iter().map(|t| t.term.as_str()).collect();
    match terms.as_slice() {
        [] => None,
        [term] => Some(json!({ "term": { "words": { "value": term } } })),
        // The field's analyzer splits at blanks and does nothing else to terms.
        _ => Some(json!({ "match_phrase": { "words": { "query": terms.join(" ") } } })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_terms() {
        assert_eq!(phrase("!?"), None);
        assert_eq!(phrase("Peña"), Some(json!({ "term": { "words": { "value": "pena" } } })));
        let two = phrase("zoning Ordinances").unwrap();
        assert_eq!(two["match_phrase"]["words"]["query"], "zone ordin");
    }

    #[test]
    fn nobody_sees_what_no_tag_names() {
        assert_eq!(visible(VisibleTags::of([])), json!({ "terms": { "tag": [] } }));
    }
}
