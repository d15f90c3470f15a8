//! What one search sees: a commit, its columns, and who may read what in it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cs_core::document::ArtifactKind;
use tantivy::index::SegmentId;
use tantivy::schema::Value;
use tantivy::{DocAddress, Searcher, TantivyDocument};
use uuid::Uuid;

use super::columns::{Columns, artifact_kind_ordinal, load};
use super::schema::{Layout, LedgerEntry, Stored};
use crate::index::pages::Listed;
use crate::index::types::{bit, effective};
use crate::index::{Counts, Held, IndexError, IndexStats, Part, PassageDoc, Visibility, VisibleTags};

/// A segment as one commit left it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) columns: Arc<Columns>,
    /// Place of its first passage among all.
    pub(super) base: usize,
    /// The bit of each passage's tag, 0 for what is deleted or no passage.
    pub(super) tags: Vec<u8>,
    /// The bit of all its passages' tags, where it is the same and none is deleted.
    pub(super) wholly: Option<u8>,
}

impl Segment {
    pub(super) fn len(&self) -> usize {
        self.tags.len()
    }
}

/// What BM25 must know of all passages under a tag.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) passages: u64,
    pub(super) terms: u64,
    pub(super) pairs: u64,
}

/// Versions and visibility overrides, by what they are about.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) parts: HashMap<(Uuid, Part), i64>,
    pub(super) artifacts: HashMap<Uuid, (i64, Visibility)>,
}

impl Ledger {
    pub(super) fn enter(&mut self, entry: LedgerEntry) {
        match entry {
            LedgerEntry::Part { meeting, part, version } => {
                self.parts.insert((meeting, part), version);
            }
            LedgerEntry::Artifact { artifact, version, visibility } => {
                self.artifacts.insert(artifact, (version, visibility));
            }
        }
    }
}

/// An immutable view of a tenant's index.
pub(super) struct Snapshot {
    pub(super) layout: Arc<Layout>,
    pub(super) searcher: Searcher,
    pub(super) segments: Vec<Segment>,
    pub(super) ledger: Ledger,
    pub(super) dims: usize,
    totals: HashMap<u8, Totals>,
    embedders: BTreeSet<String>,
    passages: usize,
    loaded: HashMap<SegmentId, Arc<Columns>>,
}

impl Snapshot {
    /// Reads what `before` has not read already.
    pub(super) fn build(
        layout: Arc<Layout>,
        searcher: Searcher,
        before: Option<&Snapshot>,
    ) -> Result<Self, IndexError> {
        let mut loaded = HashMap::new();
        let mut ledger = Ledger::default();
        let mut columns = Vec::new();
        for reader in searcher.segment_readers() {
            let id = reader.segment_id();
            let segment = match before.and_then(|b| b.loaded.get(&id)) {
                Some(known) => Arc::clone(known),
                None => Arc::new(load(reader, &layout)?),
            };
            for (doc, entry) in &segment.ledger {
                if !reader.is_deleted(*doc) {
                    ledger.enter(entry.clone());
                }
            }
            loaded.insert(id, Arc::clone(&segment));
            columns.push(segment);
        }
        let mut base = 0;
        let mut segments = Vec::new();
        let mut totals: HashMap<u8, Totals> = HashMap::new();
        let mut dims = 0;
        let mut embedders = BTreeSet::new();
        for (reader, columns) in searcher.segment_readers().iter().zip(columns) {
            let mut tags = Vec::with_capacity(columns.tag.len());
            let mut makers = vec![false; columns.made_by.values.len()];
            for (doc, tag) in columns.tag.iter().enumerate() {
                let bit = match tag {
                    Some(tag) if !reader.is_deleted(doc as u32) => {
                        let word = |artifact: &Uuid| ledger.artifacts.get(artifact).map(|(_, tag)| *tag);
                        bit(effective(columns.is_claim(doc), *tag, columns.artifacts.get(doc), word))
                    }
                    _ => 0,
                };
                if bit != 0 {
                    let sums = totals.entry(bit).or_default();
                    let length = u64::from(columns.length[doc]);
                    sums.passages += 1;
                    sums.terms += length;
                    sums.pairs += length.saturating_sub(1);
                    makers[columns.made_by.places[doc] as usize] |= columns.vectors.has(doc);
                }
                tags.push(bit);
            }
            dims = dims.max(columns.vectors.dims);
            let makers = columns.made_by.values.iter().zip(makers).filter(|(_, used)| *used);
            embedders.extend(makers.map(|((embedder, _), _)| embedder.clone()));
            let mut bits = tags.iter().copied().filter(|bit| *bit != 0);
            let wholly = bits.next().filter(|first| bits.all(|bit| bit == *first));
            let wholly = wholly.filter(|_| !reader.has_deletes());
            let segment = Segment { columns, base, tags, wholly };
            base += segment.len();
            segments.push(segment);
        }
        Ok(Self { layout, searcher, segments, ledger, dims, totals, embedders, passages: base, loaded })
    }

    /// Rows in all segments: passages, deleted ones and ledger entries.
    pub(super) fn len(&self) -> usize {
        self.passages
    }

    /// Sums over what a reader may see.
    pub(super) fn totals(&self, visible: VisibleTags) -> Totals {
        self.totals.iter().filter(|(bit, _)| **bit & visible.bits() != 0).fold(
            Totals::default(),
            |sum, (_, t)| Totals {
                passages: sum.passages + t.passages,
                terms: sum.terms + t.terms,
                pairs: sum.pairs + t.pairs,
            },
        )
    }

    /// The segment that holds a row, and the row's place in it.
    pub(super) fn locate(&self, row: usize) -> (usize, usize) {
        let segment = self.segments.partition_point(|s| s.base <= row).saturating_sub(1);
        (segment, row - self.segments[segment].base)
    }

