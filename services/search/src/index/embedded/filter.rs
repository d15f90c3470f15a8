//! Which rows may answer: decided before anything is ranked.

use std::collections::HashSet;
use std::hash::Hash;

use tantivy::query::{EnableScoring, PhraseQuery, Query};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, TERMINATED, Term};

use super::columns::{Interned, artifact_kind_ordinal, day_number};
use super::snapshot::Snapshot;
use crate::index::{Filters, IndexError, SearchRequest};
use crate::query::analysis::tokens;

/// The rows of a snapshot that may answer a request.
pub(super) struct Allowed {
    /// The tags that the reader may see.
    pub(super) bits: u8,
    /// Readable by whoever asks. Statistics are of these.
    pub(super) visible: Vec<bool>,
    /// Visible, and as the filters, phrases and exclusions ask.
    pub(super) pass: Vec<bool>,
    /// Phrases that stand nowhere, and were dropped.
    pub(super) dropped: Vec<String>,
}

/// Decides for every row.
pub(super) fn allowed(snapshot: &Snapshot, request: &SearchRequest) -> Result<Allowed, IndexError> {
    let bits = request.visible.bits();
    let mut visible = Vec::with_capacity(snapshot.len());
    for segment in &snapshot.segments {
        visible.extend(segment.tags.iter().map(|tag| tag & bits != 0));
    }
    let mut pass = visible.clone();
    by_columns(snapshot, &request.filters, &mut pass);
    for (name, value) in &request.filters.labels {
        let mut found = vec![false; snapshot.len()];
        mark_term(snapshot, &snapshot.layout.label_term(name, value), &mut found)?;
        keep(&mut pass, |row| found[row]);
    }
    // Exclusions first: a phrase that stands only in what was excluded stands nowhere.
    for excluded in &request.query.excluded {
        if let Some(found) = rows_with(snapshot, excluded)? {
            keep(&mut pass, |row| !found[row]);
        }
    }
    let mut dropped = Vec::new();
    for phrase in &request.query.phrases {
        let Some(found) = rows_with(snapshot, phrase)? else { continue };
        if request.query.strict || pass.iter().zip(&found).any(|(pass, found)| *pass && *found) {
            keep(&mut pass, |row| found[row]);
        } else {
            dropped.push(phrase.clone());
        }
    }
    Ok(Allowed { bits, visible, pass, dropped })
}

/// The rows in which these words stand in this order; `None` where the text has no words.
pub(super) fn rows_with(snapshot: &Snapshot, words: &str) -> Result<Option<Vec<bool>>, IndexError> {
    let terms: Vec<Term> =
        tokens(words).iter().map(|t| Term::from_field_text(snapshot.layout.text, &t.term)).collect();
    let mut found = vec![false; snapshot.len()];
    match terms.as_slice() {
        [] => return Ok(None),
        [term] => mark_term(snapshot, term, &mut found)?,
        _ => {
            let query = PhraseQuery::new(terms);
            let scoring = EnableScoring::disabled_from_searcher(&snapshot.searcher);
            let weight = query.weight(scoring).map_err(super::engine)?;
            for (segment, reader) in snapshot.segments.iter().zip(snapshot.searcher.segment_readers()) {
                let mut docs = weight.scorer(reader, 1.0).map_err(super::engine)?;
                while docs.doc() != TERMINATED {
                    found[segment.base + docs.doc() as usize] = true;
                    docs.advance();
                }
            }
        }
    }
    Ok(Some(found))
}

fn mark_term(snapshot: &Snapshot, term: &Term, found: &mut [bool]) -> Result<(), IndexError> {
    for (segment, reader) in snapshot.segments.iter().zip(snapshot.searcher.segment_readers()) {
        let inverted = reader.inverted_index(term.field()).map_err(super::engine)?;
        if let Some(mut block) = inverted.read_block_postings(term, IndexRecordOption::Basic)? {
            while block.block_len() > 0 {
                for &doc in block.docs() {
                    found[segment.base + doc as usize] = true;
                }
                block.advance();
            }
        }
    }
    Ok(())
}

fn by_columns(snapshot: &Snapshot, filters: &Filters, pass: &mut [bool]) {
    for segment in &snapshot.segments {
        let columns = &segment.columns;
        let pass = &mut pass[segment.base..segment.base + segment.len()];
        one_of(&columns.city, &filters.cities, pass);
        one_of(&columns.body, &filters.bodies, pass);
        one_of(&columns.meeting, &filters.meetings, pass);
        if let Some(from) = filters.from.map(day_number) {
            keep(pass, |row| columns.day[row] >= from);
        }
        if let Some(to) = filters.to.map(day_number) {
            keep(pass, |row| columns.day[row] <= to);
        }
        if !filters.artifact_kinds.is_empty() {
            let wanted: Vec<u8> = filters.artifact_kinds.iter().map(|k| artifact_kind_ordinal(*k)).collect();
            keep(pass, |row| wanted.contains(&columns.artifact_kind[row]));
        }
        if !filters.kinds.is_empty() {
            let wanted: Vec<u8> = filters.kinds.iter().map(|k| k.ordinal()).collect();
            keep(pass, |row| wanted.contains(&columns.kind[row]));
        }
        if let Some(least) = filters.min_confidence {
            keep(pass, |row| columns.confidence[row].is_nan() || columns.confidence[row] >= least);
        }
    }
}

fn one_of<T: Clone + Eq + Hash>(column: &Interned<T>, wanted: &[T], pass: &mut [bool]) {
    if wanted.is_empty() {
        return;
    }
    let wanted: HashSet<&T> = wanted.iter().collect();
    let keeps: Vec<bool> = column.values.iter().map(|value| wanted.contains(value)).collect();
    keep(pass, |row| keeps[column.places[row] as usize]);
}

fn keep(pass: &mut [bool], condition: impl Fn(usize) -> bool) {
    for (row, pass) in pass.iter_mut().enumerate() {
        *pass = *pass && condition(row);
    }
}
