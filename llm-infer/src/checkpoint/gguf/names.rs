//! The architectures of GGUF files: what they are called, and what their tensors are called, elsewhere.

use crate::Result;

use super::metadata::Metadata;

/// How one architecture of GGUF files maps to Hugging Face's.
#[derive(Debug)]
pub struct Architecture {
    /// `general.architecture`, which is also the prefix of its keys.
    pub name: &'static str,
    /// The `model_type` of config.json.
    pub model_type: &'static str,
    /// Whether the rows of queries and keys lie for a rotation of neighbours, (2i, 2i + 1), and not of halves, (i, i + d/2).
    pub interleaved: bool,
    /// The names within a layer, in GGUF and elsewhere.
    layer: &'static [(&'static str, &'static str)],
}

/// Names within a layer of llama and all that share its shape.
const LLAMA: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

const ARCHITECTURES: &[Architecture] = &[
    Architecture { name: "llama", model_type: "llama", interleaved: true, layer: LLAMA },
    Architecture { name: "mistral", model_type: "mistral", interleaved: true, layer: LLAMA },
    Architecture { name: "qwen2", model_type: "qwen2", interleaved: false, layer: LLAMA },
    Architecture { name: "qwen3", model_type: "qwen3", interleaved: false, layer: LLAMA },
];

impl Architecture {
    /// The architecture that `metadata` names, or the name of one that is not known.
    ///
    /// # Errors
    /// None at all.
    pub fn of(metadata: &Metadata) -> Result<std::result::Result<&'static Self, String>> {
        let key = "general.architecture";
        let known = || format!("one of {}", ARCHITECTURES.iter().map(|one| one.name).collect::<Vec<_>>().join(", "));
        let name = metadata.text(key)?.ok_or_else(|| metadata.wrong(key, "nothing", known()))?;
        Ok(ARCHITECTURES.iter().find(|one| one.name == name).ok_or_else(|| name.to_owned()))
    }

    /// The name elsewhere of the tensor that is called `name` in the file; `None` for one that is no weight of a layer or the model.
    pub fn tensor_name(&self, name: &str) -> Option<String> {
        let (stem, kind) = name.rsplit_once('.')?;
        let Some(layer) = stem.strip_prefix("blk.") else {
            return match stem {
                "token_embd" => Some(format!("model.embed_tokens.{kind}")),
                "output_norm" => Some(format!("model.norm.{kind}")),
                "output" => Some(format!("lm_head.{kind}")),
                _ => None,
            };
        };
        let (index, part) = layer.split_once('.')?;
        let (_, elsewhere) = self.layer.iter().find(|(known, _)| *known == part)?;
        Some(format!("model.layers.{index}.{elsewhere}.{kind}"))
    }

    /// The architecture by which a model of this `model_type` is written; `None` where there is no row for it.
    pub fn of_family(model_type: &str) -> Option<&'static Self> {
        // llama.cpp knows Mistral as a llama.
        let model_type = if model_type == "mistral" { "llama" } else { model_type };
        ARCHITECTURES.iter().find(|one| one.model_type == model_type)
    }

    /// The `model_type`s that [`Architecture::of_family`] knows.
    pub fn families() -> String {
        ARCHITECTURES.iter().map(|one| one.model_type).collect::<Vec<_>>().join(", ")
    }

    /// The name in a file of the tensor that is called `name` elsewhere: [`Architecture::tensor_name`] the other way.
    pub fn file_name(&self, name: &str) -> Option<String> {
        let (stem, kind) = name.rsplit_once('.')?;
        let Some((index, part)) = stem.strip_prefix("model.layers.").and_then(|layer| layer.split_once('.')) else {
            return match stem {
                "model.embed_tokens" => Some(format!("token_embd.{kind}")),
                "model.norm" => Some(format!("output_norm.{kind}")),
                "lm_head" => Some(format!("output.{kind}")),
                _ => None,
            };
        };
        let (known, _) = self.layer.iter().find(|(_, elsewhere)| *elsewhere == part)?;
        Some(format!("blk.{index}.{known}.{kind}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_have_their_names() {
        let llama = &ARCHITECTURES[0];
        assert_eq!(llama.tensor_name("blk.12.attn_q.weight").unwrap(), "model.layers.12.self_attn.q_proj.weight");
        assert_eq!(llama.tensor_name("blk.0.ffn_norm.weight").unwrap(), "model.layers.0.post_attention_layernorm.weight");
        assert_eq!(llama.tensor_name("output.weight").unwrap(), "lm_head.weight");
        for name in ["blk.3.ffn_down.weight", "blk.11.attn_k.bias", "token_embd.weight", "output_norm.weight", "output.weight"] {
            assert_eq!(llama.file_name(&llama.tensor_name(name).unwrap()).unwrap(), name);
        }
        assert_eq!((llama.file_name("model.layers.0.mlp.gate.weight"), llama.file_name("x")), (None, None));
        assert_eq!((llama.tensor_name("rope_freqs.weight"), llama.tensor_name("blk.0.ffn_gate_exps.weight")), (None, None));
    }
}
