//! The learning rate over the steps.

use std::f64::consts::PI;

/// Linear warm-up to `peak`, then half a cosine down to a tenth of it at `steps` (Loshchilov and Hutter, SGDR).
pub fn learning_rate(peak: f64, warmup: usize, steps: usize, step: usize) -> f64 {
    if step < warmup {
        return peak * (step + 1) as f64 / warmup as f64;
    }
    let done = (step - warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
    peak * (0.1 + 0.9 * 0.5 * (1.0 + (PI * done.min(1.0)).cos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_and_falls() {
        let rate = |step| learning_rate(1.0, 10, 110, step);
        assert_eq!(rate(0), 0.1);
        assert_eq!(rate(9), 1.0);
        assert_eq!(rate(10), 1.0);
        assert!((rate(60) - 0.55).abs() < 1e-12);
        assert!((rate(110) - 0.1).abs() < 1e-12);
        assert!((rate(500) - 0.1).abs() < 1e-12);
    }
}
