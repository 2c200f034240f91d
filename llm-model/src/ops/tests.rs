//! Every fast kernel against its reference, on odd shapes, for every CPU backend.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, TensorMetadata};
use burn::tensor::{FloatDType, IntDType, Shape, TensorData};
use burn_flex::Flex;

use super::slices::CpuBackend;
use super::*;
use crate::quant::{QuantFormat, QuantMatrix, QuantShape, tiles};

/// Numbers in -1 .. 1 that look random and are the same each time.
pub fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

pub fn tensor<B: CpuBackend>(shape: &[usize], seed: u32) -> FloatTensor<B> {
    B::from_vec(values(shape.iter().product(), seed), Shape::from(shape.to_vec()))
}

pub fn compare<B: CpuBackend>(fast: FloatTensor<B>, reference: FloatTensor<B>, tolerance: f32, what: &str) {
    B::with_f32(&fast, |fast| {
        B::with_f32(&reference, |reference| {
            assert_eq!(fast.len(), reference.len(), "{what}");
            for (i, (a, b)) in fast.iter().zip(reference).enumerate() {
                assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what} at {i}: {a} and {b}");
            }
        });
    });
}

fn linear_agrees<B: CpuBackend>(dtypes: &[FloatDType]) {
    let odd = [(1, 1, 1), (2, 64, 300), (4, 31, 7), (17, 100, 129), (130, 64, 65)];
    for (rows, width, outputs) in odd.into_iter().chain((1..=17).map(|rows| (rows, 172, 33))) {
        for &dtype in dtypes {
            let x = tensor::<B>(&[rows, width], 1);
            let mut w = tensor::<B>(&[outputs, width], 2);
            if dtype != FloatDType::F32 {
                w = B::float_cast(w, dtype);
            }
            let what = format!("{rows}x{width}x{outputs} {dtype:?}");
            compare::<B>(linear::cpu::<B>(x.clone(), w.clone()), linear::reference::<B>(x, w), 1e-5, &what);
        }
    }
}

#[test]
fn linear_equals_the_reference() {
    linear_agrees::<Flex>(&[FloatDType::F32, FloatDType::F16, FloatDType::BF16]);
    #[cfg(feature = "ndarray")]
    linear_agrees::<burn_ndarray::NdArray>(&[FloatDType::F32]);
}

/// Activations that 8 bits hold exactly: sixteenths below 8, and 127 of them in each block.
fn exact(rows: usize, width: usize) -> Vec<f32> {
    let number = |i: usize| if (i % width).is_multiple_of(32) { 127.0 } else { ((i * 37) % 255) as f32 - 127.0 };
    (0..rows * width).map(|i| number(i) / 16.0).collect()
}

pub fn quant_tensor<B: CpuBackend>(matrix: &QuantMatrix, halves: bool) -> QuantTensor<B> {
    let (shape, device) = (matrix.shape(), B::Device::default());
    let [values, factors] = tiles::tensors(tiles::pack(matrix), shape);
    let factors = if halves { factors } else { factors.convert::<f32>() };
    QuantParts { values: B::int_from_data(values, &device), factors: B::float_from_data(factors, &device), shape }.into()
}

fn quant_linear_agrees<B: CpuBackend>(halves: bool) {
    for format in QuantFormat::ALL {
        // One block, rows and widths that fill no tile, and batches of every remainder.
        let odd = [(1, 1, 1), (3, 32, 1), (2, 64, 300), (5, 31, 7), (17, 172, 129), (40, 96, 64)];
        for (rows, width, outputs) in odd.into_iter().chain((1..=17).map(|rows| (rows, 172, 33))) {
            let matrix = QuantMatrix::random(QuantShape { format, rows: outputs, width });
            let device = B::Device::default();
            let x = B::from_vec(exact(rows, width), Shape::new([rows, width]));
            let what = format!("{format} {rows}x{width}x{outputs}");
            let fast = linear::quant_cpu::<B>(x.clone(), quant_tensor::<B>(&matrix, halves));
            let dense = linear::reference::<B>(x.clone(), B::from_vec(matrix.dequantize(), Shape::new([outputs, width])));
            compare::<B>(quant_linear::reference::<B>(x, quant_tensor::<B>(&matrix, halves)), dense.clone(), 1e-4, &what);
            compare::<B>(fast, dense, 1e-4, &what);

            let ids = TensorData::new([0, outputs as i32 - 1, outputs as i32 / 2].to_vec(), [3]);
            let ids = B::int_from_data(ids, &device);
            let rows = quant_linear::rows_reference::<B>(ids.clone(), quant_tensor::<B>(&matrix, halves));
            let dense = [0, outputs - 1, outputs / 2].map(|id| matrix.dequantize()[id * width..][..width].to_vec()).concat();
            compare::<B>(rows, B::from_vec(dense.clone(), Shape::new([3, width])), 0.0, &what);
            let rows = quant_linear::rows_cpu::<B>(ids, quant_tensor::<B>(&matrix, halves));
            compare::<B>(rows, B::from_vec(dense, Shape::new([3, width])), 1e-6, &what);
        }
    }
}

