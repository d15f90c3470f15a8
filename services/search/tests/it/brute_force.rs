//! Filtered hybrid results equal those of an index that holds nothing but the visible passages, and its order equals
//! a ranking written down here again, word by word; whatever the corpus, the filters, the pages and the tags.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use cs_core::document::ArtifactKind;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use search::index::{
    Filters, Hit, Mode, Part, PassageDoc, PassageKind, SearchIndex, SearchRequest, Visibility, VisibleTags,
};
use search::rank::{Bm25, Candidate, Likeness, RankParams, inverse_document_frequency, rank};
use sha2::Digest;
use uuid::Uuid;

use crate::place::{Place, contract};
use crate::support::*;

contract! {
    filtered_hybrid_results_equal_brute_force,
    a_revoked_tag_removes_every_derived_passage,
    a_leg_alone_is_in_its_own_order,
}

const WORDS: [&str; 20] = [
    "zoning", "budget", "park", "street", "water", "fire", "rental", "permit", "tax", "bond", "school",
    "bridge", "library", "drain", "noise", "bus", "lease", "audit", "grant", "plan",
];

fn corpus(rng: &mut StdRng, tenant: u128) -> Vec<PassageDoc> {
    let meetings = rng.random_range(1..6);
    let mut docs = Vec::new();
    for meeting in 0..meetings {
        for n in 0..rng.random_range(0..25) {
            let count = rng.random_range(1..12);
            let text: Vec<&str> = (0..count).map(|_| WORDS[rng.random_range(0..WORDS.len())]).collect();
            let mut doc = passage(uuid(tenant), uuid(tenant * 1_000 + meeting), n, &text.join(" "));
            doc.title = String::new();
            // No two alike: rounding alone would decide between them.
            doc.vector.iter_mut().for_each(|v| *v += rng.random_range(0.0..0.3));
            doc.city_id = uuid(100 + rng.random_range(0..2));
            doc.body_id = uuid(200 + rng.random_range(0..3));
            doc.artifact_id = uuid(300 + rng.random_range(0..6));
            if rng.random_bool(0.3) {
                // A transcript is of one meeting: its passages alone are adjacent.
                doc.artifact_kind = ArtifactKind::Transcript;
                doc.artifact_id = uuid(tenant * 1_000 + meeting);
            }
            doc.visibility = Visibility::ALL[rng.random_range(0..3)];
            if rng.random_bool(0.2) {
                doc.kind = PassageKind::Decision;
                doc.confidence = Some(rng.random_range(0.0..1.0));
                // A claim of several documents is as hidden as the most hidden of them.
                doc.derived_from =
                    (0..rng.random_range(0..3)).map(|_| uuid(300 + rng.random_range(0..6))).collect();
            }
            doc.labels.insert("topic".to_owned(), format!("t{}", rng.random_range(0..3)));
            doc.date = doc.date + chrono::Days::new(rng.random_range(0..40));
            docs.push(doc);
        }
    }
    docs
}

fn filters(rng: &mut StdRng) -> Filters {
    let mut filters = Filters::default();
    if rng.random_bool(0.3) {
        filters.cities = vec![uuid(100)];
    }
    if rng.random_bool(0.3) {
        filters.bodies = vec![uuid(200), uuid(201)];
    }
    if rng.random_bool(0.3) {
        filters.from = "2023-03-20".parse().ok();
    }
    if rng.random_bool(0.2) {
        filters.to = "2023-04-05".parse().ok();
    }
    if rng.random_bool(0.2) {
        filters.kinds = vec![PassageKind::Decision];
    }
    if rng.random_bool(0.2) {
        filters.artifact_kinds = vec![ArtifactKind::Transcript];
    }
    if rng.random_bool(0.2) {
        filters.min_confidence = Some(0.5);
    }
    if rng.random_bool(0.2) {
        filters.meetings = vec![uuid(1_000), uuid(1_002), uuid(2_001)];
    }
    if rng.random_bool(0.2) {
        filters.labels = vec![("topic".to_owned(), "t1".to_owned())];
    }
    filters
}

