//! Top-k filter.

use super::{LogitsProcessor, lanes, largest::largest};

/// Masks what is less than the `k`-th largest logit; equals of it are kept, as transformers' `TopKLogitsWarper` does.
#[derive(Debug)]
pub struct TopK {
    k: usize,
}

impl TopK {
    /// Keeps `k` tokens, at least 1.
    pub fn new(k: usize) -> Self {
        Self { k: k.max(1) }
    }
}

impl LogitsProcessor for TopK {
    fn process(&mut self, _history: &[u32], logits: &mut [f32]) {
        if self.k < logits.len() {
            let floor = largest(logits, self.k).last().map_or(f32::NEG_INFINITY, |(logit, _)| *logit);
            lanes::mask_below(logits, floor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASKED: f32 = f32::NEG_INFINITY;

    #[test]
    fn equals_transformers() {
        let mut logits = [2.0, -1.0, 0.5, 3.0, -0.25, -2.0];
        TopK::new(3).process(&[], &mut logits);
        assert_eq!(logits, [2.0, MASKED, 0.5, 3.0, MASKED, MASKED]);
        let mut ties = [1.0, 2.0, 2.0, 3.0, 2.0, 0.0];
        TopK::new(2).process(&[], &mut ties);
        assert_eq!(ties, [MASKED, 2.0, 2.0, 3.0, 2.0, MASKED]);
    }

    #[test]
    fn more_than_there_are_keeps_all() {
        let mut logits = [1.0, MASKED, 0.0];
        TopK::new(2).process(&[], &mut logits);
        TopK::new(usize::MAX).process(&[], &mut logits);
        assert_eq!(logits, [1.0, MASKED, 0.0]);
    }
}
