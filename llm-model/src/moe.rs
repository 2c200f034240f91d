//! Mixture of experts: feed-forward layers of which each token passes a few.

use burn::module::Module;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

use crate::{FeedForward, LayerConfig, Linear, LinearInput, Weight};

/// y = Σ pₑ · expertₑ(x) over the experts that a router finds best for a token, and perhaps one more that all tokens pass
/// (Shazeer et al., The Sparsely-Gated Mixture-of-Experts Layer). Only the chosen experts are computed.
#[derive(Module, Debug)]
pub struct Experts {
    /// The router, hidden → experts; it stays in floats.
    pub gate: Linear,
    /// The experts.
    pub experts: Vec<FeedForward>,
    /// What all tokens pass.
    pub shared_expert: Option<FeedForward>,
    /// How far the shared expert is open, hidden → 1.
    pub shared_expert_gate: Option<Linear>,
    per_token: usize,
    normalized: bool,
}

impl Experts {
    /// The experts that `config` describes.
    ///
    /// # Panics
    /// When it describes none.
    pub fn new(config: &LayerConfig, device: &Device) -> Self {
        let hidden = config.model.hidden_size;
        let experts = config.model.experts.as_ref().expect("a layer with experts has some");
        let expert = |width| FeedForward::of_width(config, width, device);
        Self {
            gate: Linear::new(hidden, experts.num_experts, config.model.mlp_bias, config.std(), device),
            experts: (0..experts.num_experts).map(|_| expert(experts.intermediate_size)).collect(),
            shared_expert: experts.shared_intermediate_size.map(expert),
            shared_expert_gate: experts.shared_intermediate_size.map(|_| Linear::new(hidden, 1, false, config.std(), device)),
            per_token: experts.num_experts_per_tok,
            normalized: experts.norm_topk_prob,
        }
    }

    /// # Shapes
    /// - `x`: `[batch, seq, hidden]`; the same out.
    pub fn forward(&self, x: impl Into<LinearInput>) -> Tensor<3> {
        let x = x.into().tensor();
        let [batch, seq, hidden] = x.dims();
        let rows = batch * seq;
        let probabilities = softmax(self.gate.forward(x.clone()), 2).reshape([rows, self.experts.len()]);
        let (chosen, tokens) = self.route(&probabilities);
        let mut shares = probabilities * chosen; // [rows, experts], 0 where not chosen
        if self.normalized {
            shares = shares.clone() / shares.sum_dim(1);
        }
        let flat = x.clone().reshape([rows, hidden]);
        let mut y = match (&self.shared_expert, &self.shared_expert_gate) {
            (Some(shared), Some(gate)) => (shared.forward(x.clone()) * sigmoid(gate.forward(x))).reshape([rows, hidden]),
            _ => Tensor::zeros([rows, hidden], &flat.device()),
        };
        // In the order of the experts, so that a token's sum does not depend on the tokens beside it.
        for (index, (expert, tokens)) in self.experts.iter().zip(tokens).enumerate().filter(|(_, (_, tokens))| !tokens.is_empty()) {
            let count = tokens.len();
            let ids = Tensor::<1, Int>::from_data(TensorData::new(tokens, [count]), &flat.device());
            let share = shares.clone().slice([0..rows, index..index + 1]).select(0, ids.clone()); // [n, 1]
            let part = expert.forward(flat.clone().select(0, ids.clone()).reshape([1, count, hidden]));
            y = y.select_assign(0, ids, part.reshape([count, hidden]) * share, IndexingUpdateOp::Add);
        }
        y.reshape([batch, seq, hidden])
    }

    /// 1 where a token passes an expert, `[rows, experts]`, and for each expert the tokens that pass it.
    fn route(&self, probabilities: &Tensor<2>) -> (Tensor<2>, Vec<Vec<i32>>) {
        let [rows, experts] = probabilities.dims();
        let values = probabilities.clone().into_data();
        let values: Vec<f32> = values.iter::<f32>().collect();
        let (mut chosen, mut tokens) = (vec![0.0f32; rows * experts], vec![Vec::new(); experts]);
        for (row, values) in values.chunks_exact(experts).enumerate() {
            let mut order: Vec<usize> = (0..experts).collect();
            order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
            for expert in order.into_iter().take(self.per_token) {
                chosen[row * experts + expert] = 1.0;
                tokens[expert].push(row as i32);
            }
        }
        (Tensor::from_data(TensorData::new(chosen, [rows, experts]), &probabilities.device()), tokens)
    }

    /// The matrices, by their paths within a layer that calls these `mlp`; the router is none of them.
    pub fn weights_mut(&mut self) -> Vec<(String, &mut Weight)> {
        let experts = self.experts.iter_mut().enumerate().map(|(index, expert)| (format!("mlp.experts.{index}"), expert));
        let all = experts.chain(self.shared_expert.as_mut().map(|expert| ("mlp.shared_expert".to_owned(), expert)));
        all.flat_map(|(path, expert)| expert.weights_mut(&path)).collect()
    }
}
