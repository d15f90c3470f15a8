//! How many of the answering passages there are of each kind.

use std::collections::HashMap;
use std::hash::Hash;

use super::columns::{ARTIFACT_KINDS, Interned};
use super::snapshot::Snapshot;
use crate::index::Facets;

/// Counts the rows for which `answers` holds; also gives how many there are.
pub(super) fn count(snapshot: &Snapshot, answers: &[bool]) -> (Facets, u64) {
    let (mut cities, mut bodies, mut years) = (HashMap::new(), HashMap::new(), HashMap::new());
    let mut kinds = [0_u64; ARTIFACT_KINDS.len()];
    let mut total = 0;
    for segment in &snapshot.segments {
        let columns = &segment.columns;
        let answers = &answers[segment.base..segment.base + segment.len()];
        let mut city = Counter::of(&columns.city);
        let mut body = Counter::of(&columns.body);
        let mut year = Counter::of(&columns.year);
        for (row, _) in answers.iter().enumerate().filter(|(_, answers)| **answers) {
            total += 1;
            city.add(row);
            body.add(row);
            year.add(row);
            if let Some(count) = kinds.get_mut(usize::from(columns.artifact_kind[row])) {
                *count += 1;
            }
        }
        city.sum_into(&mut cities);
        body.sum_into(&mut bodies);
        year.sum_into(&mut years);
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

/// Counts by place in a segment's column: an array and no map, since every answering row passes here.
struct Counter<'a, T> {
    column: &'a Interned<T>,
    counts: Vec<u64>,
}

impl<'a, T: Clone + Eq + Hash> Counter<'a, T> {
    fn of(column: &'a Interned<T>) -> Self {
        Self { column, counts: vec![0; column.values.len()] }
    }

    fn add(&mut self, row: usize) {
        self.counts[self.column.places[row] as usize] += 1;
    }

    fn sum_into(self, sums: &mut HashMap<T, u64>) {
        for (value, count) in self.column.values.iter().zip(self.counts).filter(|(_, count)| *count > 0) {
            *sums.entry(value.clone()).or_default() += count;
        }
    }
}

fn most_first<T: Ord>(sums: HashMap<T, u64>) -> Vec<(T, u64)> {
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sums
}
