//! Speed and memory of the built-in embedder: `cargo run --release -p cs-text --example embed_bench [PASSAGES] [THREADS]`.
#![allow(clippy::print_stdout, reason = "it is for reading on a terminal")]

use std::time::Instant;

use cs_text::embed::MiniLm;

/// Words of council minutes; the passages are made of them so that the tokens are of the usual length.
const WORDS: &str = "the council of the city met in regular session and the clerk called the roll motion by \
    Councilmember Moreno second by Councilmember Giarrusso to adopt ordinance calendar number 33,902 authorizing the \
    Mayor to enter into a cooperative endeavor agreement for the repaving of North Rampart Street zoning docket \
    conditional use permit hearing was waived and the matter was referred to the Quality of Life committee";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().map_or(Ok(200), |a| a.parse())?;
    let start = Instant::now();
    let model = match arguments.next() {
        Some(threads) => MiniLm::load_with_bulk_threads(threads.parse()?)?,
        None => MiniLm::load()?,
    };
    println!("load          {:8.1} ms", start.elapsed().as_secs_f64() * 1e3);

    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let passages: Vec<String> = (0..count)
        .map(|n| {
            (0..100).map(|w| words[(n * 7 + w * (1 + n % 5)) % words.len()]).collect::<Vec<_>>().join(" ")
        })
        .collect();
    let passages: Vec<&str> = passages.iter().map(String::as_str).collect();
    model.embed(&passages[..passages.len().min(8)])?;
    let start = Instant::now();
    for batch in passages.chunks(64) {
        model.embed(batch)?;
    }
    println!("passages      {:8.1} a second", count as f64 / start.elapsed().as_secs_f64());

    let mut times: Vec<f64> = (0..200)
        .map(|n| {
            let query = format!("who voted against ordinance {n} on short term rentals");
            let start = Instant::now();
            let vectors = model.embed(&[&query]);
            vectors.map(|_| start.elapsed().as_secs_f64() * 1e3)
        })
        .collect::<Result<_, _>>()?;
    times.sort_by(f64::total_cmp);
    println!("query         p50 {:.2} ms, p95 {:.2} ms", times[100], times[190]);

    let of = |a: &str, b: &str| -> Result<f32, Box<dyn std::error::Error>> {
        let v = model.embed(&[a, b])?;
        Ok(v[0].iter().zip(&v[1]).map(|(a, b)| a * b).sum())
    };
    let happy = "That is a happy person";
    println!(
        "cosines       {:.4} {:.4} {:.4}",
        of(happy, "That is a happy dog")?,
        of(happy, "That is a very happy person")?,
        of(happy, "Today is a sunny day")?
    );
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        status
            .lines()
            .filter(|l| l.starts_with("VmRSS") || l.starts_with("VmHWM"))
            .for_each(|l| println!("{l}"));
    }
    Ok(())
}
