//! Temperature.

use super::{LogitsProcessor, lanes};

/// Sharpens (below 1) or flattens (above 1) the distribution: `(logit - max) / temperature`.
///
/// transformers' `TemperatureLogitsWarper` divides without subtracting; the softmax is the same, and the largest logit
/// stays finite at any temperature.
#[derive(Debug)]
pub struct Temperature {
    temperature: f32,
}

impl Temperature {
    /// A temperature above 0.
    pub fn new(temperature: f32) -> Self {
        Self { temperature }
    }
}

impl LogitsProcessor for Temperature {
    fn process(&mut self, _history: &[u32], logits: &mut [f32]) {
        let max = lanes::max(logits);
        for logit in logits {
            *logit = (*logit - max) / self.temperature;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_transformers_up_to_the_largest() {
        let mut logits = [2.0, -1.0, 0.5, 3.0, -0.25, -2.0];
        Temperature::new(0.7).process(&[], &mut logits);
        let expected = [2.857_143f32, -1.428_571, 0.714_285_7, 4.285_714, -0.357_142_9, -2.857_143];
        for (logit, expected) in logits.iter().zip(expected) {
            assert!((logit - (expected - 4.285_714)).abs() < 1e-5);
        }
    }

    #[test]
    fn a_tiny_temperature_does_not_overflow() {
        let mut logits = [80.0, 79.0, f32::NEG_INFINITY];
        Temperature::new(1e-45).process(&[], &mut logits);
        assert_eq!(logits, [0.0, f32::NEG_INFINITY, f32::NEG_INFINITY]);
    }
}
