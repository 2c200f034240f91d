//! Loops over numbers that the compiler turns into vector code, once for each level of the processor.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

use super::softmax::{exp, exp_by, tanh};

vectorized! {
    /// `gate` = silu(gate) · up, with silu(x) = x / (1 + e^(−x)).
    pub fn silu_gated(gate: &mut [f32], up: &[f32]) {
        gate.iter_mut().zip(up).for_each(|(g, u)| *g = *g / (1.0 + exp_by::<FUSED>(-*g)) * u);
    }
}

vectorized! {
    /// `x` = silu(x).
    pub fn silu(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x /= 1.0 + exp_by::<FUSED>(-*x));
    }
}

vectorized! {
    /// `x` = x · Φ(x).
    pub fn gelu(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x *= 0.5 + 0.5 * erf(*x * FRAC_1_SQRT_2));
    }
}

vectorized! {
    /// `x` = x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³))).
    pub fn gelu_tanh(x: &mut [f32]) {
        let factor = (2.0 / PI).sqrt();
        x.iter_mut().for_each(|x| *x *= 0.5 + 0.5 * tanh(factor * (*x + 0.044_715 * *x * *x * *x)));
    }
}

vectorized! {
    /// `x` = x · sigmoid(1.702 · x).
    pub fn gelu_quick(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x /= 1.0 + exp_by::<FUSED>(-1.702 * *x));
    }
}

vectorized! {
    /// `x` = max(x, 0).
    pub fn relu(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x = if *x > 0.0 { *x } else { 0.0 });
    }
}

vectorized! {
    /// `x` = max(x, 0)².
    pub fn relu_squared(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x = if *x > 0.0 { *x * *x } else { 0.0 });
    }
}

vectorized! {
    /// `x` = x − number.
    pub fn subtract(x: &mut [f32], number: f32) {
        x.iter_mut().for_each(|x| *x -= number);
    }
}

vectorized! {
    /// Σ x, in sixteen lanes that are added up at the end.
    pub fn sum(x: &[f32]) -> f32 {
        let mut sums = [0.0f32; 16];
        let (blocks, tail) = x.as_chunks::<16>();
        for block in blocks {
            sums.iter_mut().zip(block).for_each(|(sum, x)| *sum += x);
        }
        sums.iter().sum::<f32>() + tail.iter().sum::<f32>()
    }
}

/// erf x by Abramowitz and Stegun 7.1.26, within 5e-7.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let z = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    (1.0 - p * exp(-z * z)).copysign(x)
}

vectorized! {
    /// `x` = x · factor · γ.
    pub fn scale(x: &mut [f32], factor: f32, gamma: &[f32]) {
        x.iter_mut().zip(gamma).for_each(|(x, g)| *x = *x * factor * g);
    }
}

vectorized! {
    /// `x` = x · factor, each by its own.
    pub fn multiply(x: &mut [f32], factors: &[f32]) {
        x.iter_mut().zip(factors).for_each(|(x, factor)| *x *= factor);
    }
}

vectorized! {
    /// Turns each pair `(head[i], head[i + half])` by the angle of which `cos` and `sin` are given, `half` of each.
    pub fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
        let (first, second) = head.split_at_mut(cos.len());
        for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers() {
        let mut gate = [0.0, 1.0, -1.0];
        silu_gated(&mut gate, &[5.0, 2.0, 2.0]);
        assert!(gate.iter().zip([0.0, 1.462_117_2, -0.537_882_8]).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6));
        let mut x = [1.0, 2.0];
        scale(&mut x, 3.0, &[1.0, 0.5]);
        assert_eq!(x, [3.0, 3.0]);
        multiply(&mut gate, &[0.0, 0.0, 2.0]);
        assert_eq!(gate[..2], [0.0, 0.0]);
        let mut head = [1.0, 2.0, 3.0, 4.0, 9.0];
        rotate(&mut head, &[0.0, 1.0], &[1.0, 0.0]);
        assert_eq!(head, [-3.0, 2.0, 1.0, 4.0, 9.0]);
    }
}
