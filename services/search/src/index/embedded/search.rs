//! One search: filters, both legs, the ranking, a page.

use std::collections::{HashMap, HashSet};

use super::filter::{Allowed, allowed, rows_with};
use super::keyword::{self, Scores};
use super::semantic::{Matrix, best, candidates};
use super::snapshot::Snapshot;
use super::{facets, vectors};
use crate::index::shown::{Place, nothing, say_spellings, shown};
use crate::index::{Explanation, Hit, IndexError, MAX_FIRST, Mode, SearchRequest, SearchResponse};
use crate::query::terms::Terms;
use crate::rank::{Candidate, Likeness, RankParams, rank};

/// Searches a snapshot.
pub(super) fn search(
    snapshot: &Snapshot,
    params: &RankParams,
    request: &SearchRequest,
) -> Result<SearchResponse, IndexError> {
    let mut response = nothing(request);
    let after = request.after.as_deref().map(Place::parse).transpose()?;
    let vector = query_vector(snapshot, request, &mut response);
    let use_words = vector.is_none() || request.mode != Mode::Vector;
    let terms = if use_words { Terms::of(&request.query.words) } else { Terms::default() };
    if terms.words.is_empty() && vector.is_none() {
        response.messages.push("There is no word to search for.".to_owned());
        return Ok(response);
    }
    if terms.cut {
        response
            .messages
            .push(format!("The query is long: its first {} words were searched.", terms.words.len()));
    }
    let allowed = allowed(snapshot, request)?;
    for phrase in &allowed.dropped {
        response.messages.push(format!("“{phrase}” stands nowhere word by word: its words were searched."));
    }
    let totals = snapshot.totals(request.visible);
    let (scores, near) = rayon::join(
        || keyword::score(snapshot, params, &allowed, totals, &terms),
        || {
            vector
                .as_deref()
                .map(|v| candidates(snapshot, &allowed, v, params.candidates))
                .unwrap_or_default()
        },
    );
    let scores = scores?;
    let named = named(snapshot, request, &allowed)?;
    let union = Union::new(snapshot, params, &scores, &named, near, vector.as_deref());
    let order = union.order(params, use_words, vector.is_some());
    (response.facets, response.total) = facets::count(snapshot, &union.answers(&scores));
    say_spellings(&scores.respelt, &mut response);

    let order = if request.group_by_meeting { grouped(snapshot, &union, order) } else { order };
    response.reachable = order.len() as u64;
    let start = after.map_or(0, |after| after.resume(order.iter().map(|listed| listed.place)));
    let first = request.first.min(MAX_FIRST);
    response.has_more = order.len() > start.saturating_add(first);
    for listed in order.iter().skip(start).take(first) {
        response.hits.push(hit(snapshot, &union, &terms, &scores, listed)?);
    }
    Ok(response)
}

/// The query's vector where it can be used; else the response says that it could not.
fn query_vector(
    snapshot: &Snapshot,
    request: &SearchRequest,
    response: &mut SearchResponse,
) -> Option<Vec<f32>> {
    if request.mode == Mode::Keyword {
        return None;
    }
    let usable = request.vector.as_deref().filter(|v| v.len() == snapshot.dims).and_then(vectors::unit);
    response.degraded = usable.is_none();
    usable
}

/// Rows that hold every file number asked for.
fn named(snapshot: &Snapshot, request: &SearchRequest, allowed: &Allowed) -> Result<Vec<bool>, IndexError> {
    let mut named: Option<Vec<bool>> = None;
    for number in &request.query.numbers {
        let Some(found) = rows_with(snapshot, number)? else { continue };
        let before = named.get_or_insert_with(|| allowed.pass.clone());
        before.iter_mut().zip(found).for_each(|(row, found)| *row = *row && found);
    }
    Ok(named.unwrap_or_default())
}

/// Both legs' candidates, scored by both.
struct Union {
    rows: Vec<u32>,
    candidates: Vec<Candidate>,
    /// Where a candidate's vector stands in the matrix.
    places: Vec<usize>,
    matrix: Matrix,
    keyword_rank: HashMap<u32, u32>,
    vector_rank: HashMap<u32, u32>,
}

impl Likeness for Union {
    fn cosine(&self, a: usize, b: usize) -> f32 {
        self.matrix.cosine(self.places[a], self.places[b])
    }
}

