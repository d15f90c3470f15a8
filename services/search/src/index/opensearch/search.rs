//! One search: filters, both legs, the union scored by both in the engine, the ranking, a page.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use uuid::Uuid;

use super::client::Client;
use super::document::unit;
use super::legs::{self, Asker, Step, Weighed};
use super::union::{Union, grouped};
use super::wire::{Answer, Row};
use super::{Options, filter};
use crate::index::pages::{List, Listed, Pages};
use crate::index::shown::{Cursor, Respelt, nothing, say_spellings, shown};
use crate::index::types::id_hash;
use crate::index::{Facets, IndexError, MAX_FIRST, Mode, PassageDoc, SearchRequest, SearchResponse};
use crate::query::terms::{MOST_RESPELT, Terms};
use crate::rank::{Likeness, RankParams, ahead, rank};

/// As many other spellings are tried.
const MOST_SPELLINGS: usize = 3;
/// What a word of another spelling weighs.
const SPELLING_WEIGHT: f32 = 0.5;

/// Searches a tenant's index, or goes on with a list that was kept.
pub(super) async fn search(
    client: &Client,
    options: &Options,
    pages: &Pages,
    index: &str,
    request: &SearchRequest,
) -> Result<SearchResponse, IndexError> {
    let params = &options.params;
    let mut asker = Asker::new(client, index, options.deadline);
    let after = request.after.as_deref().map(Cursor::parse).transpose()?;
    if let Some((list, start)) = after.and_then(|after| pages.find(after, request, Instant::now())) {
        return page(&mut asker, request, &list, start).await;
    }
    let mut response = nothing(request);
    let vector = query_vector(options, request, &mut response);
    let use_words = vector.is_none() || request.mode != Mode::Vector;
    let terms = if use_words { Terms::of(&request.query.words) } else { Terms::default() };
    if terms.words.is_empty() && vector.is_none() {
        response.messages.push("There is no word to search for.".to_owned());
        return Ok(response);
    }
    if terms.cut {
        let words = terms.words.len();
        response.messages.push(format!("The query is long: its first {words} words were searched."));
    }
    let Some(pass) = pass(&mut asker, request, &mut response).await? else { return Ok(response) };

    // The vector leg, and how common each word is; without words, what holds the file numbers.
    let visible = filter::visible(request.visible);
    let numbers: Vec<Value> = request.query.numbers.iter().filter_map(|n| filter::phrase(n)).collect();
    let mut first = vec![legs::counts(&visible, &legs::held(&terms))];
    first.extend(vector.as_deref().map(|v| legs::nearest(v, &pass, params.candidates)));
    if !numbers.is_empty() && !use_words {
        first.push(legs::named(&[], &pass, &numbers, params.candidates));
    }
    let Step::Done(answers) = asker.ask(first).await? else { return Ok(response) };
    let mut answers = answers.into_iter();
    let counts = answers.next().unwrap_or_default();
    let near = vector.as_ref().and_then(|_| answers.next()).unwrap_or_default();
    let mut union = Union::default();
    union.add_near(&near);
    let mut named = union.add_named(&answers.next().unwrap_or_default());

    let mut words = legs::weighed(params, &terms, &counts);
    let respelt = match respell(&mut asker, &terms, &counts, &visible, &mut words).await {
        Ok(respelt) => respelt,
        Err(error) => {
            // The other words answer; where the engine is away the next step says so.
            tracing::debug!(%error, "other spellings were not looked for");
            asker.partial = true;
            Vec::new()
        }
    };
    say_spellings(&respelt, &mut response);

    // The keyword leg, the other leg's candidates scored by it, what holds the file numbers, and everything that is
    // counted.
    let others = union.ids();
    let mut second = vec![legs::facets(&words, &pass, &others)];
    let names_words = !numbers.is_empty() && use_words;
    if names_words {
        second.push(legs::named(&words, &pass, &numbers, params.candidates));
    }
    if !words.is_empty() {
        second.push(legs::best(&words, &pass, params.candidates));
        if !others.is_empty() {
            second.push(legs::keyword_scores(&words, &others));
        }
    }
    let Step::Done(answers) = asker.ask(second).await? else { return Ok(response) };
    let mut answers = answers.into_iter();
    count(&answers.next().unwrap_or_default(), &mut response);
    if names_words {
        named = union.add_named(&answers.next().unwrap_or_default());
    }
    union.add_best(&answers.next().unwrap_or_default());
    union.score_words(&answers.next().unwrap_or_default());
    if named >= params.candidates && asker.has_time() {
        // More hold them than were given: those that came from a leg are asked for one by one.
        let answer = asker.ask_one(legs::holding(&numbers, &union.ids())).await?;
        union.name(&answer);
    }

    let mut likeness = Known::default();
    let mut params = params.clone();
    if let Some(vector) = &vector {
        let unscored = union.without_cosine();
        if !unscored.is_empty() {
            let answer = asker.ask_one(legs::cosines(vector, &unscored)).await?;
            union.score_meaning(&answer);
        }
        if use_words && !look_alike(&mut asker, &params, &union, &mut likeness).await? {
            // What is left of the ranking does without likeness; the answer says that it was cut short.
            (params.feedback, params.smoothing) = (0.0, 0.0);
            asker.partial = true;
        }
    }
    let order = rank(&params, &union.candidates, &likeness, use_words, vector.is_some());
    let order: Vec<Listed> = order.into_iter().map(|ranked| union.listed(ranked)).collect();
    let order = if request.group_by_meeting { grouped(&union, order) } else { order };
    response.reachable = order.len() as u64;
    response.partial = asker.partial;
    let start = after.map_or(0, |after| after.place.resume(order.iter().map(|listed| listed.place)));
    let continues = order.len() > start.saturating_add(request.first.min(MAX_FIRST));
    let list = Arc::new(List::new(request, order, terms, respelt, response, continues));
    pages.keep(&list, Instant::now());
    page(&mut asker, request, &list, start).await
}

