//! Rotary position embedding: frequencies of all scaling kinds, as transformers' `modeling_rope_utils` defines them.

use std::f64::consts::PI;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::ops::AnyAngles;

/// The rotation that a model was trained with.
///
/// Pair `i` of a head turns by `position · θ^(-2i/d)` (Su et al., RoFormer); [`RopeScaling`] stretches it to longer contexts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RopeConfig {
    /// Base θ of the frequencies (`rope_theta`).
    pub theta: f64,
    /// Numbers of each head that are rotated; even, at most `head_dim`.
    pub dim: usize,
    /// How the frequencies are stretched (`rope_type`).
    pub scaling: RopeScaling,
}

/// The kinds of `rope_type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeScaling {
    /// No stretching.
    Default,
    /// All frequencies divided by `factor` (position interpolation).
    Linear {
        /// The stretch.
        factor: f64,
    },
    /// θ grows with the length once it exceeds the trained one (dynamic NTK).
    Dynamic {
        /// The stretch.
        factor: f64,
        /// The trained length.
        original_max_position_embeddings: usize,
    },
    /// Low frequencies divided, high ones kept, a ramp between (Llama 3.1).
    Llama3 {
        /// The stretch.
        factor: f64,
        /// Wavelengths above `original / low_freq_factor` are stretched.
        low_freq_factor: f64,
        /// Wavelengths below `original / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// The trained length.
        original_max_position_embeddings: usize,
    },
    /// NTK by parts with an attention factor (Peng et al., YaRN).
    Yarn {
        /// The stretch.
        factor: f64,
        /// The trained length.
        original_max_position_embeddings: usize,
        /// Rotations above which a frequency is kept.
        beta_fast: f64,
        /// Rotations below which a frequency is divided.
        beta_slow: f64,
        /// Factor on cosine and sine.
        attention_factor: f64,
        /// Whether the ramp's ends are rounded to whole dimensions.
        truncate: bool,
    },
    /// A divisor for each frequency, others beyond the trained length, and an attention factor (Ding et al., LongRoPE).
    LongRope {
        /// Divisors for sequences within the trained length, `[dim / 2]`.
        short_factor: Vec<f64>,
        /// Divisors for longer ones, `[dim / 2]`.
        long_factor: Vec<f64>,
        /// The trained length.
        original_max_position_embeddings: usize,
        /// Factor on cosine and sine.
        attention_factor: f64,
    },
}

impl RopeConfig {
    /// Angle per position of each pair, `[dim / 2]`, for a sequence of `length` positions.
    pub fn frequencies(&self, length: usize) -> Vec<f32> {
        let theta = match self.scaling {
            RopeScaling::Dynamic { factor, original_max_position_embeddings: original } => {
                let length = length.max(original) as f64;
                let d = self.dim as f64;
                self.theta * ((factor * length / original as f64) - (factor - 1.0)).powf(d / (d - 2.0))
            }
            _ => self.theta,
        };
        let base = |i: usize| 1.0 / (theta as f32).powf((2 * i) as f32 / self.dim as f32);
        (0..self.dim / 2).map(|i| self.stretched(base(i), i, length)).collect()
    }

    /// Whether keys of earlier positions stay as they are when a sequence grows from `before` to `length` positions.
    pub fn keeps_keys(&self, before: usize, length: usize) -> bool {
        match self.scaling {
            RopeScaling::Dynamic { original_max_position_embeddings, .. } => length <= original_max_position_embeddings,
            RopeScaling::LongRope { original_max_position_embeddings: original, .. } => (before > original) == (length > original),
            _ => true,
        }
    }

    /// Factor on cosine and sine (`attention_factor` of YaRN and LongRoPE, else 1).
    pub fn attention_factor(&self) -> f32 {
        match self.scaling {
            RopeScaling::Yarn { attention_factor, .. } | RopeScaling::LongRope { attention_factor, .. } => attention_factor as f32,
            _ => 1.0,
        }
    }

