//! What rounding weights to few bits takes most of its time for.
//!
//! Sums go over the weights one by one, in as many lanes as there are candidates, so that their order is the same on every processor.

/// 1.5 · 2²³: added to a number below 2²², it leaves the nearest integer, ties to even, in the low bits.
const ROUND: f32 = 12_582_912.0;
/// Scales that [`fits`] tries at once.
pub const CANDIDATES: usize = 8;
/// Inputs that share a scale, as in `quant`.
const BLOCK: usize = 32;

vectorized! {
    /// The smallest and the largest of `numbers`, which are finite; ∞ and −∞ of none.
    pub fn extremes(numbers: &[f32]) -> (f32, f32) {
        let (mut low, mut high) = ([f32::INFINITY; 8], [f32::NEG_INFINITY; 8]);
        let mut take = |part: &[f32; 8]| {
            for lane in 0..8 {
                low[lane] = if part[lane] < low[lane] { part[lane] } else { low[lane] };
                high[lane] = if part[lane] > high[lane] { part[lane] } else { high[lane] };
            }
        };
        let (whole, rest) = numbers.as_chunks();
        whole.iter().for_each(&mut take);
        if let Some(first) = rest.first() {
            let mut part = [*first; 8];
            part[..rest.len()].copy_from_slice(rest);
            take(&part);
        }
        (low.into_iter().fold(f32::INFINITY, f32::min), high.into_iter().fold(f32::NEG_INFINITY, f32::max))
    }
}

vectorized! {
    /// `values` = zero + (weights − offset) · inverse to the nearest integer, ties to even, within `zero + bounds`, which are integers
    /// from 0 to 255.
    pub fn round(weights: &[f32], offset: f32, inverse: f32, zero: u8, bounds: (f32, f32), values: &mut [u8]) {
        for (value, weight) in values.iter_mut().zip(weights) {
            let rounded = ((weight - offset) * inverse).clamp(bounds.0, bounds.1) + ROUND;
            *value = (rounded.to_bits() as u8).wrapping_add(zero);
        }
    }
}

vectorized! {
    /// Σ i·w·q and Σ i·q² over the weights w of a block, whose errors count i each, for the integers q nearest to w · inverse within
    /// `bounds`, for each of the `inverses`.
    pub fn fits(
        weights: &[f32; BLOCK], importance: &[f32; BLOCK], inverses: &[f32; CANDIDATES], bounds: (f32, f32),
    ) -> [[f32; CANDIDATES]; 2] {
        let (mut wq, mut qq) = ([0.0; CANDIDATES], [0.0; CANDIDATES]);
        for (w, i) in weights.iter().zip(importance) {
            for lane in 0..CANDIDATES {
                let q = (w * inverses[lane]).clamp(bounds.0, bounds.1) + ROUND - ROUND;
                let iq = i * q;
                wq[lane] += iq * w;
                qq[lane] += iq * q;
            }
        }
        [wq, qq]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + 13) % 1009) as f32 / 64.0 - 7.0).collect()
    }

    #[test]
    fn extremes_are_those_of_a_loop() {
        for count in [0, 1, 7, 8, 9, 31, 32, 100] {
            let numbers = numbers(count);
            let low = numbers.iter().copied().fold(f32::INFINITY, f32::min);
            assert_eq!(extremes(&numbers), (low, numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max)));
        }
    }

    #[test]
    fn halves_go_to_even_and_ends_are_kept() {
        let mut values = [0; 8];
        round(&[0.5, 1.5, 2.5, -0.5, -1.5, 1e30, -1e30, 0.0], 0.0, 1.0, 8, (-8.0, 7.0), &mut values);
        assert_eq!(values, [8, 10, 10, 8, 6, 15, 0, 8]);
        round(&[2.0, 3.1, 400.0], 2.0, 2.0, 0, (0.0, 255.0), &mut values);
        assert_eq!(values[..3], [0, 2, 255]);
    }

    /// The same bits as one candidate after the other in the order of the weights, whatever the processor.
    #[test]
    fn sums_are_those_of_a_plain_loop() {
        let weights: [f32; BLOCK] = std::array::from_fn(|i| numbers(BLOCK)[i]);
        let importance: [f32; BLOCK] = std::array::from_fn(|i| 0.1 + (i % 5) as f32);
        let inverses: [f32; CANDIDATES] = std::array::from_fn(|i| 0.7 + 0.31 * i as f32);
        let [wq, qq] = fits(&weights, &importance, &inverses, (-8.0, 7.0));
        for lane in 0..CANDIDATES {
            let (mut want_wq, mut want_qq) = (0.0, 0.0);
            for (w, i) in weights.iter().zip(&importance) {
                let q = (w * inverses[lane]).clamp(-8.0, 7.0).round_ties_even();
                want_wq += i * q * w;
                want_qq += i * q * q;
            }
            assert_eq!((wq[lane].to_bits(), qq[lane].to_bits()), (f32::to_bits(want_wq), f32::to_bits(want_qq)));
        }
    }
}
