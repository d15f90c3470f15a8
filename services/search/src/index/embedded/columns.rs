//! What filters, statistics and ties need of every passage, in memory, a column a field.

use std::collections::HashMap;
use std::hash::Hash;

use chrono::{Datelike, NaiveDate};
use serde::Deserialize;
use tantivy::schema::Value;
use tantivy::{SegmentReader, TantivyDocument};
use uuid::Uuid;

use super::schema::{Layout, LedgerEntry};
use super::vectors::Vectors;
use crate::index::types::id_hash;
use crate::index::{IndexError, PassageKind, Visibility};
use cs_core::document::ArtifactKind;

/// Every kind of document, in the order of its ordinal.
pub(super) const ARTIFACT_KINDS: [ArtifactKind; 5] = [
    ArtifactKind::Agenda,
    ArtifactKind::Minutes,
    ArtifactKind::Packet,
    ArtifactKind::Transcript,
    ArtifactKind::Attachment,
];

pub(super) fn artifact_kind_ordinal(kind: ArtifactKind) -> u8 {
    match kind {
        ArtifactKind::Agenda => 0,
        ArtifactKind::Minutes => 1,
        ArtifactKind::Packet => 2,
        ArtifactKind::Transcript => 3,
        ArtifactKind::Attachment => 4,
    }
}

/// A column of few values: each is kept once.
#[derive(Debug)]
pub(super) struct Interned<T> {
    pub(super) values: Vec<T>,
    pub(super) places: Vec<u32>,
}

impl<T> Interned<T> {
    pub(super) fn get(&self, doc: usize) -> &T {
        &self.values[self.places[doc] as usize]
    }
}

/// An [`Interned`] in the making.
struct Interner<T> {
    known: HashMap<T, u32>,
    column: Interned<T>,
}

impl<T: Clone + Eq + Hash> Interner<T> {
    fn with_capacity(docs: usize) -> Self {
        let column = Interned { values: Vec::new(), places: Vec::with_capacity(docs) };
        Self { known: HashMap::new(), column }
    }

    fn push(&mut self, value: T) {
        let Interned { values, places } = &mut self.column;
        places.push(*self.known.entry(value).or_insert_with_key(|value| {
            values.push(value.clone());
            values.len() as u32 - 1
        }));
    }
}

/// The columns of one segment. A ledger entry has a row too, with no tag.
#[derive(Debug)]
pub(super) struct Columns {
    /// First eight bytes of the sha256 of the passage's id: stable, and decides between equals.
    pub(super) id: Vec<u64>,
    /// Scored terms.
    pub(super) length: Vec<u32>,
    pub(super) city: Interned<Uuid>,
    pub(super) body: Interned<Uuid>,
    /// Empty where none was given.
    pub(super) body_name: Interned<String>,
    pub(super) meeting: Interned<Uuid>,
    /// The artifact first, then what else the passage is drawn from.
    pub(super) artifacts: Interned<Vec<Uuid>>,
    /// Where it stands in the text version.
    pub(super) span: Vec<(u32, u32)>,
    pub(super) artifact_kind: Vec<u8>,
    pub(super) kind: Vec<u8>,
    /// Days since the common era.
    pub(super) day: Vec<i32>,
    pub(super) year: Interned<i32>,
    /// NaN where there is none.
    pub(super) confidence: Vec<f32>,
    /// As indexed; `None` for a ledger entry.
    pub(super) tag: Vec<Option<Visibility>>,
    pub(super) made_by: Interned<(String, String)>,
    pub(super) ledger: Vec<(u32, LedgerEntry)>,
    pub(super) vectors: Vectors,
}

impl Columns {
    /// Whether a row is a claim; a ledger entry is taken for one.
    pub(super) fn is_claim(&self, doc: usize) -> bool {
        self.kind[doc] != PassageKind::Passage.ordinal()
    }
}

/// The part of [`super::schema::Stored`] that becomes columns; its texts are skipped.
#[derive(Deserialize)]
struct Row<'a> {
    length: u32,
    #[serde(borrow)]
    passage: RowPassage<'a>,
}

