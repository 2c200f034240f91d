//! Min-p filter.

use super::{LogitsProcessor, lanes};

/// Masks tokens less likely than `min_p` times the likeliest: `logit < max + ln(min_p)`.
///
/// Nguyen et al., "Turning Up the Heat" (arXiv 2407.01082); transformers' `MinPLogitsWarper`.
#[derive(Debug)]
pub struct MinP {
    log_min_p: f32,
}

impl MinP {
    /// A `min_p` from 0 (keeps all) to 1 (keeps the likeliest).
    pub fn new(min_p: f32) -> Self {
        Self { log_min_p: min_p.ln() }
    }
}

impl LogitsProcessor for MinP {
    fn process(&mut self, _history: &[u32], logits: &mut [f32]) {
        let floor = lanes::max(logits) + self.log_min_p;
        lanes::mask_below(logits, floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASKED: f32 = f32::NEG_INFINITY;

    fn filtered(min_p: f32) -> [f32; 6] {
        let mut logits = [2.0, -1.0, 0.5, 3.0, -0.25, -2.0];
        MinP::new(min_p).process(&[], &mut logits);
        logits
    }

    #[test]
    fn equals_transformers() {
        assert_eq!(filtered(0.05), [2.0, MASKED, 0.5, 3.0, MASKED, MASKED]);
        assert_eq!(filtered(0.1), [2.0, MASKED, MASKED, 3.0, MASKED, MASKED]);
        assert_eq!(filtered(0.3), [2.0, MASKED, MASKED, 3.0, MASKED, MASKED]);
        assert_eq!(filtered(1.0), [MASKED, MASKED, MASKED, 3.0, MASKED, MASKED]);
        assert_eq!(filtered(0.0), [2.0, -1.0, 0.5, 3.0, -0.25, -2.0]);
    }
}
