//! The keyword leg: every posting of every word of the query, scored.
//!
//! Statistics are counted over the rows that the reader may see, never taken from the index: neither what is hidden
//! nor what is deleted but not yet merged away moves a score.

use tantivy::Term;
use tantivy::query::FuzzyTermQuery;
use tantivy::schema::{Field, IndexRecordOption};

use super::filter::Allowed;
use super::snapshot::{Snapshot, Totals};
use crate::index::IndexError;
use crate::query::terms::{QueryTerm, Terms};
use crate::rank::{RankParams, inverse_document_frequency};

/// A word shorter than this is not looked for under other spellings.
const SHORTEST_MISSPELT: usize = 4;
/// As many other spellings are tried.
const MOST_SPELLINGS: usize = 3;
/// What a word of another spelling weighs.
const SPELLING_WEIGHT: f32 = 0.5;

/// The keyword leg's answer.
#[derive(Debug, Default)]
pub(super) struct Scores {
    /// BM25 by row; 0 where no word occurs or the row may not answer.
    pub(super) by_row: Vec<f32>,
    /// Words that occur nowhere, and how similar ones are written.
    pub(super) respelt: Vec<(QueryTerm, Vec<String>)>,
}

/// Scores every row that passes.
pub(super) fn score(
    snapshot: &Snapshot,
    params: &RankParams,
    allowed: &Allowed,
    totals: Totals,
    terms: &Terms,
) -> Result<Scores, IndexError> {
    let mut leg =
        Leg { snapshot, params, allowed, totals, postings: Vec::new(), by_row: vec![0.0; snapshot.len()] };
    let mean = totals.terms as f32 / totals.passages.max(1) as f32;
    let mut respelt = Vec::new();
    for word in &terms.words {
        if leg.add(snapshot.layout.text, &word.term, word.weight, mean, 0)? {
            continue;
        }
        let mut spellings = leg.spellings(&word.term)?;
        spellings.truncate(MOST_SPELLINGS);
        for spelling in &spellings {
            leg.add(snapshot.layout.text, spelling, word.weight * SPELLING_WEIGHT, mean, 0)?;
        }
        if !spellings.is_empty() {
            respelt.push((word.clone(), spellings));
        }
    }
    let mean = totals.pairs as f32 / totals.passages.max(1) as f32;
    for pair in &terms.pairs {
        leg.add(snapshot.layout.pairs, pair, params.bigram_weight, mean, 1)?;
    }
    Ok(Scores { by_row: leg.by_row, respelt })
}

struct Leg<'a> {
    snapshot: &'a Snapshot,
    params: &'a RankParams,
    allowed: &'a Allowed,
    totals: Totals,
    postings: Vec<(u32, u32)>,
    by_row: Vec<f32>,
}

impl Leg<'_> {
    /// Adds one term's scores; gives back whether any visible row has it. `shorter`: by how much fewer of these terms a
    /// row has than words.
    fn add(
        &mut self,
        field: Field,
        term: &str,
        weight: f32,
        mean: f32,
        shorter: u32,
    ) -> Result<bool, IndexError> {
        self.read(&Term::from_field_text(field, term))?;
        let idf = inverse_document_frequency(self.postings.len() as u64, self.totals.passages) * weight;
        let bm25 = self.params.bm25;
        let mut postings = self.postings.iter().peekable();
        for segment in &self.snapshot.segments {
            let lengths = &segment.columns.length;
            while let Some(&(row, frequency)) =
                postings.next_if(|(row, _)| (*row as usize) < segment.base + segment.len())
            {
                let row = row as usize;
                if self.allowed.pass[row] {
                    let length = lengths[row - segment.base].saturating_sub(shorter);
                    self.by_row[row] += idf * bm25.saturation(frequency as f32, length as f32, mean);
                }
            }
        }
        Ok(!self.postings.is_empty())
    }

    /// Collects a term's visible rows with their frequencies.
    fn read(&mut self, term: &Term) -> Result<(), IndexError> {
        self.postings.clear();
        for (segment, reader) in self.snapshot.segments.iter().zip(self.snapshot.searcher.segment_readers()) {
            let inverted = reader.inverted_index(term.field()).map_err(super::engine)?;
            let Some(mut block) = inverted.read_block_postings(term, IndexRecordOption::WithFreqs)? else {
                continue;
            };
            let visible = &self.allowed.visible[segment.base..segment.base + segment.len()];
            while block.block_len() > 0 {
                for (&doc, &frequency) in block.docs().iter().zip(block.freqs()) {
                    if visible[doc as usize] {
                        self.postings.push((segment.base as u32 + doc, frequency));
                    }
                }
                block.advance();
            }
        }
        Ok(())
    }

    /// Terms of visible rows spelt almost so: one letter off, two in a word of more than five; the most frequent first.
    fn spellings(&mut self, term: &str) -> Result<Vec<String>, IndexError> {
        let letters = term.chars().count();
        if letters < SHORTEST_MISSPELT || term.chars().any(|c| !c.is_alphabetic()) {
            return Ok(Vec::new());
        }
        let field = self.snapshot.layout.text;
        let mut found: Vec<(usize, String)> = Vec::new();
        for distance in 1..=if letters > 5 { 2 } else { 1 } {
            let query = FuzzyTermQuery::new(Term::from_field_text(field, term), distance, true);
            let automaton = query.automaton().map_err(super::engine)?;
            let mut near = std::collections::BTreeSet::new();
            for reader in self.snapshot.searcher.segment_readers() {
                let inverted = reader.inverted_index(field).map_err(super::engine)?;
                let mut stream = inverted.terms().search(&automaton).into_stream()?;
                while stream.advance() {
                    near.extend(std::str::from_utf8(stream.key()).ok().map(str::to_owned));
                }
            }
            for spelling in near {
                self.read(&Term::from_field_text(field, &spelling))?;
                if !self.postings.is_empty() {
                    found.push((self.postings.len(), spelling));
                }
            }
            if !found.is_empty() {
                break;
            }
        }
        found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        Ok(found.into_iter().map(|(_, spelling)| spelling).collect())
    }
}
