//! What a conversion did.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::checkpoint::Checkpoint;

/// What [`convert`](super::convert) wrote.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConvertReport {
    /// The file or folder.
    pub out: PathBuf,
    /// `gguf`, `hf` or `packed`.
    pub format: &'static str,
    /// The tensors by their types, as the format calls these.
    pub tensors: BTreeMap<String, usize>,
    /// Numbers in all of them.
    pub parameters: usize,
    /// Bytes of the weights before.
    pub bytes_before: u64,
    /// Bytes of the file of weights.
    pub bytes_after: u64,
    /// Bits of that file for each parameter.
    pub bits_per_weight: f64,
    /// What the new file does not say, or says in another way.
    pub notices: Vec<String>,
    /// What killed processes had left beside the target, and is gone now.
    pub removed: Vec<PathBuf>,
    /// How long it took.
    pub seconds: f64,
}

impl ConvertReport {
    /// A report about tensors of these types and numbers of elements.
    pub(super) fn new(out: &Path, checkpoint: &Checkpoint, written: &[(String, usize)], bytes_after: u64, notices: Vec<String>) -> Self {
        let mut tensors = BTreeMap::new();
        written.iter().for_each(|(kind, _)| *tensors.entry(kind.clone()).or_default() += 1);
        let parameters = written.iter().map(|(_, elements)| elements).sum::<usize>();
        Self {
            out: out.to_owned(),
            format: "",
            tensors,
            parameters,
            bytes_before: checkpoint.tensors().iter().map(|info| info.bytes).sum(),
            bytes_after,
            bits_per_weight: 8.0 * bytes_after as f64 / parameters.max(1) as f64,
            notices,
            removed: Vec::new(),
            seconds: 0.0,
        }
    }
}
