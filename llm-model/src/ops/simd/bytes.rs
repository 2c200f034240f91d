//! Vectors of whole numbers of 8 bits and a factor.

vectorized! {
    /// Writes round(x / scale) to `out`, ties to even, with scale = max |x| / 127, which is returned; 0 where all are 0.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn round_to_i8(x: &[f32], out: &mut [i8]) -> f32 {
        /// 1.5 · 2²³: adding it leaves the nearest whole number in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        assert_eq!(x.len(), out.len());
        let mut maxima = [0.0f32; 16];
        let (blocks, tail) = x.as_chunks::<16>();
        for block in blocks {
            maxima.iter_mut().zip(block).for_each(|(max, x)| *max = if x.abs() > *max { x.abs() } else { *max });
        }
        let max = maxima.into_iter().chain(tail.iter().map(|x| x.abs())).fold(0.0, f32::max);
        let scale = max / 127.0;
        // Nothing is divided by 0, and 0 stays 0.
        let divisor = scale.max(f32::MIN_POSITIVE);
        out.iter_mut().zip(x).for_each(|(out, x)| *out = (x / divisor + ROUND).to_bits() as i8);
        scale
    }
}

vectorized! {
    /// The numbers in f32.
    pub fn widen(x: &[i8], out: &mut [f32]) {
        out.iter_mut().zip(x).for_each(|(out, x)| *out = f32::from(*x));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers() {
        let mut out = [9; 5];
        assert_eq!(round_to_i8(&[254.0, -254.0, 3.0, 5.0, -0.9], &mut out), 2.0);
        assert_eq!(out, [127, -127, 2, 2, 0]);
        assert_eq!(round_to_i8(&[0.0, -0.0], &mut out[..2]), 0.0);
        assert_eq!(out[..2], [0, 0]);
        let tiny = [1e-40, -1e-40];
        let scale = round_to_i8(&tiny, &mut out[..2]);
        assert!(tiny.iter().zip(out).all(|(x, value)| (x - f32::from(value) * scale).abs() <= 1e-38));
    }

    #[test]
    fn a_number_is_off_by_at_most_half_a_step_and_widened_exactly() {
        for count in [1, 15, 16, 17, 80] {
            let x: Vec<f32> = (0..count).map(|i| ((i * 7919) % 10_007) as f32 / 50.0 - 100.0).collect();
            let (mut values, mut wide) = (vec![0; count], vec![f32::NAN; count]);
            let scale = round_to_i8(&x, &mut values);
            assert_eq!(scale, x.iter().fold(0.0f32, |max, x| max.max(x.abs())) / 127.0);
            widen(&values, &mut wide);
            for ((x, value), wide) in x.iter().zip(values).zip(wide) {
                assert!(f32::from(value) == wide && (x - wide * scale).abs() <= 0.5001 * scale, "{x} {value} {scale}");
            }
        }
    }
}