#[test]
fn quant_linear_equals_the_reference() {
    quant_linear_agrees::<Flex>(true);
    #[cfg(feature = "ndarray")]
    quant_linear_agrees::<burn_ndarray::NdArray>(false);
}

/// Each fused map gives the bits of its parts one after the other.
fn fused_linears_agree<B: CpuBackend + LlmBackend>(halves: bool) {
    for (batch, seq, width, outputs) in [(1, 1, 172, 33), (2, 9, 64, 48), (3, 40, 96, 129)] {
        let x = tensor::<B>(&[batch, seq, width], 1);
        let (gamma, residual) = (tensor::<B>(&[width], 2), tensor::<B>(&[batch, seq, outputs], 3));
        let dense = WeightTensor::Dense(tensor::<B>(&[outputs, width], 4));
        let matrix = QuantMatrix::nearest(QuantFormat::ALL[0], &values(outputs * width, 5), width);
        let packed = WeightTensor::Quantized(quant_tensor::<B>(&matrix, halves));
        let normed = InputTensor::Normed { x: x.clone(), gamma: gamma.clone(), eps: 1e-5 };
        let y = B::rms_norm(x.clone(), gamma, 1e-5);
        let what = format!("{batch}x{seq}x{width}x{outputs}");
        for weight in [dense.clone(), packed.clone()] {
            let apart = B::float_add(residual.clone(), linear::of_weight::<B>(x.clone(), weight.clone()));
            compare::<B>(B::linear_onto(residual.clone(), x.clone(), weight.clone()), apart, 0.0, &format!("onto {what}"));
            let three = B::linear_three(normed.clone(), weight.clone(), dense.clone(), packed.clone());
            for (fused, weight) in [(three.0, weight.clone()), (three.1, dense.clone()), (three.2, packed.clone())] {
                assert_eq!(fused.shape(), residual.shape());
                compare::<B>(fused, linear::of_weight::<B>(y.clone(), weight), 0.0, &format!("three {what}"));
            }
            let fused = B::gated_linear(normed.clone(), weight.clone(), packed.clone(), Activation::Silu);
            let apart = linear::gated_reference::<B>(normed.clone(), weight, packed.clone(), Activation::Silu);
            compare::<B>(fused, apart, 0.0, &format!("gated {what}"));
        }
    }
}

#[test]
fn fused_linears_equal_their_parts() {
    fused_linears_agree::<Flex>(true);
    #[cfg(feature = "ndarray")]
    fused_linears_agree::<burn_ndarray::NdArray>(false);
}