#[derive(Deserialize)]
struct RowPassage<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    meeting_id: Uuid,
    city_id: Uuid,
    body_id: Uuid,
    artifact_id: Uuid,
    #[serde(default)]
    derived_from: Vec<Uuid>,
    start: u32,
    end: u32,
    artifact_kind: ArtifactKind,
    date: NaiveDate,
    visibility: Visibility,
    kind: PassageKind,
    confidence: Option<f32>,
    embedder: String,
    chunker: String,
    #[serde(default, borrow)]
    labels: RowLabels<'a>,
}

/// Of the labels, those that are columns.
#[derive(Default, Deserialize)]
struct RowLabels<'a> {
    #[serde(default, borrow)]
    body: Option<std::borrow::Cow<'a, str>>,
}

pub(super) fn day_number(date: NaiveDate) -> i32 {
    date.num_days_from_ce()
}

/// Reads a segment's columns out of its document store.
pub(super) fn load(reader: &SegmentReader, layout: &Layout) -> Result<Columns, IndexError> {
    let docs = reader.max_doc() as usize;
    let store = reader.get_store_reader(1)?;
    let mut city = Interner::with_capacity(docs);
    let mut body = Interner::with_capacity(docs);
    let mut body_name = Interner::with_capacity(docs);
    let mut meeting = Interner::with_capacity(docs);
    let mut artifacts = Interner::with_capacity(docs);
    let mut made_by = Interner::with_capacity(docs);
    let mut year = Interner::with_capacity(docs);
    let (mut id, mut length, mut day) =
        (Vec::with_capacity(docs), Vec::with_capacity(docs), Vec::with_capacity(docs));
    let (mut artifact_kind, mut kind) = (Vec::with_capacity(docs), Vec::with_capacity(docs));
    let (mut tag, mut confidence) = (Vec::with_capacity(docs), Vec::with_capacity(docs));
    let mut span = Vec::with_capacity(docs);
    let mut ledger = Vec::new();
    let mut vectors = Vectors::default();
    for (place, document) in store.iter::<TantivyDocument>(None).enumerate() {
        let document = document.map_err(super::engine)?;
        let bytes = |field| document.get_first(field).and_then(|v| v.as_bytes());
        let vector = bytes(layout.vector);
        if let (0, Some(vector)) = (vectors.dims, vector) {
            vectors = Vectors::with_capacity(docs, vector.len().saturating_sub(4) / 2);
            (0..place).for_each(|_| vectors.push(None));
        }
        if vectors.dims > 0 {
            vectors.push(vector);
        }
        let row: Option<Row<'_>> = match bytes(layout.source) {
            Some(source) => Some(serde_json::from_slice(source).map_err(super::engine)?),
            None => None,
        };
        if let Some(entry) = bytes(layout.ledger) {
            ledger.push((place as u32, serde_json::from_slice(entry).map_err(super::engine)?));
        }
        match row {
            Some(Row { length: words, passage: p }) => {
                id.push(id_hash(&p.id));
                length.push(words);
                city.push(p.city_id);
                body.push(p.body_id);
                body_name.push(p.labels.body.map(String::from).unwrap_or_default());
                meeting.push(p.meeting_id);
                let mut from = vec![p.artifact_id];
                from.extend(p.derived_from);
                artifacts.push(from);
                span.push((p.start, p.end));
                artifact_kind.push(artifact_kind_ordinal(p.artifact_kind));
                kind.push(p.kind.ordinal());
                day.push(day_number(p.date));
                year.push(p.date.year());
                confidence.push(p.confidence.unwrap_or(f32::NAN));
                tag.push(Some(p.visibility));
                made_by.push((p.embedder, p.chunker));
            }
            None => {
                id.push(0);
                length.push(0);
                city.push(Uuid::nil());
                body.push(Uuid::nil());
                body_name.push(String::new());
                meeting.push(Uuid::nil());
                artifacts.push(Vec::new());
                span.push((0, 0));
                artifact_kind.push(u8::MAX);
                kind.push(u8::MAX);
                day.push(0);
                year.push(0);
                confidence.push(f32::NAN);
                tag.push(None);
                made_by.push((String::new(), String::new()));
            }
        }
    }
    Ok(Columns {
        id,
        length,
        city: city.column,
        body: body.column,
        body_name: body_name.column,
        meeting: meeting.column,
        artifacts: artifacts.column,
        span,
        artifact_kind,
        kind,
        day,
        year: year.column,
        confidence,
        tag,
        made_by: made_by.column,
        ledger,
        vectors,
    })
}
