//! The architectures of GGUF files: what they are called, and what their tensors and keys are called elsewhere.

use std::path::Path;

use llm_model::arch::{Interleaved, Layout, Rows, Split};
use llm_model::{LayerType, ModelConfig, QkNorm};
use serde_json::Value;

use super::metadata::Metadata;
use crate::{Error, Result};

/// How one architecture of GGUF files maps to Hugging Face's.
#[derive(Debug)]
pub struct Architecture {
    /// `general.architecture`, which is also the prefix of its keys.
    pub name: &'static str,
    /// The `model_type` of config.json.
    pub model_type: &'static str,
    /// Whether the rows of queries and keys lie for a rotation of neighbours, (2i, 2i + 1), and not of halves, (i, i + d/2).
    pub interleaved: bool,
    /// The key of the norms' ε in GGUF, and in config.json.
    pub epsilon: (&'static str, &'static str),
    /// Names within a layer, in GGUF and elsewhere, that differ from [`LAYER`].
    layer: &'static [(&'static str, &'static str)],
    /// What config.json calls some keys, after what Llama's calls them.
    pub keys: &'static [(&'static str, &'static str)],
    /// Tensors that llama.cpp's converter writes for several parameters; in any file they may stand in place of those.
    fused: &'static [&'static str],
}

type Names = &'static [(&'static str, &'static str)];

