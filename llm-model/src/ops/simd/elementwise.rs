//! Loops over numbers that the compiler turns into vector code, once for each level of the processor.

use super::softmax::exp;

vectorized! {
    /// `gate` = silu(gate) · up, with silu(x) = x / (1 + e^(−x)).
    pub fn silu_gated(gate: &mut [f32], up: &[f32]) {
        gate.iter_mut().zip(up).for_each(|(g, u)| *g = *g / (1.0 + exp(-*g)) * u);
    }
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
