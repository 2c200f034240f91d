//! Passes over a whole vocabulary, written so that the compiler makes vector code of them.

/// Logits looked at together; a multiple of every vector width.
pub(super) const BLOCK: usize = 64;

/// The largest value, `-inf` for none; NaN is passed over.
pub(super) fn max(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut best = [f32::NEG_INFINITY; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        for (best, value) in best.iter_mut().zip(chunk) {
            *best = larger(*best, *value);
        }
    }
    best.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, larger)
}

/// The lowest index of the largest value, 0 where there is none.
pub(crate) fn argmax(values: &[f32]) -> usize {
    let best = max(values);
    let first_block = values.chunks(BLOCK).position(|block| max(block) == best).unwrap_or(0);
    (first_block * BLOCK..values.len()).find(|index| values[*index] == best).unwrap_or(0)
}

/// The index of the first value that no model may give: NaN or `+inf` (`-inf` is a masked token).
pub(super) fn find_not_a_logit(values: &[f32]) -> Option<usize> {
    let is_logit = |value: &f32| *value < f32::INFINITY;
    let mut blocks = values.chunks(BLOCK).enumerate();
    let (block, _) = blocks.find(|(_, block)| !block.iter().fold(true, |all, value| all & is_logit(value)))?;
    (block * BLOCK..values.len()).find(|index| !is_logit(&values[*index]))
}

/// Replaces by `-inf` what is less than `floor`.
pub(super) fn mask_below(logits: &mut [f32], floor: f32) {
    for logit in logits {
        *logit = if *logit < floor { f32::NEG_INFINITY } else { *logit };
    }
}

/// `exp(x)` for `x <= 0`, to 2e-7 of its value times `1 + |x|`, and 0 below the normal range (`x < -87`).
///
/// `exp(x) = 2^n 2^f` with `f` in ±1/2 and a minimax polynomial: unlike the library's function, it vectorizes.
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to a whole number in the lowest bits; with 127, the exponent's offset, already on it.
    const ROUND: f32 = 12_582_912.0 + 127.0;
    let t = x * std::f32::consts::LOG2_E;
    let rounded = t + ROUND;
    let f = t - (rounded - ROUND);
    let mut p = 1.330_061e-3;
    for coefficient in [9.669_692e-3, 5.550_558_6e-2, 0.240_222_83, std::f32::consts::LN_2, 1.0] {
        p = p * f + coefficient;
    }
    let value = p * f32::from_bits(rounded.to_bits() << 23);
    if x < -87.0 { 0.0 } else { value }
}

/// `Σ exp(logit - max)` of each block in turn; one that is masked whole costs next to nothing.
pub(super) fn block_sums(logits: &[f32], max: f32) -> impl Iterator<Item = f64> {
    logits.chunks(BLOCK).map(move |block| if self::max(block) == f32::NEG_INFINITY { 0.0 } else { sum_exp(block, max) })
}

fn sum_exp(block: &[f32], max: f32) -> f64 {
    let mut sums = [0.0; 8];
    let (chunks, rest) = block.as_chunks::<8>();
    for chunk in chunks {
        for (sum, logit) in sums.iter_mut().zip(chunk) {
            *sum += exp(logit - max);
        }
    }
    f64::from(sums.iter().sum::<f32>() + rest.iter().map(|logit| exp(logit - max)).sum::<f32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_and_argmax_take_the_first_of_equals() {
        let mut values = vec![0.5; 100];
        assert_eq!((max(&values), argmax(&values)), (0.5, 0));
        values[37] = 2.0;
        values[99] = 2.0;
        assert_eq!((max(&values), argmax(&values)), (2.0, 37));
        assert_eq!((max(&[]), argmax(&[])), (f32::NEG_INFINITY, 0));
    }

    #[test]
    fn only_nan_and_plus_infinity_are_no_logits() {
        let mut values = vec![1.0; 200];
        values[3] = f32::NEG_INFINITY;
        assert_eq!(find_not_a_logit(&values), None);
        values[190] = f32::INFINITY;
        assert_eq!(find_not_a_logit(&values), Some(190));
        values[130] = f32::NAN;
        assert_eq!(find_not_a_logit(&values), Some(130));
    }

    #[test]
    fn exp_is_that_of_the_library() {
        for step in 0..87_000 {
            let x = step as f32 * -1e-3;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() <= 2e-7 * (1.0 - f64::from(x)) * exact, "exp({x})");
        }
        assert_eq!((exp(0.0), exp(-87.1), exp(f32::MIN), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0, 0.0));
    }

    #[test]
    fn block_sums_count_every_value() {
        let sums: Vec<f64> = block_sums(&[-1.0; BLOCK + 3], -1.0).collect();
        assert_eq!(sums, [BLOCK as f64, 3.0]);
        assert_eq!(block_sums(&[f32::NEG_INFINITY; 70], 0.0).sum::<f64>(), 0.0);
        let sum: f64 = block_sums(&[0.0, f32::NEG_INFINITY, -1.0], 0.0).sum();
        assert!((sum - 1.367_879_441).abs() < 1e-6);
    }
}
