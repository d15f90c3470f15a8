//! Latency, memory and open time at a size: `bench_search [PASSAGES] [DIR]`, default 100,000 in a scratch directory.
//! Passages are of 90 words drawn by Zipf's law and of random directions; queries of one to six such words.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cs_core::document::ArtifactKind;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use search::index::embedded::{EmbeddedIndex, OnDamage};
use search::index::{
    Filters, Mode, Part, PassageDoc, PassageKind, SearchIndex, SearchRequest, Visibility, VisibleTags,
};
use search::query::parse;
use search::rank::RankParams;
use uuid::Uuid;

const DIMS: usize = 384;
const WORDS: usize = 50_000;
const PER_MEETING: u32 = 500;

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

fn meeting(rng: &mut StdRng, number: u32, passages: u32) -> Vec<PassageDoc> {
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
            text: words(rng, 90),
            vector: direction(rng),
            embedder: "bench".to_owned(),
            chunker: "bench".to_owned(),
            labels: Default::default(),
        })
        .collect()
}

async fn fill(dir: &Path, passages: u32) -> Result<(), Box<dyn std::error::Error>> {
    let (index, _) = EmbeddedIndex::open(dir, RankParams::default(), OnDamage::Refuse)?;
    let mut rng = StdRng::seed_from_u64(1);
    let started = Instant::now();
    for number in 0..passages.div_ceil(PER_MEETING) {
        let count = PER_MEETING.min(passages - number * PER_MEETING);
        let docs = meeting(&mut rng, number, count);
        let id = docs[0].meeting_id;
        index.replace_meeting(Uuid::nil(), id, Part::Documents, 1, docs).await?;
    }
    println!("indexed {passages} passages in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// Processor time of this process so far, all threads, in milliseconds.
fn processor_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat.split_whitespace().skip(13).take(2).filter_map(|f| f.parse().ok()).collect();
    // The kernel counts in hundredths of a second.
    fields.iter().sum::<f64>() * 10.0
}

async fn measure(
    index: &EmbeddedIndex,
    name: &str,
    mode: Mode,
    filters: Filters,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = StdRng::seed_from_u64(2);
    let mut times = Vec::new();
    let mut processor = 0.0;
    for round in 0..330 {
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
        if round == 30 {
            processor = processor_ms();
        }
        let started = Instant::now();
        index.search(request).await?;
        // The first thirty warm up.
        if round >= 30 {
            times.push(started.elapsed());
        }
    }
    let processor = (processor_ms() - processor) / 300.0;
    times.sort();
    let ms = |d: Duration| d.as_secs_f64() * 1_000.0;
    println!(
        "{name}: p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms, processor {processor:.1} ms a search",
        ms(times[150]),
        ms(times[285]),
        ms(times[297])
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let passages: u32 = args.next().map_or(Ok(100_000), |n| n.parse())?;
    let scratch = tempfile::tempdir()?;
    let dir = args.next().map_or_else(|| scratch.path().to_owned(), PathBuf::from);
    if !dir.join("engine.json").exists() {
        // In a process of its own memory: what indexing took is not held against searching.
        if std::env::args().nth(3).is_none() && dir != scratch.path() {
            let itself = std::env::current_exe()?;
            let status = std::process::Command::new(itself)
                .arg(passages.to_string())
                .arg(&dir)
                .arg("fill")
                .status()?;
            println!("filled: {status}");
        } else {
            fill(&dir, passages).await?;
            println!("resident after indexing {:.0} MB", resident_mb());
            if std::env::args().nth(3).is_some() {
                return Ok(());
            }
        }
    }
    let started = Instant::now();
    let (index, _) = EmbeddedIndex::open(&dir, RankParams::default(), OnDamage::Refuse)?;
    println!("opened in {:.2} s, resident {:.0} MB", started.elapsed().as_secs_f64(), resident_mb());
    let city = Filters { cities: vec![Uuid::from_u128(1)], ..Filters::default() };
    measure(&index, "hybrid", Mode::Hybrid, Filters::default()).await?;
    measure(&index, "hybrid, one city of five", Mode::Hybrid, city).await?;
    measure(&index, "keyword", Mode::Keyword, Filters::default()).await?;
    measure(&index, "vector", Mode::Vector, Filters::default()).await?;
    println!("resident {:.0} MB, {:?}", resident_mb(), index.stats(Uuid::nil()).await?);
    Ok(())
}