impl Union {
    fn new(
        snapshot: &Snapshot,
        params: &RankParams,
        scores: &Scores,
        named: &[bool],
        near: Vec<u32>,
        vector: Option<&[f32]>,
    ) -> Self {
        let mut by_words = best(snapshot, &scores.by_row, 0.0, params.candidates);
        let worded: HashSet<u32> = by_words.iter().copied().collect();
        let mut rows = near.clone();
        rows.extend(&by_words);
        rows.extend((0..named.len() as u32).filter(|&row| named[row as usize]).take(params.candidates));
        rows.sort_unstable();
        rows.dedup();
        let matrix = if vector.is_some() { Matrix::of(snapshot, &rows) } else { Matrix::of(snapshot, &[]) };
        let cosine = |place: usize| vector.and_then(|v| matrix.cosine_to(place, v));
        let cosines: HashMap<u32, f32> =
            rows.iter().enumerate().filter_map(|(place, &row)| Some((row, cosine(place)?))).collect();

        // The scan's margin goes: the vector leg has its best by exact score and no more.
        let mut by_meaning: Vec<u32> = near.into_iter().filter(|row| cosines.contains_key(row)).collect();
        by_meaning.sort_unstable_by(|a, b| {
            cosines[b].total_cmp(&cosines[a]).then_with(|| snapshot.id(*a).cmp(&snapshot.id(*b)))
        });
        by_meaning.truncate(params.candidates);
        by_words.sort_unstable_by(|&a, &b| {
            let score = |row: u32| scores.by_row[row as usize];
            score(b).total_cmp(&score(a)).then_with(|| snapshot.id(a).cmp(&snapshot.id(b)))
        });
        let ranks = |rows: &[u32]| {
            rows.iter().zip(1..).map(|(row, rank)| (*row, rank)).collect::<HashMap<u32, u32>>()
        };
        let (keyword_rank, vector_rank) = (ranks(&by_words), ranks(&by_meaning));
        let is_named = |row: u32| named.get(row as usize).copied().unwrap_or(false);
        let (mut kept, mut candidates, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (place, &row) in rows.iter().enumerate() {
            if worded.contains(&row) || vector_rank.contains_key(&row) || is_named(row) {
                kept.push(row);
                places.push(place);
                let (spoken, document, span) = snapshot.place(row);
                candidates.push(Candidate {
                    id: snapshot.id(row),
                    spoken,
                    document,
                    span,
                    keyword: scores.by_row[row as usize],
                    vector: cosines.get(&row).copied(),
                    named: is_named(row),
                });
            }
        }
        Self { rows: kept, candidates, places, matrix, keyword_rank, vector_rank }
    }

    fn order(&self, params: &RankParams, words: bool, meaning: bool) -> Vec<Listed> {
        rank(params, &self.candidates, self, words, meaning)
            .into_iter()
            .map(|r| {
                let Candidate { id, named, .. } = self.candidates[r.index];
                Listed { index: r.index, place: Place { named, score: r.score, id }, more: 0 }
            })
            .collect()
    }

    /// Every row that a word hits, and every candidate.
    fn answers(&self, scores: &Scores) -> Vec<bool> {
        let mut answers: Vec<bool> = scores.by_row.iter().map(|score| *score > 0.0).collect();
        for &row in &self.rows {
            answers[row as usize] = true;
        }
        answers
    }
}

struct Listed {
    index: usize,
    place: Place,
    more: u32,
}

/// Keeps each meeting's best.
fn grouped(snapshot: &Snapshot, union: &Union, order: Vec<Listed>) -> Vec<Listed> {
    let mut places = HashMap::new();
    let mut kept: Vec<Listed> = Vec::new();
    for listed in order {
        let (segment, doc) = snapshot.locate(union.rows[listed.index] as usize);
        let meeting = *snapshot.segments[segment].columns.meeting.get(doc);
        match places.get(&meeting) {
            Some(&place) => {
                let best: &mut Listed = &mut kept[place];
                best.more += 1;
            }
            None => {
                places.insert(meeting, kept.len());
                kept.push(listed);
            }
        }
    }
    kept
}

fn hit(
    snapshot: &Snapshot,
    union: &Union,
    terms: &Terms,
    scores: &Scores,
    listed: &Listed,
) -> Result<Hit, IndexError> {
    let row = union.rows[listed.index];
    let passage = snapshot.passage(row as usize)?;
    let candidate = union.candidates[listed.index];
    let explanation = Explanation {
        keyword_score: (candidate.keyword > 0.0).then_some(candidate.keyword),
        keyword_rank: union.keyword_rank.get(&row).copied(),
        vector_score: candidate.vector,
        vector_rank: union.vector_rank.get(&row).copied(),
        fused_score: listed.place.score,
        matched_terms: Vec::new(),
    };
    Ok(shown(passage, listed.place, listed.more, explanation, terms, &scores.respelt))
}