fn kept(doc: &PassageDoc, visible: VisibleTags, filters: &Filters) -> bool {
    visible.contains(doc.visibility)
        && (filters.cities.is_empty() || filters.cities.contains(&doc.city_id))
        && (filters.bodies.is_empty() || filters.bodies.contains(&doc.body_id))
        && filters.from.is_none_or(|day| doc.date >= day)
        && filters.to.is_none_or(|day| doc.date <= day)
        && (filters.kinds.is_empty() || filters.kinds.contains(&doc.kind))
        && (filters.artifact_kinds.is_empty() || filters.artifact_kinds.contains(&doc.artifact_kind))
        && (filters.meetings.is_empty() || filters.meetings.contains(&doc.meeting_id))
        && filters.min_confidence.is_none_or(|least| doc.confidence.is_none_or(|sure| sure >= least))
        && filters.labels.iter().all(|(name, value)| doc.labels.get(name) == Some(value))
}

struct Vectors(Vec<Vec<f32>>);

impl Likeness for Vectors {
    fn cosine(&self, a: usize, b: usize) -> f32 {
        cosine(&self.0[a], &self.0[b])
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()) as f32
}

/// Passages by score, straight from the formulas; words here have no endings to cut.
fn brute_force(all: &[PassageDoc], request: &SearchRequest, params: &RankParams) -> Vec<(String, f32)> {
    let readable: Vec<&PassageDoc> = all.iter().filter(|d| request.visible.contains(d.visibility)).collect();
    let split = |d: &PassageDoc| d.text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let pairs = |words: &[String]| words.windows(2).map(|w| w.join(" ")).collect::<Vec<_>>();
    let asked: Vec<String> = request.query.words.split(' ').map(str::to_owned).collect();
    let mut unique_pairs = pairs(&asked);
    unique_pairs.sort();
    unique_pairs.dedup();
    let score =
        |units: &dyn Fn(&PassageDoc) -> Vec<String>, query: &[String], bm25: Bm25| -> HashMap<String, f32> {
            let mean =
                readable.iter().map(|d| units(d).len()).sum::<usize>() as f32 / readable.len().max(1) as f32;
            let mut scores = HashMap::new();
            for term in query {
                let with = readable.iter().filter(|d| units(d).contains(term)).count() as u64;
                let idf = inverse_document_frequency(with, readable.len() as u64);
                for doc in &readable {
                    let own = units(doc);
                    let frequency = own.iter().filter(|w| *w == term).count() as f32;
                    *scores.entry(doc.id.clone()).or_insert(0.0) +=
                        idf * bm25.saturation(frequency, own.len() as f32, mean);
                }
            }
            scores
        };
    let words = score(&split, &asked, params.bm25);
    let doubles = score(&|d| pairs(&split(d)), &unique_pairs, params.bm25);
    let query = request.vector.as_ref().unwrap();
    let answering: Vec<&&PassageDoc> =
        readable.iter().filter(|d| kept(d, request.visible, &request.filters)).collect();
    let candidates: Vec<Candidate> = answering
        .iter()
        .map(|d| {
            let id =
                sha2::Sha256::digest(&d.id).iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte));
            let is_passage = d.kind == PassageKind::Passage;
            Candidate {
                id,
                keyword: words[&d.id] + params.bigram_weight * doubles.get(&d.id).copied().unwrap_or(0.0),
                vector: Some(cosine(&d.vector, query)),
                spoken: is_passage && d.artifact_kind == ArtifactKind::Transcript,
                // A claim stands in no document but itself.
                document: if is_passage { d.artifact_id.as_u128() as u64 } else { id },
                span: (d.start, d.end),
                named: false,
            }
        })
        .collect();
    let vectors = Vectors(answering.iter().map(|d| d.vector.clone()).collect());
    let ranked = rank(params, &candidates, &vectors, true, true);
    ranked.into_iter().map(|r| (answering[r.index].id.clone(), r.score)).collect()
}

/// How many corpora, and searches of each: the engine of another process is slow to fill.
fn rounds(place: &Place) -> (u64, usize) {
    match place {
        Place::Embedded(_) => (15, 10),
        Place::OpenSearch(_) => (3, 6),
    }
}

