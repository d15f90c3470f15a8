//! y = x·Wᵀ + b, by 8-bit integers where the processor multiplies them exactly, else by floats.

use rten_gemm::{
    BiasVector, GemmError, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix, QuantParams,
};
use rten_simd::SimdOp;
use rten_tensor::NdTensorView;
use rten_vecmath::{ExtendInit, MinMax, Quantize};

use super::EmbedError;
use super::weights::{Quantized, Weights};

/// What is added to a signed 8-bit activation to make it the unsigned one that the integer kernels want.
const ZERO_POINT: u8 = 128;

/// The kernels for matrix products that this processor is best at.
#[derive(Default)]
pub(super) struct Kernels {
    pub(super) floats: GemmExecutor<f32>,
    integers: GemmExecutor<u8, i8, i32>,
}

/// The weights of one or several linear layers with the same input, packed for the kernels.
pub(super) struct Linear {
    packed: Packed,
    bias: Vec<f32>,
    inputs: usize,
}

enum Packed {
    Integers { weights: PackedBMatrix<i8>, scales: Vec<f32> },
    Floats(PackedBMatrix<f32>),
}

impl Linear {
    /// Reads the layers called `names` and stacks their outputs.
    pub(super) fn read(
        weights: &Weights<'_>,
        names: &[String],
        kernels: &Kernels,
    ) -> Result<Self, EmbedError> {
        let mut parts = Vec::new();
        let mut bias = Vec::new();
        for name in names {
            parts.push(weights.quantized(&format!("{name}.weight"))?);
            bias.extend(weights.floats(&format!("{name}.bias"))?);
        }
        let inputs = parts.first().map_or(0, |p| p.columns);
        if parts.iter().map(|p| p.scales.len()).sum::<usize>() != bias.len()
            || parts.iter().any(|p| p.columns != inputs)
        {
            return Err(EmbedError::Model(format!("{names:?} do not fit together")));
        }
        // Without exact integer products (x86 before VNNI adds pairs in 16 bits and saturates) floats cost 42 MB and
        // half the speed, but not the quality.
        let exact = !kernels.integers.may_saturate();
        let packed = if exact { integers(&parts, inputs, kernels) } else { floats(&parts, inputs, kernels) };
        Ok(Self { packed, bias, inputs })
    }

    /// Number of outputs for each row.
    pub(super) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Applies the layer to `rows` rows of `input`.
    pub(super) fn apply(
        &self,
        kernels: &Kernels,
        input: &[f32],
        rows: usize,
    ) -> Result<Vec<f32>, EmbedError> {
        let mut output = vec![0.0; rows * self.outputs()];
        match &self.packed {
            Packed::Floats(weights) => {
                let input = NdTensorView::from_data([rows, self.inputs], input);
                let options =
                    GemmOptions { bias: Some(BiasVector::Row(&self.bias)), ..GemmOptions::default() };
                kernels
                    .floats
                    .gemm(&mut output, GemmInputA::Unpacked(input), GemmInputB::Packed(weights), options)
                    .map_err(product)?;
            }
            Packed::Integers { weights, scales } => {
                let (quantized, row_scales) = quantize(input, self.inputs);
                let zero = vec![ZERO_POINT; rows];
                let options = GemmOptions {
                    a_quant: Some(QuantParams { zero_point: &zero }),
                    ..GemmOptions::default()
                };
                let mut sums = vec![0_i32; output.len()];
                let input = NdTensorView::from_data([rows, self.inputs], &quantized[..]);
                kernels
                    .integers
                    .gemm(&mut sums, GemmInputA::Unpacked(input), GemmInputB::Packed(weights), options)
                    .map_err(product)?;
                let width = self.outputs();
                for ((sums, output), row_scale) in
                    sums.chunks_exact(width).zip(output.chunks_exact_mut(width)).zip(row_scales)
                {
                    for (((output, sum), scale), bias) in
                        output.iter_mut().zip(sums).zip(scales).zip(&self.bias)
                    {
                        *output = *sum as f32 * (row_scale * scale) + bias;
                    }
                }
            }
        }
        Ok(output)
    }
}

/// A failed matrix product: the shapes come from the model, so the model is at fault.
pub(super) fn product(error: GemmError) -> EmbedError {
    EmbedError::Model(format!("matrix product: {error}"))
}

fn integers(parts: &[Quantized<'_>], inputs: usize, kernels: &Kernels) -> Packed {
    let values: Vec<i8> = parts.iter().flat_map(|p| p.values.iter().map(|v| v.cast_signed())).collect();
    let scales: Vec<f32> = parts.iter().flat_map(|p| p.scales.iter().copied()).collect();
    let matrix = NdTensorView::from_data([scales.len(), inputs], &values[..]);
    Packed::Integers { weights: kernels.integers.prepack_b(matrix.transposed()), scales }
}

fn floats(parts: &[Quantized<'_>], inputs: usize, kernels: &Kernels) -> Packed {
    let rows: usize = parts.iter().map(|p| p.scales.len()).sum();
    let mut values = vec![0.0; rows * inputs];
    let rows_of_parts = parts.iter().flat_map(|part| (0..part.scales.len()).map(move |row| (part, row)));
    for (out, (part, row)) in values.chunks_exact_mut(inputs).zip(rows_of_parts) {
        part.add_row(row, out);
    }
    let matrix = NdTensorView::from_data([rows, inputs], &values[..]);
    Packed::Floats(kernels.floats.prepack_b(matrix.transposed()))
}

/// Each row as unsigned 8-bit integers around [`ZERO_POINT`], and its scale. A scale for each row, not for the batch,
/// keeps the error small and the result of a text independent of the texts beside it.
fn quantize(input: &[f32], width: usize) -> (Vec<u8>, Vec<f32>) {
    let mut quantized = Vec::with_capacity(input.len());
    let mut scales = Vec::with_capacity(input.len() / width.max(1));
    for row in input.chunks_exact(width) {
        let (low, high) = MinMax::new(row).dispatch();
        let scale = (high.max(-low) / 127.0).max(f32::MIN_POSITIVE);
        quantized
            .extend_init(|free| Quantize::new(row, &mut free[..width], scale.recip(), ZERO_POINT).dispatch());
        scales.push(scale);
    }
    (quantized, scales)
}
