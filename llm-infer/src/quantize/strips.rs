//! Matrices whose rows are quantized a strip at a time, on all threads.

use std::sync::Mutex;

use llm_model::ops::threads;
use llm_model::quant::{QuantFormat, QuantMatrix};

/// Rows that one call of the work is given.
pub(super) const STRIP: usize = 16;

/// The matrix that `quantize` gives strip by strip: it takes the rows `[count, width]` of each.
pub(super) fn quantize(format: QuantFormat, weights: &[f32], width: usize, quantize: impl Fn(&[f32]) -> QuantMatrix + Sync) -> QuantMatrix {
    let strips: Vec<Mutex<Option<QuantMatrix>>> = weights.chunks(STRIP * width).map(|_| Mutex::new(None)).collect();
    threads::for_each(strips.len(), |index| {
        let from = index * STRIP * width;
        let done = quantize(&weights[from..weights.len().min(from + STRIP * width)]);
        *strips[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(done);
    });
    let (values, scales, minima) = (Vec::with_capacity(weights.len()), Vec::new(), Vec::new());
    let mut all =
        QuantMatrix { format, rows: weights.len() / width, width, values, scales, exponents: Vec::new(), minima, steps: Vec::new() };
    for strip in strips {
        let strip = strip.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        // `for_each` has run every strip.
        let Some(strip) = strip else { unreachable!("a strip was left out") };
        all.values.extend(strip.values);
        all.scales.extend(strip.scales);
        all.minima.extend(strip.minima);
    }
    all
}
