//! What a load did, and what kept it from happening.

use std::fmt;

use burn::tensor::DType;
use llm_model::quant::QuantFormat;
use llm_model::{ModelConfig, arch};

use super::packed::CacheReport;
use super::source::TensorInfo;

/// How many names a message lists before it only counts.
const LISTED: usize = 10;

/// What [`Checkpoint::load`](super::Checkpoint::load) read, converted and left out.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadReport {
    /// The tensors of the model.
    pub tensors: usize,
    /// The elements of all of them: the number of parameters.
    pub parameters: usize,
    /// The bytes that were read; none where the weights are mapped.
    pub bytes_read: u64,
    /// The bytes that the weights take in memory.
    pub bytes: u64,
    /// The dtype of the matrices that are not quantized; vectors (norms, biases) are always f32.
    pub dtype: DType,
    /// The format of the quantized matrices, and how many there are of each.
    pub quantized: Vec<(QuantFormat, usize)>,
    /// The conversions, from stored to loaded dtype.
    pub converted: Vec<Conversion>,
    /// Types of packed tensors that were widened as they have no packed form here, and how many there were of each.
    pub widened: Vec<(&'static str, usize)>,
    /// Packed tensors that were widened to floats, by format: all of them where [`LoadOptions::dtype`](super::LoadOptions::dtype) asks
    /// for a type.
    pub unpacked: Vec<Unpacked>,
    /// Tensors in the files that the model has no place for.
    pub unexpected: Vec<String>,
    /// Tensors left out on purpose: what is computed, or tied to another.
    pub ignored: Vec<String>,
    /// Parts of other models in the files, which are left out, and how many tensors each has: what reads images.
    pub other_parts: Vec<(&'static str, usize)>,
    /// What the packed cache did.
    pub cache: CacheReport,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// Tensors whose dtype changed on the way into the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// The stored dtype.
    pub from: DType,
    /// The dtype in memory.
    pub to: DType,
    /// How many tensors.
    pub tensors: usize,
}

/// Packed tensors that are floats in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The format that they are stored in.
    pub format: QuantFormat,
    /// How many tensors.
    pub tensors: usize,
    /// The bytes that they would take packed.
    pub packed_bytes: u64,
    /// The bytes that they take.
    pub bytes: u64,
}

impl LoadReport {
    /// The type of most matrices: `int4`, `bf16`.
    pub fn format(&self) -> String {
        let most = self.quantized.iter().max_by_key(|(_, count)| *count);
        most.map_or_else(|| format!("{:?}", self.dtype).to_lowercase(), |(format, _)| format.to_string())
    }

    /// Bits in memory for each parameter.
    pub fn bits_per_weight(&self) -> f64 {
        8.0 * self.bytes as f64 / self.parameters.max(1) as f64
    }

    /// Counts one matrix `[rows, width]` that is packed as `format`.
    pub(super) fn count_packed(&mut self, info: &TensorInfo, [rows, width]: [usize; 2], format: QuantFormat) {
        self.tensors += 1;
        self.parameters += rows * width;
        self.bytes_read += info.bytes;
        if info.format.is_none() {
            self.count_widened(info);
        }
        self.bytes += format.bytes(rows, width) as u64;
        match self.quantized.iter_mut().find(|(known, _)| *known == format) {
            Some((_, count)) => *count += 1,
            None => self.quantized.push((format, 1)),
        }
    }

    /// Counts what was ignored as it belongs to other models in the files of `config`.
    pub(super) fn set_other_parts_apart(&mut self, config: &ModelConfig) {
        let Some(layout) = arch::layout(config) else { return };
        let others: Vec<_> = self.ignored.iter().map(|name| layout.other(name)).collect();
        let mut part_of = others.iter();
        self.ignored.retain(|_| part_of.next().is_some_and(Option::is_none));
        for part in others.into_iter().flatten() {
            match self.other_parts.iter_mut().find(|(known, _)| *known == part) {
                Some((_, count)) => *count += 1,
                None => self.other_parts.push((part, 1)),
            }
        }
    }

    fn count_widened(&mut self, info: &TensorInfo) {
        let Some(packing) = info.packing else { return };
        match self.widened.iter_mut().find(|(known, _)| *known == packing) {
            Some((_, count)) => *count += 1,
            None => self.widened.push((packing, 1)),
        }
    }

    fn count_unpacked(&mut self, info: &TensorInfo, format: QuantFormat, to: DType) {
        let width = info.shape.last().copied().unwrap_or(1).max(1);
        let packed_bytes = format.bytes(info.elements() / width, width) as u64;
        let bytes = (info.elements() * to.size()) as u64;
        match self.unpacked.iter_mut().find(|known| known.format == format) {
            Some(known) => {
                known.tensors += 1;
                known.packed_bytes += packed_bytes;
                known.bytes += bytes;
            }
            None => self.unpacked.push(Unpacked { format, tensors: 1, packed_bytes, bytes }),
        }
    }

    /// Counts one tensor that was loaded as `to`.
    pub(super) fn count(&mut self, info: &TensorInfo, to: DType) {
        self.tensors += 1;
        self.parameters += info.elements();
        self.bytes_read += info.bytes;
        self.bytes += (info.elements() * to.size()) as u64;
        self.count_widened(info);
        if let Some(format) = info.format {
            return self.count_unpacked(info, format, to);
        }
        let from = info.dtype;
        if from == to {
            return;
        }
        match self.converted.iter_mut().find(|conversion| conversion.from == from && conversion.to == to) {
            Some(conversion) => conversion.tensors += 1,
            None => self.converted.push(Conversion { from, to, tensors: 1 }),
        }
    }
}

/// The result of [`Checkpoint::check`](super::Checkpoint::check): everything is a finite number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckReport {
    /// The tensors that were read.
    pub tensors: usize,
    /// The values in them.
    pub values: usize,
    /// The bytes that were read.
    pub bytes: u64,
}

/// How the names and shapes of a checkpoint and a model differ.
#[derive(Debug, Default)]
pub(super) struct Mismatch {
    pub missing: Vec<String>,
    pub misshapen: Vec<String>,
    pub unexpected: Vec<String>,
}

impl Mismatch {
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.misshapen.is_empty() && self.unexpected.is_empty()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let kinds = [("missing", &self.missing), ("misshapen", &self.misshapen), ("unexpected", &self.unexpected)];
        let mut separator = "";
        for (kind, names) in kinds.into_iter().filter(|(_, names)| !names.is_empty()) {
            let plural = if names.len() == 1 { "" } else { "s" };
            write!(formatter, "{separator}{} {kind} tensor{plural}: {}", names.len(), names[..names.len().min(LISTED)].join(", "))?;
            if names.len() > LISTED {
                write!(formatter, " and {} more", names.len() - LISTED)?;
            }
            separator = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_lists_ten_and_counts() {
        let names = (0..12).map(|i| format!("`{i}`")).collect();
        let mismatch = Mismatch { missing: names, unexpected: vec!["`x`".to_owned()], ..Default::default() };
        let listed = "12 missing tensors: `0`, `1`, `2`, `3`, `4`, `5`, `6`, `7`, `8`, `9` and 2 more; 1 unexpected tensor: `x`";
        assert_eq!(mismatch.to_string(), listed);
    }
}
