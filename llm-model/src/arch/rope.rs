//! Rotary embeddings in `config.json`.

use serde_json::Value;

use super::fields::{Defaults, Fields, kind, quoted};
use crate::{ConfigError, RopeConfig, RopeScaling};

impl Fields<'_> {
    /// Rotary embedding in the old spelling (`rope_theta`, `rope_scaling`) or the new one (`rope_parameters`).
    ///
    /// As in transformers, `rope_scaling` wins over `rope_parameters`, and keys inside over keys beside.
    pub fn rope(&self, head_dim: usize, max_positions: usize, absent: &Defaults) -> Result<RopeConfig, ConfigError> {
        if self.without_ropes {
            return self.plain_rotation(head_dim, absent.rope_theta);
        }
        let parameters = match self.object("rope_scaling")? {
            Some(scaling) => Some(scaling),
            None => self.object("rope_parameters")?,
        };
        let theta = self.positive("rope_theta")?.unwrap_or(absent.rope_theta);
        let part = self.positive("partial_rotary_factor")?.unwrap_or(absent.partial_rotary_factor);
        match &parameters {
            Some(inner) => inner.rotation(self, head_dim, max_positions, theta, part),
            None => self.rotation_of(head_dim, theta, part, RopeScaling::Default),
        }
    }

    /// The rotary embedding that this `rope_scaling` or `rope_parameters` describes; what it leaves out stands beside it in `model`.
    pub fn rotation(
        &self,
        model: &Fields,
        head_dim: usize,
        max_positions: usize,
        theta: f64,
        part: f64,
    ) -> Result<RopeConfig, ConfigError> {
        let theta = self.positive_or("rope_theta", theta)?;
        let part = self.positive_or("partial_rotary_factor", part)?;
        let scaling = self.scaling(model, max_positions, (head_dim as f64 * part) as usize)?;
        self.rotation_of(head_dim, theta, part, scaling)
    }

    /// Frequencies as they were trained, of whole heads.
    pub fn plain_rotation(&self, head_dim: usize, theta: f64) -> Result<RopeConfig, ConfigError> {
        self.rotation_of(head_dim, theta, 1.0, RopeScaling::Default)
    }

    fn rotation_of(&self, head_dim: usize, theta: f64, part: f64, scaling: RopeScaling) -> Result<RopeConfig, ConfigError> {
        let dim = (head_dim as f64 * part) as usize;
        if dim < 2 || dim > head_dim || !dim.is_multiple_of(2) {
            return Err(self.wrong("partial_rotary_factor", part, format!("a share of head_dim = {head_dim} that rotates an even count")));
        }
        if theta <= 1.0 {
            return Err(self.wrong("rope_theta", theta, "a number above 1"));
        }
        Ok(RopeConfig { theta, dim, scaling })
    }

    /// The stretching that this `rope_scaling` or `rope_parameters` names; `model` holds the keys beside it.
    fn scaling(&self, model: &Fields, max_positions: usize, dim: usize) -> Result<RopeScaling, ConfigError> {
        if let Some((key, _)) = self.json.as_object().and_then(|all| all.iter().find(|(_, value)| value.is_object())) {
            return Err(self.wrong(key, "an object", "one rotary embedding for all layers"));
        }
        let kind = self.string_or("rope_type", self.string_or("type", "default")?)?;
        let is_phi3 = model.string_or("model_type", "")? == "phi3";
        let original = match model.positions("original_max_position_embeddings")? {
            Some(outer) => outer,
            // transformers' default for Phi 3 wins over a length inside.
            None if is_phi3 => 4096,
            None => self.positions("original_max_position_embeddings")?.unwrap_or(max_positions),
        };
        Ok(match kind {
            "default" => RopeScaling::Default,
            "linear" => RopeScaling::Linear { factor: self.required_positive("factor")? },
            "dynamic" => {
                RopeScaling::Dynamic { factor: self.required_positive("factor")?, original_max_position_embeddings: max_positions }
            }
            "llama3" => self.llama3(original)?,
            // Phi 3 was published with other names of it.
            "yarn" | "su" if is_phi3 => self.longrope(original, max_positions, dim)?,
            "yarn" => self.yarn(original, max_positions)?,
            "longrope" => self.longrope(original, max_positions, dim)?,
            other => {
                return Err(self.wrong("rope_type", quoted(other), "one of default, linear, dynamic, llama3, yarn, longrope"));
            }
        })
    }

    fn llama3(&self, original_max_position_embeddings: usize) -> Result<RopeScaling, ConfigError> {
        let low_freq_factor = self.required_positive("low_freq_factor")?;
        let high_freq_factor = self.required_positive("high_freq_factor")?;
        if high_freq_factor <= low_freq_factor {
            return Err(self.wrong("high_freq_factor", high_freq_factor, format!("more than low_freq_factor = {low_freq_factor}")));
        }
        let factor = self.required_positive("factor")?;
        Ok(RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings })
    }

    fn yarn(&self, original: usize, max_positions: usize) -> Result<RopeScaling, ConfigError> {
        let factor = self.positive("factor")?.unwrap_or(max_positions as f64 / original as f64);
        let scale = |m: f64| if factor <= 1.0 { 1.0 } else { 0.1 * m * factor.ln() + 1.0 };
        let attention_factor = match self.positive("attention_factor")? {
            Some(given) => given,
            None => match (self.number("mscale"), self.number("mscale_all_dim")) {
                (Some(m), Some(all)) if m != 0.0 && all != 0.0 => scale(m) / scale(all),
                _ => scale(1.0),
            },
        };
        Ok(RopeScaling::Yarn {
            factor,
            original_max_position_embeddings: original,
            beta_fast: self.positive_or("beta_fast", 32.0)?,
            beta_slow: self.positive_or("beta_slow", 1.0)?,
            attention_factor,
            truncate: self.bool_or("truncate", true)?,
        })
    }

    fn longrope(&self, original: usize, max_positions: usize, dim: usize) -> Result<RopeScaling, ConfigError> {
        let factor = self.positive("factor")?.unwrap_or(max_positions as f64 / original as f64);
        let derived = if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / (original as f64).ln()).sqrt() };
        let factors = |key: &str| -> Result<Vec<f64>, ConfigError> {
            let list = self.get(key).and_then(Value::as_array).filter(|list| list.len() == dim / 2);
            let list = list.and_then(|list| list.iter().map(Value::as_f64).collect::<Option<Vec<_>>>());
            let list = list.filter(|list| list.iter().all(|x| (*x as f32).is_finite() && *x as f32 > 0.0));
            list.ok_or_else(|| self.wrong(key, self.get(key).map_or("nothing", kind), format!("a list of {} numbers above 0", dim / 2)))
        };
        Ok(RopeScaling::LongRope {
            short_factor: factors("short_factor")?,
            long_factor: factors("long_factor")?,
            original_max_position_embeddings: original,
            attention_factor: self.positive_or("attention_factor", derived)?,
        })
    }
}
