//! One search: filters, both legs, the ranking, a page.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;

use super::deadline::Deadline;
use super::filter::{Allowed, allowed, rows_with};
use super::keyword;
use super::semantic::candidates;
use super::snapshot::Snapshot;
use super::union::Union;
use super::{facets, vectors};
use crate::index::pages::{List, Listed, Pages};
use crate::index::shown::{Cursor, Place, nothing, say_spellings, shown};
use crate::index::{Explanation, IndexError, MAX_FIRST, Mode, SearchRequest, SearchResponse};
use crate::query::terms::Terms;
use crate::rank::{Candidate, RankParams, Ranked, rank};

/// Searches a snapshot, or goes on with a list that was kept.
pub(super) fn search(
    snapshot: &Snapshot,
    params: &RankParams,
    pages: &Pages,
    request: &SearchRequest,
    deadline: Deadline,
) -> Result<SearchResponse, IndexError> {
    let after = request.after.as_deref().map(Cursor::parse).transpose()?;
    if let Some((list, start)) = after.and_then(|after| pages.find(after, request, Instant::now())) {
        return page(snapshot, request, &list, start);
    }
    let mut response = nothing(request);
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
    deadline.check()?;
    for phrase in &allowed.dropped {
        response.messages.push(format!("“{phrase}” stands nowhere word by word: its words were searched."));
    }
    let totals = snapshot.totals(request.visible);
    let (scores, near) = rayon::join(
        || keyword::score(snapshot, params, &allowed, totals, &terms, deadline),
        || {
            vector
                .as_deref()
                .map(|v| candidates(snapshot, &allowed, v, params.candidates))
                .unwrap_or_default()
        },
    );
    let scores = scores?;
    response.partial = scores.cut;
    let named = named(snapshot, request, &allowed)?;
    let union = Union::new(snapshot, params, &scores, &named, near, vector.as_deref());
    let mut params = params.clone();
    if deadline.is_over() {
        // What is left of the ranking does without likeness; the answer says that it was cut short.
        (params.feedback, params.smoothing) = (0.0, 0.0);
        response.partial = true;
    }
    let (order, counted) = rayon::join(
        || rank(&params, &union.candidates, &union, use_words, vector.is_some()),
        || facets::count(snapshot, &union.answers(&scores)),
    );
    (response.facets, response.total) = counted;
    say_spellings(&scores.respelt, &mut response);

    let order: Vec<Listed> = order.into_iter().map(|ranked| listed(&union, ranked)).collect();
    let order = if request.group_by_meeting { grouped(snapshot, order) } else { order };
    response.reachable = order.len() as u64;
    let start = after.map_or(0, |after| after.place.resume(order.iter().map(|listed| listed.place)));
    let continues = order.len() > start.saturating_add(request.first.min(MAX_FIRST));
    let list = Arc::new(List::new(request, order, terms, scores.respelt, response, continues));
    pages.keep(&list, Instant::now());
    page(snapshot, request, &list, start)
}

/// One page of a list. What has been hidden since is passed by.
fn page(
    snapshot: &Snapshot,
    request: &SearchRequest,
    list: &List,
    start: usize,
) -> Result<SearchResponse, IndexError> {
    let (first, order) = (request.first.min(MAX_FIRST), &list.order);
    let mut at = start.min(order.len());
    let mut found: Vec<(&Listed, u32)> = Vec::with_capacity(first);
    while found.len() < first && at < order.len() {
        let next = &order[at..order.len().min(at + first - found.len())];
        let rows = snapshot.rows_of(next, request.visible);
        found.extend(next.iter().zip(rows).filter_map(|(listed, row)| Some((listed, row?))));
        at += next.len();
    }
    let hits = found.par_iter().map(|(listed, row)| {
        let passage = snapshot.passage(*row as usize)?;
        Ok::<_, IndexError>(shown(passage, list, listed))
    });
    Ok(SearchResponse {
        hits: hits.collect::<Result<_, _>>()?,
        has_more: at < order.len(),
        ..list.answer.clone()
    })
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

/// A candidate in its place, with why it stands there.
fn listed(union: &Union, ranked: Ranked) -> Listed {
    let candidate = union.candidates[ranked.index];
    let Candidate { id, named, .. } = candidate;
    Listed {
        place: Place { named, score: ranked.score, id },
        more: 0,
        why: Explanation {
            keyword_score: (candidate.keyword > 0.0).then_some(candidate.keyword),
            keyword_rank: union.keyword_rank(ranked.index),
            vector_score: candidate.vector,
            vector_rank: union.vector_rank(ranked.index),
            fused_score: ranked.score,
            matched_terms: Vec::new(),
        },
        row: union.row(ranked.index),
    }
}

/// Keeps each meeting's best.
fn grouped(snapshot: &Snapshot, order: Vec<Listed>) -> Vec<Listed> {
    let mut places = HashMap::new();
    let mut kept: Vec<Listed> = Vec::new();
    for listed in order {
        let meeting = snapshot.meeting(listed.row);
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
