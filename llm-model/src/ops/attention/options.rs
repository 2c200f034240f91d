//! What an attention layer does besides softmax(q · kᵀ) · v.

/// Options of [`super::super::attention`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionOptions {
    /// Factor on q · k before the softmax, usually 1 / √head_dim.
    pub scale: f64,
    /// Largest score: each becomes softcap · tanh(score / softcap) behind the factor (Gemma 2, `attn_logit_softcapping`).
    pub softcap: Option<f64>,
    /// Positions that a query sees, itself included; `None` is all.
    pub window: Option<usize>,
}
