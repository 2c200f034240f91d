//! Log-probabilities of the chosen and of the likeliest tokens.

use serde::{Deserialize, Serialize};

use super::{
    lanes,
    largest::{largest, rank},
};

/// The log-probability of a chosen token, beside the likeliest ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The chosen token.
    pub id: u32,
    /// Its natural log-probability, before temperature and processors.
    pub logprob: f32,
    /// The likeliest tokens and their log-probabilities, falling; among equals the lower id first.
    pub top: Vec<(u32, f32)>,
}

/// `ln softmax(logits)` at `chosen` and at its `top_n` largest, in double precision.
///
/// `logits` are the model's, as they are before [`super::Sampler::sample`]. Ids without a finite logit have `-inf` and are
/// never among the top.
pub fn logprobs(logits: &[f32], top_n: usize, chosen: u32) -> TokenLogprob {
    let max = f64::from(lanes::max(logits));
    let total: f64 = logits.iter().map(|logit| (f64::from(*logit) - max).exp()).sum();
    let log_sum_exp = max + total.ln();
    let logprob = |logit: f32| (f64::from(logit) - log_sum_exp) as f32;
    let mut top = largest(logits, top_n);
    top.sort_unstable_by(rank);
    TokenLogprob {
        id: chosen,
        logprob: logits.get(chosen as usize).map_or(f32::NEG_INFINITY, |logit| logprob(*logit)),
        top: top.into_iter().map(|(logit, id)| (id, logprob(logit))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_torch_log_softmax() {
        let found = logprobs(&[2.0, -1.0, 0.5, 3.0, -0.25, -2.0], 3, 4);
        assert_eq!(found.id, 4);
        assert!((found.logprob - -3.664_618).abs() < 1e-6);
        let expected = [(3, -0.414_617_9), (0, -1.414_618), (2, -2.914_618)];
        for ((id, logprob), (expected_id, expected)) in found.top.iter().zip(expected) {
            assert_eq!(*id, expected_id);
            assert!((logprob - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn equals_are_ordered_by_id_and_masked_tokens_left_out() {
        let found = logprobs(&[1.0, f32::NEG_INFINITY, 1.0, 1.0], 9, 1);
        assert_eq!(found.logprob, f32::NEG_INFINITY);
        assert_eq!(found.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [0, 2, 3]);
        assert!((found.top[0].1 - (1.0f32 / 3.0).ln()).abs() < 1e-6);
    }

    #[test]
    fn writes_what_the_command_line_promises() {
        let found = TokenLogprob { id: 5, logprob: -0.1, top: vec![(5, -0.1), (9, -2.3)] };
        assert_eq!(serde_json::to_string(&found).expect("json"), r#"{"id":5,"logprob":-0.1,"top":[[5,-0.1],[9,-2.3]]}"#);
    }
}
