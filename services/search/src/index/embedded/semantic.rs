//! The vector leg: every vector that may answer is looked at. No graph, hence nothing is lost to a filter.

use rayon::prelude::*;

use super::filter::Allowed;
use super::snapshot::Snapshot;
use super::vectors::{ScanQuery, dot};
use crate::rank::Likeness;

/// Rows scanned at a time by one thread.
const STRIDE: usize = 4_096;
/// Candidates beyond those asked for that are scored exactly: the scan may misplace a row by a few hundred ranks, not
/// from outside these into the best.
const MARGIN: usize = 256;

/// The best `count` rows by approximate cosine, in no order, a margin included.
pub(super) fn candidates(snapshot: &Snapshot, allowed: &Allowed, query: &[f32], count: usize) -> Vec<u32> {
    let query = ScanQuery::new(query);
    let mut scores = vec![f32::NEG_INFINITY; snapshot.len()];
    let mut rest = scores.as_mut_slice();
    let mut strides = Vec::new();
    for segment in &snapshot.segments {
        let (own, others) = rest.split_at_mut(segment.len());
        rest = others;
        strides.extend(own.chunks_mut(STRIDE).enumerate().map(|(i, out)| (segment, i * STRIDE, out)));
    }
    strides.into_par_iter().for_each(|(segment, first, out)| {
        let row = segment.base + first;
        let pass = &allowed.pass[row..row + out.len()];
        segment.columns.vectors.scan(&query, first, pass, out);
    });
    best(snapshot, &scores, f32::NEG_INFINITY, count + MARGIN)
}

/// The rows of the `count` highest scores above `floor`, in no order. Among equals the lower id wins, so that the
/// choice does not depend on where a row happens to lie.
pub(super) fn best(snapshot: &Snapshot, scores: &[f32], floor: f32, count: usize) -> Vec<u32> {
    let order = |a: &u32, b: &u32| {
        let (x, y) = (scores[*a as usize], scores[*b as usize]);
        y.total_cmp(&x).then_with(|| snapshot.id(*a).cmp(&snapshot.id(*b)))
    };
    let mut rows: Vec<u32> = Vec::with_capacity(2 * count);
    // Rises as better rows are found; most rows are then passed by with one comparison.
    let mut least = floor;
    for (row, &score) in scores.iter().enumerate() {
        if score < least || score <= floor {
            continue;
        }
        rows.push(row as u32);
        if rows.len() == 2 * count {
            rows.select_nth_unstable_by(count - 1, order);
            rows.truncate(count);
            least = scores[rows[count - 1] as usize];
        }
    }
    if rows.len() > count {
        rows.select_nth_unstable_by(count - 1, order);
        rows.truncate(count);
    }
    rows
}

/// Vectors decoded by one thread at a time.
const DECODED_AT_ONCE: usize = 128;

/// The vectors of some rows as floats.
pub(super) struct Matrix {
    dims: usize,
    values: Vec<f32>,
    has: Vec<bool>,
}

impl Matrix {
    pub(super) fn of(snapshot: &Snapshot, rows: &[u32]) -> Self {
        let dims = snapshot.dims;
        let mut values = vec![0.0; rows.len() * dims];
        let mut has = vec![false; rows.len()];
        if dims > 0 {
            (values.par_chunks_mut(DECODED_AT_ONCE * dims), has.par_chunks_mut(DECODED_AT_ONCE))
                .into_par_iter()
                .zip(rows.par_chunks(DECODED_AT_ONCE))
                .for_each(|((values, has), rows)| {
                    for ((values, has), &row) in values.chunks_exact_mut(dims).zip(has).zip(rows) {
                        let (segment, doc) = snapshot.locate(row as usize);
                        let vectors = &snapshot.segments[segment].columns.vectors;
                        *has = vectors.dims == dims && vectors.decode(doc, values);
                    }
                });
        }
        Self { dims, values, has }
    }

    fn row(&self, place: usize) -> &[f32] {
        &self.values[place * self.dims..(place + 1) * self.dims]
    }

    /// Exact cosine of every row to a query of unit length; `None` where there is no vector.
    pub(super) fn cosines_to(&self, query: &[f32]) -> Vec<Option<f32>> {
        let usable = query.len() == self.dims;
        (0..self.has.len())
            .map(|place| (usable && self.has[place]).then(|| dot(self.row(place), query)))
            .collect()
    }
}

impl Likeness for Matrix {
    fn cosine(&self, a: usize, b: usize) -> f32 {
        dot(self.row(a), self.row(b))
    }
}
