//! The same passages and queries for every engine.

use cs_core::document::ArtifactKind;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use search::index::{PassageDoc, PassageKind, Visibility};
use uuid::Uuid;

/// Of a vector.
pub(crate) const DIMS: usize = 384;
/// Passages of a meeting.
pub(crate) const PER_MEETING: u32 = 500;
const WORDS: usize = 50_000;

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

pub(crate) fn words(rng: &mut StdRng, count: usize) -> String {
    (0..count).map(|_| word(rng)).collect::<Vec<_>>().join(" ")
}

pub(crate) fn direction(rng: &mut StdRng) -> Vec<f32> {
    (0..DIMS).map(|_| (0..3).map(|_| rng.random_range(-1.0_f32..1.0)).sum()).collect()
}

/// The same for every engine: a meeting's number is its seed.
pub(crate) fn meeting(number: u32, passages: u32) -> Vec<PassageDoc> {
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
