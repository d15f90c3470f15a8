//! A passage as the engine keeps it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use chrono::Datelike;
use cs_core::document::ArtifactKind;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::index::types::{bit, effective, id_hash};
use crate::index::{IndexError, Part, PassageDoc, PassageKind, Visibility};
use crate::query::analysis::{scored, tokens};

/// The name of a meeting's part.
pub(super) fn part_key(meeting: Uuid, part: Part) -> String {
    match part {
        Part::Documents => format!("d{meeting}"),
        Part::Claims => format!("c{meeting}"),
    }
}

/// The word that filters ask for.
pub(super) fn kind_word(kind: PassageKind) -> &'static str {
    match kind {
        PassageKind::Passage => "passage",
        PassageKind::Decision => "decision",
        PassageKind::Action => "action",
        PassageKind::Topic => "topic",
        PassageKind::Fact => "fact",
    }
}

/// A label as it is asked for.
pub(super) fn label(name: &str, value: &str) -> String {
    format!("{name}={value}")
}

/// The key of a passage: orders equals, and names it in later steps of the same search.
pub(super) fn key(id: u64) -> String {
    format!("{id:016x}")
}

/// A document of the index; `overrides` are later words on who may read its artifacts.
pub(super) fn document(
    doc: &PassageDoc,
    part: &str,
    stamp: &str,
    overrides: &[(Uuid, Visibility)],
) -> Result<Value, IndexError> {
    let artifacts: Vec<Uuid> = [doc.artifact_id].into_iter().chain(doc.derived_from.clone()).collect();
    let word = |artifact: &Uuid| overrides.iter().find(|(a, _)| a == artifact).map(|(_, tag)| *tag);
    let tag = effective(doc.kind != PassageKind::Passage, doc.visibility, &artifacts, word);
    let (mut terms, mut words) = (Vec::new(), Vec::new());
    for text in [doc.title.as_str(), doc.heading.as_deref().unwrap_or_default(), &doc.text] {
        let tokens = tokens(text);
        words.push(tokens.iter().map(|t| t.term.as_str()).collect::<Vec<_>>().join(" "));
        terms.push(scored(&tokens).map(|t| t.term.as_str()).collect::<Vec<_>>().join(" "));
    }
    let id = id_hash(&doc.id);
    let labels: Vec<String> = doc.labels.iter().map(|(name, value)| label(name, value)).collect();
    let overrides: Map<String, Value> =
        overrides.iter().map(|(artifact, tag)| (artifact.to_string(), json!(bit(*tag)))).collect();
    let mut document = json!({
        "entry": "passage",
        "stamp": stamp,
        "part": part,
        "artifacts": artifacts,
        "overrides": overrides,
        "indexed_tag": bit(doc.visibility),
        "tag": bit(tag),
        "key": key(id),
        "place": Placed::of(doc, id).written(),
        "meeting": doc.meeting_id,
        "city": doc.city_id,
        "body": doc.body_id,
        "artifact_kind": doc.artifact_kind.as_str(),
        "kind": kind_word(doc.kind),
        "day": doc.date.num_days_from_ce(),
        "year": doc.date.year(),
        "labels": labels,
        "embedder": doc.embedder,
        "chunker": doc.chunker,
        "terms": terms,
        "words": words,
        "passage": serde_json::to_value(doc).map_err(super::engine)?,
    });
    if let Some(confidence) = doc.confidence {
        document["confidence"] = json!(confidence);
    }
    if let Some(unit) = unit(&doc.vector) {
        document["small"] = json!(STANDARD.encode(small(&unit)));
        document["vector"] = json!(unit);
    }
    Ok(document)
}

/// What [`effective`] gives, on a document that is there already, after `params.artifact` got `params.tag`.
pub(super) const RETAG: &str = "ctx._source.overrides[params.artifact] = params.tag; \
    int most = ctx._source.kind == params.passage ? 0 : (int) ctx._source.indexed_tag; \
    for (String artifact : ctx._source.artifacts) { \
        def tag = ctx._source.overrides[artifact]; \
        most = (int) Math.max(most, tag == null ? ctx._source.indexed_tag : tag); \
    } \
    ctx._source.tag = most;";

/// What the ranking must know of a candidate beside its scores, in one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) id: u64,
    /// Tells its document from others; a claim stands in no document but itself.
    pub(super) document: u64,
    pub(super) span: (u32, u32),
    pub(super) spoken: bool,
    pub(super) meeting: Uuid,
}

impl Placed {
    fn of(doc: &PassageDoc, id: u64) -> Self {
        let is_passage = doc.kind == PassageKind::Passage;
        let (high, low) = doc.artifact_id.as_u64_pair();
        Self {
            id,
            document: if is_passage { high ^ low } else { id },
            span: (doc.start, doc.end),
            spoken: is_passage && doc.artifact_kind == ArtifactKind::Transcript,
            meeting: doc.meeting_id,
        }
    }

    fn written(self) -> String {
        let Self { id, document, span: (start, end), spoken, meeting } = self;
        format!("{id:016x} {document:016x} {start} {end} {} {meeting}", u8::from(spoken))
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        Some(Self {
            id: u64::from_str_radix(parts.next()?, 16).ok()?,
            document: u64::from_str_radix(parts.next()?, 16).ok()?,
            span: (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?),
            spoken: parts.next()? == "1",
            meeting: parts.next()?.parse().ok()?,
        })
    }
}

/// At length 1; `None` where there is no direction.
pub(super) fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let norm = vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt() as f32;
    (norm.is_finite() && norm > f32::MIN_POSITIVE).then(|| vector.iter().map(|v| v / norm).collect())
}

/// In a byte a dimension: enough to tell what is like what, and a sixth of what the floats would be on the wire.
fn small(unit: &[f32]) -> Vec<u8> {
    let largest = unit.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    unit.iter().map(|v| (v / largest * 127.0).round() as i8 as u8).collect()
}

/// Back to floats of length 1.
pub(super) fn large(encoded: &str) -> Option<Vec<f32>> {
    let bytes = STANDARD_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
    unit(&bytes.iter().map(|b| f32::from(*b as i8)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_small_vectors_come_back() {
        let placed =
            Placed { id: 7, document: u64::MAX, span: (3, 9), spoken: true, meeting: Uuid::from_u128(5) };
        assert_eq!(Placed::read(&placed.written()), Some(placed));
        assert_eq!(Placed::read("x"), None);
        let vector = unit(&(0..384).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>()).unwrap();
        let back = large(&STANDARD.encode(small(&vector))).unwrap();
        let cosine: f32 = vector.iter().zip(&back).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.9999, "{cosine}");
        assert_eq!(unit(&[0.0, 0.0]), None);
    }
}
