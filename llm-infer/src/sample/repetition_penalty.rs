//! Repetition penalty over prompt and output.

use super::{LogitsProcessor, saturate, token_counts::TokenCounts};

/// Divides positive and multiplies negative logits of every token that was seen, once however often it was.
///
/// `logit / penalty` if `logit >= 0`, else `logit * penalty`; Keskar et al., "CTRL" (arXiv 1909.05858), as transformers'
/// `RepetitionPenaltyLogitsProcessor`.
#[derive(Debug)]
pub struct RepetitionPenalty {
    penalty: f32,
    seen: TokenCounts,
}

impl RepetitionPenalty {
    /// A penalty above 1 discourages and one below 1 encourages repetition.
    pub fn new(penalty: f32) -> Self {
        Self { penalty, seen: TokenCounts::default() }
    }
}

impl LogitsProcessor for RepetitionPenalty {
    fn process(&mut self, history: &[u32], logits: &mut [f32]) {
        for id in self.seen.update(history).keys() {
            match logits.get_mut(*id as usize) {
                Some(logit) if *logit > f32::NEG_INFINITY => {
                    *logit = saturate(if *logit < 0.0 { *logit * self.penalty } else { *logit / self.penalty });
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn penalized(penalty: f32) -> [f32; 6] {
        let mut logits = [2.0, -1.0, 0.5, 3.0, -0.25, -2.0];
        RepetitionPenalty::new(penalty).process(&[0, 2, 2, 5, 9], &mut logits);
        logits
    }

    #[test]
    fn equals_transformers() {
        assert_eq!(penalized(1.3), [1.538_461_6, -1.0, 0.384_615_4, 3.0, -0.25, -2.6]);
        assert_eq!(penalized(0.8), [2.5, -1.0, 0.625, 3.0, -0.25, -1.6]);
    }

    #[test]
    fn stays_finite_and_leaves_masked_tokens() {
        for penalty in [f32::MIN_POSITIVE, f32::MAX] {
            let mut logits = [f32::MAX, f32::MIN, f32::NEG_INFINITY];
            RepetitionPenalty::new(penalty).process(&[0, 1, 2], &mut logits);
            assert!(logits[0].is_finite() && logits[1].is_finite());
            assert_eq!(logits[2], f32::NEG_INFINITY);
        }
    }
}