/// One page of a list. What has been deleted or hidden since is passed by.
async fn page(
    asker: &mut Asker<'_>,
    request: &SearchRequest,
    list: &List,
    start: usize,
) -> Result<SearchResponse, IndexError> {
    let (first, order) = (request.first.min(MAX_FIRST), &list.order);
    let visible = filter::visible(request.visible);
    let mut at = start.min(order.len());
    let mut response = list.answer.clone();
    while response.hits.len() < first && at < order.len() {
        let next = &order[at..order.len().min(at + first - response.hits.len())];
        let mut passages = passages(asker, next, &visible).await?;
        for listed in next {
            let Some(passage) = passages.remove(&listed.place.id) else { continue };
            response.hits.push(shown(passage, list, listed));
        }
        at += next.len();
    }
    response.has_more = at < order.len();
    response.partial |= asker.partial;
    Ok(response)
}

/// The query's vector where it can be used; else the response says that it could not.
fn query_vector(
    options: &Options,
    request: &SearchRequest,
    response: &mut SearchResponse,
) -> Option<Vec<f32>> {
    if request.mode == Mode::Keyword {
        return None;
    }
    let usable = request.vector.as_deref().filter(|v| v.len() == options.dimensions).and_then(unit);
    response.degraded = usable.is_none();
    usable
}

/// The filter of both legs. A phrase that stands nowhere among what the others leave is dropped, and said; `None`
/// where there is no index.
async fn pass(
    asker: &mut Asker<'_>,
    request: &SearchRequest,
    response: &mut SearchResponse,
) -> Result<Option<Value>, IndexError> {
    let (mut all, not) = filter::clauses(request);
    let asked = request.query.phrases.iter().enumerate();
    let mut phrases: Vec<(usize, Value)> = asked.filter_map(|(i, p)| Some((i, filter::phrase(p)?))).collect();
    let mut dropped = Vec::new();
    if request.query.strict {
        all.extend(phrases.drain(..).map(|(_, query)| query));
    }
    while !phrases.is_empty() {
        // Each alone, then each with those before it: the first that leaves nothing is dropped, and the rest asked again.
        let alone = phrases.iter().map(|(_, query)| query.clone());
        let chains = (1..=phrases.len()).map(|end| {
            let chain: Vec<&Value> = phrases[..end].iter().map(|(_, query)| query).collect();
            json!({ "bool": { "filter": chain } })
        });
        let body = legs::counts(&filter::pass(&all, &not), &alone.chain(chains).collect::<Vec<_>>());
        let Step::Done(answers) = asker.ask(vec![body]).await? else { return Ok(None) };
        let answer = answers.into_iter().next().unwrap_or_default();
        let stands = |place: usize| answer.count(&format!("/held/buckets/{place}")) > 0;
        let count = phrases.len();
        let standing = (0..count).take_while(|&place| stands(count + place)).count();
        let mut rest = phrases.split_off(standing);
        all.extend(phrases.into_iter().map(|(_, query)| query));
        // Behind the first that is dropped, those that stand nowhere at all go with it.
        let mut place = standing;
        rest.retain(|(phrase, _)| {
            let keep = place > standing && stands(place);
            place += 1;
            if !keep {
                dropped.push(*phrase);
            }
            keep
        });
        phrases = rest;
    }
    dropped.sort_unstable();
    for phrase in dropped.into_iter().map(|i| &request.query.phrases[i]) {
        response.messages.push(format!("“{phrase}” stands nowhere word by word: its words were searched."));
    }
    Ok(Some(filter::pass(&all, &not)))
}

