//! SmolLM3: Llama where every fourth layer has no rotation.

use super::fields::{Defaults, Fields};
use crate::{ConfigError, ModelConfig, Rotation};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let absent = Defaults {
        num_key_value_heads: Some(4),
        tie_word_embeddings: true,
        rope_theta: 2e6,
        max_position_embeddings: 32_768,
        ..Defaults::default()
    };
    let base = fields.base(absent)?;
    let (layers, bias) = (base.num_hidden_layers, fields.bool_or("attention_bias", false)?);
    let interval = fields.size_or("no_rope_layer_interval", 4)?;
    let turned = match fields.get("no_rope_layers") {
        None => (0..layers).map(|layer| !(layer + 1).is_multiple_of(interval)).collect::<Vec<_>>(),
        Some(list) => {
            let list = list.as_array().filter(|list| list.len() == layers);
            let list = list.and_then(|list| list.iter().map(|turned| turned.as_u64().map(|turned| turned != 0)).collect());
            list.ok_or_else(|| fields.wrong("no_rope_layers", "another length or type", format!("a list of {layers} numbers, 0 or 1")))?
        }
    };
    let window = if fields.bool_or("use_sliding_window", false)? { fields.positions("sliding_window")? } else { None };
    let slides = fields.sliding_layers(layers, |layer| !turned[layer])?;
    Ok(ModelConfig {
        qkv_bias: bias,
        o_bias: bias,
        mlp_bias: fields.bool_or("mlp_bias", false)?,
        rotations: turned.iter().map(|turned| if *turned { Rotation::Global } else { Rotation::None }).collect(),
        sliding_windows: slides.into_iter().map(|slides| window.filter(|_| slides)).collect(),
        ..base
    })
}
