//! y = x·Wᵀ + b, by 8-bit integers where the processor multiplies them exactly, else by floats.

use rten_gemm::{
    BiasVector, GemmError, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix, QuantParams,
};
use rten_simd::SimdOp;
use rten_tensor::NdTensorView;
use rten_vecmath::MinMax;

use super::EmbedError;
use super::weights::{Quantized, Weights};

/// What is added to a signed 8-bit activation to make it the unsigned one that the integer kernels want.
const ZERO_POINT: u8 = 128;

/// The kernels for matrix products that this processor is best at, and the memory they work in. One thread's own.
#[derive(Default)]
pub(super) struct Kernels {
    pub(super) floats: GemmExecutor<f32>,
    integers: GemmExecutor<u8, i8, i32>,
    quantized: Vec<u8>,
    scales: Vec<f32>,
    zero: Vec<u8>,
    sums: Vec<i32>,
}

/// How products with the weights are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    /// Activations are rounded to 8 bits as well.
    Integers,
    /// The weights are turned back into floats when they are read.
    Floats,
}

impl Precision {
    /// Integers where their products are exact. Where they are not (x86 before VNNI adds pairs in 16 bits and
    /// saturates), floats cost 42 MB and half the speed, but not the quality.
    pub(super) fn of_this_processor() -> Self {
        if Kernels::default().integers.may_saturate() { Self::Floats } else { Self::Integers }
    }
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
        precision: Precision,
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
        let packed = match precision {
            Precision::Integers => integers(&parts, inputs, kernels),
            Precision::Floats => floats(&parts, inputs, kernels),
        };
        Ok(Self { packed, bias, inputs })
    }

    /// Number of outputs for each row.
    pub(super) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Applies the layer to the rows of `input`, into `output`.
    pub(super) fn apply(
        &self,
        kernels: &mut Kernels,
        input: &[f32],
        output: &mut [f32],
    ) -> Result<(), EmbedError> {
        let rows = input.len() / self.inputs;
        match &self.packed {
            Packed::Floats(weights) => {
                let input = NdTensorView::from_data([rows, self.inputs], input);
                let options =
                    GemmOptions { bias: Some(BiasVector::Row(&self.bias)), ..GemmOptions::default() };
                kernels
                    .floats
                    .gemm(output, GemmInputA::Unpacked(input), GemmInputB::Packed(weights), options)
                    .map_err(product)
            }
            Packed::Integers { weights, scales } => {
                kernels.quantize(input, self.inputs);
                kernels.zero.resize(rows, ZERO_POINT);
                let options = GemmOptions {
                    a_quant: Some(QuantParams { zero_point: &kernels.zero }),
                    ..GemmOptions::default()
                };
                let sums = at_least(&mut kernels.sums, output.len());
                let input = NdTensorView::from_data([rows, self.inputs], &kernels.quantized[..]);
                kernels
                    .integers
                    .gemm(sums, GemmInputA::Unpacked(input), GemmInputB::Packed(weights), options)
                    .map_err(product)?;
                let width = self.outputs();
                for ((sums, output), row_scale) in
                    sums.chunks_exact(width).zip(output.chunks_exact_mut(width)).zip(&kernels.scales)
                {
                    for (((output, sum), scale), bias) in
                        output.iter_mut().zip(sums).zip(scales).zip(&self.bias)
                    {
                        *output = *sum as f32 * (row_scale * scale) + bias;
                    }
                }
                Ok(())
            }
        }
    }
}

impl Kernels {
    /// Each row of `input` as unsigned 8-bit integers around [`ZERO_POINT`], and its scale. A scale for each row, not
    /// for the batch, keeps the error small and the result of a text independent of the texts beside it.
    fn quantize(&mut self, input: &[f32], width: usize) {
        /// Added to a float below 2^22, it leaves the nearest integer in the lowest bits.
        const NEAREST: f32 = (3 << 22) as f32 + ZERO_POINT as f32;
        self.quantized.clear();
        self.scales.clear();
        for row in input.chunks_exact(width) {
            let (low, high) = MinMax::new(row).dispatch();
            let scale = (high.max(-low) / 127.0).max(f32::MIN_POSITIVE);
            let inverse = scale.recip();
            self.quantized.extend(row.iter().map(|v| (v * inverse + NEAREST).to_bits() as u8));
            self.scales.push(scale);
        }
    }
}

/// The first `length` elements of a buffer that grows but never shrinks; what they hold is left from its last use.
pub(super) fn at_least<T: Copy + Default>(buffer: &mut Vec<T>, length: usize) -> &mut [T] {
    if buffer.len() < length {
        buffer.resize(length, T::default());
    }
    &mut buffer[..length]
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
