//! GPTQ (Frantar et al., 2022): each weight's rounding error is made good by the weights after it.
//!
//! The mean square error of the outputs is Σ over rows of e H eᵀ, with e = w − ŵ and H the mean of x xᵀ. Let H = M D Mᵀ with M
//! upper triangular, its diagonal 1, and D diagonal; then e H eᵀ = Σ_j d_j · η_j² with η_j = e_j + Σ_{k<j} e_k M_kj. So column after
//! column ŵ_j is the rounding of w_j + Σ_{k<j} e_k M_kj: that is GPTQ without an inverse (LDLQ of Chee et al., 2023, who show the
//! two to be the same), and d_j says how much the error of column j counts when the scale of its block is searched for.

use half::f16;
use llm_model::ops::threads;
use llm_model::quant::{BLOCK, QuantFormat, QuantMatrix};

use super::moments::{Moments, dot};
use super::{rtn, strips};

/// Share of the mean of the diagonal that is added to it, so that H can be factored (`percdamp`).
const DAMPING: f64 = 0.01;

/// Scales that are tried for each block, as multiples of the one that fits before errors are passed on inside the block.
const CANDIDATES: [f32; 5] = [1.0, 0.92, 0.96, 1.04, 1.08];

/// `weights [rows, width]` in `format`, such that products with inputs of these `moments` change little.
///
/// # Panics
/// When weights and moments are not of one width.
pub fn quantize(format: QuantFormat, weights: &[f32], moments: &Moments) -> QuantMatrix {
    let factored = Factored::new(moments);
    strips::quantize(format, weights, moments.width, |rows| strip(format, rows, &factored))
}

/// H = M D Mᵀ.
struct Factored {
    width: usize,
    /// M, `[width, width]`; what is below the diagonal means nothing.
    feedback: Vec<f32>,
    /// D.
    importance: Vec<f32>,
}

impl Factored {
    /// From the last column to the first, rows at once on all threads: R Rᵀ = H with R = M √D.
    fn new(moments: &Moments) -> Self {
        let width = moments.width;
        let mut factor = moments.gram.clone();
        let mean = moments.squares().iter().map(|x| f64::from(*x)).sum::<f64>() / width as f64;
        // Inputs that are always 0 leave any matrix as it is.
        let damping = if mean > 0.0 { DAMPING * mean } else { 1.0 };
        for j in 0..width {
            factor[j * width + j] = (f64::from(factor[j * width + j]) + damping) as f32;
        }
        for first in (0..width).step_by(BLOCK).rev() {
            let columns = first..(first + BLOCK).min(width);
            let (above, rows) = factor.split_at_mut(first * width);
            for i in columns.clone().rev() {
                let (row, below) = rows[(i - first) * width..].split_at_mut(width);
                for j in (i + 1..columns.end).rev() {
                    let other = &below[(j - i - 1) * width..(j - i) * width];
                    row[j] = ((f64::from(row[j]) - dot(&row[j + 1..], &other[j + 1..])) / f64::from(other[j])) as f32;
                }
                // Damped, so that only rounding can make it 0.
                row[i] = (f64::from(row[i]) - dot(&row[i + 1..], &row[i + 1..])).max(1e-3 * damping).sqrt() as f32;
            }
            let rows = &*rows;
            threads::for_each_piece(above, width, |_, row| {
                for j in columns.clone().rev() {
                    let other = &rows[(j - first) * width..(j - first + 1) * width];
                    row[j] = ((f64::from(row[j]) - dot(&row[j + 1..], &other[j + 1..])) / f64::from(other[j])) as f32;
                }
            });
        }
        let roots: Vec<f32> = factor.iter().copied().step_by(width + 1).collect();
        for row in factor.chunks_exact_mut(width) {
            row.iter_mut().zip(&roots).for_each(|(x, root)| *x /= root);
        }
        Self { width, feedback: factor, importance: roots.iter().map(|root| root * root).collect() }
    }
}

/// Some rows, block after block.
fn strip(format: QuantFormat, weights: &[f32], factored: &Factored) -> QuantMatrix {
    let Factored { width, feedback, importance } = factored;
    let (width, rows) = (*width, weights.len() / factored.width);
    let mut errors = vec![0.0f32; weights.len()];
    let mut values = vec![0; weights.len()];
    let blocks = width.div_ceil(BLOCK);
    let (mut scales, mut minima) = (vec![f16::ZERO; rows * blocks], vec![f16::ZERO; rows * blocks]);
    let mut targets = vec![[0.0f32; BLOCK]; rows];
    for (block, first) in (0..width).step_by(BLOCK).enumerate() {
        let count = BLOCK.min(width - first);
        for (row, target) in targets.iter_mut().enumerate() {
            target[..count].copy_from_slice(&weights[row * width + first..][..count]);
        }
        for k in 0..first {
            let passed = &feedback[k * width + first..][..count];
            for (row, target) in targets.iter_mut().enumerate() {
                let error = errors[row * width + k];
                target.iter_mut().zip(passed).for_each(|(target, share)| *target += error * share);
            }
        }
        let mut counts = [0.0; BLOCK];
        counts[..count].copy_from_slice(&importance[first..first + count]);
        let inner = Inner { format, feedback: &feedback[first * width + first..], width, importance: &counts };
        for (row, target) in targets.iter().enumerate() {
            let at = row * width + first;
            let place = row * blocks + block;
            (scales[place], minima[place]) = inner.best(&weights[at..at + count], &target[..count], &mut values[at..at + count]);
            for i in at..at + count {
                errors[i] = weights[i] - format.weight(values[i], scales[place], minima[place]);
            }
        }
    }
    if !format.has_minima() {
        minima.clear();
    }
    QuantMatrix { format, rows, width, values, scales, exponents: Vec::new(), minima, steps: Vec::new() }
}

