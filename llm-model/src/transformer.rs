//! Embedding, layers, norm, head.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::{DecoderLayer, Embedding, KvCache, Linear, ModelConfig, Norm, RopeConfig, Step, TransformerBlock, Weight, ops};

/// Standard deviation of fresh head weights (`initializer_range`).
const STD: f64 = 0.02;

/// The positions whose logits are wanted; the head is computed for no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogitsAt {
    /// Every position, for training and evaluation.
    All,
    /// The last position.
    Last,
}

/// A decoder-only transformer whose layers are of type `L`.
#[derive(Module, Debug)]
pub struct Transformer<L: Module = TransformerBlock> {
    /// Token embedding.
    pub embed_tokens: Embedding,
    /// The stack.
    pub layers: Vec<L>,
    /// Norm before the head.
    pub norm: Norm,
    /// Head, absent where the embedding serves (`tie_word_embeddings`).
    pub lm_head: Option<Linear>,
    #[module(skip)]
    rope: RopeConfig,
    #[module(skip)]
    local_rope: Option<RopeConfig>,
    #[module(skip)]
    logits_multiplier: Option<f64>,
    #[module(skip)]
    logits_softcap: Option<f64>,
}

impl<L: DecoderLayer> Transformer<L> {
    /// A model of shape `config` with fresh weights, made when first used.
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        Self {
            embed_tokens: Embedding::new(config, device),
            layers: (0..config.num_hidden_layers).map(|index| L::init(&config.layer(index), device)).collect(),
            norm: Norm::new(config, device),
            lm_head: (!config.tie_word_embeddings).then(|| Linear::new(hidden, vocab, config.head_bias, STD, device)),
            rope: config.rope.clone(),
            local_rope: config.local_rope.clone(),
            logits_multiplier: config.logits_multiplier,
            logits_softcap: config.logits_softcap,
        }
    }

    /// Logits of every position of fresh sequences, without a cache.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, seq]`; `[batch, seq, vocab]` out.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.head(self.hidden(tokens))
    }

    /// What the last layer yields for every position of fresh sequences; training computes the head for some of them.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, seq]`; `[batch, seq, hidden]` out.
    pub fn hidden(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, seq] = tokens.dims();
        self.layers(tokens, &vec![seq; batch], None)
    }

    /// Logits of the next `seq` tokens of each sequence; `cache` knows where they stand and keeps what they add.
    ///
    /// `lengths[b]` is the length that sequence `b` has once its prompt is in (only dynamic rope scaling asks), so that a prompt
    /// in chunks equals the prompt at once.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, seq]`; `[batch, positions, vocab]` out, with `positions` 1 or `seq`.
    pub fn forward_step(&self, tokens: Tensor<2, Int>, lengths: &[usize], at: &LogitsAt, cache: Option<&mut KvCache>) -> Tensor<3> {
        let x = self.layers(tokens, lengths, cache);
        let [batch, seq, hidden] = x.dims();
        let x = match at {
            LogitsAt::All => x,
            LogitsAt::Last => x.slice([0..batch, seq - 1..seq, 0..hidden]),
        };
        self.head(x)
    }

    /// Puts the next `seq` tokens of each sequence into `cache` without computing logits: a part of a prompt.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, seq]`.
    pub fn fill(&self, tokens: Tensor<2, Int>, lengths: &[usize], cache: &mut KvCache) {
        self.layers(tokens, lengths, Some(cache));
    }

    /// What the last layer yields for the next `seq` tokens of each sequence, so that [`Transformer::head`] can be computed for a few
    /// positions at a time; `lengths` and `cache` as in [`Transformer::forward_step`].
    ///
    /// # Shapes
    /// - `tokens`: `[batch, seq]`; `[batch, seq, hidden]` out.
    pub fn hidden_step(&self, tokens: Tensor<2, Int>, lengths: &[usize], cache: &mut KvCache) -> Tensor<3> {
        self.layers(tokens, lengths, Some(cache))
    }

    fn layers(&self, tokens: Tensor<2, Int>, lengths: &[usize], mut cache: Option<&mut KvCache>) -> Tensor<3> {
        let [batch, seq] = tokens.dims();
        let starts = cache.as_ref().map_or_else(|| vec![0; batch], |cache| cache.lengths().to_vec());
        if let Some(cache) = cache.as_deref_mut() {
            cache.reserve(starts.iter().max().map_or(0, |start| start + seq));
        }
        let step = Step::new(&self.rope, self.local_rope.as_ref(), starts, lengths, seq, &tokens.device());
        let mut x = self.embed_tokens.forward(tokens, &step.starts); // [b, s, hidden]
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x, &step, cache.as_deref_mut().map(|cache| cache.layer(index)));
        }
        if let Some(cache) = cache {
            cache.advance(seq);
        }
        x
    }

    /// The matrices that can be quantized, by the path of their parameters: `layers.0.self_attn.q_proj.weight`.
    pub fn weights_mut(&mut self) -> Vec<(String, &mut Weight)> {
        let mut all = vec![("embed_tokens.weight".to_owned(), &mut self.embed_tokens.weight)];
        for (index, layer) in self.layers.iter_mut().enumerate() {
            all.extend(layer.weights_mut().into_iter().map(|(name, weight)| (format!("layers.{index}.{name}"), weight)));
        }
        all.extend(self.lm_head.as_mut().map(|head| ("lm_head.weight".to_owned(), &mut head.weight)));
        all
    }

    /// Norm and head.
    ///
    /// # Shapes
    /// - `x`: `[batch, positions, hidden]`; `[batch, positions, vocab]` out.
    pub fn head(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, positions, hidden] = x.dims();
        let x = self.norm.forward(x);
        let mut logits = match &self.lm_head {
            Some(head) => head.forward(x),
            None => {
                let logits = self.embed_tokens.weight.project(x.reshape([batch * positions, hidden]));
                let vocab = logits.dims()[1];
                logits.reshape([batch, positions, vocab])
            }
        };
        if let Some(multiplier) = self.logits_multiplier {
            logits = logits * multiplier;
        }
        match self.logits_softcap {
            Some(cap) => ops::softcap(logits, cap),
            None => logits,
        }
    }
}

