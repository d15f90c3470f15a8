//! The forward pass of BERT (Devlin et al., 2019, arXiv 1810.04805) in the size of MiniLM-L6-H384.
//!
//! The texts of a batch stand one after the other without padding. Every step but attention works on single tokens,
//! and attention on single texts, so a text's vector does not depend on the rest of the batch.

use std::ops::Range;

use rten_gemm::{GemmInputA, GemmInputB, GemmOptions};
use rten_simd::{SimdOp, SimdUnaryOp};
use rten_tensor::NdTensorView;
use rten_vecmath::{Gelu, Normalize, NormalizeOptions, Softmax, Sum, SumSquareSub};

use super::EmbedError;
use super::linear::{Kernels, Linear, Precision, at_least, product};
use super::weights::{Quantized, Weights};

const WIDTH: usize = 384;
const LAYERS: usize = 6;
const HEADS: usize = 12;
const HEAD: usize = WIDTH / HEADS;
/// `layer_norm_eps` of the model's configuration.
const EPSILON: f32 = 1e-12;

/// The network, ready to run.
pub(super) struct Encoder {
    words: Quantized<'static>,
    /// Position embeddings with the embedding of token type 0 added.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

/// The memory of one thread's passes, kept from one to the next because giving it back costs a tenth of the time.
#[derive(Default)]
pub(super) struct Workspace {
    kernels: Kernels,
    states: Vec<f32>,
    projected: Vec<f32>,
    attended: Vec<f32>,
    wide: Vec<f32>,
    change: Vec<f32>,
    weights: Vec<f32>,
    mixed: Vec<f32>,
}

struct Layer {
    query_key_value: Linear,
    attention_out: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
}

struct Norm {
    scale: Vec<f32>,
    bias: Vec<f32>,
}

impl Encoder {
    pub(super) fn read(file: &'static [u8], precision: Precision) -> Result<Self, EmbedError> {
        let weights = Weights::read(file)?;
        let kernels = Kernels::default();
        let mut positions = weights.floats("embeddings.position_embeddings.weight")?;
        let types = weights.floats("embeddings.token_type_embeddings.weight")?;
        for position in positions.chunks_exact_mut(WIDTH) {
            position.iter_mut().zip(&types).for_each(|(p, t)| *p += t);
        }
        let layers =
            (0..LAYERS).map(|n| Layer::read(&weights, n, &kernels, precision)).collect::<Result<_, _>>()?;
        Ok(Self {
            words: weights.quantized("embeddings.word_embeddings.weight")?,
            norm: Norm::read(&weights, "embeddings")?,
            positions,
            layers,
        })
    }

    /// The mean of each text's token vectors, scaled to unit length.
    pub(super) fn encode(&self, texts: &[&[u32]], work: &mut Workspace) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut rows = Vec::with_capacity(texts.len());
        work.states.clear();
        for text in texts {
            let first = work.states.len() / WIDTH;
            work.states.extend_from_slice(&self.positions[..text.len() * WIDTH]);
            for (state, token) in work.states[first * WIDTH..].chunks_exact_mut(WIDTH).zip(*text) {
                self.words.add_row(*token as usize, state);
            }
            rows.push(first..first + text.len());
        }
        self.norm.apply(&mut work.states);
        for layer in &self.layers {
            layer.apply(work, &rows)?;
        }
        Ok(rows.into_iter().map(|r| pool(&work.states[r.start * WIDTH..r.end * WIDTH])).collect())
    }
}

impl Layer {
    fn read(
        weights: &Weights<'_>,
        number: usize,
        kernels: &Kernels,
        precision: Precision,
    ) -> Result<Self, EmbedError> {
        let name = |part: &str| format!("encoder.layer.{number}.{part}");
        let linear = |parts: &[&str]| {
            Linear::read(weights, &parts.iter().map(|p| name(p)).collect::<Vec<_>>(), kernels, precision)
        };
        Ok(Self {
            query_key_value: linear(&["attention.self.query", "attention.self.key", "attention.self.value"])?,
            attention_out: linear(&["attention.output.dense"])?,
            attention_norm: Norm::read(weights, &name("attention.output"))?,
            up: linear(&["intermediate.dense"])?,
            down: linear(&["output.dense"])?,
            norm: Norm::read(weights, &name("output"))?,
        })
    }