fn elementwise_agree<B: CpuBackend>() {
    for (rows, width) in [(1, 1), (3, 8), (7, 172), (2, 9000)] {
        let (x, y) = (tensor::<B>(&[rows, width], 3), tensor::<B>(&[rows, width], 4));
        let gamma = tensor::<B>(&[width], 5);
        compare::<B>(
            rms_norm::cpu::<B>(x.clone(), gamma.clone(), 1e-5),
            rms_norm::reference::<B>(x.clone(), gamma, 1e-5),
            1e-5,
            "rms_norm",
        );
        for activation in Activation::ALL {
            let x = B::float_mul_scalar(x.clone(), 6.0.into());
            let fast = activation::cpu::<B>(x.clone(), activation);
            compare::<B>(fast, activation::reference::<B>(x.clone(), activation), 4e-6, &format!("{activation:?}"));
            let fast = gated::cpu::<B>(x.clone(), y.clone(), activation);
            compare::<B>(fast, gated::reference::<B>(x, y.clone(), activation), 4e-6, &format!("gated {activation:?}"));
        }
        let large = B::float_mul_scalar(x.clone(), 60.0.into());
        let fast = activation::softcap_cpu::<B>(large.clone(), 30.0);
        compare::<B>(fast, activation::softcap_reference::<B>(large, 30.0), 2e-6, "softcap");
    }
    for (rows, width) in [(1, 8), (70, 172), (130, 33)] {
        let [x, y, grad] = [3, 4, 5].map(|seed| tensor::<B>(&[rows, width], seed));
        let gamma = tensor::<B>(&[width], 6);
        let fast = rms_norm::backward_cpu::<B>(x.clone(), gamma.clone(), grad.clone(), 1e-5);
        let slow = rms_norm::backward_reference::<B>(x.clone(), gamma, grad.clone(), 1e-5);
        compare::<B>(fast.0, slow.0, 1e-5, "rms_norm dx");
        compare::<B>(fast.1, slow.1, 1e-5, "rms_norm dγ");
        let fast = gated::silu_backward_cpu::<B>(x.clone(), y.clone(), grad.clone());
        let slow = gated::silu_backward_reference::<B>(x, y, grad);
        compare::<B>(fast.0, slow.0, 1e-5, "silu d_gate");
        compare::<B>(fast.1, slow.1, 1e-5, "silu d_up");
    }
    for (rows, parts, width) in [(1, 1, 8), (6, 3, 10), (70, 1, 172), (34, 17, 33)] {
        // Numbers far from 0, whose mean is most of them.
        let x = B::float_add_scalar(tensor::<B>(&[2, rows, width], 3), 3.0.into());
        let gamma = tensor::<B>(&[parts * width], 4);
        let fast = layer_norm::cpu::<B>(x.clone(), gamma.clone(), 1e-5);
        compare::<B>(fast, layer_norm::reference::<B>(x, gamma, 1e-5), 1e-5, &format!("layer_norm {rows}x{width}"));
    }
    for (dim, half) in [(8, 4), (10, 3), (64, 32)] {
        let x = tensor::<B>(&[2, 3, 5, dim], 6);
        let (cos, sin) = (tensor::<B>(&[2, 3, half], 7), tensor::<B>(&[2, 3, half], 8));
        compare::<B>(rope::cpu::<B>(x.clone(), cos.clone(), sin.clone()), rope::reference::<B>(x, cos, sin), 1e-6, "rope");
    }
}

#[test]
fn elementwise_operations_equal_the_reference() {
    elementwise_agree::<Flex>();
    #[cfg(feature = "ndarray")]
    elementwise_agree::<burn_ndarray::NdArray>();
}

/// How keys and values are kept in a test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kept {
    Floats(FloatDType),
    Int8,
}

pub const KEPT: [Kept; 4] = [Kept::Floats(FloatDType::F32), Kept::Floats(FloatDType::F16), Kept::Floats(FloatDType::BF16), Kept::Int8];
#[cfg(feature = "ndarray")]
pub const KEPT_BY_NDARRAY: [Kept; 2] = [Kept::Floats(FloatDType::F32), Kept::Int8];

/// Room for keys or values of `shape`, with zeros in it.
fn room<B: CpuBackend>(shape: [usize; 4], kept: Kept) -> KvTensor<B> {
    let device = B::Device::default();
    match kept {
        Kept::Floats(dtype) => KvTensor::Floats(B::float_zeros(Shape::new(shape), &device, dtype)),
        Kept::Int8 => KvTensor::Int8 {
            values: B::int_zeros(Shape::new(shape), &device, IntDType::I8),
            scales: B::float_zeros(Shape::new([shape[0], shape[1], shape[2]]), &device, FloatDType::F32),
        },
    }
}

/// A full cache of `shape`, `[batch, kv_heads, capacity, dim]`.
pub fn full<B: CpuBackend>([batch, kv_heads, capacity, dim]: [usize; 4], seed: u32, kept: Kept) -> KvTensor<B> {
    let x = tensor::<B>(&[batch, capacity, kv_heads, dim], seed);
    kv::reference::<B>(x, room::<B>([batch, kv_heads, capacity, dim], kept), &vec![0; batch])
}

