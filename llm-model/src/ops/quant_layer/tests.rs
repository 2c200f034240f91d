//! The kernel gives the bits of the operations that define the layer, whatever it has of biases and norms.

use burn::backend::TensorMetadata;
use burn::tensor::Shape;
use burn_flex::Flex;

use super::*;
use crate::Activation;
use crate::ops::slices::CpuBackend;
use crate::ops::tests::{KEPT, Kept, compare, full, quant_tensor, tensor, values};
use crate::ops::*;
use crate::quant::{QuantFormat, QuantMatrix};

/// A layer of `hidden`, `heads` and `dim` whose queries and keys have biases, and norms over `normed` numbers.
struct Sizes {
    hidden: usize,
    inner: usize,
    heads: usize,
    kv_heads: usize,
    dim: usize,
    biased: bool,
    normed: Option<fn(usize, usize) -> usize>,
}

fn layer<B: CpuBackend>(sizes: &Sizes, halves: bool, options: AttentionOptions) -> QuantLayerParts<B> {
    let &Sizes { hidden, inner, heads, kv_heads, dim, biased, normed } = sizes;
    let matrix = |rows: usize, width: usize, seed: u32| {
        let format = QuantFormat::ALL[seed as usize % 2];
        quant_tensor::<B>(&QuantMatrix::nearest(format, &values(rows * width, seed), width), halves)
    };
    let norm = |width: usize, seed| Handle::from(NormParts { gamma: tensor::<B>(&[width], seed), eps: 1e-5 });
    let part = |heads: usize, seed, normed: Option<fn(usize, usize) -> usize>| QuantHeads {
        weight: matrix(heads * dim, hidden, seed),
        bias: biased.then(|| BiasParts { bias: tensor::<B>(&[heads * dim], seed + 1) }.into()).into(),
        norm: normed.map(|width| norm(width(heads, dim), seed + 2)).into(),
    };
    QuantLayerParts {
        attention_norm: norm(hidden, 1),
        q: part(heads, 2, normed),
        k: part(kv_heads, 5, normed),
        v: part(kv_heads, 8, None),
        o: matrix(hidden, heads * dim, 11),
        options,
        feed_forward_norm: norm(hidden, 12),
        gate: matrix(inner, hidden, 13),
        up: matrix(inner, hidden, 14),
        down: matrix(hidden, inner, 15),
        activation: Activation::Silu,
    }
}

fn agrees<B: CpuBackend + LlmBackend>(halves: bool, all: &[Kept]) {
    let plain = Sizes { hidden: 96, inner: 172, heads: 6, kv_heads: 3, dim: 16, biased: false, normed: None };
    let biased = Sizes { hidden: 64, inner: 33, heads: 4, kv_heads: 1, dim: 10, biased: true, ..plain };
    let by_head = Sizes { hidden: 172, heads: 2, kv_heads: 2, dim: 64, normed: Some(|_, dim| dim), ..plain };
    let by_width = Sizes { biased: true, normed: Some(|heads, dim| heads * dim), ..plain };
    for (number, sizes) in [plain, biased, by_head, by_width].iter().enumerate() {
        for (seq, half, window, starts) in [(1, 5, None, vec![7]), (1, 4, Some(3), vec![0, 300]), (19, 5, None, vec![4, 0, 31])] {
            for &kept in all {
                let options = AttentionOptions { scale: 0.3, softcap: None, window };
                let (batch, what) = (starts.len(), format!("{number}: {seq} at {starts:?} {kept:?}"));
                let x = tensor::<B>(&[batch, seq, sizes.hidden], 20);
                let [cos, sin] = [21, 22].map(|seed| tensor::<B>(&[batch, seq, half], seed));
                let cache = || [23, 24].map(|seed| full::<B>([batch, sizes.kv_heads, 320, sizes.dim], seed, kept));
                let angles = Handle::from(AnglesParts { cos, sin });
                let fast = cpu::<B>(x.clone(), layer::<B>(sizes, halves, options), angles.clone(), cache(), &starts);
                let slow = reference::<B>(x, layer::<B>(sizes, halves, options), angles, cache(), starts.clone());
                assert_eq!(fast.x.shape(), Shape::new([batch, seq, sizes.hidden]));
                compare::<B>(fast.x, slow.x, 0.0, &what);
                for (fast, slow) in [(fast.keys, slow.keys), (fast.values, slow.values)] {
                    compare::<B>(kv::dequantize::<B>(fast, 320), kv::dequantize::<B>(slow, 320), 0.0, &format!("kept {what}"));
                }
            }
        }
    }
}

#[test]
fn a_layer_equals_its_operations() {
    agrees::<Flex>(true, &KEPT);
    #[cfg(feature = "ndarray")]
    agrees::<burn_ndarray::NdArray>(false, &crate::ops::tests::KEPT_BY_NDARRAY);
}
