//! One search: filters, both legs, the ranking, a page.

use std::collections::HashMap;

use rayon::prelude::*;

use super::filter::{Allowed, allowed, rows_with};
use super::keyword::{self, Scores};
use super::semantic::candidates;
use super::snapshot::Snapshot;
use super::union::Union;
use super::{facets, vectors};
use crate::index::shown::{Place, nothing, say_spellings, shown};
use crate::index::{Explanation, Hit, IndexError, MAX_FIRST, Mode, SearchRequest, SearchResponse};
use crate::query::terms::Terms;
use crate::rank::{Candidate, RankParams, rank};

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
    let (order, counted) = rayon::join(
        || listed(&union, params, use_words, vector.is_some()),
        || facets::count(snapshot, &union.answers(&scores)),
    );
    (response.facets, response.total) = counted;
    say_spellings(&scores.respelt, &mut response);

    let order = if request.group_by_meeting { grouped(snapshot, &union, order) } else { order };
    response.reachable = order.len() as u64;
    let start = after.map_or(0, |after| after.resume(order.iter().map(|listed| listed.place)));
    let first = request.first.min(MAX_FIRST);
    response.has_more = order.len() > start.saturating_add(first);
    let page = &order[start.min(order.len())..start.saturating_add(first).min(order.len())];
    response.hits = page
        .par_iter()
        .map(|listed| hit(snapshot, &union, &terms, &scores, listed))
        .collect::<Result<_, _>>()?;
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

struct Listed {
    index: usize,
    place: Place,
    more: u32,
}

/// The candidates in their order.
fn listed(union: &Union, params: &RankParams, words: bool, meaning: bool) -> Vec<Listed> {
    rank(params, &union.candidates, union, words, meaning)
        .into_iter()
        .map(|r| {
            let Candidate { id, named, .. } = union.candidates[r.index];
            Listed { index: r.index, place: Place { named, score: r.score, id }, more: 0 }
        })
        .collect()
}

/// Keeps each meeting's best.
fn grouped(snapshot: &Snapshot, union: &Union, order: Vec<Listed>) -> Vec<Listed> {
    let mut places = HashMap::new();
    let mut kept: Vec<Listed> = Vec::new();
    for listed in order {
        let meeting = snapshot.meeting(union.row(listed.index));
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
    let row = union.row(listed.index);
    let passage = snapshot.passage(row as usize)?;
    let candidate = union.candidates[listed.index];
    let explanation = Explanation {
        keyword_score: (candidate.keyword > 0.0).then_some(candidate.keyword),
        keyword_rank: union.keyword_rank(listed.index),
        vector_score: candidate.vector,
        vector_rank: union.vector_rank(listed.index),
        fused_score: listed.place.score,
        matched_terms: Vec::new(),
    };
    Ok(shown(passage, listed.place, listed.more, explanation, terms, &scores.respelt))
}
