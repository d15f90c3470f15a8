//! Vectors in memory, 16 bits a dimension in two planes of 8.
//!
//! The high plane alone is scanned: half the bytes to read, and products of small integers. The best of the scan are
//! scored again from both planes, which is as exact as a cosine needs to be (about 1e-5).

use pulp::Arch;

/// Largest value of the 16-bit form: the high plane then stays within ±127.
const FULL: f32 = 127.0 * 256.0;

/// The vectors of a segment, by document. A document without a vector has scale 0.
#[derive(Debug, Default)]
pub(super) struct Vectors {
    pub(super) dims: usize,
    high: Vec<i8>,
    low: Vec<i8>,
    scale: Vec<f32>,
}

/// The stored form: a scale, then the dimensions, little endian. The vector is brought to unit length; one without
/// length or with a value that is not a number is stored as none.
pub(super) fn encode(vector: &[f32]) -> Vec<u8> {
    let norm = vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt() as f32;
    let largest = vector.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    if !norm.is_finite() || norm <= f32::MIN_POSITIVE {
        return Vec::new();
    }
    let mut bytes = Vec::with_capacity(4 + 2 * vector.len());
    bytes.extend((largest / norm / FULL).to_le_bytes());
    for value in vector {
        bytes.extend(((value / largest * FULL).round() as i16).to_le_bytes());
    }
    bytes
}

impl Vectors {
    pub(super) fn with_capacity(docs: usize, dims: usize) -> Self {
        Self {
            dims,
            high: Vec::with_capacity(docs * dims),
            low: Vec::with_capacity(docs * dims),
            scale: Vec::with_capacity(docs),
        }
    }

    /// Appends a document's stored form, or nothing that can be used as one.
    pub(super) fn push(&mut self, stored: Option<&[u8]>) {
        let stored = stored.filter(|bytes| self.dims > 0 && bytes.len() == 4 + 2 * self.dims);
        let Some((scale, values)) = stored.and_then(|bytes| bytes.split_first_chunk::<4>()) else {
            self.high.resize(self.high.len() + self.dims, 0);
            self.low.resize(self.low.len() + self.dims, 0);
            self.scale.push(0.0);
            return;
        };
        for pair in values.chunks_exact(2) {
            let value = i32::from(i16::from_le_bytes([pair[0], pair[1]]));
            let high = (value + 128) >> 8;
            self.high.push(high as i8);
            self.low.push((value - high * 256) as i8);
        }
        self.scale.push(f32::from_le_bytes(*scale));
    }

    pub(super) fn has(&self, doc: usize) -> bool {
        self.scale.get(doc).is_some_and(|s| *s > 0.0)
    }

    /// Writes the vector as floats; gives back whether there is one.
    pub(super) fn decode(&self, doc: usize, out: &mut [f32]) -> bool {
        let Some(&scale) = self.scale.get(doc).filter(|scale| **scale > 0.0) else { return false };
        let range = doc * self.dims..(doc + 1) * self.dims;
        let (high, low) = (&self.high[range.clone()], &self.low[range]);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for ((out, &high), &low) in out.iter_mut().zip(high).zip(low) {
                    *out = (i32::from(high) * 256 + i32::from(low)) as f32 * scale;
                }
            },
        );
        true
    }

    /// Writes the approximate cosine of every document in `first..first + out.len()` that `pass` lets through; the
    /// others, and those without a vector, get −∞.
    pub(super) fn scan(&self, query: &ScanQuery, first: usize, pass: &[bool], out: &mut [f32]) {
        if self.dims == 0 || query.values.len() != self.dims {
            out.fill(f32::NEG_INFINITY);
            return;
        }
        let last = first + out.len();
        let rows = &self.high[first * self.dims..last * self.dims];
        let scales = &self.scale[first..last];
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (((row, &scale), &pass), out) in
                    rows.chunks_exact(self.dims).zip(scales).zip(pass).zip(out.iter_mut())
                {
                    *out = if pass && scale > 0.0 {
                        dot_i8(row, &query.values) as f32 * scale * query.scale
                    } else {
                        f32::NEG_INFINITY
                    };
                }
            },
        );
    }
}

