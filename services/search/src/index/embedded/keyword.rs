//! The keyword leg: every posting of every word of the query, scored.
//!
//! Statistics are counted over the rows that the reader may see, never taken from the index: neither what is hidden
//! nor what is deleted but not yet merged away moves a score.

use std::collections::HashMap;

use tantivy::Term;
use tantivy::query::FuzzyTermQuery;
use tantivy::schema::{Field, IndexRecordOption};

use super::filter::Allowed;
use super::schema::pair;
use super::snapshot::{Snapshot, Totals};
use crate::index::IndexError;
use crate::query::analysis::{Token, tokens};
use crate::rank::{RankParams, inverse_document_frequency};

/// As many different words are scored; of a longer query the first.
const MOST_TERMS: usize = 128;
/// A word shorter than this is not looked for under other spellings.
const SHORTEST_MISSPELT: usize = 4;
/// As many other spellings are tried.
const MOST_SPELLINGS: usize = 3;
/// What a word of another spelling weighs.
const SPELLING_WEIGHT: f32 = 0.5;

/// The words of a query as they are looked for.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// Each once, with how often it was asked for and how the query wrote it.
    pub(super) words: Vec<QueryTerm>,
    pairs: Vec<String>,
    /// Some were left out.
    pub(super) cut: bool,
}

/// A word of a query.
#[derive(Clone, Debug)]
pub(super) struct QueryTerm {
    pub(super) term: String,
    pub(super) written: String,
    weight: f32,
}

impl Terms {
    /// Common words count only where there are no others.
    pub(super) fn of(query: &str) -> Self {
        let all = tokens(query);
        let only_common = all.iter().all(|t| t.common);
        let kept: Vec<&Token> = all.iter().filter(|t| only_common || !t.common).collect();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut terms = Self::default();
        for token in &kept {
            if let Some(&place) = places.get(token.term.as_str()) {
                terms.words[place].weight += 1.0;
            } else if terms.words.len() == MOST_TERMS {
                terms.cut = true;
            } else {
                places.insert(&token.term, terms.words.len());
                let written = query[token.from..token.to].to_owned();
                terms.words.push(QueryTerm { term: token.term.clone(), written, weight: 1.0 });
            }
        }
        if !only_common {
            terms.pairs = kept.windows(2).map(|w| pair(&w[0].term, &w[1].term)).collect();
            terms.pairs.sort();
            terms.pairs.dedup();
            terms.pairs.truncate(MOST_TERMS);
        }
        terms
    }
}

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
