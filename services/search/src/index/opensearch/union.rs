//! Both legs' candidates, scored by both: what the ranking gets.

use std::collections::HashMap;

use uuid::Uuid;

use super::document::Placed;
use super::legs;
use super::wire::{Answer, Row};
use crate::index::Explanation;
use crate::index::pages::Listed;
use crate::index::shown::Place;
use crate::rank::{Candidate, Ranked};

/// Both legs' candidates, scored by both.
#[derive(Default)]
pub(super) struct Union {
    pub(super) candidates: Vec<Candidate>,
    meetings: Vec<Uuid>,
    places: HashMap<u64, usize>,
    keyword_rank: HashMap<usize, u32>,
    vector_rank: HashMap<usize, u32>,
}

impl Union {
    fn add(&mut self, placed: Placed) -> usize {
        let Placed { id, document, span, spoken, meeting } = placed;
        *self.places.entry(id).or_insert_with(|| {
            self.meetings.push(meeting);
            self.candidates.push(Candidate {
                id,
                keyword: 0.0,
                vector: None,
                spoken,
                document,
                span,
                named: false,
            });
            self.candidates.len() - 1
        })
    }

    pub(super) fn add_near(&mut self, near: &Answer) {
        let mut rows: Vec<(f32, Placed)> =
            near.hits.hits.iter().filter_map(|row| Some((legs::cosine(row.score?), row.place()?))).collect();
        rows.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.id.cmp(&b.1.id)));
        for ((cosine, placed), rank) in rows.into_iter().zip(1..) {
            let place = self.add(placed);
            self.candidates[place].vector = Some(cosine);
            self.vector_rank.insert(place, rank);
        }
    }

    /// Gives how many there are.
    pub(super) fn add_named(&mut self, named: &Answer) -> usize {
        for row in &named.hits.hits {
            let Some(placed) = row.place() else { continue };
            let place = self.add(placed);
            self.candidates[place].named = true;
            self.candidates[place].keyword = row.score.unwrap_or(0.0);
        }
        named.hits.hits.len()
    }

    pub(super) fn name(&mut self, holding: &Answer) {
        for place in self.by_place(&holding.hits.hits, |_| Some(())).into_keys() {
            self.candidates[place].named = true;
        }
    }

    pub(super) fn add_best(&mut self, best: &Answer) {
        for (row, rank) in best.hits.hits.iter().zip(1..) {
            let (Some(score), Some(placed)) = (row.score, row.place()) else { continue };
            let place = self.add(placed);
            self.candidates[place].keyword = score;
            self.keyword_rank.insert(place, rank);
        }
    }

    pub(super) fn score_words(&mut self, scores: &Answer) {
        for (place, score) in self.by_place(&scores.hits.hits, |row| row.score) {
            self.candidates[place].keyword = score;
        }
    }

    pub(super) fn score_meaning(&mut self, scores: &Answer) {
        for (place, score) in self.by_place(&scores.hits.hits, |row| row.score) {
            self.candidates[place].vector = Some(legs::cosine(score));
        }
    }

    pub(super) fn by_place<T>(&self, rows: &[Row], value: impl Fn(&Row) -> Option<T>) -> HashMap<usize, T> {
        rows.iter().filter_map(|row| Some((*self.places.get(&row.id()?)?, value(row)?))).collect()
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        self.candidates.iter().map(|c| c.id).collect()
    }

    pub(super) fn without_cosine(&self) -> Vec<u64> {
        self.candidates.iter().filter(|c| c.vector.is_none()).map(|c| c.id).collect()
    }

    /// A candidate in its place, with why it stands there.
    pub(super) fn listed(&self, ranked: Ranked) -> Listed {
        let Ranked { index, score } = ranked;
        let candidate = self.candidates[index];
        Listed {
            place: Place { named: candidate.named, score, id: candidate.id },
            more: 0,
            why: Explanation {
                keyword_score: (candidate.keyword > 0.0).then_some(candidate.keyword),
                keyword_rank: self.keyword_rank.get(&index).copied(),
                vector_score: candidate.vector,
                vector_rank: self.vector_rank.get(&index).copied(),
                fused_score: score,
                matched_terms: Vec::new(),
            },
            row: u32::try_from(index).unwrap_or(u32::MAX),
        }
    }
}

/// Keeps each meeting's best.
pub(super) fn grouped(union: &Union, order: Vec<Listed>) -> Vec<Listed> {
    let mut places: HashMap<Uuid, usize> = HashMap::new();
    let mut kept: Vec<Listed> = Vec::new();
    for listed in order {
        match places.entry(union.meetings[listed.row as usize]) {
            std::collections::hash_map::Entry::Occupied(place) => kept[*place.get()].more += 1,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(listed);
            }
        }
    }
    kept
}
