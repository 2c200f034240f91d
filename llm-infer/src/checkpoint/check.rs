//! Checking a checkpoint: the shapes of its tensors by their names, and all its numbers.

use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use llm_model::{DecoderLayer, LayerVisitor, arch, visit_layer};

use super::{CheckReport, Checkpoint, Progress, convert, load, require_uncancelled};
use crate::Result;

impl Checkpoint {
    /// Checks that the tensors are those of the architecture, by name and shape; none is read.
    ///
    /// # Errors
    ///
    /// A configuration that is not understood, tensors that are missing or misshapen, and ends of answers that are no tokens.
    pub fn check_shapes(&self) -> Result<()> {
        visit_layer(&self.model_config()?, CheckShapes(self))
    }

    /// As [`Checkpoint::check_shapes`] of a model whose layers are `L`.
    ///
    /// # Errors
    ///
    /// See there.
    pub fn check_shapes_of<L: DecoderLayer>(&self) -> Result<()> {
        let config = self.model_config()?;
        self.generation_config.check_ids(&self.path, config.vocab_size)?;
        load::compare(&config.init_with::<L>(&Device::flex()), &*self.source, &self.path, &arch::tensor_name)
    }

    /// Reads every tensor and refuses the first NaN or infinity, and what the format of a quantized one does not have.
    ///
    /// # Errors
    ///
    /// The tensor and index of a value that is no finite number, unreadable files, and [`crate::Error::Cancelled`].
    pub fn check(&self, progress: Option<&dyn Fn(&Progress)>, cancel: Option<&AtomicBool>) -> Result<CheckReport> {
        let tensors = self.tensors();
        let total_bytes = tensors.iter().map(|info| info.bytes).sum();
        let mut report = CheckReport { tensors: 0, values: 0, bytes: 0 };
        for info in tensors {
            require_uncancelled(cancel)?;
            match info.format {
                Some(_) => drop(self.source.read_quantized(&info.name)?),
                None => convert::require_finite(&self.source.read(&info.name)?, info)?,
            }
            report.tensors += 1;
            report.values += info.elements();
            report.bytes += info.bytes;
            if let Some(progress) = progress {
                let (total_tensors, bytes) = (tensors.len(), report.bytes);
                progress(&Progress {
                    tensor: &info.name,
                    tensors: report.tensors,
                    total_tensors,
                    bytes,
                    total_bytes,
                    ..Progress::default()
                });
            }
        }
        Ok(report)
    }
}

/// Checks the shapes for whatever layers the model has.
struct CheckShapes<'a>(&'a Checkpoint);

impl LayerVisitor for CheckShapes<'_> {
    type Output = Result<()>;

    fn visit<L: DecoderLayer>(self) -> Result<()> {
        self.0.check_shapes_of::<L>()
    }
}
