//! What runs on a slower path than the bits that it is stored in would allow, and why; headers say it all.

use llm_model::quant::QuantFormat;
use serde::Serialize;

use super::Checkpoint;
use super::source::TensorInfo;

/// Tensors that take more memory, and so more time, than their files do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlowPath {
    /// The type in the file: `q3_k`, `gptq-act-order`.
    pub stored: String,
    /// The type in memory.
    pub held: &'static str,
    /// The reason.
    pub why: &'static str,
    /// How many tensors.
    pub tensors: usize,
    /// Numbers in all of them.
    pub parameters: usize,
}

/// Reasons by the ends of the names of types; the last is that of all others.
const REASONS: [(&str, &str); 7] = [
    ("-act-order", "neighbouring inputs belong to different groups (act-order), so that no block has one scale"),
    ("-odd-groups", "its groups are no multiples of the 32 inputs of a block"),
    ("-wide-scales", "its scales are no halves, as those of blocks are"),
    ("-zero-points", "its zero points need more than 8 bits"),
    ("-joined", "the family stores several matrices in one"),
    ("q8", "its groups reach over the ends of rows"),
    ("", "no packed form has its numbers exactly"),
];

impl Checkpoint {
    /// What runs slower than it is stored; nothing for most models.
    pub fn slow_paths(&self) -> Vec<SlowPath> {
        let quantization = &self.config["quantization_config"];
        let stored_bits = quantization["bits"].as_u64().map_or(8, |bits| bits as usize);
        let method = quantization["method"].as_str().unwrap_or_default();
        let mut found: Vec<SlowPath> = Vec::new();
        for info in self.tensors() {
            let Some((stored, held, why)) = reason(info, method, stored_bits) else { continue };
            match found.iter_mut().find(|known| (&known.stored, known.why) == (&stored, why)) {
                Some(known) => {
                    known.tensors += 1;
                    known.parameters += info.elements();
                }
                None => found.push(SlowPath { stored, held, why, tensors: 1, parameters: info.elements() }),
            }
        }
        found
    }
}

fn reason(info: &TensorInfo, method: &str, bits: usize) -> Option<(String, &'static str, &'static str)> {
    if let Some(packing) = info.packing {
        let (_, why) = REASONS.iter().find(|(end, _)| packing.ends_with(end))?;
        return Some((packing.to_owned(), info.format.map_or("f32", QuantFormat::name), why));
    }
    let held = info.format.filter(|format| matches!(format, QuantFormat::Int5 | QuantFormat::Int8) && bits < format.bits())?;
    let why = "its zero points differ, and no form of fewer bits has those exactly";
    Some((format!("{method} of {bits} bits"), held.name(), why))
}
