//! Gemma 2: Gemma with norms before and after, capped scores and logits, and a window on every other layer.

use super::fields::Fields;
use super::gemma;
use crate::{ConfigError, LayerType, ModelConfig};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    fields.must_be("use_bidirectional_attention", false)?;
    let fields = &fields.called(&[("hidden_act", "hidden_activation")]);
    let base = gemma::base(fields, "hidden_activation", Some(256.0))?;
    let window = if fields.has("sliding_window") { fields.positions("sliding_window")? } else { Some(4096) };
    let slides = fields.sliding_layers(base.num_hidden_layers, |layer| layer.is_multiple_of(2))?;
    // Written as null there is no cap; not written there is transformers' default.
    let cap = |key: &str, absent: f64| if fields.has(key) { fields.positive(key) } else { Ok(Some(absent)) };
    Ok(ModelConfig {
        layer: LayerType::Sandwich,
        attention_softcap: cap("attn_logit_softcapping", 50.0)?,
        logits_softcap: cap("final_logit_softcapping", 30.0)?,
        sliding_windows: slides.into_iter().map(|slides| window.filter(|_| slides)).collect(),
        ..base
    })
}