/// Looks for words that no visible passage holds under similar spellings: one letter off, two in a word of more than
/// five; the most frequent first.
async fn respell(
    asker: &mut Asker<'_>,
    terms: &Terms,
    counts: &Answer,
    visible: &Value,
    words: &mut Vec<Weighed>,
) -> Result<Vec<Respelt>, IndexError> {
    let missing: Vec<_> = terms
        .words
        .iter()
        .enumerate()
        .filter(|(place, word)| {
            counts.count(&format!("/held/buckets/{place}")) == 0 && word.may_be_misspelt()
        })
        .map(|(_, word)| word)
        .take(MOST_RESPELT)
        .collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let asked: Vec<&str> = missing.iter().map(|word| word.term.as_str()).collect();
    let suggested = asker.suggest(&asked).await?;
    let mut tried: Vec<(usize, usize, String)> = Vec::new();
    for (place, word) in missing.iter().enumerate() {
        let most = if word.term.chars().count() > 5 { 2 } else { 1 };
        let options =
            suggested.suggest.get(&place.to_string()).into_iter().flatten().flat_map(|s| &s.options);
        for option in options {
            let distance = strsim::osa_distance(&word.term, &option.text);
            if (1..=most).contains(&distance) {
                tried.push((place, distance, option.text.clone()));
            }
        }
    }
    if tried.is_empty() {
        return Ok(Vec::new());
    }
    let field = legs::field(terms);
    let held: Vec<Value> = tried.iter().map(|(_, _, text)| Weighed::holds(field, text)).collect();
    let answer = asker.ask_one(legs::counts(visible, &held)).await?;
    let mut respelt = Vec::new();
    for (place, word) in missing.into_iter().enumerate() {
        let mut found: Vec<(usize, u64, &str)> = tried
            .iter()
            .enumerate()
            .filter(|(_, (of, _, _))| *of == place)
            .map(|(i, (_, distance, text))| {
                (*distance, answer.count(&format!("/held/buckets/{i}")), text.as_str())
            })
            .filter(|(_, with, _)| *with > 0)
            .collect();
        let nearest = found.iter().map(|(distance, _, _)| *distance).min().unwrap_or(0);
        found.retain(|(distance, _, _)| *distance == nearest);
        found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.2.cmp(b.2)));
        found.truncate(MOST_SPELLINGS);
        if found.is_empty() {
            continue;
        }
        let all = answer.hits.total.value;
        words.extend(found.iter().filter_map(|(_, with, text)| {
            legs::weigh(field, text, word.weight * SPELLING_WEIGHT, *with, all)
        }));
        respelt.push((word.clone(), found.iter().map(|(_, _, text)| (*text).to_owned()).collect()));
    }
    Ok(respelt)
}