    fn apply(&self, work: &mut Workspace, texts: &[Range<usize>]) -> Result<(), EmbedError> {
        let rows = work.states.len() / WIDTH;
        let projected = at_least(&mut work.projected, rows * self.query_key_value.outputs());
        let wide = at_least(&mut work.wide, rows * self.up.outputs());
        let change = at_least(&mut work.change, rows * WIDTH);
        let attended = at_least(&mut work.attended, rows * WIDTH);

        self.query_key_value.apply(&mut work.kernels, &work.states, projected)?;
        for text in texts {
            attention(
                &work.kernels,
                &projected[text.start * 3 * WIDTH..text.end * 3 * WIDTH],
                at_least(&mut work.weights, text.len() * text.len()),
                at_least(&mut work.mixed, text.len() * HEAD),
                &mut attended[text.start * WIDTH..text.end * WIDTH],
            )?;
        }
        self.attention_out.apply(&mut work.kernels, attended, change)?;
        add(&mut work.states, change);
        self.attention_norm.apply(&mut work.states);

        self.up.apply(&mut work.kernels, &work.states, wide)?;
        Gelu {}.map_mut(wide);
        self.down.apply(&mut work.kernels, wide, change)?;
        add(&mut work.states, change);
        self.norm.apply(&mut work.states);
        Ok(())
    }
}

impl Norm {
    fn read(weights: &Weights<'_>, name: &str) -> Result<Self, EmbedError> {
        Ok(Self {
            scale: weights.floats(&format!("{name}.LayerNorm.weight"))?,
            bias: weights.floats(&format!("{name}.LayerNorm.bias"))?,
        })
    }

    /// Layer normalisation of every row.
    fn apply(&self, states: &mut [f32]) {
        for row in states.chunks_exact_mut(WIDTH) {
            let mean = Sum::new(row).dispatch() / WIDTH as f32;
            let variance = SumSquareSub::new(row, mean).dispatch() / WIDTH as f32;
            let options = NormalizeOptions {
                pre_scale_bias: mean,
                scale: (variance + EPSILON).sqrt().recip(),
                element_scale: Some(&self.scale),
                element_bias: Some(&self.bias),
                ..NormalizeOptions::default()
            };
            Normalize::new_mut(row, options).dispatch();
        }
    }
}

/// softmax(Q·Kᵀ / √d)·V for each head of one text; `projected` holds the rows of Q, K and V side by side.
fn attention(
    kernels: &Kernels,
    projected: &[f32],
    weights: &mut [f32],
    mixed: &mut [f32],
    attended: &mut [f32],
) -> Result<(), EmbedError> {
    let length = attended.len() / WIDTH;
    let projected = NdTensorView::from_data([length, 3 * WIDTH], projected);
    for head in 0..HEADS {
        let part = |n: usize| {
            let first = n * WIDTH + head * HEAD;
            projected.slice((.., first..first + HEAD))
        };
        let scaled = GemmOptions { alpha: (HEAD as f32).sqrt().recip(), ..GemmOptions::default() };
        let (query, key) = (GemmInputA::Unpacked(part(0)), GemmInputB::Unpacked(part(1).transposed()));
        kernels.floats.gemm(weights, query, key, scaled).map_err(product)?;
        for row in weights.chunks_exact_mut(length) {
            Softmax::new_mut(row).dispatch();
        }
        let weights = GemmInputA::Unpacked(NdTensorView::from_data([length, length], &*weights));
        let value = GemmInputB::Unpacked(part(2));
        kernels.floats.gemm(mixed, weights, value, GemmOptions::default()).map_err(product)?;
        for (row, mixed) in attended.chunks_exact_mut(WIDTH).zip(mixed.chunks_exact(HEAD)) {
            row[head * HEAD..][..HEAD].copy_from_slice(mixed);
        }
    }
    Ok(())
}

fn add(states: &mut [f32], more: &[f32]) {
    states.iter_mut().zip(more).for_each(|(s, m)| *s += m);
}

fn pool(states: &[f32]) -> Vec<f32> {
    let mut sum = vec![0.0_f32; WIDTH];
    for state in states.chunks_exact(WIDTH) {
        add(&mut sum, state);
    }
    // The mean and the sum point the same way, and only the direction is kept.
    let length = sum.iter().map(|v| v * v).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    sum.iter_mut().for_each(|v| *v /= length);
    sum
}