fn append_agrees<B: CpuBackend>(all: &[Kept]) {
    for (seq, kv_heads, dim, starts) in [(1, 1, 1, vec![0]), (1, 3, 64, vec![6]), (5, 2, 80, vec![3, 0]), (4, 1, 172, vec![0, 4, 2])] {
        for &kept in all {
            let shape = [starts.len(), kv_heads, 9, dim];
            let before = full::<B>(shape, 1, kept);
            let held = before.clone();
            let x = tensor::<B>(&[starts.len(), seq, kv_heads, dim], 2);
            let fast = kv::cpu::<B>(x.clone(), before, &starts);
            let slow = kv::reference::<B>(x, held.clone(), &starts);
            let [fast, slow, held] = [fast, slow, held].map(|kv| kv::dequantize::<B>(kv, 9));
            let what = format!("{seq} of {kv_heads}x{dim} at {starts:?} as {kept:?}");
            compare::<B>(fast.clone(), slow, 0.0, &what);
            compare::<B>(held.clone(), kv::dequantize::<B>(full::<B>(shape, 1, kept), 9), 0.0, "another handle");
            let changed = B::with_f32(&fast, |a| B::with_f32(&held, |b| a.iter().zip(b).filter(|(a, b)| a != b).count()));
            assert!(changed > 0 && changed <= starts.len() * seq * kv_heads * dim, "{what}: {changed} changed");
        }
    }
    // A vector of zeros is kept as such.
    for &kept in all {
        let zeros = B::from_vec(vec![0.0; 16], Shape::new([1, 2, 1, 8]));
        let kv = kv::cpu::<B>(zeros.clone(), full::<B>([1, 1, 2, 8], 3, kept), &[0]);
        compare::<B>(kv::dequantize::<B>(kv, 2), zeros, 0.0, "zeros");
    }
}

#[test]
fn append_equals_the_reference() {
    append_agrees::<Flex>(&KEPT);
    #[cfg(feature = "ndarray")]
    append_agrees::<burn_ndarray::NdArray>(&KEPT_BY_NDARRAY);
}

fn attention_agrees<B: CpuBackend>(all: &[Kept]) {
    // The later ones read several chunks: shared out, piece by piece, and widened for many queries.
    let cases = [
        (1, 1, 1, 8, vec![0]),
        (5, 4, 2, 8, vec![0]),
        (1, 6, 3, 24, vec![7, 130]),
        (9, 4, 1, 10, vec![0, 1, 90]),
        (1, 6, 3, 24, vec![600]),
        (1, 64, 32, 8, vec![255, 640]),
        (40, 4, 2, 10, vec![250, 511]),
        (1, 9, 3, 64, vec![255]),
        (1, 14, 2, 64, vec![256]),
        (3, 5, 1, 80, vec![254, 3]),
        (1, 4, 4, 128, vec![300]),
        (2, 3, 1, 172, vec![513, 0]),
    ];
    for (seq, heads, kv_heads, dim, starts) in cases {
        for window in [None, Some(1), Some(4), Some(100), Some(400)] {
            for softcap in [None, Some(0.5)] {
                let options = AttentionOptions { scale: 0.3, softcap, window };
                let q = tensor::<B>(&[starts.len(), seq, heads, dim], 9);
                for &kept in all {
                    let [k, v] = [10, 11].map(|seed| full::<B>([starts.len(), kv_heads, 650, dim], seed, kept));
                    let fast = attention::cpu::<B>(q.clone(), k.clone(), v.clone(), &starts, &options);
                    let what = format!("{starts:?} {seq} {heads}/{kv_heads} x {dim} {kept:?} {options:?}");
                    compare::<B>(fast, attention::reference::<B>(q.clone(), k.clone(), v.clone(), &starts, &options), 1e-5, &what);
                    let sinks = B::float_mul_scalar(tensor::<B>(&[heads], 12), 3.0.into());
                    let fast = attention::cpu_with_sinks::<B>(q.clone(), k.clone(), v.clone(), sinks.clone(), &starts, &options);
                    let slow = attention::reference_with_sinks::<B>(q.clone(), k, v, sinks, &starts, &options);
                    compare::<B>(fast, slow, 1e-5, &format!("sinks {what}"));
                }
            }
        }
    }
}

/// The numbers of `out [.., heads · dim]` at `row`.
fn row(out: FloatTensor<Flex>, row: usize, width: usize) -> Vec<u32> {
    Flex::with_f32(&out, |all| all[row * width..][..width].iter().map(|x| x.to_bits()).collect())
}