/// Fetches what the ranking is going to ask: how alike every candidate is to those that give feedback, computed in
/// the engine, and the small vectors of the first hundred. `false` where there was no time for it.
async fn look_alike(
    asker: &mut Asker<'_>,
    params: &RankParams,
    union: &Union,
    likeness: &mut Known,
) -> Result<bool, IndexError> {
    let leaders = ahead::feedback(params, &union.candidates);
    if !leaders.is_empty() {
        if !asker.has_time() {
            return Ok(false);
        }
        let ids: Vec<u64> = leaders.iter().map(|&i| union.candidates[i].id).collect();
        let answer = asker.ask_one(legs::vectors(&ids)).await?;
        let mut vectors: HashMap<u64, Vec<f32>> =
            answer.hits.hits.into_iter().filter_map(|row| Some((row.id()?, row.source.vector))).collect();
        let with: Vec<u64> = union.candidates.iter().filter(|c| c.vector.is_some()).map(|c| c.id).collect();
        let (mut bodies, mut asked) = (Vec::new(), Vec::new());
        for &leader in &leaders {
            let Some(vector) = vectors.remove(&union.candidates[leader].id) else { continue };
            bodies.push(legs::cosines(&vector, &with));
            asked.push(leader);
        }
        if bodies.is_empty() || !asker.has_time() {
            return Ok(leaders.is_empty());
        }
        let Step::Done(answers) = asker.ask(bodies).await? else { return Ok(false) };
        for (leader, answer) in asked.into_iter().zip(answers) {
            let cosines = union.by_place(&answer.hits.hits, |row| row.score.map(legs::cosine));
            likeness.leaders.insert(leader, cosines);
        }
    }
    let smoothed = ahead::smoothed(params, &union.candidates, likeness);
    if !smoothed.is_empty() {
        if !asker.has_time() {
            return Ok(false);
        }
        let ids: Vec<u64> = smoothed.iter().map(|&i| union.candidates[i].id).collect();
        let answer = asker.ask_one(legs::small_vectors(&ids)).await?;
        likeness.vectors = union.by_place(&answer.hits.hits, Row::small);
    }
    Ok(true)
}

/// Likeness as far as the engine was asked for it; 0 beyond.
#[derive(Default)]
struct Known {
    /// Of every candidate to one that gives feedback.
    leaders: HashMap<usize, HashMap<usize, f32>>,
    vectors: HashMap<usize, Vec<f32>>,
}

impl Likeness for Known {
    fn cosine(&self, a: usize, b: usize) -> f32 {
        if let (Some(x), Some(y)) = (self.vectors.get(&a), self.vectors.get(&b)) {
            return x.iter().zip(y).map(|(x, y)| x * y).sum();
        }
        let to = |leader: usize, other: usize| self.leaders.get(&leader).and_then(|l| l.get(&other)).copied();
        to(b, a).or_else(|| to(a, b)).unwrap_or(0.0)
    }
}

async fn passages(
    asker: &mut Asker<'_>,
    listed: &[Listed],
    visible: &Value,
) -> Result<HashMap<u64, PassageDoc>, IndexError> {
    let ids: Vec<u64> = listed.iter().map(|listed| listed.place.id).collect();
    let answer = asker.ask_one(legs::passages(&ids, visible)).await?;
    let mut passages = HashMap::new();
    for row in answer.hits.hits {
        let Some(passage) = row.source.passage else { continue };
        let passage: PassageDoc = serde_json::from_value(passage).map_err(super::engine)?;
        passages.insert(id_hash(&passage.id), passage);
    }
    Ok(passages)
}

fn count(answer: &Answer, response: &mut SearchResponse) {
    let uuids = |name: &str| {
        let key = |(key, count): (&Value, u64)| Some((key.as_str()?.parse().ok()?, count));
        most_first(answer.buckets(name).filter_map(key).collect::<Vec<(Uuid, u64)>>())
    };
    response.total = answer.hits.total.value;
    response.facets = Facets {
        cities: uuids("city"),
        bodies: uuids("body"),
        years: most_first(
            answer
                .buckets("year")
                .filter_map(|(key, n)| Some((i32::try_from(key.as_i64()?).ok()?, n)))
                .collect(),
        ),
        artifact_kinds: most_first(
            answer
                .buckets("artifact_kind")
                .filter_map(|(key, n)| Some((key.as_str()?.to_owned(), n)))
                .collect(),
        ),
    };
}

fn most_first<T: Ord>(mut sums: Vec<(T, u64)>) -> Vec<(T, u64)> {
    sums.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sums
}
