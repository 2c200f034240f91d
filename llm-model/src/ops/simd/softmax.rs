//! The softmax, and the exponential function in it.

vectorized! {
    /// The softmax of `x` without its division: each number becomes e^(x − max); returns max and Σ.
    ///
    /// Sixteen lanes, so that the compiler can use whatever vectors there are; the order of summation is the same at every level.
    pub fn exp_sum(x: &mut [f32]) -> (f32, f32) {
        let mut maxima = [f32::NEG_INFINITY; 16];
        let (blocks, tail) = x.as_chunks::<16>();
        for block in blocks {
            maxima.iter_mut().zip(block).for_each(|(max, x)| *max = if *x > *max { *x } else { *max });
        }
        let larger = |a: f32, b: f32| if a > b { a } else { b };
        let max = tail.iter().fold(halved(maxima, larger), |max, x| larger(max, *x));
        let mut sums = [0.0f32; 16];
        let (blocks, tail) = x.as_chunks_mut::<16>();
        for block in blocks {
            for (sum, x) in sums.iter_mut().zip(block) {
                *x = exp_by::<FUSED>(*x - max);
                *sum += *x;
            }
        }
        tail.iter_mut().for_each(|x| *x = exp_by::<FUSED>(*x - max));
        (max, halved(sums, |a, b| a + b) + tail.iter().sum::<f32>())
    }
}

/// One number of all lanes, by a tree: one after the other they would take longer than the loop that filled them.
#[inline(always)]
fn halved(mut lanes: [f32; 16], two: impl Fn(f32, f32) -> f32) -> f32 {
    for half in [8, 4, 2, 1] {
        let (left, right) = lanes.split_at_mut(half);
        left.iter_mut().zip(right).for_each(|(left, right)| *left = two(*left, *right));
    }
    lanes[0]
}

vectorized! {
    /// `x` = cap · tanh(x / cap): between −cap and cap, and nearly x where that is small (Gemma 2).
    pub fn softcap(x: &mut [f32], cap: f32) {
        x.iter_mut().for_each(|x| *x = cap * tanh(*x / cap));
    }
}

/// tanh x within 4 units in the last place: a polynomial for small x (Cephes), 1 − 2 / (e^(2x) + 1) beyond, which no x overflows.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let z = x * x;
    let p = -5.704_988_7e-3;
    let p = p * z + 2.063_909e-2;
    let p = p * z - 5.373_971_6e-2;
    let p = p * z + 1.333_144_2e-1;
    let p = p * z - 3.333_328e-1;
    let small = p * z * x + x;
    let large = (1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0)).copysign(x);
    if x.abs() < 0.625 { small } else { large }
}

/// e^x for finite x, within 2 units in the last place.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    exp_by::<false>(x)
}

/// [`exp`] by range reduction and a polynomial, written for vectors, with `FUSED` multiplications and additions or without.
#[inline(always)]
pub fn exp_by<const FUSED: bool>(x: f32) -> f32 {
    /// 1.5 · 2²³: adding it leaves the nearest whole number in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let fma = |x: f32, y: f32, z: f32| if FUSED { x.mul_add(y, z) } else { x * y + z };
    let x = x.clamp(-87.0, 88.0);
    let rounded = fma(x, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    // ln 2 in two parts, so that the remainder keeps all its bits.
    let r = fma(n, 2.121_944_4e-4, fma(n, -0.693_359_4, x));
    // By pairs (Estrin): a third less of a wait than term by term, and waiting is what takes the time.
    let square = r * r;
    let high = fma(1.987_569_1e-4, r, 1.398_2e-3);
    let middle = fma(8.333_452e-3, r, 4.166_579_6e-2);
    let low = fma(1.666_666_5e-1, r, 0.5);
    let e = fma(fma(fma(high, square, middle), square, low), square, r) + 1.0;
    e * f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_softmax_has_its_known_values() {
        for n in [1, 15, 16, 17, 100] {
            let x: Vec<f32> = (0..n).map(|i| ((i * 37) % 64) as f32 / 16.0 - 2.0).collect();
            let mut fast = x.clone();
            let sum = exp_sum(&mut fast).1;
            assert!((sum - fast.iter().sum::<f32>()).abs() < 1e-4);
            let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert!(fast.iter().zip(&x).all(|(e, x)| (e - (x - max).exp()).abs() < 1e-6));
        }
    }

    #[test]
    fn tanh_is_within_four_units_in_the_last_place_and_ends_at_one() {
        for i in (-9500..9500).step_by(if cfg!(miri) { 1000 } else { 1 }) {
            let x = i as f32 / 1000.0;
            let want = f64::from(x).tanh();
            assert!((f64::from(tanh(x)) - want).abs() <= 4.8e-7 * want.abs(), "{x}: {} {want}", tanh(x));
        }
        assert_eq!([f32::MIN, -60.0, 0.0, 60.0, f32::MAX].map(tanh), [-1.0, -1.0, 0.0, 1.0, 1.0]);
        let mut x = [1e30, -1e30, 0.0, 0.5];
        softcap(&mut x, 30.0);
        assert!(x[..3] == [30.0, -30.0, 0.0] && (x[3] - 0.499_953_7).abs() < 1e-6, "{x:?}");
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for i in (-8700..8800).step_by(if cfg!(miri) { 1000 } else { 1 }) {
            let x = i as f32 / 100.0;
            let want = f64::from(x).exp();
            for e in [exp(x), exp_by::<true>(x)] {
                assert!((f64::from(e) - want).abs() <= 2.4e-7 * want, "{x}: {e} {want}");
            }
        }
        assert_eq!([exp(0.0), exp_by::<true>(0.0)], [1.0; 2]);
    }
}