#[test]
fn attention_is_bitwise_the_same_alone_in_company_and_in_a_longer_chunk() {
    let (kv_heads, copies) = (3, 32);
    for (heads, dim, kept) in [(6, 24, KEPT[1]), (9, 64, KEPT[1]), (9, 64, Kept::Int8), (3, 80, Kept::Int8)] {
        for (position, window, softcap) in
            [(0, None, None), (255, None, None), (256, Some(300), None), (640, None, Some(0.7)), (640, Some(300), None)]
        {
            let options = AttentionOptions { scale: 0.3, softcap, window };
            let what = format!("at {position} {heads} x {dim} {kept:?} {options:?}");
            let cache = |rows: usize, seed| {
                let x = tensor::<Flex>(&[1, 650, kv_heads, dim], seed);
                let x = Flex::float_cat(vec![x; rows], 0);
                kv::cpu::<Flex>(x, room::<Flex>([rows, kv_heads, 650, dim], kept), &vec![0; rows])
            };
            let (k, v) = (cache(1, 1), cache(1, 2));
            let q = tensor::<Flex>(&[1, 1, heads, dim], 3);
            let alone = attention::cpu::<Flex>(q.clone(), k.clone(), v.clone(), &[position], &options);
            let alone = row(alone, 0, heads * dim);

            let many = Flex::float_cat(vec![q.clone(); copies], 0);
            let company = attention::cpu::<Flex>(many, cache(copies, 1), cache(copies, 2), &[position; 32], &options);
            assert_eq!(row(company, copies - 1, heads * dim), alone, "in company {what}");

            let before = position.min(20);
            let chunk = Flex::float_cat(vec![tensor::<Flex>(&[1, before + 1, heads, dim], 4), q], 1);
            let chunk = Flex::float_slice(chunk, &[0..1, 1..before + 2, 0..heads, 0..dim].map(burn::tensor::Slice::from));
            let chunk = attention::cpu::<Flex>(chunk, k, v, &[position - before], &options);
            assert_eq!(row(chunk, before, heads * dim), alone, "in a chunk {what}");
        }
    }
}

/// The gradients of Σ grad · f(inputs) by each input, as autodiff finds them through Burn's own operations.
fn by_autodiff<B: CpuBackend, const N: usize>(
    inputs: [FloatTensor<B>; N],
    grad: FloatTensor<B>,
    f: impl Fn([FloatTensor<Autodiff<B>>; N]) -> FloatTensor<Autodiff<B>>,
) -> Vec<FloatTensor<B>> {
    let inputs = inputs.map(|x| Autodiff::<B>::float_set_require_grad(Autodiff::<B>::from_inner(x), true));
    let out = Autodiff::<B>::float_mul(f(inputs.clone()), Autodiff::<B>::from_inner(grad));
    let grads = Autodiff::<B>::backward(Autodiff::<B>::float_sum(out));
    inputs.iter().map(|x| Autodiff::<B>::grad(x, &grads).expect("every input has a gradient")).collect()
}

