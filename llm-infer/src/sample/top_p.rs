//! Top-p (nucleus) filter.

use super::{
    LogitsProcessor, lanes,
    largest::{Candidate, largest, rank},
};

/// How many candidates are looked at first, then second: it is rare that the set is larger.
const CANDIDATES: [usize; 2] = [512, 8192];

/// Keeps the smallest set of the likeliest tokens whose probabilities sum to `p`; among equals the lower ids.
///
/// Holtzman et al., "The Curious Case of Neural Text Degeneration" (arXiv 1904.09751); transformers' `TopPLogitsWarper`.
#[derive(Debug)]
pub struct TopP {
    p: f64,
}

impl TopP {
    /// A `p` above 0, at most 1.
    pub fn new(p: f32) -> Self {
        Self { p: f64::from(p) }
    }
}

impl LogitsProcessor for TopP {
    fn process(&mut self, _history: &[u32], logits: &mut [f32]) {
        let max = lanes::max(logits);
        let mass = self.p * lanes::block_sums(logits, max).sum::<f64>();
        let mut tries = CANDIDATES.into_iter().map(|count| largest(logits, count));
        let found = tries.find(|candidates| weight(candidates, max) >= mass);
        let mut candidates = found.unwrap_or_else(|| largest(logits, logits.len()));
        let kept = nucleus(&mut candidates, max, mass);
        logits.fill(f32::NEG_INFINITY);
        for &(logit, id) in &candidates[..kept] {
            logits[id as usize] = logit;
        }
    }
}

fn weight(candidates: &[Candidate], max: f32) -> f64 {
    candidates.iter().map(|(logit, _)| f64::from(lanes::exp(logit - max))).sum()
}

/// Brings the fewest likeliest candidates whose weights sum to `mass` to the front, and returns how many they are.
///
/// Bisection by partial selection: the part that holds the border halves each time, so all of it takes linear time.
fn nucleus(candidates: &mut [Candidate], max: f32, mut mass: f64) -> usize {
    // What stands before `inside` is in the set, what stands from `end` on is not.
    let (mut inside, mut end) = (0, candidates.len());
    while end - inside > 1 {
        let half = (end - inside) / 2;
        candidates[inside..end].select_nth_unstable_by(half, rank);
        let upper = weight(&candidates[inside..inside + half], max);
        if upper >= mass {
            end = inside + half;
        } else {
            inside += half;
            mass -= upper;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MASKED: f32 = f32::NEG_INFINITY;

    fn filtered(p: f32) -> [f32; 6] {
        let mut logits = [2.0, -1.0, 0.5, 3.0, -0.25, -2.0];
        TopP::new(p).process(&[], &mut logits);
        logits
    }

    #[test]
    fn equals_transformers() {
        assert_eq!(filtered(0.3), [MASKED, MASKED, MASKED, 3.0, MASKED, MASKED]);
        assert_eq!(filtered(0.7), [2.0, MASKED, MASKED, 3.0, MASKED, MASKED]);
        assert_eq!(filtered(0.9), [2.0, MASKED, MASKED, 3.0, MASKED, MASKED]);
        assert_eq!(filtered(0.95), [2.0, MASKED, 0.5, 3.0, MASKED, MASKED]);
        assert_eq!(filtered(0.99), [2.0, -1.0, 0.5, 3.0, -0.25, MASKED]);
        assert_eq!(filtered(1.0), [2.0, -1.0, 0.5, 3.0, -0.25, -2.0]);
        assert_eq!(filtered(f32::MIN_POSITIVE), [MASKED, MASKED, MASKED, 3.0, MASKED, MASKED]);
    }

    #[test]
    fn equals_keep_the_lower_ids() {
        let mut logits = [1.0; 8];
        TopP::new(0.45).process(&[], &mut logits);
        assert_eq!(logits, [1.0, 1.0, 1.0, 1.0, MASKED, MASKED, MASKED, MASKED]);
    }

    proptest! {
        #[test]
        fn the_set_is_minimal(logits in prop::collection::vec(-12.0f32..12.0, 1..400), p in 0.01f32..0.999) {
            let mut kept = logits.clone();
            TopP::new(p).process(&[], &mut kept);
            let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
            let mut inside: Vec<f64> = kept.iter().filter(|l| l.is_finite()).map(|l| f64::from(*l).exp() / total).collect();
            inside.sort_by(f64::total_cmp);
            let outside = (logits.iter().zip(&kept)).filter(|(_, kept)| !kept.is_finite()).map(|(logit, _)| f64::from(*logit).exp() / total);
            let mass: f64 = inside.iter().sum();
            prop_assert!(mass >= f64::from(p) - 1e-6, "mass {mass} below {p}");
            prop_assert!(mass - inside[0] < f64::from(p) + 1e-6, "not minimal");
            prop_assert!(outside.fold(0.0, f64::max) <= inside[0] + 1e-12, "a likelier token was left out");
        }
    }
}
