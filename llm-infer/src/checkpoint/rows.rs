//! The order of the rows of queries and keys.
//!
//! Hugging Face rotates the first half of a head against the second: (i, i + d/2). The files of llama have the rows of each head
//! for a rotation of neighbours: (2i, 2i + 1). What GGUF has at (i, half), Hugging Face has at (half, i).

use serde_json::Value;

/// How the rows of a tensor come into the order that Hugging Face has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// As they lie.
    InOrder,
    /// Heads of `dim` rows, of which the first `rotated` lie pair by pair.
    Interleaved { dim: usize, rotated: usize },
}

impl Rows {
    /// The order of the tensor `name` of this shape in a model of this configuration, whose rotation is of neighbours.
    ///
    /// A shape that does not fit is left as it is, as the load refuses it.
    pub fn of(name: &str, shape: &[usize], config: &Value) -> Self {
        if !name.contains(".self_attn.q_proj.") && !name.contains(".self_attn.k_proj.") {
            return Self::InOrder;
        }
        let number = |key: &str| config[key].as_u64().map_or(0, |number| number as usize);
        let dim = match number("head_dim") {
            0 => number("hidden_size") / number("num_attention_heads").max(1),
            dim => dim,
        };
        let share = config["partial_rotary_factor"].as_f64().unwrap_or(1.0);
        let rotated = (dim as f64 * share).round() as usize;
        let fits = dim > 0 && rotated <= dim && rotated.is_multiple_of(2) && shape.first().is_some_and(|rows| rows.is_multiple_of(dim));
        if fits { Self::Interleaved { dim, rotated } } else { Self::InOrder }
    }

    /// `bytes` of a tensor of this shape, in order.
    pub fn ordered(self, bytes: Vec<u8>, shape: &[usize]) -> Vec<u8> {
        let Self::Interleaved { dim, rotated } = self else { return bytes };
        let row = bytes.len() / shape.first().copied().unwrap_or(1).max(1);
        let mut ordered = Vec::with_capacity(bytes.len());
        for head in bytes.chunks_exact(dim * row) {
            for half in 0..2 {
                for pair in 0..rotated / 2 {
                    let from = 2 * pair + half;
                    ordered.extend_from_slice(&head[from * row..(from + 1) * row]);
                }
            }
            ordered.extend_from_slice(&head[rotated * row..]);
        }
        ordered
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_become_halves() {
        let config = json!({"hidden_size": 16, "num_attention_heads": 2});
        let rows = Rows::of("model.layers.0.self_attn.q_proj.weight", &[16, 16], &config);
        assert_eq!(rows, Rows::Interleaved { dim: 8, rotated: 8 });
        let bytes: Vec<u8> = (0..16).flat_map(|row| [row, row]).collect();
        let firsts: Vec<u8> = rows.ordered(bytes, &[16, 2]).chunks(2).map(|row| row[0]).collect();
        assert_eq!(firsts, [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15]);
        let partial = json!({"head_dim": 8, "partial_rotary_factor": 0.5});
        let rows = Rows::of("model.layers.0.self_attn.k_proj.bias", &[8], &partial);
        assert_eq!(rows.ordered((0..8).collect(), &[8]), [0, 2, 1, 3, 4, 5, 6, 7]);
        assert_eq!(Rows::of("model.layers.0.self_attn.v_proj.weight", &[16, 16], &config), Rows::InOrder);
    }
}