/// The columns of one block among themselves.
struct Inner<'a> {
    format: QuantFormat,
    /// From the block's first row and column on.
    feedback: &'a [f32],
    /// Numbers from one row of it to the next.
    width: usize,
    importance: &'a [f32; BLOCK],
}

impl Inner<'_> {
    /// Scale, minimum and values with the least Σ d · η².
    fn best(&self, weights: &[f32], targets: &[f32], values: &mut [u8]) -> (f16, f16) {
        let (scale, minimum) = rtn::round(self.format, targets, self.importance, values);
        let mut tried = [0; BLOCK];
        let tried = &mut tried[..targets.len()];
        let (mut least, mut best) = (f64::INFINITY, (scale, minimum));
        for candidate in CANDIDATES {
            let scaled = f16::from_f32(scale.to_f32() * candidate);
            // The middle of the range stays where it is.
            let middle = f32::from(self.format.range().1) / 2.0 * (scale.to_f32() - scaled.to_f32());
            let shifted = if self.format.has_minima() { f16::from_f32(minimum.to_f32() + middle) } else { minimum };
            if !scaled.is_finite() || !shifted.is_finite() {
                continue;
            }
            let error = self.round(weights, targets, (scaled, shifted), tried);
            if error < least {
                (least, best) = (error, (scaled, shifted));
                values.copy_from_slice(tried);
            }
        }
        best
    }

    /// Rounds column after column, each error passed on to the columns after it; returns Σ d · η².
    fn round(&self, weights: &[f32], targets: &[f32], (scale, minimum): (f16, f16), values: &mut [u8]) -> f64 {
        let mut moved = [0.0; BLOCK];
        let moved = &mut moved[..targets.len()];
        moved.copy_from_slice(targets);
        let mut total = 0.0;
        for j in 0..targets.len() {
            self.format.round(&moved[j..=j], scale, minimum, &mut values[j..=j]);
            let rounded = self.format.weight(values[j], scale, minimum);
            total += f64::from(self.importance[j]) * f64::from(moved[j] - rounded).powi(2);
            let error = weights[j] - rounded;
            let passed = &self.feedback[j * self.width..];
            for i in j + 1..targets.len() {
                moved[i] += error * passed[i];
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::super::moments::tests::{correlated, numbers};
    use super::*;

    #[test]
    fn the_factors_multiply_to_the_whole() {
        let moments = correlated(75, 1);
        let Factored { width, feedback, importance } = Factored::new(&moments);
        let damping = DAMPING as f32 * moments.squares().iter().sum::<f32>() / width as f32;
        let entry = |i: usize, k: usize| if k < i { 0.0 } else { feedback[i * width + k] };
        for (i, j) in [(0, 0), (0, 74), (3, 40), (31, 33), (70, 70)] {
            let product: f32 = (0..width).map(|k| entry(i, k) * importance[k] * entry(j, k)).sum();
            let expected = moments.gram[i * width + j] + if i == j { damping } else { 0.0 };
            assert!((product - expected).abs() <= 1e-3 * expected.abs().max(1.0), "{i} {j}: {product} and {expected}");
        }
    }

    #[test]
    fn outputs_change_less_than_by_rounding_alone() {
        for format in QuantFormat::ROUNDED {
            for width in [64, 75] {
                let (moments, weights) = (correlated(width, 2), numbers(40 * width, 3));
                let plain = rtn::matrix(format, &weights, width, None);
                let better = quantize(format, &weights, &moments);
                assert_eq!((better.rows, better.scales.len(), better.minima.len()), (40, plain.scales.len(), plain.minima.len()));
                let [plain, better] = [plain, better].map(|matrix| moments.output_error(&weights, &matrix));
                assert!(better < 0.7 * plain, "{format} {width}: {better} and {plain}");
            }
        }
    }

    #[test]
    fn inputs_that_do_not_hang_together_leave_rounding_to_nearest() {
        let (width, weights) = (64, numbers(5 * 64, 4));
        let gram = (0..width * width).map(|i| f32::from(i % (width + 1) == 0)).collect();
        let matrix = quantize(QuantFormat::Int4, &weights, &Moments { width, gram, magnitude: vec![1.0; width] });
        let plain = rtn::matrix(QuantFormat::Int4, &weights, width, None);
        // The scales that are tried may be better still, never worse.
        let error = |matrix: &QuantMatrix| super::super::moments::weight_error(&weights, matrix);
        assert!(error(&matrix) <= error(&plain) * 1.0001);
        let same = matrix.values.iter().zip(&plain.values).filter(|(a, b)| a == b).count();
        assert!(same * 10 > weights.len() * 8, "{same} of {}", weights.len());
    }

    #[test]
    fn inputs_that_are_always_zero_do_no_harm() {
        let weights = numbers(3 * 32, 5);
        let moments = Moments { width: 32, gram: vec![0.0; 32 * 32], magnitude: vec![0.0; 32] };
        assert!(quantize(QuantFormat::Int8, &weights, &moments).dequantize().iter().all(|w| w.is_finite()));
    }
}