/// Names within a layer. A `*` is the number of an expert, whose matrices GGUF stacks in one tensor or, in old files, counts.
const LAYER: Names = &[
    ("attn_norm", "input_layernorm"),
    ("attn_norm_2", "ln_attn"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_qkv", "self_attn.qkv_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("attn_sinks", "self_attn.sinks"),
    ("ffn_gate_inp", "mlp.gate"),
    ("ffn_gate_exps", "mlp.experts.*.gate_proj"),
    ("ffn_up_exps", "mlp.experts.*.up_proj"),
    ("ffn_down_exps", "mlp.experts.*.down_proj"),
    ("ffn_gate_up_exps", "mlp.experts.*.gate_up_proj"),
    ("ffn_gate_inp_shexp", "mlp.shared_expert_gate"),
    ("ffn_gate_shexp", "mlp.shared_expert.gate_proj"),
    ("ffn_up_shexp", "mlp.shared_expert.up_proj"),
    ("ffn_down_shexp", "mlp.shared_expert.down_proj"),
    ("ffn_gate.*", "mlp.experts.*.gate_proj"),
    ("ffn_up.*", "mlp.experts.*.up_proj"),
    ("ffn_down.*", "mlp.experts.*.down_proj"),
];

/// A feed-forward layer without a gate.
const PLAIN: Names = &[("ffn_up", "mlp.c_fc"), ("ffn_down", "mlp.c_proj")];

/// Norms behind attention and feed-forward, and perhaps before.
const NORMS_BEHIND: Names = &[
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

/// Gate and up in one tensor.
const GATE_UP: Names = &[("ffn_up", "mlp.gate_up_proj")];

/// Where Falcon has a norm of its own before attention, the other one is that of the feed-forward layer.
const TWO_NORMS: Names = &[(".input_layernorm.", ".post_attention_layernorm."), (".ln_attn.", ".input_layernorm.")];

const GLM4: Names = &[NORMS_BEHIND[0], NORMS_BEHIND[1], NORMS_BEHIND[2], GATE_UP[0]];

/// Queries, keys and values in one tensor.
const QKV: &[&str] = &[".qkv_proj."];

const RMS: (&str, &str) = ("attention.layer_norm_rms_epsilon", "rms_norm_eps");

/// The ε of layer norms, which config.json calls `name`.
const fn layer_norm(name: &'static str) -> (&'static str, &'static str) {
    ("attention.layer_norm_epsilon", name)
}

const fn of(name: &'static str, model_type: &'static str) -> Architecture {
    Architecture { name, model_type, interleaved: false, epsilon: RMS, layer: &[], keys: &[], fused: &[] }
}

const ARCHITECTURES: &[Architecture] = &[
    Architecture { interleaved: true, ..of("llama", "llama") },
    Architecture { interleaved: true, ..of("mistral", "mistral") },
    Architecture { interleaved: true, ..of("mistral3", "mistral") },
    of("qwen2", "qwen2"),
    of("qwen2moe", "qwen2_moe"),
    of("qwen3", "qwen3"),
    of("qwen3moe", "qwen3_moe"),
    of("gemma", "gemma"),
    Architecture { layer: NORMS_BEHIND, ..of("gemma2", "gemma2") },
    Architecture { layer: NORMS_BEHIND, ..of("gemma3", "gemma3_text") },
    Architecture { layer: PLAIN, epsilon: layer_norm("layer_norm_eps"), ..of("phi2", "phi") },
    Architecture { layer: GATE_UP, fused: &[".qkv_proj.", ".gate_up_proj."], ..of("phi3", "phi3") },
    Architecture {
        layer: PLAIN,
        epsilon: layer_norm("layer_norm_epsilon"),
        keys: &[
            ("hidden_size", "n_embd"),
            ("intermediate_size", "n_inner"),
            ("num_hidden_layers", "n_layer"),
            ("num_attention_heads", "n_head"),
            ("max_position_embeddings", "n_positions"),
        ],
        fused: QKV,
        ..of("gpt2", "gpt2")
    },
    Architecture {
        layer: PLAIN,
        epsilon: layer_norm("layer_norm_eps"),
        keys: &[("rope_theta", "rotary_emb_base"), ("partial_rotary_factor", "rotary_pct")],
        fused: QKV,
        ..of("gptneox", "gpt_neox")
    },
    Architecture {
        layer: PLAIN,
        epsilon: layer_norm("layer_norm_epsilon"),
        keys: &[("num_key_value_heads", "num_kv_heads"), ("intermediate_size", "ffn_hidden_size")],
        fused: QKV,
        ..of("falcon", "falcon")
    },
    Architecture { layer: PLAIN, epsilon: layer_norm("norm_epsilon"), ..of("starcoder2", "starcoder2") },
    Architecture { epsilon: layer_norm("layer_norm_eps"), ..of("stablelm", "stablelm") },
    Architecture { interleaved: true, epsilon: layer_norm("layer_norm_eps"), ..of("command-r", "cohere") },
    Architecture { layer: NORMS_BEHIND, ..of("olmo2", "olmo2") },
    Architecture { interleaved: true, ..of("smollm3", "smollm3") },
    Architecture { interleaved: true, ..of("granite", "granite") },
    Architecture { interleaved: true, layer: GLM4, fused: &[".gate_up_proj."], ..of("glm4", "glm4") },
    Architecture { layer: NORMS_BEHIND, ..of("gpt-oss", "gpt_oss") },
];

/// Families that llama.cpp has no architecture of their own for, or several: the one that they are written as.
const WRITTEN_AS: [(&str, &str); 4] = [("gemma3", "gemma3"), ("mistral", "llama"), ("mistral3", "mistral3"), ("mixtral", "llama")];

/// The key of the architecture's name.
pub const NAME: &str = "general.architecture";

fn known() -> String {
    format!("one of {}", ARCHITECTURES.iter().map(|one| one.name).collect::<Vec<_>>().join(", "))
}

/// The refusal of the architecture that a configuration made of the file `path` names as one that is not known; `None` for others.
pub fn unknown(path: &Path, config: &Value) -> Option<Error> {
    let name: String = config.get(NAME)?.as_str()?.chars().take(40).flat_map(char::escape_debug).collect();
    let hint = "its tokenizer can be used; a model of this architecture can run from a Hugging Face folder if `llm inspect` accepts that";
    Some(Error::invalid(path, NAME, format!("`{name}`"), known()).with_hint(hint))
}

impl Architecture {
    /// The architecture that `metadata` names, or the name of one that is not known.
    ///
    /// # Errors
    /// None at all.
    pub fn of(metadata: &Metadata) -> Result<std::result::Result<&'static Self, String>> {
        let name = metadata.text(NAME)?.ok_or_else(|| metadata.wrong(NAME, "nothing", known()))?;
        Ok(ARCHITECTURES.iter().find(|one| one.name == name).ok_or_else(|| name.to_owned()))
    }

    /// The name elsewhere of the tensor that is called `name` in the file, with a `*` for the number of an expert where it holds the
    /// matrices of all; `None` for one that is no weight of a layer or the model.
    pub fn tensor_name(&self, name: &str) -> Option<String> {
        let (stem, kind) = name.rsplit_once('.')?;
        let Some(layer) = stem.strip_prefix("blk.") else {
            return match stem {
                "token_embd" => Some(format!("model.embed_tokens.{kind}")),
                "position_embd" => Some("model.embed_tokens.positions".to_owned()),
                "output_norm" => Some(format!("model.norm.{kind}")),
                "output" => Some(format!("lm_head.{kind}")),
                _ => None,
            };
        };
        let (index, part) = layer.split_once('.')?;
        let (part, expert) = match part.split_once('.') {
            Some((part, expert)) => (format!("{part}.*"), Some(expert)),
            None => (part.to_owned(), None),
        };
        let (_, elsewhere) = self.layer.iter().chain(LAYER).find(|(known, _)| *known == part)?;
        // The sinks are parameters of their own, not the weight of a module.
        let kind = if part == "attn_sinks" { String::new() } else { format!(".{kind}") };
        let name = format!("model.layers.{index}.{elsewhere}{kind}");
        Some(expert.map_or(name.clone(), |expert| name.replace('*', expert)))
    }
}

impl Architecture {
    /// How the tensors of the file, under their names elsewhere, become the parameters of a model of this configuration.
    pub fn layout(&self, config: &ModelConfig) -> Layout {
        let (q, kv) = (config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim);
        let inner = config.experts.as_ref().map_or(config.intermediate_size, |experts| experts.intermediate_size);
        let qkv = [(".q_proj.", Rows::range(0, q)), (".k_proj.", Rows::range(q, kv)), (".v_proj.", Rows::range(q + kv, kv))];
        Layout {
            renames: if config.layer == LayerType::ParallelTwoNorms && self.name == "falcon" { TWO_NORMS } else { &[] },
            splits: vec![
                Split::new(".qkv_proj.", &qkv),
                Split::new(".gate_up_proj.", &[(".gate_proj.", Rows::range(0, inner)), (".up_proj.", Rows::range(inner, inner))]),
            ],
            interleaved: self.interleaved.then_some(Interleaved { head_dim: config.head_dim, dim: config.rope.dim }),
            head_norms: (config.qk_norm == QkNorm::LayerOfHead).then_some(config.head_dim),
            ..Layout::default()
        }
    }

    /// As [`Architecture::layout`], for a file that is written: only what the converter puts together is.
    pub fn written_layout(&self, config: &ModelConfig) -> Layout {
        let mut layout = self.layout(config);
        layout.splits.retain(|split| self.fused.contains(&split.stored()));
        layout
    }

    /// The architecture by which a model of this `model_type` is written; `None` where there is no row for it.
    pub fn of_family(model_type: &str) -> Option<&'static Self> {
        match WRITTEN_AS.iter().find(|(family, _)| *family == model_type) {
            Some((_, name)) => ARCHITECTURES.iter().find(|one| one.name == *name),
            None => ARCHITECTURES.iter().find(|one| one.model_type == model_type),
        }
    }

    /// The `model_type`s that [`Architecture::of_family`] knows.
    pub fn families() -> String {
        let mut known: Vec<_> = ARCHITECTURES.iter().map(|one| one.model_type).chain(WRITTEN_AS.map(|(family, _)| family)).collect();
        known.sort_unstable();
        known.dedup();
        known.join(", ")
    }

    /// The name in a file of the tensor that is called `name` elsewhere, and the number of the expert that is a part of it:
    /// [`Architecture::tensor_name`] the other way.
    pub fn file_name(&self, name: &str) -> Option<(String, Option<usize>)> {
        let whole = |name: String| Some((name, None));
        let (stem, kind) = name.rsplit_once('.')?;
        let Some((index, part)) = stem.strip_prefix("model.layers.").and_then(|layer| layer.split_once('.')) else {
            return match stem {
                "model.embed_tokens" if kind == "positions" => whole("position_embd.weight".to_owned()),
                "model.embed_tokens" => whole(format!("token_embd.{kind}")),
                "model.norm" => whole(format!("output_norm.{kind}")),
                "lm_head" => whole(format!("output.{kind}")),
                _ => None,
            };
        };
        // The sinks are a parameter of attention itself.
        let (part, kind) = if kind == "sinks" { (format!("{part}.sinks"), "weight") } else { (part.to_owned(), kind) };
        let expert = part.strip_prefix(EXPERTS).and_then(|rest| rest.split_once('.'));
        let number = expert.map(|(number, _)| number.parse()).transpose().ok()?;
        let part = expert.map_or(part.clone(), |(_, rest)| format!("{EXPERTS}*.{rest}"));
        let (known, _) = self.layer.iter().chain(LAYER).find(|(_, elsewhere)| *elsewhere == part)?;
        Some((format!("blk.{index}.{known}.{kind}"), number))
    }
}

