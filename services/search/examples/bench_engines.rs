//! Both engines side by side on the same passages and the same queries:
//! `bench_engines fill|measure embedded DIR|opensearch URL PASSAGES`. `bench/search` runs it.
//! Passages are of 90 words drawn by Zipf's law and of random directions; queries of one to six such words.

use std::path::Path;
use std::time::{Duration, Instant};

use cs_core::document::ArtifactKind;
use futures::stream::{self, StreamExt, TryStreamExt};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use search::index::embedded::{EmbeddedIndex, OnDamage};
use search::index::opensearch::{OpenSearchIndex, Options};
use search::index::{
    Filters, Mode, Part, PassageDoc, PassageKind, SearchIndex, SearchRequest, Visibility, VisibleTags,
};
use search::query::parse;
use search::rank::RankParams;
use uuid::Uuid;

const DIMS: usize = 384;
const WORDS: usize = 50_000;
const PER_MEETING: u32 = 500;
const QUERIES: usize = 330;
/// The first ones warm up.
const WARM: usize = 30;
/// Meetings handed over at once.
const AT_ONCE: usize = 8;

type Failure = Box<dyn std::error::Error>;

fn word(rng: &mut StdRng) -> String {
    let rank = (WORDS as f64).powf(rng.random_range(0.0..1.0)) as usize;
    let mut rest = rank * 2_654_435_761 % 11_881_376;
    let mut word = String::new();
    for _ in 0..5 {
        word.push((b'a' + (rest % 26) as u8) as char);
        rest /= 26;
    }
    word
}

fn words(rng: &mut StdRng, count: usize) -> String {
    (0..count).map(|_| word(rng)).collect::<Vec<_>>().join(" ")
}

fn direction(rng: &mut StdRng) -> Vec<f32> {
    (0..DIMS).map(|_| (0..3).map(|_| rng.random_range(-1.0_f32..1.0)).sum()).collect()
}

/// The same for every engine: a meeting's number is its seed.
fn meeting(number: u32, passages: u32) -> Vec<PassageDoc> {
    let mut rng = StdRng::seed_from_u64(u64::from(number) + 1_000);
    (0..passages)
        .map(|n| PassageDoc {
            id: format!("{number}/{n}"),
            tenant_id: Uuid::nil(),
            meeting_id: Uuid::from_u128(u128::from(number) + 1),
            city_id: Uuid::from_u128(u128::from(number % 5)),
            body_id: Uuid::from_u128(u128::from(number % 20)),
            artifact_id: Uuid::from_u128(u128::from(number) * 10 + u128::from(n % 4)),
            derived_from: Vec::new(),
            artifact_kind: ArtifactKind::Minutes,
            text_sha256: "0".repeat(64),
            section: n,
            start: n * 600,
            end: n * 600 + 540,
            page: Some(n / 3),
            time_ms: None,
            date: chrono::NaiveDate::from_num_days_from_ce_opt(737_000 + number as i32).unwrap_or_default(),
            visibility: Visibility::Public,
            kind: PassageKind::Passage,
            confidence: None,
            title: "Regular Meeting".to_owned(),
            heading: None,
            text: words(&mut rng, 90),
            vector: direction(&mut rng),
            embedder: "bench".to_owned(),
            chunker: "bench".to_owned(),
            labels: Default::default(),
        })
        .collect()
}

async fn open(engine: &str, place: &str) -> Result<Box<dyn SearchIndex>, Failure> {
    Ok(match engine {
        "embedded" => {
            Box::new(EmbeddedIndex::open(Path::new(place), RankParams::default(), OnDamage::Refuse)?.0)
        }
        "opensearch" => {
            let mut options = Options::new(place.parse()?, DIMS);
            options.prefix = "bench".to_owned();
            options.deadline = Duration::from_secs(30);
            Box::new(OpenSearchIndex::connect(options).await?)
        }
        other => return Err(format!("{other}: use embedded or opensearch").into()),
    })
}

async fn fill(index: &dyn SearchIndex, engine: &str, passages: u32) -> Result<(), Failure> {
    let started = Instant::now();
    stream::iter(0..passages.div_ceil(PER_MEETING))
        .map(|number| {
            let docs = meeting(number, PER_MEETING.min(passages - number * PER_MEETING));
            index.replace_meeting(Uuid::nil(), docs[0].meeting_id, Part::Documents, 1, docs)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    println!("{engine}: {passages} passages indexed in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

async fn measure(
    index: &dyn SearchIndex,
    engine: &str,
    name: &str,
    mode: Mode,
    filters: Filters,
) -> Result<(), Failure> {
    let mut rng = StdRng::seed_from_u64(2);
    let mut times = Vec::new();
    for round in 0..QUERIES {
        let count = rng.random_range(1..7);
        let request = SearchRequest {
            tenant: Uuid::nil(),
            visible: VisibleTags::of([Visibility::Public]),
            query: parse(&words(&mut rng, count)),
            vector: Some(direction(&mut rng)),
            mode,
            filters: filters.clone(),
            first: 10,
            after: None,
            group_by_meeting: false,
        };
        let started = Instant::now();
        index.search(request).await?;
        if round >= WARM {
            times.push(started.elapsed());
        }
    }
    times.sort();
    let at = |share: f64| times[(share * times.len() as f64) as usize].as_secs_f64() * 1_000.0;
    println!("{engine:<10} {name:<26} p50 {:6.1} ms  p95 {:6.1} ms", at(0.5), at(0.95));
    Ok(())
}

fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, engine, place, passages] = args.as_slice() else {
        return Err("bench_engines fill|measure embedded|opensearch DIR|URL PASSAGES".into());
    };
    let index = open(engine, place).await?;
    if what == "fill" {
        return fill(&*index, engine, passages.parse()?).await;
    }
    let city = Filters { cities: vec![Uuid::from_u128(1)], ..Filters::default() };
    measure(&*index, engine, "keyword", Mode::Keyword, Filters::default()).await?;
    measure(&*index, engine, "vector", Mode::Vector, Filters::default()).await?;
    measure(&*index, engine, "hybrid", Mode::Hybrid, Filters::default()).await?;
    measure(&*index, engine, "hybrid, one city of five", Mode::Hybrid, city).await?;
    println!("{engine:<10} this process {:.0} MB", resident_mb());
    Ok(())
}
