//! The keyword leg: every posting of every word of the query, scored.
//!
//! Statistics are counted over the rows that the reader may see, never taken from the index: neither what is hidden
//! nor what is deleted but not yet merged away moves a score.

use tantivy::Term;
use tantivy::query::FuzzyTermQuery;
use tantivy::schema::{Field, IndexRecordOption};

use super::deadline::Deadline;
use super::filter::Allowed;
use super::snapshot::{Snapshot, Totals};
use crate::index::IndexError;
use crate::query::terms::{MOST_RESPELT, QueryTerm, Terms};
use crate::rank::{Bm25, RankParams, inverse_document_frequency};

/// As many other spellings are tried.
const MOST_SPELLINGS: usize = 3;
/// What a word of another spelling weighs.
const SPELLING_WEIGHT: f32 = 0.5;
/// Postings come in blocks of at most so many.
const POSTINGS_AT_ONCE: usize = 128;

/// The keyword leg's answer.
#[derive(Debug, Default)]
pub(super) struct Scores {
    /// BM25 by row; 0 where no word occurs or the row may not answer.
    pub(super) by_row: Vec<f32>,
    /// Words that occur nowhere, and how similar ones are written.
    pub(super) respelt: Vec<(QueryTerm, Vec<String>)>,
    /// The time was up before every word was looked for.
    pub(super) cut: bool,
}

/// Scores every row that passes.
pub(super) fn score(
    snapshot: &Snapshot,
    params: &RankParams,
    allowed: &Allowed,
    totals: Totals,
    terms: &Terms,
    deadline: Deadline,
) -> Result<Scores, IndexError> {
    let mut leg = Leg { snapshot, bm25: params.bm25, allowed, totals, by_row: vec![0.0; snapshot.len()] };
    let mean = totals.terms as f32 / totals.passages.max(1) as f32;
    let norms = leg.norms(mean, 0);
    let mut respelt = Vec::new();
    let (mut tried, mut cut) = (0, false);
    for word in &terms.words {
        if deadline.is_over() {
            cut = true;
            break;
        }
        if leg.add(snapshot.layout.text, &word.term, word.weight, &norms)? {
            continue;
        }
        if !word.may_be_misspelt() || tried == MOST_RESPELT {
            continue;
        }
        tried += 1;
        let mut spellings = leg.spellings(&word.term)?;
        spellings.truncate(MOST_SPELLINGS);
        for spelling in &spellings {
            leg.add(snapshot.layout.text, spelling, word.weight * SPELLING_WEIGHT, &norms)?;
        }
        if !spellings.is_empty() {
            respelt.push((word.clone(), spellings));
        }
    }
    if !terms.pairs.is_empty() {
        // A row has one pair fewer than words.
        let norms = leg.norms(totals.pairs as f32 / totals.passages.max(1) as f32, 1);
        for pair in &terms.pairs {
            if deadline.is_over() {
                cut = true;
                break;
            }
            leg.add(snapshot.layout.pairs, pair, params.bigram_weight, &norms)?;
        }
    }
    Ok(Scores { by_row: leg.by_row, respelt, cut })
}

struct Leg<'a> {
    snapshot: &'a Snapshot,
    bm25: Bm25,
    allowed: &'a Allowed,
    totals: Totals,
    by_row: Vec<f32>,
}

impl Leg<'_> {
    /// What a row's length puts into the formula's denominator, by row. `shorter`: by how much fewer of these terms a
    /// row has than words.
    fn norms(&self, mean: f32, shorter: u32) -> Vec<f32> {
        let lengths = self.snapshot.segments.iter().flat_map(|segment| &segment.columns.length);
        lengths.map(|length| self.bm25.norm(length.saturating_sub(shorter) as f32, mean)).collect()
    }

    /// Adds one term's scores; gives back whether any visible row has it.
    fn add(&mut self, field: Field, term: &str, weight: f32, norms: &[f32]) -> Result<bool, IndexError> {
        let term = Term::from_field_text(field, term);
        let with = self.rows_with(&term)?;
        if with == 0 {
            return Ok(false);
        }
        let idf = inverse_document_frequency(with, self.totals.passages) * weight;
        for (segment, reader) in self.snapshot.segments.iter().zip(self.snapshot.searcher.segment_readers()) {
            let inverted = reader.inverted_index(field).map_err(super::engine)?;
            let Some(mut block) = inverted.read_block_postings(&term, IndexRecordOption::WithFreqs)? else {
                continue;
            };
            let rows = segment.base..segment.base + segment.len();
            let (norms, pass) = (&norms[rows.clone()], &self.allowed.pass[rows.clone()]);
            let scores = &mut self.by_row[rows];
            let mut parts = [0.0; POSTINGS_AT_ONCE];
            while block.block_len() > 0 {
                // Gathered, computed and added in three walks: the middle one is done for several rows at a time.
                let parts = &mut parts[..block.block_len()];
                for (part, &doc) in parts.iter_mut().zip(block.docs()) {
                    *part = norms[doc as usize];
                }
                for (part, &frequency) in parts.iter_mut().zip(block.freqs()) {
                    *part = idf * self.bm25.saturation_at(frequency as f32, *part);
                }
                for (&doc, part) in block.docs().iter().zip(&*parts) {
                    if pass[doc as usize] {
                        scores[doc as usize] += part;
                    }
                }
                block.advance();
            }
        }
        Ok(true)
    }

    /// How many visible rows have a term. Where all of a segment is visible its dictionary knows.
    fn rows_with(&self, term: &Term) -> Result<u64, IndexError> {
        let mut count = 0;
        for (segment, reader) in self.snapshot.segments.iter().zip(self.snapshot.searcher.segment_readers()) {
            let inverted = reader.inverted_index(term.field()).map_err(super::engine)?;
            let Some(info) = inverted.get_term_info(term)? else { continue };
            if segment.wholly.is_some_and(|bit| bit & self.allowed.bits != 0) {
                count += u64::from(info.doc_freq);
                continue;
            }
            let visible = &self.allowed.visible[segment.base..segment.base + segment.len()];
            let mut block = inverted.read_block_postings_from_terminfo(&info, IndexRecordOption::Basic)?;
            while block.block_len() > 0 {
                count += block.docs().iter().map(|&doc| u64::from(visible[doc as usize])).sum::<u64>();
                block.advance();
            }
        }
        Ok(count)
    }

    /// Terms of visible rows spelt almost so: one letter off, two in a word of more than five; the most frequent first.
    fn spellings(&self, term: &str) -> Result<Vec<String>, IndexError> {
        let letters = term.chars().count();
        let field = self.snapshot.layout.text;
        let mut found: Vec<(u64, String)> = Vec::new();
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
                let count = self.rows_with(&Term::from_field_text(field, &spelling))?;
                if count > 0 {
                    found.push((count, spelling));
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