    fn stretched(&self, frequency: f32, pair: usize, length: usize) -> f32 {
        match self.scaling {
            RopeScaling::Default | RopeScaling::Dynamic { .. } => frequency,
            RopeScaling::Linear { factor } => frequency / factor as f32,
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                let original = original_max_position_embeddings as f64;
                let wavelength = 2.0 * PI / f64::from(frequency);
                if wavelength > original / low_freq_factor {
                    frequency / factor as f32
                } else if wavelength < original / high_freq_factor {
                    frequency
                } else {
                    let smooth = (original / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    ((1.0 - smooth) * f64::from(frequency) / factor + smooth * f64::from(frequency)) as f32
                }
            }
            RopeScaling::LongRope { ref short_factor, ref long_factor, original_max_position_embeddings, .. } => {
                let factors = if length > original_max_position_embeddings { long_factor } else { short_factor };
                frequency / factors[pair] as f32
            }
            RopeScaling::Yarn { factor, .. } => {
                let keep = self.yarn_keep(pair);
                frequency / factor as f32 * (1.0 - keep) + frequency * keep
            }
        }
    }

    /// Share of the unstretched frequency that YaRN keeps for `pair`: 1 for fast pairs, 0 for slow ones.
    fn yarn_keep(&self, pair: usize) -> f32 {
        let RopeScaling::Yarn { original_max_position_embeddings, beta_fast, beta_slow, truncate, .. } = self.scaling else {
            return 1.0;
        };
        let dim_of = |rotations: f64| {
            self.dim as f64 * (original_max_position_embeddings as f64 / (rotations * 2.0 * PI)).ln() / (2.0 * self.theta.ln())
        };
        let (mut low, mut high) = (dim_of(beta_fast), dim_of(beta_slow));
        if truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let low = low.max(0.0);
        let mut high = high.min(self.dim as f64 - 1.0);
        if low == high {
            high += 0.001;
        }
        1.0 - ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0) as f32
    }

    /// The angles of rows that stand at `starts[b] .. starts[b] + seq`, `[batch, seq, dim / 2]`.
    ///
    /// `lengths[b]` is the length that row `b` will have once its prompt is in; only dynamic scaling and LongRoPE read it.
    pub fn angles(&self, starts: &[usize], lengths: &[usize], seq: usize, device: &Device) -> AnyAngles {
        let half = self.dim / 2;
        let count = starts.len() * seq * half;
        let (mut cos, mut sin) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let factor = self.attention_factor();
        for (&start, &length) in starts.iter().zip(lengths) {
            let frequencies = self.frequencies(length);
            for position in start..start + seq {
                for &frequency in &frequencies {
                    let (s, c) = (position as f32 * frequency).sin_cos();
                    cos.push(c * factor);
                    sin.push(s * factor);
                }
            }
        }
        let tensor = |values| Tensor::from_data(TensorData::new(values, [starts.len(), seq, half]), device);
        AnyAngles::new(tensor(cos), tensor(sin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_frequencies_fall_geometrically() {
        let rope = RopeConfig { theta: 10_000.0, dim: 8, scaling: RopeScaling::Default };
        let got = rope.frequencies(16);
        for (got, want) in got.iter().zip([1.0, 0.1, 0.01, 0.001]) {
            assert!((got - want).abs() < 1e-7 * want.max(1.0), "{got} {want}");
        }
    }

    #[test]
    fn dynamic_equals_default_within_the_trained_length() {
        let scaling = RopeScaling::Dynamic { factor: 4.0, original_max_position_embeddings: 32 };
        let dynamic = RopeConfig { theta: 10_000.0, dim: 8, scaling };
        let plain = RopeConfig { scaling: RopeScaling::Default, ..dynamic.clone() };
        assert_eq!(dynamic.frequencies(32), plain.frequencies(32));
        assert!(dynamic.frequencies(33)[1] < plain.frequencies(33)[1]);
    }

    #[test]
    fn yarn_keeps_fast_pairs_and_divides_slow_ones() {
        let scaling = RopeScaling::Yarn {
            factor: 4.0,
            original_max_position_embeddings: 64,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: 1.1,
            truncate: true,
        };
        let rope = RopeConfig { theta: 10_000.0, dim: 32, scaling };
        let plain = RopeConfig { scaling: RopeScaling::Default, ..rope.clone() };
        let (got, base) = (rope.frequencies(1), plain.frequencies(1));
        assert_eq!(got[0], base[0]);
        assert!((got[15] - base[15] / 4.0).abs() < 1e-9);
    }
}
