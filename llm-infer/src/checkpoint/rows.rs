//! The order of the rows of queries and keys.
//!
//! Hugging Face rotates the first half of a head against the second: (i, i + d/2). The files of llama have the rows of each head
//! for a rotation of neighbours: (2i, 2i + 1). What GGUF has at (i, half), Hugging Face has at (half, i).

use llm_model::arch::Interleaved;
use serde_json::Value;

/// How the rows of the tensor `name` of this shape lie in a model of this configuration, whose rotation is of neighbours; `None` where
/// they lie as elsewhere.
///
/// A shape that does not fit is left as it is, as the load refuses it.
pub fn interleaved(name: &str, shape: &[usize], config: &Value) -> Option<Interleaved> {
    if !name.contains(".self_attn.q_proj.") && !name.contains(".self_attn.k_proj.") {
        return None;
    }
    let number = |key: &str| config[key].as_u64().map_or(0, |number| number as usize);
    let head_dim = match number("head_dim") {
        0 => number("hidden_size") / number("num_attention_heads").max(1),
        dim => dim,
    };
    let share = config["partial_rotary_factor"].as_f64().unwrap_or(1.0);
    let dim = (head_dim as f64 * share).round() as usize;
    let fits = head_dim > 0 && dim <= head_dim && dim.is_multiple_of(2) && shape.first().is_some_and(|rows| rows.is_multiple_of(head_dim));
    fits.then_some(Interleaved { head_dim, dim })
}

/// `bytes` of a tensor of `rows` rows, which lie as `interleaved` says, in the order that they have elsewhere.
pub fn ordered(bytes: Vec<u8>, rows: usize, interleaved: Option<Interleaved>) -> Vec<u8> {
    let Some(interleaved) = interleaved else { return bytes };
    let width = bytes.len() / rows.max(1);
    let mut ordered = Vec::with_capacity(bytes.len());
    (0..rows).for_each(|row| ordered.extend_from_slice(&bytes[interleaved.stored(row) * width..][..width]));
    ordered
}

/// The other way: `bytes` of rows in their usual order, in that of `interleaved`.
pub fn scattered(bytes: Vec<u8>, rows: usize, interleaved: Option<Interleaved>) -> Vec<u8> {
    let Some(interleaved) = interleaved else { return bytes };
    let width = bytes.len() / rows.max(1);
    let mut scattered = vec![0; bytes.len()];
    (0..rows).for_each(|row| scattered[interleaved.stored(row) * width..][..width].copy_from_slice(&bytes[row * width..][..width]));
    scattered
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_become_halves() {
        let config = json!({"hidden_size": 16, "num_attention_heads": 2});
        let rows = interleaved("model.layers.0.self_attn.q_proj.weight", &[16, 16], &config);
        assert_eq!(rows, Some(Interleaved { head_dim: 8, dim: 8 }));
        let bytes: Vec<u8> = (0..16).flat_map(|row| [row, row]).collect();
        assert_eq!(scattered(ordered(bytes.clone(), 16, rows), 16, rows), bytes);
        let firsts: Vec<u8> = ordered(bytes, 16, rows).chunks(2).map(|row| row[0]).collect();
        assert_eq!(firsts, [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15]);
        let partial = json!({"head_dim": 8, "partial_rotary_factor": 0.5});
        let rows = interleaved("model.layers.0.self_attn.k_proj.bias", &[8], &partial);
        assert_eq!(ordered((0..8).collect(), 8, rows), [0, 2, 1, 3, 4, 5, 6, 7]);
        assert_eq!(interleaved("model.layers.0.self_attn.v_proj.weight", &[16, 16], &config), None);
    }
}