#[inline(always)]
fn dot_i8(row: &[i8], query: &[i16]) -> i32 {
    row.iter().zip(query).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// A query's vector, made for [`Vectors::scan`].
#[derive(Debug)]
pub(super) struct ScanQuery {
    values: Vec<i16>,
    scale: f32,
}

impl ScanQuery {
    /// `query` has unit length.
    pub(super) fn new(query: &[f32]) -> Self {
        let largest = query.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
        // The sum of all products must fit in 32 bits, whatever the dimensions.
        let full = (f64::from(i32::MAX) / 128.0 / query.len().max(1) as f64).min(f64::from(i16::MAX)) as f32;
        Self {
            values: query.iter().map(|v| (v / largest * full) as i16).collect(),
            scale: largest / full * 256.0,
        }
    }
}

/// A query or document vector brought to unit length; `None` where it has no direction.
pub(super) fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let norm = vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt() as f32;
    (norm.is_finite() && norm > f32::MIN_POSITIVE).then(|| vector.iter().map(|v| v / norm).collect())
}

/// Dot product in sixteen lanes, which the compiler makes into vector instructions. The order of additions is fixed, so
/// the result is the same on every machine.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut lanes = [0.0_f32; 16];
            let (a_blocks, b_blocks) = (a.chunks_exact(16), b.chunks_exact(16));
            let rest: f32 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, y)| x * y).sum();
            for (x, y) in a_blocks.zip(b_blocks) {
                for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
                    *lane += x * y;
                }
            }
            lanes.iter().sum::<f32>() + rest
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(seed: u32, dims: usize) -> Vec<f32> {
        let mut state = seed;
        let values: Vec<f32> = (0..dims)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect();
        unit(&values).unwrap()
    }

    #[test]
    fn scan_is_close_and_decoding_is_exact_enough() {
        for dims in [3, 384, 1536] {
            let docs: Vec<Vec<f32>> = (0..50).map(|i| vector(i, dims)).collect();
            let mut vectors = Vectors::with_capacity(50, dims);
            for doc in &docs {
                vectors.push(Some(&encode(doc)));
            }
            vectors.push(None);
            let query = vector(999, dims);
            let mut out = vec![0.0; 51];
            vectors.scan(&ScanQuery::new(&query), 0, &[true; 51], &mut out);
            assert_eq!(out[50], f32::NEG_INFINITY);
            assert!(!vectors.has(50));
            for (i, doc) in docs.iter().enumerate() {
                let want = dot(doc, &query);
                let mut exact = vec![0.0; dims];
                assert!(vectors.decode(i, &mut exact));
                assert!((out[i] - want).abs() < 5e-3, "{dims}: {} {want}", out[i]);
                assert!((dot(&exact, &query) - want).abs() < 5e-5, "{dims}");
            }
        }
    }

    #[test]
    fn the_extreme_query_does_not_overflow() {
        for dims in [384, 1536, 4096] {
            let ones = unit(&vec![1.0; dims]).unwrap();
            let mut vectors = Vectors::with_capacity(1, dims);
            vectors.push(Some(&encode(&ones)));
            let mut out = [0.0];
            vectors.scan(&ScanQuery::new(&ones), 0, &[true], &mut out);
            assert!((out[0] - 1.0).abs() < 1e-2, "{dims}: {}", out[0]);
        }
    }

    #[test]
    fn what_has_no_direction_is_no_vector() {
        assert!(encode(&[0.0; 8]).is_empty());
        assert!(encode(&[f32::NAN; 8]).is_empty());
        assert!(encode(&[]).is_empty());
        assert!(unit(&[0.0; 4]).is_none());
    }
}
