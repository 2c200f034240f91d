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
pub(super) fn argmax(values: &[f32]) -> usize {
    let best = max(values);
    values.iter().position(|value| *value == best).unwrap_or(0)
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

/// `exp(x)` for `x <= 0` within 2e-7 of its value, and 0 below the normal range (`x < -87`).
///
/// `exp(x) = 2^n exp(r)` with `r` in ±ln(2)/2 and the polynomial of Cephes' `expf`: unlike the library's function, it vectorizes.
pub(super) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.0;
    // Adding 1.5 * 2^23 rounds to a whole number and leaves it in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln(2) in two parts, the first exact in few bits, so that `r` loses nothing.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x > LOWEST { x } else { LOWEST };
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = clamped - n * LN_2_HIGH - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + coefficient;
    }
    let power = f32::from_bits((rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23);
    let value = (p * r * r + r + 1.0) * power;
    if x < LOWEST { 0.0 } else { value }
}

/// `Σ exp(logit - max)` over a whole vocabulary.
pub(super) fn sum_exp(logits: &[f32], max: f32) -> f64 {
    let mut total = 0.0;
    let (chunks, rest) = logits.as_chunks::<BLOCK>();
    for chunk in chunks {
        let mut sums = [0.0; 8];
        for part in chunk.as_chunks::<8>().0 {
            for (sum, logit) in sums.iter_mut().zip(part) {
                *sum += exp(logit - max);
            }
        }
        total += f64::from(sums.iter().sum::<f32>());
    }
    total + rest.iter().map(|logit| f64::from(exp(logit - max))).sum::<f64>()
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
            assert!((f64::from(exp(x)) - exact).abs() <= 2e-7 * exact, "exp({x})");
        }
        assert_eq!((exp(0.0), exp(-87.1), exp(f32::MIN), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0, 0.0));
    }

    #[test]
    fn sum_exp_counts_every_value() {
        assert!((sum_exp(&vec![-1.0; 1000], -1.0) - 1000.0).abs() < 1e-3);
        assert!((sum_exp(&[0.0, f32::NEG_INFINITY, -1.0], 0.0) - 1.367_879_441).abs() < 1e-6);
    }
}
