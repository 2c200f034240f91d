//! Presence and frequency penalties over the output.

use super::{LogitsProcessor, saturate, token_counts::TokenCounts};

/// Subtracts from the logits of generated tokens: a constant for each, and a constant for each time.
///
/// `logit -= presence + count * frequency` where `count > 0`, as the OpenAI API documents; its history is the generated
/// tokens alone.
#[derive(Debug)]
pub struct PresenceFrequencyPenalty {
    presence: f32,
    frequency: f32,
    generated: TokenCounts,
}

impl PresenceFrequencyPenalty {
    /// Positive penalties discourage and negative ones encourage repetition.
    pub fn new(presence: f32, frequency: f32) -> Self {
        Self { presence, frequency, generated: TokenCounts::default() }
    }
}

impl LogitsProcessor for PresenceFrequencyPenalty {
    fn process(&mut self, history: &[u32], logits: &mut [f32]) {
        for (id, count) in self.generated.update(history) {
            match logits.get_mut(*id as usize) {
                Some(logit) if *logit > f32::NEG_INFINITY => {
                    *logit = saturate(*logit - saturate(self.presence + saturate(*count as f32 * self.frequency)));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_generated_token() {
        let mut logits = [2.0, -1.0, 0.5, f32::NEG_INFINITY];
        let mut penalty = PresenceFrequencyPenalty::new(0.5, 0.25);
        penalty.process(&[0, 2, 2, 3, 9], &mut logits);
        assert_eq!(logits, [1.25, -1.0, -0.5, f32::NEG_INFINITY]);
        logits = [0.0; 4];
        penalty.process(&[0, 2, 2, 3, 9, 2], &mut logits);
        assert_eq!(logits, [-0.75, 0.0, -1.25, -0.75]);
    }

    #[test]
    fn stays_finite() {
        for (presence, frequency) in [(f32::MAX, f32::MAX), (f32::MIN, f32::MIN), (f32::MAX, f32::MIN)] {
            let mut logits = [1.0, 0.0];
            PresenceFrequencyPenalty::new(presence, frequency).process(&[0, 0, 0], &mut logits);
            assert!(logits[0].is_finite(), "{presence} {frequency}");
        }
    }
}
