//! Logit bias by token id.

use std::collections::BTreeMap;

use super::{LogitsProcessor, saturate};

/// Adds a constant to the logits of some tokens; the OpenAI API's `logit_bias`, transformers' `sequence_bias` of single tokens.
#[derive(Debug)]
pub struct LogitBias {
    bias: Vec<(u32, f32)>,
}

impl LogitBias {
    /// The bias of each id; ids outside of the vocabulary are passed over.
    pub fn new(bias: &BTreeMap<u32, f32>) -> Self {
        Self { bias: bias.iter().map(|(id, bias)| (*id, *bias)).collect() }
    }
}

impl LogitsProcessor for LogitBias {
    fn process(&mut self, _history: &[u32], logits: &mut [f32]) {
        for (id, bias) in &self.bias {
            match logits.get_mut(*id as usize) {
                Some(logit) if *logit > f32::NEG_INFINITY => *logit = saturate(*logit + bias),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_transformers() {
        let mut logits = [2.0, -1.0, 0.5, 3.0, -0.25, -2.0];
        LogitBias::new(&BTreeMap::from([(1, 5.0), (3, -100.0)])).process(&[], &mut logits);
        assert_eq!(logits, [2.0, 4.0, 0.5, -97.0, -0.25, -2.0]);
    }

    #[test]
    fn stays_finite_and_leaves_masked_tokens() {
        let mut logits = [f32::MAX, f32::MIN, f32::NEG_INFINITY];
        LogitBias::new(&BTreeMap::from([(0, f32::MAX), (1, f32::MIN), (2, f32::MAX)])).process(&[], &mut logits);
        assert_eq!(logits, [f32::MAX, f32::MIN, f32::NEG_INFINITY]);
    }
}
