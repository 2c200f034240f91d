//! Gemma 3, the language model: Gemma 2 without caps, with norms of the heads, and another rotation where there is a window.

use super::fields::Fields;
use super::gemma;
use crate::{ConfigError, LayerType, ModelConfig, QkNorm, RopeConfig, Rotation};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    fields.must_be("use_bidirectional_attention", false)?;
    let fields = &fields.called(&[("hidden_act", "hidden_activation")]);
    let [rope, local_rope] = ropes(fields)?;
    // The nested rotations are read here, those of one object by everybody.
    let base = gemma::base(&fields.without_ropes(), "hidden_activation", Some(256.0))?;
    let window = if fields.has("sliding_window") { fields.positions("sliding_window")? } else { Some(4096) };
    let pattern = fields.size_or("sliding_window_pattern", fields.size_or("_sliding_window_pattern", 6)?)?;
    let slides = fields.sliding_layers(base.num_hidden_layers, |layer| !(layer + 1).is_multiple_of(pattern))?;
    Ok(ModelConfig {
        layer: LayerType::Sandwich,
        qk_norm: QkNorm::Head,
        // transformers reads `attn_logit_softcapping` and does not cap anything by it.
        logits_softcap: fields.positive("final_logit_softcapping")?,
        rotations: slides.iter().map(|slides| if *slides { Rotation::Local } else { Rotation::Global }).collect(),
        sliding_windows: slides.into_iter().map(|slides| window.filter(|_| slides)).collect(),
        max_position_embeddings: fields.positions("max_position_embeddings")?.unwrap_or(POSITIONS),
        rope,
        local_rope: Some(local_rope),
        ..base
    })
}

/// `max_position_embeddings` where it is not written.
const POSITIONS: usize = 131_072;

/// The rotations of layers without and with a window: `rope_parameters` has one for each; older files have `rope_theta` and
/// `rope_scaling` for the first, and `rope_local_base_freq` for the second.
fn ropes(fields: &Fields) -> Result<[RopeConfig; 2], ConfigError> {
    let positions = fields.positions("max_position_embeddings")?.unwrap_or(POSITIONS);
    let head_dim = fields.size_or("head_dim", 256)?;
    let parameters = fields.object("rope_parameters")?;
    let old = fields.object("rope_scaling")?;
    let theta = [fields.positive_or("rope_theta", 1e6)?, fields.positive_or("rope_local_base_freq", 1e4)?];
    let read = |kind: &str, theta: f64, old: Option<&Fields>| {
        let nested = parameters.as_ref().map(|parameters| parameters.object(kind)).transpose()?.flatten();
        match old.or(nested.as_ref()) {
            Some(inner) => inner.rotation(fields, head_dim, positions, theta, 1.0),
            None => fields.plain_rotation(head_dim, theta),
        }
    };
    Ok([read("full_attention", theta[0], old.as_ref())?, read("sliding_attention", theta[1], None)?])
}
