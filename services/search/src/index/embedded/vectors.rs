//! Vectors in memory, 16 bits a dimension in two planes of 8.
//!
//! The high plane alone is scanned: half the bytes to read, and products of small integers. The best of the scan are
//! scored again from both planes, which is as exact as a cosine needs to be (about 1e-5).

use pulp::{Arch, Simd, WithSimd};
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, QuantParams};
use rten_tensor::NdTensorView;

/// Largest value of the 16-bit form: the high plane then stays within ±127.
const FULL: f32 = 127.0 * 256.0;

/// What is added to a signed 8-bit value to make it the unsigned one that the kernels want.
const ZERO_POINT: u8 = 128;
/// All vectors of a stretch are looked at where at least one in so many may answer.
const WHOLE_WHERE_ONE_IN: usize = 6;

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
        if self.dims == 0 || query.words.len() != self.dims {
            out.fill(f32::NEG_INFINITY);
            return;
        }
        let last = first + out.len();
        let rows = &self.high[first * self.dims..last * self.dims];
        let scales = &self.scale[first..last];
        let kept = |row: usize| pass[row] && scales[row] > 0.0;
        // Looking at all of them is cheaper than choosing, until few are left.
        let many = pass.iter().filter(|pass| **pass).count() * WHOLE_WHERE_ONE_IN > pass.len();
        let products = if many { query.products(rows) } else { None };
        match products {
            Some(products) => {
                for (row, (out, product)) in out.iter_mut().zip(products).enumerate() {
                    let cosine = product as f32 * scales[row] * query.byte_scale;
                    *out = if kept(row) { cosine } else { f32::NEG_INFINITY };
                }
            }
            None => Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (row, (out, values)) in out.iter_mut().zip(rows.chunks_exact(self.dims)).enumerate() {
                        *out = if kept(row) {
                            dot_i8(values, &query.words) as f32 * scales[row] * query.word_scale
                        } else {
                            f32::NEG_INFINITY
                        };
                    }
                },
            ),
        }
    }
}

#[inline(always)]
fn dot_i8(row: &[i8], query: &[i16]) -> i32 {
    row.iter().zip(query).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// A query's vector, made for [`Vectors::scan`]: in 16 bits, and in 8 where the processor multiplies those exactly.
pub(super) struct ScanQuery {
    words: Vec<i16>,
    word_scale: f32,
    /// Around [`ZERO_POINT`], as the kernels want it.
    bytes: Vec<u8>,
    byte_scale: f32,
    /// `None` where products of bytes would saturate (x86 before VNNI).
    kernel: Option<GemmExecutor<u8, i8, i32>>,
}

impl ScanQuery {
    /// `query` has unit length.
    pub(super) fn new(query: &[f32]) -> Self {
        let largest = query.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
        // The sum of all products must fit in 32 bits, whatever the dimensions.
        let full = (f64::from(i32::MAX) / 128.0 / query.len().max(1) as f64).min(f64::from(i16::MAX)) as f32;
        let byte = |v: &f32| (v / largest * 127.0).round() as i16 + i16::from(ZERO_POINT);
        let kernel = GemmExecutor::default();
        Self {
            words: query.iter().map(|v| (v / largest * full) as i16).collect(),
            word_scale: largest / full * 256.0,
            bytes: query.iter().map(|v| byte(v) as u8).collect(),
            byte_scale: largest / 127.0 * 256.0,
            kernel: (!kernel.may_saturate()).then_some(kernel),
        }
    }

    /// The products of 8-bit rows with the query; `None` where this processor has no exact ones.
    fn products(&self, rows: &[i8]) -> Option<Vec<i32>> {
        let kernel = self.kernel.as_ref()?;
        let dims = self.bytes.len();
        let mut products = vec![0; rows.len() / dims];
        let query = NdTensorView::from_data([1, dims], self.bytes.as_slice());
        let rows = NdTensorView::from_data([products.len(), dims], rows);
        let options = GemmOptions {
            a_quant: Some(QuantParams { zero_point: &[ZERO_POINT] }),
            ..GemmOptions::default()
        };
        let (query, rows) = (GemmInputA::Unpacked(query), GemmInputB::Unpacked(rows.transposed()));
        kernel.gemm(&mut products, query, rows, options).ok()?;
        Some(products)
    }
}

/// A query or document vector brought to unit length; `None` where it has no direction.
pub(super) fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let norm = vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt() as f32;
    (norm.is_finite() && norm > f32::MIN_POSITIVE).then(|| vector.iter().map(|v| v / norm).collect())
}

/// Dot product in as many lanes as the processor has.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    Arch::new().dispatch(Dot(a, b))
}

struct Dot<'a>(&'a [f32], &'a [f32]);

impl WithSimd for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let ((a, a_rest), (b, b_rest)) = (S::as_simd_f32s(self.0), S::as_simd_f32s(self.1));
        // Four sums, so that one addition need not wait for the other.
        let mut sums = [simd.splat_f32s(0.0); 4];
        let (a_fours, b_fours) = (a.chunks_exact(4), b.chunks_exact(4));
        for (&a, &b) in a_fours.remainder().iter().zip(b_fours.remainder()) {
            sums[0] = simd.mul_add_e_f32s(a, b, sums[0]);
        }
        for (a, b) in a_fours.zip(b_fours) {
            for lane in 0..4 {
                sums[lane] = simd.mul_add_e_f32s(a[lane], b[lane], sums[lane]);
            }
        }
        let sum = simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]));
        simd.reduce_sum_f32s(sum) + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
    }
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
            // Where few may answer they are looked at one by one.
            let few: Vec<bool> = (0..51).map(|i| i % 10 == 0).collect();
            let mut chosen = vec![0.0; 51];
            vectors.scan(&ScanQuery::new(&query), 0, &few, &mut chosen);
            for (i, (chosen, all)) in chosen.iter().zip(&out).enumerate() {
                assert!(if few[i] && i < 50 {
                    (chosen - all).abs() < 1e-2
                } else {
                    *chosen == f32::NEG_INFINITY
                });
            }
            assert!(!vectors.has(50));
            for (i, doc) in docs.iter().enumerate() {
                let want = dot(doc, &query);
                let mut exact = vec![0.0; dims];
                assert!(vectors.decode(i, &mut exact));
                assert!((out[i] - want).abs() < 1e-2, "{dims}: {} {want}", out[i]);
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