async fn fill(index: &dyn SearchIndex, docs: &[PassageDoc]) {
    let mut meetings: HashMap<_, Vec<PassageDoc>> = HashMap::new();
    for doc in docs {
        meetings.entry((doc.tenant_id, doc.meeting_id)).or_default().push(doc.clone());
    }
    for ((tenant, meeting), docs) in meetings {
        // Replaced once, so that deleted rows lie about.
        for version in 1..3 {
            index.replace_meeting(tenant, meeting, Part::Documents, version, docs.clone()).await.unwrap();
        }
    }
}

/// Some search of the first tenant.
fn asked(rng: &mut StdRng) -> SearchRequest {
    let query: Vec<&str> =
        (0..rng.random_range(1..5)).map(|_| WORDS[rng.random_range(0..WORDS.len())]).collect();
    let mut asked = request(uuid(1), &query.join(" "));
    asked.visible = VisibleTags::of(Visibility::ALL.into_iter().filter(|_| rng.random_bool(0.6)));
    asked.filters = filters(rng);
    asked.first = rng.random_range(1..20);
    asked
}

/// Every page of a search, one after another.
async fn pages(index: &dyn SearchIndex, mut asked: SearchRequest, wanted: usize) -> Vec<Hit> {
    let mut got = Vec::new();
    loop {
        let page = index.search(asked.clone()).await.unwrap();
        assert_eq!(page.total, wanted as u64);
        let count = page.hits.len();
        assert_eq!(count, asked.first.min(wanted - got.len()), "a filter cost a result");
        assert_eq!(page.has_more, got.len() + count < wanted);
        asked.after = page.hits.last().map(|hit| hit.cursor.clone());
        got.extend(page.hits);
        if !page.has_more {
            return got;
        }
    }
}

/// One search against the formulas. `docs` bear the tags that they have now.
async fn equals_brute_force(
    place: &Place,
    index: &dyn SearchIndex,
    docs: &[PassageDoc],
    asked: SearchRequest,
) {
    let want = brute_force(docs, &asked, &RankParams::default());
    let got = pages(index, asked.clone(), want.len()).await;
    let ids = |all: &mut dyn Iterator<Item = String>| all.collect::<BTreeSet<String>>();
    assert_eq!(
        ids(&mut got.iter().map(|hit| hit.passage.id.clone())),
        ids(&mut want.iter().map(|(id, _)| id.clone())),
        "what is found is what may be found"
    );
    assert_eq!(got.len(), want.len(), "none is there twice");
    let of: HashMap<&String, &PassageDoc> = docs.iter().map(|doc| (&doc.id, doc)).collect();
    for hit in &got {
        assert_eq!(hit.passage.tenant_id, uuid(1));
        assert!(kept(of[&hit.passage.id], asked.visible, &asked.filters));
    }
    assert!(got.is_sorted_by(|a, b| a.score >= b.score));
    if matches!(place, Place::OpenSearch(_)) {
        // There the mean length is of the whole index, and neighbours are told from a byte a dimension.
        return;
    }
    let wanted: HashMap<&String, f32> = want.iter().map(|(id, score)| (id, *score)).collect();
    for (hit, (_, score)) in got.iter().zip(&want) {
        // Equals may stand in another order; the scores at each place, and of each passage, are the same.
        assert!((hit.score - score).abs() < 2e-3, "{} {score}", hit.score);
        assert!((hit.score - wanted[&hit.passage.id]).abs() < 2e-3);
    }
}