/// The gradients that autodiff finds through the reference are those of both gradient operations.
fn gradients_agree<B: CpuBackend>() {
    let all = |fast: Vec<FloatTensor<B>>, slow: Vec<FloatTensor<B>>, what: &str| {
        for (index, (fast, slow)) in fast.into_iter().zip(slow).enumerate() {
            compare::<B>(fast, slow, 2e-5, &format!("{what}, input {index}"));
        }
    };
    for (rows, width, outputs) in [(1, 1, 1), (5, 172, 33), (130, 64, 65)] {
        let (x, w) = (tensor::<B>(&[rows, width], 1), tensor::<B>(&[outputs, width], 2));
        let grad = tensor::<B>(&[rows, outputs], 3);
        let fast = linear::backward_cpu::<B>(x.clone(), w.clone(), grad.clone());
        let slow = linear::backward_reference::<B>(x.clone(), w.clone(), grad.clone());
        let auto = by_autodiff::<B, _>([x, w], grad, |[x, w]| linear::reference::<Autodiff<B>>(x, w));
        all(vec![slow.0.clone(), slow.1.clone()], auto, "linear by autodiff");
        all(vec![fast.0, fast.1], vec![slow.0, slow.1], "linear");
    }
    // The last is longer than a block of queries.
    let cases = [(1, 1, 1, 1, vec![0]), (9, 4, 2, 9, vec![0, 0]), (5, 6, 2, 20, vec![3, 0, 11]), (150, 4, 2, 160, vec![0, 7])];
    for (seq, heads, kv_heads, capacity, starts) in cases {
        for (window, softcap) in [(None, None), (Some(3), None), (None, Some(0.4))] {
            let options = AttentionOptions { scale: 0.3, softcap, window };
            let [q, grad] = [4, 5].map(|seed| tensor::<B>(&[starts.len(), seq, heads, 24], seed));
            let [k, v] = [6, 7].map(|seed| tensor::<B>(&[starts.len(), kv_heads, capacity, 24], seed));
            let floats = KvTensor::Floats;
            let out = attention::reference::<B>(q.clone(), floats(k.clone()), floats(v.clone()), &starts, &options);
            let inputs = || [q.clone(), k.clone(), v.clone(), out.clone(), grad.clone()];
            let fast = attention::backward_cpu::<B>(inputs(), &starts, &options);
            let slow = attention::backward_reference::<B>(inputs(), &starts, &options);
            let auto = by_autodiff::<B, _>([q.clone(), k.clone(), v.clone()], grad.clone(), |[q, k, v]| {
                attention::reference::<Autodiff<B>>(q, KvTensor::Floats(k), KvTensor::Floats(v), &starts, &options)
            });
            all(vec![slow.0.clone(), slow.1.clone(), slow.2.clone()], auto, "attention by autodiff");
            all(vec![fast.0, fast.1, fast.2], vec![slow.0, slow.1, slow.2], "attention");
        }
    }
    let (x, grad) = (tensor::<B>(&[2, 3, 5, 10], 6), tensor::<B>(&[2, 3, 5, 10], 7));
    let (cos, sin) = (tensor::<B>(&[2, 3, 3], 8), tensor::<B>(&[2, 3, 3], 9));
    let turned = |[x]: [FloatTensor<Autodiff<B>>; 1]| {
        rope::reference::<Autodiff<B>>(x, Autodiff::<B>::from_inner(cos.clone()), Autodiff::<B>::from_inner(sin.clone()))
    };
    let auto = by_autodiff::<B, _>([x], grad.clone(), turned);
    all(vec![rope::cpu::<B>(grad, cos.clone(), B::float_neg(sin.clone()))], auto, "rope");
}

#[test]
fn gradients_equal_the_reference() {
    gradients_agree::<Flex>();
    #[cfg(feature = "ndarray")]
    gradients_agree::<burn_ndarray::NdArray>();
}

#[test]
fn attention_equals_the_reference() {
    attention_agrees::<Flex>(&KEPT);
    #[cfg(feature = "ndarray")]
    attention_agrees::<burn_ndarray::NdArray>(&KEPT_BY_NDARRAY);
}

#[test]
fn a_sink_takes_its_share_of_the_softmax() {
    // One query of two heads over keys of score 0 and ln 3; the sinks' scores are ln 4 and so low that they have no weight.
    let tensor = |values: Vec<f32>, shape: [usize; 4]| Flex::from_vec(values, Shape::new(shape));
    let (third, quarter) = (3.0_f32.ln(), 4.0_f32.ln());
    let q = tensor(vec![1.0, 1.0], [1, 1, 2, 1]);
    let k = || KvTensor::Floats(tensor(vec![0.0, third], [1, 1, 2, 1]));
    let v = || KvTensor::Floats(tensor(vec![8.0, 16.0], [1, 1, 2, 1]));
    let sinks = Flex::from_vec(vec![quarter, -1e3], Shape::new([2]));
    let options = AttentionOptions { scale: 1.0, softcap: None, window: None };
    let want = Flex::from_vec(vec![(8.0 + 3.0 * 16.0) / 8.0, (8.0 + 3.0 * 16.0) / 4.0], Shape::new([1, 1, 2, 1]));
    for out in [
        attention::reference_with_sinks::<Flex>(q.clone(), k(), v(), sinks.clone(), &[1], &options),
        attention::cpu_with_sinks::<Flex>(q, k(), v(), sinks, &[1], &options),
    ] {
        compare::<Flex>(out, want.clone(), 1e-6, "sinks");
    }
}

#[test]
fn a_strided_input_is_read_in_its_own_order() {
    let x = Flex::float_transpose(Flex::from_vec(values(12, 1), Shape::new([4, 3]))); // [3, 4]
    let w = Flex::from_vec(values(8, 2), Shape::new([2, 4]));
    compare::<Flex>(linear::cpu::<Flex>(x.clone(), w.clone()), linear::reference::<Flex>(x, w), 1e-6, "strided");
}
