//! Filtered hybrid results equal those of an index that holds nothing but the visible passages, and its order equals
//! a ranking written down here again, word by word.

use std::collections::HashMap;

use cs_core::document::ArtifactKind;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use search::index::{
    Filters, Mode, Part, PassageDoc, PassageKind, SearchIndex, SearchRequest, Visibility, VisibleTags,
};
use search::rank::{Bm25, Candidate, Likeness, RankParams, inverse_document_frequency, rank};
use sha2::Digest;

use crate::support::*;

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
            doc.kind = if rng.random_bool(0.2) { PassageKind::Decision } else { PassageKind::Passage };
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
    filters
}

fn kept(doc: &PassageDoc, visible: VisibleTags, filters: &Filters) -> bool {
    visible.contains(doc.visibility)
        && (filters.cities.is_empty() || filters.cities.contains(&doc.city_id))
        && (filters.bodies.is_empty() || filters.bodies.contains(&doc.body_id))
        && filters.from.is_none_or(|day| doc.date >= day)
        && filters.to.is_none_or(|day| doc.date <= day)
        && (filters.kinds.is_empty() || filters.kinds.contains(&doc.kind))
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

#[tokio::test]
async fn filtered_hybrid_results_equal_brute_force() {
    for seed in 0..15 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (index, _dir) = index();
        let (mine, others) = (corpus(&mut rng, 1), corpus(&mut rng, 2));
        for docs in [&mine, &others] {
            let mut meetings: HashMap<_, Vec<PassageDoc>> = HashMap::new();
            for doc in docs {
                meetings.entry(doc.meeting_id).or_default().push(doc.clone());
            }
            for (meeting, docs) in meetings {
                // Replaced once, so that deleted rows lie about.
                for version in 1..3 {
                    let tenant = docs[0].tenant_id;
                    index
                        .replace_meeting(tenant, meeting, Part::Documents, version, docs.clone())
                        .await
                        .unwrap();
                }
            }
        }
        for _ in 0..10 {
            let query: Vec<&str> =
                (0..rng.random_range(1..5)).map(|_| WORDS[rng.random_range(0..WORDS.len())]).collect();
            let mut asked = request(uuid(1), &query.join(" "));
            asked.visible = VisibleTags::of(Visibility::ALL.into_iter().filter(|_| rng.random_bool(0.6)));
            asked.filters = filters(&mut rng);
            asked.first = rng.random_range(1..20);
            let want = brute_force(&mine, &asked, &RankParams::default());
            let mut got = Vec::new();
            loop {
                let page = index.search(asked.clone()).await.unwrap();
                assert_eq!(page.total, want.len() as u64);
                let count = page.hits.len();
                assert!(count == asked.first.min(want.len() - got.len()), "a filter cost a result");
                assert_eq!(page.has_more, got.len() + count < want.len());
                asked.after = page.hits.last().map(|hit| hit.cursor.clone());
                got.extend(page.hits);
                if !page.has_more {
                    break;
                }
            }
            for hit in &got {
                assert_eq!(hit.passage.tenant_id, uuid(1));
                assert!(kept(&hit.passage, asked.visible, &asked.filters));
            }
            let wanted: HashMap<&String, f32> = want.iter().map(|(id, score)| (id, *score)).collect();
            assert_eq!(got.len(), want.len());
            for (hit, (_, score)) in got.iter().zip(&want) {
                // Equals may stand in another order; the scores at each place, and of each passage, are the same.
                assert!((hit.score - score).abs() < 2e-3, "seed {seed}: {} {score}", hit.score);
                assert!((hit.score - wanted[&hit.passage.id]).abs() < 2e-3, "seed {seed}");
            }
        }
    }
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

#[tokio::test]
async fn a_leg_alone_is_in_its_own_order() {
    let (index, _dir) = index();
    let tenant = uuid(1);
    put(&index, tenant, uuid(10), 1, &["zoning budget water", "zoning", "park"]).await;
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
