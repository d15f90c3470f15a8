//! The tensors of `model/minilm-l6-v2.i8.safetensors` (made by `model/convert.py`).

use safetensors::{Dtype, SafeTensors};

use super::EmbedError;

/// A matrix of 8-bit integers, row by row, each row with its own scale: value = integer × scale.
pub(super) struct Quantized<'a> {
    pub(super) values: &'a [u8],
    pub(super) scales: Vec<f32>,
    pub(super) columns: usize,
}

impl Quantized<'_> {
    /// The real values of one row, added to `out`.
    pub(super) fn add_row(&self, row: usize, out: &mut [f32]) {
        let scale = self.scales[row];
        let values = &self.values[row * self.columns..][..self.columns];
        for (out, value) in out.iter_mut().zip(values) {
            *out += f32::from(value.cast_signed()) * scale;
        }
    }
}

/// The tensors by name.
pub(super) struct Weights<'a>(SafeTensors<'a>);

impl<'a> Weights<'a> {
    pub(super) fn read(file: &'a [u8]) -> Result<Self, EmbedError> {
        SafeTensors::deserialize(file).map(Self).map_err(|e| EmbedError::Model(e.to_string()))
    }

    /// A tensor of floats, flattened.
    pub(super) fn floats(&self, name: &str) -> Result<Vec<f32>, EmbedError> {
        let (bytes, _) = self.tensor(name, Dtype::F32)?;
        // The file is inside the binary and not aligned for f32, so it is copied.
        Ok(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }

    /// A matrix of 8-bit integers with its scales.
    pub(super) fn quantized(&self, name: &str) -> Result<Quantized<'a>, EmbedError> {
        let (values, shape) = self.tensor(name, Dtype::I8)?;
        let scales = self.floats(&format!("{name}.scale"))?;
        match shape[..] {
            [rows, columns] if rows == scales.len() => Ok(Quantized { values, scales, columns }),
            _ => Err(EmbedError::Model(format!("{name} is no matrix with a scale for each row"))),
        }
    }

    fn tensor(&self, name: &str, dtype: Dtype) -> Result<(&'a [u8], Vec<usize>), EmbedError> {
        let tensor = self.0.tensor(name).map_err(|e| EmbedError::Model(format!("{name}: {e}")))?;
        if tensor.dtype() != dtype {
            return Err(EmbedError::Model(format!("{name} is {:?}, not {dtype:?}", tensor.dtype())));
        }
        Ok((tensor.data(), tensor.shape().to_vec()))
    }
}
