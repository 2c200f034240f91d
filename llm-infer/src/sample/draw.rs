//! The draw: one token at random, each as likely as the softmax of the logits says.

use rand::Rng;

use super::lanes;

/// Draws an index with probability `exp(logit) / Σ exp(logits)`, from one random number.
///
/// Sums of blocks find the block, and then only that block is walked.
pub(super) fn draw(logits: &[f32], rng: &mut impl Rng) -> usize {
    let max = lanes::max(logits);
    let sums: Vec<f64> = lanes::block_sums(logits, max).collect();
    let target = rng.random::<f64>() * sums.iter().sum::<f64>();
    let (block, rest) = walk(sums.iter().copied(), target);
    let start = block * lanes::BLOCK;
    let end = logits.len().min(start + lanes::BLOCK);
    start + walk(logits[start..end].iter().map(|logit| f64::from(lanes::exp(logit - max))), rest).0
}

/// The index where the running sum passes `target`, and how far into it; rounding at the end falls on the last positive weight.
fn walk(weights: impl Iterator<Item = f64>, mut target: f64) -> (usize, f64) {
    let mut last = (0, 0.0);
    for (index, weight) in weights.enumerate() {
        if target < weight {
            return (index, target);
        }
        target -= weight;
        if weight > 0.0 {
            last = (index, weight);
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn walk_skips_what_has_no_weight() {
        let weights = || [0.0, 0.25, 0.0, 0.5, 0.0].into_iter();
        assert_eq!(walk(weights(), 0.0), (1, 0.0));
        assert_eq!(walk(weights(), 0.25), (3, 0.0));
        assert_eq!(walk(weights(), 0.75), (3, 0.5));
        assert_eq!(walk(weights(), 9.0), (3, 0.5));
    }

    #[test]
    fn masked_tokens_are_never_drawn() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..2000 {
            let mut logits = vec![f32::NEG_INFINITY; 300];
            logits[70] = 0.0;
            logits[299] = 1.0;
            assert!([70, 299].contains(&draw(&logits, &mut rng)));
        }
    }

    #[test]
    fn frequencies_pass_a_chi_square_test() {
        const DRAWS: usize = 50_000;
        let logits = [2.0f32, -1.0, 0.5, 3.0, -0.25, -2.0, 0.0, 1.0];
        let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        let mut rng = StdRng::seed_from_u64(7);
        let mut counts = [0.0; 8];
        for _ in 0..DRAWS {
            counts[draw(&logits, &mut rng)] += 1.0;
        }
        let chi_square: f64 = (counts.iter().zip(logits))
            .map(|(count, logit)| {
                let expected = f64::from(logit).exp() / total * DRAWS as f64;
                (count - expected) * (count - expected) / expected
            })
            .sum();
        // The 99.9th percentile for 7 degrees of freedom.
        assert!(chi_square < 24.32, "chi-square {chi_square}");
    }
}