/// The object-safe face of a [`Transformer`] of any layer type: it is erased once, before sessions and engines.
pub trait CausalLm: Send + Sync {
    /// See [`Transformer::forward_step`].
    fn forward_step(&self, tokens: Tensor<2, Int>, lengths: &[usize], at: &LogitsAt, cache: Option<&mut KvCache>) -> Tensor<3>;

    /// See [`Transformer::fill`].
    fn fill(&self, tokens: Tensor<2, Int>, lengths: &[usize], cache: &mut KvCache);

    /// See [`Transformer::hidden_step`].
    fn hidden_step(&self, tokens: Tensor<2, Int>, lengths: &[usize], cache: &mut KvCache) -> Tensor<3>;

    /// See [`Transformer::head`].
    fn head(&self, x: Tensor<3>) -> Tensor<3>;
}

impl<L: DecoderLayer> CausalLm for Transformer<L> {
    fn forward_step(&self, tokens: Tensor<2, Int>, lengths: &[usize], at: &LogitsAt, cache: Option<&mut KvCache>) -> Tensor<3> {
        Transformer::forward_step(self, tokens, lengths, at, cache)
    }

    fn fill(&self, tokens: Tensor<2, Int>, lengths: &[usize], cache: &mut KvCache) {
        Transformer::fill(self, tokens, lengths, cache);
    }

    fn hidden_step(&self, tokens: Tensor<2, Int>, lengths: &[usize], cache: &mut KvCache) -> Tensor<3> {
        Transformer::hidden_step(self, tokens, lengths, cache)
    }

    fn head(&self, x: Tensor<3>) -> Tensor<3> {
        Transformer::head(self, x)
    }
}
