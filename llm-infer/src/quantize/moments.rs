//! What calibration knows about the inputs of a matrix, and the error that a change of its weights makes for them.

use llm_model::ops::threads;
use llm_model::quant::QuantMatrix;

/// The most rows of a matrix whose output error is computed; larger ones are sampled evenly.
const SAMPLE: usize = 256;

/// Sums over the inputs x of a matrix, as many as were seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Numbers of an input.
    pub width: usize,
    /// Mean of x xᵀ, `[width, width]`.
    pub gram: Vec<f32>,
    /// Mean of |x|, `[width]`.
    pub magnitude: Vec<f32>,
}

impl Moments {
    /// Mean of x², `[width]`.
    pub fn squares(&self) -> Vec<f32> {
        self.gram.iter().copied().step_by(self.width + 1).collect()
    }

    /// The moments of x / `factors`.
    ///
    /// # Panics
    /// When there is not a factor for each input.
    pub fn divided(&self, factors: &[f32]) -> Self {
        assert_eq!(factors.len(), self.width);
        let rows = self.gram.chunks_exact(self.width).zip(factors);
        let gram = rows.flat_map(|(row, a)| row.iter().zip(factors).map(move |(x, b)| x / (a * b))).collect();
        Self { width: self.width, gram, magnitude: self.magnitude.iter().zip(factors).map(|(x, factor)| x / factor).collect() }
    }

    /// Σ over the rows r of `rows` of rᵀ · gram · r: the mean square of their products with the inputs.
    pub fn energy(&self, rows: &[f32]) -> f64 {
        let count = rows.len() / self.width;
        let mut energies = vec![0.0; count];
        threads::for_each_piece(&mut energies, 1, |index, energy| {
            let row = &rows[index * self.width..(index + 1) * self.width];
            let terms = row.iter().zip(self.gram.chunks_exact(self.width)).filter(|(x, _)| **x != 0.0);
            energy[0] = terms.map(|(x, gram)| f64::from(*x) * dot(gram, row)).sum::<f64>() as f32;
        });
        energies.into_iter().map(f64::from).sum()
    }

    /// √(E‖(w − ŵ) x‖² / E‖w x‖²) of a `matrix` that was made of `weights`, sampled where it has many rows.
    pub fn output_error(&self, weights: &[f32], matrix: &QuantMatrix) -> f64 {
        let rows = (0..matrix.rows).step_by(step(matrix.rows));
        let weights = self.sampled(weights);
        let errors: Vec<f32> = weights.iter().zip(rows.flat_map(|row| matrix.row(row))).map(|(w, q)| w - q).collect();
        ratio(self.energy(&errors), self.energy(&weights)).sqrt()
    }

    /// Some rows, evenly chosen.
    pub(super) fn sampled(&self, rows: &[f32]) -> Vec<f32> {
        rows.chunks_exact(self.width).step_by(step(rows.len() / self.width)).flatten().copied().collect()
    }
}

/// From one sampled row of `rows` to the next.
fn step(rows: usize) -> usize {
    rows.div_ceil(SAMPLE).max(1)
}

/// √(Σ(w − ŵ)² / Σw²) of a `matrix` that was made of `weights`.
pub(super) fn weight_error(weights: &[f32], matrix: &QuantMatrix) -> f64 {
    let (mut error, mut whole) = (0.0, 0.0);
    for (row, weights) in weights.chunks_exact(matrix.width).enumerate() {
        for (w, q) in weights.iter().zip(matrix.row(row)) {
            error += f64::from(w - q).powi(2);
            whole += f64::from(*w).powi(2);
        }
    }
    ratio(error, whole).sqrt()
}

/// a / b, and 0 of nothing.
fn ratio(a: f64, b: f64) -> f64 {
    if a <= 0.0 { 0.0 } else { a / b.max(f64::MIN_POSITIVE) }
}

/// Σ a · b, summed in f64.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (a_parts, b_parts) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_parts.remainder().iter().zip(b_parts.remainder()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    for (a, b) in a_parts.zip(b_parts) {
        for lane in 0..8 {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Pseudo-random numbers from −0.5 to 0.5.
    pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = 0x9e37_79b9_7f4a_7c15 ^ (seed + 1).wrapping_mul(0xd134_2543_de82_ef95);
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next()).collect()
    }

    /// Moments of inputs that hang together, as those of a model do, and of which some are large.
    pub fn correlated(width: usize, seed: u64) -> Moments {
        let count = 4 * width;
        let common = numbers(count, seed + 100);
        let mut inputs = numbers(count * width, seed);
        for (row, common) in inputs.chunks_exact_mut(width).zip(&common) {
            for (i, x) in row.iter_mut().enumerate() {
                *x = (*x + 2.0 * common) * if i % 7 == 3 { 8.0 } else { 1.0 };
            }
        }
        let mut moments = Moments { width, gram: vec![0.0; width * width], magnitude: vec![0.0; width] };
        for row in inputs.chunks_exact(width) {
            for (i, x) in row.iter().enumerate() {
                moments.magnitude[i] += x.abs() / count as f32;
                for (j, y) in row.iter().enumerate() {
                    moments.gram[i * width + j] += x * y / count as f32;
                }
            }
        }
        moments
    }

    #[test]
    fn energies_are_those_of_known_inputs() {
        // One input, (1, 2): the product of (3, -1) with it is 1.
        let moments = Moments { width: 2, gram: vec![1.0, 2.0, 2.0, 4.0], magnitude: vec![1.0, 2.0] };
        assert_eq!((moments.energy(&[3.0, -1.0, 1.0, 0.0]), moments.squares()), (2.0, vec![1.0, 4.0]));
        let (values, scales) = (vec![11, 6], vec![half::f16::ONE]);
        let matrix = QuantMatrix {
            format: llm_model::quant::QuantFormat::Int4,
            rows: 1,
            width: 2,
            values,
            scales,
            exponents: Vec::new(),
            minima: Vec::new(),
            steps: Vec::new(),
        };
        // (3, -2) instead of (3, -1).
        assert_eq!(moments.output_error(&[3.0, -1.0], &matrix), 2.0);
        assert_eq!(weight_error(&[3.0, 2.0], &matrix), 4.0 / 13.0f64.sqrt());
        let halved = moments.divided(&[1.0, 2.0]);
        assert_eq!((halved.gram, halved.magnitude), (vec![1.0; 4], vec![1.0; 2]));
        assert_eq!(dot(&[1.0; 11], &[2.0; 11]), 22.0);
    }
}
