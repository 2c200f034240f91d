//! Round to nearest, with a search for the scale.
//!
//! The scale with which a block's largest weight just fits is seldom the best: a little less range for the one is a finer grid for
//! the 31 others. For each of some candidates the weights are rounded, the scale (and minimum) that fits these integers best is
//! solved for, and what has the least Σ importance · (w − ŵ)² wins.

use half::f16;
use llm_model::quant::{self, BLOCK, QuantFormat, QuantMatrix};

use super::strips;

/// Raise it when the same weights are rounded otherwise: what the packed cache keeps is known by it.
pub const VERSION: u32 = 2;
/// The steps that candidates give up or add at the end of the range.
const CANDIDATES: [f32; quant::CANDIDATES] = [0.0, -1.8, -1.5, -1.2, -0.9, -0.6, -0.3, 0.3];

/// `weights [rows, width]` in `format`; `importance [width]` says how much the error of each input counts, all alike without it.
pub fn matrix(format: QuantFormat, weights: &[f32], width: usize, importance: Option<&[f32]>) -> QuantMatrix {
    let blocks: Vec<[f32; BLOCK]> = match importance {
        Some(importance) => importance.chunks(BLOCK).map(|part| std::array::from_fn(|i| part.get(i).copied().unwrap_or(0.0))).collect(),
        None => vec![[1.0; BLOCK]; width.div_ceil(BLOCK)],
    };
    // A block whose inputs are always 0 is rounded as if they counted.
    let blocks: Vec<_> = blocks.into_iter().map(|block| if block.iter().all(|x| *x == 0.0) { [1.0; BLOCK] } else { block }).collect();
    strips::quantize(format, weights, width, |rows| {
        let mut block = (0..blocks.len()).cycle();
        QuantMatrix::quantize(format, rows, width, |weights, values| {
            let importance = &blocks[block.next().unwrap_or_default()];
            round(format, weights, importance, values)
        })
    })
}

/// Fills `values` with the integers that come nearest to the `weights` of a block; returns their scale and minimum.
///
/// `importance` says how much the square of each weight's error counts.
///
/// # Panics
/// For more than 32 weights.
pub fn round(format: QuantFormat, weights: &[f32], importance: &[f32; BLOCK], values: &mut [u8]) -> (f16, f16) {
    let mut block = [0.0; BLOCK];
    block[..weights.len()].copy_from_slice(weights);
    let mut importance = *importance;
    importance[weights.len()..].fill(0.0);
    let (scale, minimum) =
        if format.has_minima() { affine(format, weights, &block, &importance) } else { linear(format, &block, &importance) };
    format.round(weights, scale, minimum, values);
    (scale, minimum)
}

/// Σ importance · (w − ŵ)² of a block.
pub fn error(format: QuantFormat, weights: &[f32], importance: &[f32; BLOCK], values: &[u8], (scale, minimum): (f16, f16)) -> f64 {
    let terms = weights.iter().zip(importance).zip(values);
    terms.map(|((w, i), q)| f64::from(*i) * f64::from(w - format.weight(*q, scale, minimum)).powi(2)).sum()
}

/// w ≈ s · q: for the q of each candidate s = Σ i·w·q / Σ i·q², which leaves the error Σ i·w² − (Σ i·w·q)² / Σ i·q².
fn linear(format: QuantFormat, weights: &[f32; BLOCK], importance: &[f32; BLOCK]) -> (f16, f16) {
    let (span, _) = format.span(weights);
    if span == f16::ZERO {
        return (span, f16::ZERO);
    }
    let reach = format.bounds().0.abs();
    let inverses = CANDIDATES.map(|candidate| (reach + candidate) / (reach * span.to_f32()));
    let [wq, qq] = format.fits(weights, importance, &inverses);
    let (mut best, mut scale) = (f32::NEG_INFINITY, span.to_f32());
    for (wq, qq) in wq.into_iter().zip(qq) {
        if qq > 0.0 && wq * wq > best * qq {
            (best, scale) = (wq * wq / qq, wq / qq);
        }
    }
    let fitted = f16::from_f32(scale);
    (if fitted == f16::ZERO || !fitted.is_finite() { span } else { fitted }, f16::ZERO)
}