    /// The tie-breaking id of a row.
    pub(super) fn id(&self, row: u32) -> u64 {
        let (segment, doc) = self.locate(row as usize);
        self.segments[segment].columns.id[doc]
    }

    /// The meeting of a row.
    pub(super) fn meeting(&self, row: u32) -> Uuid {
        let (segment, doc) = self.locate(row as usize);
        *self.segments[segment].columns.meeting.get(doc)
    }

    /// Whether a passage was spoken, the document it stands in and its span there. A claim stands in no document but itself.
    pub(super) fn place(&self, row: u32) -> (bool, u64, (u32, u32)) {
        let (segment, doc) = self.locate(row as usize);
        let columns = &self.segments[segment].columns;
        let is_passage = !columns.is_claim(doc);
        let document = columns.artifacts.get(doc).first().filter(|_| is_passage).map(|artifact| {
            let (high, low) = artifact.as_u64_pair();
            high ^ low
        });
        let spoken =
            is_passage && columns.artifact_kind[doc] == artifact_kind_ordinal(ArtifactKind::Transcript);
        (spoken, document.unwrap_or(columns.id[doc]), columns.span[doc])
    }

    /// Where listed hits are now; `None` for those that are gone or may not be read. Each is looked for where it was.
    pub(super) fn rows_of(&self, listed: &[Listed], visible: VisibleTags) -> Vec<Option<u32>> {
        let readable = |row: u32| {
            let (segment, doc) = self.locate(row as usize);
            self.segments[segment].tags[doc] & visible.bits() != 0
        };
        let is_there =
            |l: &Listed| (l.row as usize) < self.passages && self.id(l.row) == l.place.id && readable(l.row);
        let mut rows: Vec<Option<u32>> =
            listed.iter().map(|listed| is_there(listed).then_some(listed.row)).collect();
        let mut moved: HashMap<u64, usize> = HashMap::new();
        moved.extend(
            listed.iter().enumerate().filter(|(at, _)| rows[*at].is_none()).map(|(at, l)| (l.place.id, at)),
        );
        if moved.is_empty() {
            return rows;
        }
        for segment in &self.segments {
            for (doc, id) in segment.columns.id.iter().enumerate() {
                if let Some(&at) = moved.get(id)
                    && segment.tags[doc] & visible.bits() != 0
                {
                    rows[at] = Some((segment.base + doc) as u32);
                }
            }
        }
        rows
    }

    /// Everything that is shown of a passage.
    pub(super) fn passage(&self, row: usize) -> Result<PassageDoc, IndexError> {
        let (segment, doc) = self.locate(row);
        let document: TantivyDocument =
            self.searcher.doc(DocAddress::new(segment as u32, doc as u32)).map_err(super::engine)?;
        let source = document.get_first(self.layout.source).and_then(|v| v.as_bytes()).unwrap_or_default();
        let stored: Stored = serde_json::from_slice(source).map_err(super::engine)?;
        Ok(stored.passage)
    }

    /// The models that made the vectors of passages.
    pub(super) fn embedders(&self) -> Vec<String> {
        self.embedders.iter().cloned().collect()
    }

    /// Every body that has a visible passage, with the names that its passages call it.
    pub(super) fn bodies(&self, visible: VisibleTags) -> Vec<(Uuid, String)> {
        let mut bodies = BTreeSet::new();
        for segment in &self.segments {
            let (body, name) = (&segment.columns.body, &segment.columns.body_name);
            let rows = (0..segment.len()).filter(|&doc| segment.tags[doc] & visible.bits() != 0);
            let seen: HashSet<(u32, u32)> = rows.map(|doc| (body.places[doc], name.places[doc])).collect();
            let named = seen.into_iter().map(|(body_at, name_at)| {
                (body.values[body_at as usize], name.values[name_at as usize].clone())
            });
            bodies.extend(named.filter(|(_, name)| !name.is_empty()));
        }
        bodies.into_iter().collect()
    }

    /// How many rows that somebody may see there are of each meeting.
    pub(super) fn meetings(&self) -> BTreeMap<Held, Counts> {
        let mut meetings: BTreeMap<Held, Counts> = BTreeMap::new();
        for segment in &self.segments {
            let columns = &segment.columns;
            for doc in (0..segment.len()).filter(|&doc| segment.tags[doc] != 0) {
                let held = Held { city: *columns.city.get(doc), meeting: *columns.meeting.get(doc) };
                let counts = meetings.entry(held).or_default();
                if columns.is_claim(doc) {
                    counts.claims += 1;
                } else {
                    counts.passages += 1;
                }
            }
        }
        meetings
    }

    pub(super) fn stats(&self) -> IndexStats {
        let mut stats = IndexStats { dimensions: self.dims, ..IndexStats::default() };
        let mut meetings = HashSet::new();
        let (mut embedders, mut chunkers) = (BTreeSet::new(), BTreeSet::new());
        for segment in &self.segments {
            for doc in (0..segment.len()).filter(|&doc| segment.tags[doc] != 0) {
                stats.passages += 1;
                stats.with_vector += u64::from(segment.columns.vectors.has(doc));
                meetings.insert(*segment.columns.meeting.get(doc));
                let (embedder, chunker) = segment.columns.made_by.get(doc);
                embedders.insert(embedder);
                chunkers.insert(chunker);
            }
        }
        stats.meetings = meetings.len() as u64;
        let named = |names: BTreeSet<&String>| names.into_iter().filter(|n| !n.is_empty()).cloned().collect();
        stats.embedders = named(embedders);
        stats.chunkers = named(chunkers);
        stats
    }
}
