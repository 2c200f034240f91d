//! AWQ (Lin et al., 2023): inputs that are large get a finer grid.
//!
//! The weights of input j are multiplied by a factor s_j before they are rounded, and what yields the input is divided by it. The
//! factors are the mean of |x_j| to a power α, the same for all matrices that share the inputs; of some α that is taken whose
//! rounded weights change the outputs least.

use llm_model::quant::QuantFormat;

use super::moments::Moments;
use super::rtn;

/// α goes from 0, no factors at all, to below 1 in this many steps.
const STEPS: usize = 20;

/// A matrix and the format it shall have.
pub struct Consumer<'a> {
    /// `[rows, width]`.
    pub weights: &'a [f32],
    /// The format.
    pub format: QuantFormat,
}

/// The factor for each input of the matrices; nothing where 1 is best for all.
pub fn factors(consumers: &[Consumer], moments: &Moments) -> Option<Vec<f32>> {
    let sampled: Vec<(Vec<f32>, QuantFormat)> = consumers.iter().map(|one| (moments.sampled(one.weights), one.format)).collect();
    let mut best = (f64::INFINITY, None);
    for step in 0..STEPS {
        let factors = powers(&moments.magnitude, step as f32 / STEPS as f32);
        let divided = moments.divided(&factors);
        let importance = divided.squares();
        let error: f64 = sampled
            .iter()
            .map(|(weights, format)| {
                let scaled = scaled(weights, &factors);
                let rounded = rtn::matrix(*format, &scaled, moments.width, Some(&importance)).dequantize();
                let errors: Vec<f32> = scaled.iter().zip(&rounded).map(|(w, q)| w - q).collect();
                divided.energy(&errors)
            })
            .sum();
        if error < best.0 {
            best = (error, (step > 0).then_some(factors));
        }
    }
    best.1
}

/// The columns of `weights` times `factors`.
pub fn scaled(weights: &[f32], factors: &[f32]) -> Vec<f32> {
    weights.chunks_exact(factors.len()).flat_map(|row| row.iter().zip(factors).map(|(w, factor)| w * factor)).collect()
}

/// `magnitude` to the power `alpha`, about 1 in the middle and never 0.
fn powers(magnitude: &[f32], alpha: f32) -> Vec<f32> {
    let powers: Vec<f32> = magnitude.iter().map(|x| x.powf(alpha).max(1e-4)).collect();
    let bounds = powers.iter().fold((f32::INFINITY, 0.0f32), |(low, high), x| (low.min(*x), high.max(*x)));
    let middle = (bounds.0 * bounds.1).sqrt();
    powers.into_iter().map(|x| x / middle).collect()
}

#[cfg(test)]
mod tests {
    use super::super::moments::tests::{correlated, numbers};
    use super::*;

    #[test]
    fn outputs_change_less_with_the_factors() {
        let (moments, weights) = (correlated(96, 1), numbers(40 * 96, 2));
        let format = QuantFormat::Int4;
        let factors = factors(&[Consumer { weights: &weights, format }], &moments).expect("large inputs want factors");
        let error =
            |weights: &[f32], moments: &Moments| moments.output_error(weights, &rtn::matrix(format, weights, 96, Some(&moments.squares())));
        let (plain, better) = (error(&weights, &moments), error(&scaled(&weights, &factors), &moments.divided(&factors)));
        assert!(better < plain, "{better} and {plain}");
    }

    #[test]
    fn powers_lie_around_one() {
        assert_eq!(powers(&[1.0, 16.0], 0.5), [0.5, 2.0]);
        assert!(powers(&[0.0, 2.0, 4.0], 0.5).iter().all(|x| *x > 0.0 && x.is_finite()));
    }
}
