//! How many of the answering passages there are of each kind.

use std::collections::HashMap;
use std::hash::Hash;

use chrono::{Datelike, NaiveDate};

use super::columns::{ARTIFACT_KINDS, Interned};
use super::snapshot::Snapshot;
use crate::index::Facets;

/// Counts the rows for which `answers` holds; also gives how many there are.
pub(super) fn count(snapshot: &Snapshot, answers: &[bool]) -> (Facets, u64) {
    let (mut cities, mut bodies) = (HashMap::new(), HashMap::new());
    let mut days: HashMap<i32, u64> = HashMap::new();
    let mut kinds = [0_u64; ARTIFACT_KINDS.len()];
    let mut total = 0;
    for segment in &snapshot.segments {
        let answers = &answers[segment.base..segment.base + segment.len()];
        let rows: Vec<usize> = (0..segment.len()).filter(|&row| answers[row]).collect();
        total += rows.len() as u64;
        add(&segment.columns.city, &rows, &mut cities);
        add(&segment.columns.body, &rows, &mut bodies);
        for &row in &rows {
            *days.entry(segment.columns.day[row]).or_default() += 1;
            if let Some(count) = kinds.get_mut(usize::from(segment.columns.artifact_kind[row])) {
                *count += 1;
            }
        }
    }
    let mut years: HashMap<i32, u64> = HashMap::new();
    for (day, count) in days {
        *years.entry(NaiveDate::from_num_days_from_ce_opt(day).map_or(0, |d| d.year())).or_default() += count;
    }
    let kinds: HashMap<String, u64> = ARTIFACT_KINDS
        .iter()
        .zip(kinds)
        .filter(|(_, n)| *n > 0)
        .map(|(k, n)| (k.as_str().to_owned(), n))
        .collect();
    let facets = Facets {
        cities: most_first(cities),
        bodies: most_first(bodies),
        years: most_first(years),
        artifact_kinds: most_first(kinds),
    };
    (facets, total)
}

fn add<T: Clone + Eq + Hash>(column: &Interned<T>, rows: &[usize], sums: &mut HashMap<T, u64>) {
    let mut counts = vec![0_u64; column.values.len()];
    for &row in rows {
        counts[column.places[row] as usize] += 1;
    }
    for (value, count) in column.values.iter().zip(counts).filter(|(_, count)| *count > 0) {
        *sums.entry(value.clone()).or_default() += count;
    }
}

fn most_first<T: Ord>(sums: HashMap<T, u64>) -> Vec<(T, u64)> {
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sums
}