/// Behind it stands the number of an expert, within a layer.
const EXPERTS: &str = "mlp.experts.";

#[cfg(test)]
mod tests {
    use super::*;

    fn name(architecture: &str, tensor: &str) -> Option<String> {
        ARCHITECTURES.iter().find(|one| one.name == architecture)?.tensor_name(tensor)
    }

    #[test]
    fn tensors_have_their_names() {
        let llama = |tensor| name("llama", tensor).unwrap();
        assert_eq!(llama("blk.12.attn_q.weight"), "model.layers.12.self_attn.q_proj.weight");
        assert_eq!(llama("blk.0.ffn_norm.weight"), "model.layers.0.post_attention_layernorm.weight");
        assert_eq!(llama("output.weight"), "lm_head.weight");
        for name in ["blk.3.ffn_down.weight", "blk.11.attn_k.bias", "token_embd.weight", "output_norm.weight", "output.weight"] {
            assert_eq!(ARCHITECTURES[0].file_name(&llama(name)).unwrap(), (name.to_owned(), None));
        }
        let expert = ARCHITECTURES[0].file_name("model.layers.2.mlp.experts.13.up_proj.weight").unwrap();
        assert_eq!(expert, ("blk.2.ffn_up_exps.weight".to_owned(), Some(13)));
        let sinks = ARCHITECTURES[0].file_name("model.layers.2.self_attn.sinks").unwrap();
        assert_eq!(sinks.0, "blk.2.attn_sinks.weight");
        assert_eq!(ARCHITECTURES[0].file_name("x"), None);
        assert_eq!(llama("blk.0.ffn_gate_exps.weight"), "model.layers.0.mlp.experts.*.gate_proj.weight");
        assert_eq!(llama("blk.0.ffn_up.3.weight"), "model.layers.0.mlp.experts.3.up_proj.weight");
        assert_eq!((name("llama", "rope_freqs.weight"), name("llama", "blk.0.other.weight")), (None, None));
        assert_eq!(name("gemma2", "blk.1.ffn_norm.weight").unwrap(), "model.layers.1.pre_feedforward_layernorm.weight");
        assert_eq!(name("gpt2", "position_embd.weight").unwrap(), "model.embed_tokens.positions");
        assert_eq!(name("falcon", "blk.0.ffn_up.bias").unwrap(), "model.layers.0.mlp.c_fc.bias");
    }

    #[test]
    fn every_architecture_becomes_a_family() {
        let families: Vec<_> = llm_model::arch::families().collect();
        for Architecture { name, model_type, .. } in ARCHITECTURES {
            assert!(families.contains(model_type), "{name}: {model_type}");
        }
    }
}
