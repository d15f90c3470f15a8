//! Both engines, and what OpenSearch does by itself, side by side on the same passages and the same queries:
//! `bench_engines fill|measure embedded|opensearch|native DIR|URL PASSAGES`. `bench/search` runs it.
//! Passages are of 90 words drawn by Zipf's law and of random directions; queries of one to six such words.

mod native;
mod passages;

use std::path::Path;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt, TryStreamExt};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use search::index::embedded::{EmbeddedIndex, OnDamage};
use search::index::opensearch::{OpenSearchIndex, Options};
use search::index::{Filters, Mode, Part, SearchIndex, SearchRequest, Visibility, VisibleTags};
use search::query::parse;
use search::rank::RankParams;
use uuid::Uuid;

use passages::{DIMS, PER_MEETING, direction, meeting, words};

const QUERIES: usize = 330;
/// The first ones warm up.
const WARM: usize = 30;
/// Meetings handed over at once.
const AT_ONCE: usize = 8;

type Failure = Box<dyn std::error::Error>;

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
    eprintln!("{engine}: {passages} passages indexed in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

async fn measure(
    index: &dyn SearchIndex,
    engine: &str,
    name: &str,
    mode: Mode,
    filters: Filters,
) -> Result<(), Failure> {
    let mut times = Times::default();
    for (text, vector) in queries() {
        let request = SearchRequest {
            tenant: Uuid::nil(),
            visible: VisibleTags::of([Visibility::Public]),
            query: parse(&text),
            vector: Some(vector),
            mode,
            filters: filters.clone(),
            first: 10,
            after: None,
            group_by_meeting: false,
        };
        times.take(index.search(request)).await?;
    }
    times.tell(engine, name);
    Ok(())
}

/// Words and a direction each, the same in every run.
fn queries() -> impl Iterator<Item = (String, Vec<f32>)> {
    let mut rng = StdRng::seed_from_u64(2);
    (0..QUERIES).map(move |_| {
        let count = rng.random_range(1..7);
        (words(&mut rng, count), direction(&mut rng))
    })
}

/// How long searches take, and how much of this process.
#[derive(Default)]
struct Times {
    made: usize,
    each: Vec<Duration>,
    processor_ms: f64,
}

impl Times {
    async fn take<T, E>(&mut self, search: impl Future<Output = Result<T, E>>) -> Result<(), E> {
        if self.made == WARM {
            self.processor_ms = processor_ms();
        }
        self.made += 1;
        let started = Instant::now();
        search.await?;
        if self.made > WARM {
            self.each.push(started.elapsed());
        }
        Ok(())
    }

    fn tell(mut self, engine: &str, name: &str) {
        self.each.sort();
        let at = |share: f64| self.each[(share * self.each.len() as f64) as usize].as_secs_f64() * 1_000.0;
        let processor = (processor_ms() - self.processor_ms) / self.each.len() as f64;
        println!("{engine}\t{name}\t{:.2}\t{:.2}\t{:.2}\t{processor:.2}", at(0.5), at(0.95), at(0.99));
    }
}

/// Processor time of this process so far, all threads, in milliseconds.
fn processor_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat.split_whitespace().skip(13).take(2).filter_map(|f| f.parse().ok()).collect();
    // The kernel counts in hundredths of a second.
    fields.iter().sum::<f64>() * 10.0
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
        return Err("bench_engines fill|measure embedded|opensearch|native DIR|URL PASSAGES".into());
    };
    let passages = passages.parse()?;
    if engine == "native" {
        return match what.as_str() {
            "fill" => native::fill(place, passages).await,
            _ => native::measure(place).await,
        };
    }
    let started = Instant::now();
    let index = open(engine, place).await?;
    if what == "fill" {
        return fill(&*index, engine, passages).await;
    }
    eprintln!(
        "{engine}: opened in {:.2} s, this process {:.0} MB",
        started.elapsed().as_secs_f64(),
        resident_mb()
    );
    let city = Filters { cities: vec![Uuid::from_u128(1)], ..Filters::default() };
    measure(&*index, engine, "keyword", Mode::Keyword, Filters::default()).await?;
    measure(&*index, engine, "vector", Mode::Vector, Filters::default()).await?;
    measure(&*index, engine, "hybrid", Mode::Hybrid, Filters::default()).await?;
    measure(&*index, engine, "hybrid, one city of five", Mode::Hybrid, city).await?;
    eprintln!("{engine}: this process {:.0} MB", resident_mb());
    Ok(())
}