async fn filtered_hybrid_results_equal_brute_force(place: &Place) {
    let (corpora, searches) = rounds(place);
    let index = place.open().await;
    for seed in 0..corpora {
        println!("corpus {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let (mine, others) = (corpus(&mut rng, 1), corpus(&mut rng, 2));
        for docs in [&mine, &others] {
            fill(&*index, docs).await;
        }
        for _ in 0..searches {
            equals_brute_force(place, &*index, &mine, asked(&mut rng)).await;
        }
        for tenant in [uuid(1), uuid(2)] {
            index.erase_tenant(tenant).await.unwrap();
        }
    }
}

async fn a_revoked_tag_removes_every_derived_passage(place: &Place) {
    let (corpora, searches) = rounds(place);
    let index = place.open().await;
    let mut longest = Duration::ZERO;
    for seed in 100..100 + corpora / 3 {
        println!("corpus {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let (mine, others) = (corpus(&mut rng, 1), corpus(&mut rng, 2));
        for docs in [&mine, &others] {
            fill(&*index, docs).await;
        }
        let artifacts: BTreeSet<Uuid> = mine
            .iter()
            .flat_map(|doc| [doc.artifact_id].into_iter().chain(doc.derived_from.clone()))
            .collect();
        let artifacts: Vec<Uuid> = artifacts.into_iter().collect();
        assert!(!artifacts.is_empty(), "a corpus of nothing shows nothing: choose another seed");
        let mut tags: HashMap<Uuid, Visibility> = HashMap::new();
        for version in 0..searches as i64 {
            let artifact = artifacts[rng.random_range(0..artifacts.len())];
            let tag = Visibility::ALL[rng.random_range(0..3)];
            let began = Instant::now();
            // Whoever searches once this has returned finds nothing that is hidden.
            index.set_visibility(uuid(1), artifact, version, tag).await.unwrap();
            longest = longest.max(began.elapsed());
            tags.insert(artifact, tag);
            // Every word is asked for, so everything that may be read is found.
            let mut everything = request(uuid(1), &WORDS.join(" "));
            everything.first = search::index::MAX_FIRST;
            let readers = [
                VisibleTags::of([Visibility::Public]),
                VisibleTags::of([Visibility::Public, Visibility::Member]),
                VisibleTags::of(Visibility::ALL),
            ];
            let now: Vec<PassageDoc> =
                mine.iter().map(|doc| PassageDoc { visibility: tagged(doc, &tags), ..doc.clone() }).collect();
            for visible in readers {
                let found = index.search(SearchRequest { visible, ..everything.clone() }).await.unwrap();
                let found: BTreeSet<&str> = found.hits.iter().map(|hit| hit.passage.id.as_str()).collect();
                let readable = now.iter().filter(|doc| visible.contains(doc.visibility));
                let readable: BTreeSet<&str> = readable.map(|doc| doc.id.as_str()).collect();
                assert_eq!(found, readable, "{artifact} became {tag:?}");
            }
            equals_brute_force(place, &*index, &now, asked(&mut rng)).await;
        }
        for tenant in [uuid(1), uuid(2)] {
            index.erase_tenant(tenant).await.unwrap();
        }
    }
    println!("the longest change of a tag took {longest:?}");
}

/// Who may read a passage after its documents were hidden and shown. A claim stays at least as hidden as it was indexed.
fn tagged(doc: &PassageDoc, tags: &HashMap<Uuid, Visibility>) -> Visibility {
    let artifacts = [doc.artifact_id].into_iter().chain(doc.derived_from.iter().copied());
    let tag = artifacts.map(|artifact| tags.get(&artifact).copied().unwrap_or(doc.visibility)).max().unwrap();
    if doc.kind == PassageKind::Passage { tag } else { tag.max(doc.visibility) }
}

#[tokio::test]
async fn hidden_passages_do_not_move_a_score() {
    let (index, _dir) = index();
    let tenant = uuid(1);
    put(&index, tenant, uuid(10), 1, &["zoning budget", "zoning park", "water"]).await;
    let before = index.search(request(tenant, "zoning budget")).await.unwrap();
    let mut hidden: Vec<PassageDoc> =
        (0..20).map(|n| passage(tenant, uuid(11), n, "budget budget zoning")).collect();
    hidden.iter_mut().for_each(|d| d.visibility = Visibility::Reviewer);
    index.replace_meeting(tenant, uuid(11), Part::Documents, 1, hidden).await.unwrap();
    put(&index, uuid(2), uuid(20), 1, &["budget", "budget", "zoning"]).await;
    assert_eq!(index.search(request(tenant, "zoning budget")).await.unwrap(), before);
}

async fn a_leg_alone_is_in_its_own_order(place: &Place) {
    let index = place.open().await;
    let tenant = uuid(1);
    put(&*index, tenant, uuid(10), 1, &["zoning budget water", "zoning", "park"]).await;
    for mode in [Mode::Keyword, Mode::Vector] {
        let mut asked = request(tenant, "zoning");
        asked.mode = mode;
        let found = index.search(asked).await.unwrap();
        assert_eq!(texts(&found)[0], "zoning");
        assert_eq!(found.total, if mode == Mode::Keyword { 2 } else { 3 });
        let scores: Vec<f32> = found.hits.iter().map(|h| h.score).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b));
    }
}
