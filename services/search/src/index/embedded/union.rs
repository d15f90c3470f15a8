//! Both legs' candidates, scored by both: what the ranking gets.
//!
//! Everything is kept by a row's place in the sorted union, in arrays: a map of a few thousand rows a search was a
//! fifteenth of its time.

use super::keyword::Scores;
use super::semantic::{Matrix, best};
use super::snapshot::Snapshot;
use crate::rank::{Candidate, Likeness, RankParams};

/// The candidates of one search.
pub(super) struct Union {
    /// Of both legs, sorted; a few are no candidates.
    rows: Vec<u32>,
    /// What is ranked.
    pub(super) candidates: Vec<Candidate>,
    /// Where a candidate stands in `rows`, and in what else is kept by place.
    places: Vec<usize>,
    matrix: Matrix,
    /// By place, from 1; 0 for none.
    keyword_ranks: Vec<u32>,
    vector_ranks: Vec<u32>,
}

impl Likeness for Union {
    fn cosine(&self, a: usize, b: usize) -> f32 {
        self.matrix.cosine(self.places[a], self.places[b])
    }
}

impl Union {
    /// `near` comes from the scan, with its margin; the best of the `named` rows are candidates whatever their scores.
    pub(super) fn new(
        snapshot: &Snapshot,
        params: &RankParams,
        scores: &Scores,
        named: &[bool],
        mut near: Vec<u32>,
        vector: Option<&[f32]>,
    ) -> Self {
        let mut worded = best(snapshot, &scores.by_row, 0.0, params.candidates);
        worded.sort_unstable();
        near.sort_unstable();
        let mut rows = [near.as_slice(), worded.as_slice()].concat();
        if !named.is_empty() {
            let scored = named.iter().zip(&scores.by_row);
            let scored: Vec<f32> =
                scored.map(|(named, score)| if *named { *score } else { f32::NEG_INFINITY }).collect();
            rows.extend(best(snapshot, &scored, f32::NEG_INFINITY, params.candidates));
        }
        rows.sort_unstable();
        rows.dedup();
        let matrix = Matrix::of(snapshot, if vector.is_some() { &rows } else { &[] });
        let cosines = vector.map_or_else(|| vec![None; rows.len()], |v| matrix.cosines_to(v));
        let ids: Vec<u64> = rows.iter().map(|row| snapshot.id(*row)).collect();

        // The scan's margin goes: the vector leg has its best by exact score and no more.
        let mut meant: Vec<(usize, f32)> =
            places(&rows, &near).filter_map(|place| Some((place, cosines[place]?))).collect();
        let by_score =
            |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then_with(|| ids[a.0].cmp(&ids[b.0]));
        meant.sort_unstable_by(by_score);
        meant.truncate(params.candidates);
        let mut worded: Vec<(usize, f32)> =
            places(&rows, &worded).map(|place| (place, scores.by_row[rows[place] as usize])).collect();
        worded.sort_unstable_by(by_score);
        let ranks = |sorted: &[(usize, f32)]| {
            let mut ranks = vec![0; rows.len()];
            sorted.iter().zip(1..).for_each(|((place, _), rank)| ranks[*place] = rank);
            ranks
        };
        let (keyword_ranks, vector_ranks) = (ranks(&worded), ranks(&meant));

        let (mut candidates, mut kept) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for (place, &row) in rows.iter().enumerate() {
            let named = named.get(row as usize).copied().unwrap_or(false);
            if keyword_ranks[place] == 0 && vector_ranks[place] == 0 && !named {
                continue;
            }
            let (spoken, document, span) = snapshot.place(row);
            kept.push(place);
            candidates.push(Candidate {
                id: ids[place],
                spoken,
                document,
                span,
                keyword: scores.by_row[row as usize],
                vector: cosines[place],
                named,
            });
        }
        Self { rows, candidates, places: kept, matrix, keyword_ranks, vector_ranks }
    }

    /// The row of a candidate.
    pub(super) fn row(&self, candidate: usize) -> u32 {
        self.rows[self.places[candidate]]
    }

    /// A candidate's rank in the keyword leg.
    pub(super) fn keyword_rank(&self, candidate: usize) -> Option<u32> {
        Some(self.keyword_ranks[self.places[candidate]]).filter(|rank| *rank > 0)
    }

    /// A candidate's rank in the vector leg.
    pub(super) fn vector_rank(&self, candidate: usize) -> Option<u32> {
        Some(self.vector_ranks[self.places[candidate]]).filter(|rank| *rank > 0)
    }

    /// Every row that a word hits, and every candidate.
    pub(super) fn answers(&self, scores: &Scores) -> Vec<bool> {
        let mut answers: Vec<bool> = scores.by_row.iter().map(|score| *score > 0.0).collect();
        for &place in &self.places {
            answers[self.rows[place] as usize] = true;
        }
        answers
    }
}

/// Where the rows of a sorted part stand in the sorted whole.
fn places<'a>(whole: &'a [u32], part: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
    let mut from = 0;
    part.iter().filter_map(move |row| {
        let at = from + whole[from..].iter().position(|r| r == row)?;
        from = at + 1;
        Some(at)
    })
}
