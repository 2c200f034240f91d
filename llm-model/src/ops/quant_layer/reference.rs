//! The definition, on the other operations.

use burn::backend::{TensorMetadata, tensor::FloatTensor};
use burn::tensor::Shape;

use crate::ops::{AnglesTensor, InputTensor, KvTensor, LayerOutput, LlmBackend, NormTensor, QuantHeads, QuantLayerParts, WeightTensor};

pub fn reference<B: LlmBackend>(
    x: FloatTensor<B>,
    layer: QuantLayerParts<B>,
    angles: AnglesTensor<B>,
    [keys, values]: [KvTensor<B>; 2],
    starts: Vec<usize>,
) -> LayerOutput<B> {
    let (batch, seq, dim) = (x.shape()[0], x.shape()[1], keys.shape()[3]);
    let normed = |x: &FloatTensor<B>, norm: NormTensor<B>| InputTensor::Normed { x: x.clone(), gamma: norm.gamma.clone(), eps: norm.eps };
    let turned = |x: FloatTensor<B>| B::rope(x, angles.cos.clone(), angles.sin.clone());
    // `[b, s, heads · d]` → `[b, s, heads, d]`, with the bias, normed.
    let heads = |x: FloatTensor<B>, of: &QuantHeads<B>| {
        let width = x.shape()[2];
        let x = match of.bias.get() {
            Some(bias) => B::float_add(x, B::float_reshape(bias.bias.clone(), Shape::new([1, 1, width]))),
            None => x,
        };
        let split = |x: FloatTensor<B>| B::float_reshape(x, Shape::new([batch, seq, width / dim, dim]));
        match of.norm.get() {
            Some(norm) if norm.gamma.shape()[0] == width => split(B::rms_norm(x, norm.gamma.clone(), norm.eps)),
            Some(norm) => B::rms_norm(split(x), norm.gamma.clone(), norm.eps),
            None => split(x),
        }
    };
    let [wq, wk, wv] = [&layer.q, &layer.k, &layer.v].map(|of| WeightTensor::Quantized(of.weight.clone()));
    let [wo, gate, up, down] = [layer.o, layer.gate, layer.up, layer.down].map(WeightTensor::Quantized);

    let (q, k, v) = B::linear_three(normed(&x, layer.attention_norm), wq, wk, wv);
    let (q, k, v) = (turned(heads(q, &layer.q)), turned(heads(k, &layer.k)), heads(v, &layer.v));
    let keys = B::append(k, keys, starts.clone()); // [b, kv, capacity, d]
    let values = B::append(v, values, starts.clone());
    let y = <B as LlmBackend>::attention(q, keys.clone(), values.clone(), starts, layer.options);
    let width = y.shape()[2] * dim;
    let x = B::linear_onto(x, B::float_reshape(y, Shape::new([batch, seq, width])), wo);
    let inner = B::gated_linear(normed(&x, layer.feed_forward_norm), gate, up, layer.activation);
    LayerOutput { x: B::linear_onto(x, inner, down), keys, values }
}