/// w ≈ s · q + m: for the q of each candidate the line of least squares.
fn affine(format: QuantFormat, weights: &[f32], block: &[f32; BLOCK], importance: &[f32; BLOCK]) -> (f16, f16) {
    let (span, floor) = format.span(weights);
    if span == f16::ZERO {
        return (span, floor);
    }
    let high = f32::from(format.range().1);
    let mut best = (f64::INFINITY, (span, floor));
    let mut values = [0; BLOCK];
    for candidate in CANDIDATES {
        let inverse = (high + candidate) / (high * span.to_f32());
        // Sums of 1, q, q², w and w·q, each weighted.
        let mut sums = [0.0f64; 5];
        for (w, i) in block[..weights.len()].iter().zip(importance) {
            let q = ((w - floor.to_f32()) * inverse).round_ties_even().clamp(0.0, high);
            for (sum, term) in sums.iter_mut().zip([1.0, q, q * q, *w, w * q]) {
                *sum += f64::from(i * term);
            }
        }
        let [one, q, qq, w, wq] = sums;
        let determinant = one * qq - q * q;
        if determinant <= 0.0 {
            continue;
        }
        let scale = f16::from_f64((one * wq - q * w) / determinant);
        let minimum = f16::from_f64((qq * w - q * wq) / determinant);
        if scale == f16::ZERO || !scale.is_finite() || !minimum.is_finite() {
            continue;
        }
        format.round(weights, scale, minimum, &mut values);
        let error = error(format, weights, importance, &values, (scale, minimum));
        if error < best.0 {
            best = (error, (scale, minimum));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(seed: usize) -> Vec<f32> {
        // Sums of three pseudo-random numbers: most small, some large, as weights are.
        let number = |i: usize| ((i * 7919 + seed * 104_729) % 10_007) as f32 / 10_007.0 - 0.5;
        (0..BLOCK).map(|i| number(3 * i) + number(3 * i + 1) + number(3 * i + 2)).collect()
    }

    #[test]
    fn the_search_is_never_worse_than_the_span_and_mostly_better() {
        for format in QuantFormat::ROUNDED {
            let (mut better, ones) = (0, [1.0; BLOCK]);
            for seed in 0..200 {
                let weights = weights(seed);
                let mut values = [0; BLOCK];
                let plain = format.nearest(&weights, &mut values);
                let plain = error(format, &weights, &ones, &values, plain);
                let searched = round(format, &weights, &ones, &mut values);
                let searched = error(format, &weights, &ones, &values, searched);
                // A scale is rounded to f16, which may cost a little.
                assert!(searched <= plain * 1.01, "{format} {seed}: {searched} and {plain}");
                better += usize::from(searched < plain);
            }
            assert!(better > 150, "{format}: better in {better} of 200");
        }
    }

    #[test]
    fn importance_moves_the_error() {
        let weights = weights(3);
        let mut importance = [1.0; BLOCK];
        importance[5] = 1000.0;
        let mut values = [0; BLOCK];
        let (scale, _) = round(QuantFormat::Int4, &weights, &importance, &mut values);
        let off = (weights[5] - QuantFormat::Int4.weight(values[5], scale, f16::ZERO)).abs();
        let (scale, _) = round(QuantFormat::Int4, &weights, &[1.0; BLOCK], &mut values);
        assert!(off <= (weights[5] - QuantFormat::Int4.weight(values[5], scale, f16::ZERO)).abs());
    }

    #[test]
    fn zeros_and_short_blocks_are_exact() {
        let mut values = [0; 3];
        for format in QuantFormat::ROUNDED {
            let (scale, minimum) = round(format, &[0.0; 3], &[1.0; BLOCK], &mut values);
            assert!(values.iter().all(|q| format.weight(*q, scale, minimum) == 0.0), "{format}");
        }
    }
}
