//! An operation gives the same on every device, by its public function.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use llm_infer::llm_model::ops::{self, AttentionOptions, Kv};
use llm_infer::llm_model::quant::{QuantFormat, QuantMatrix, QuantShape};
use llm_infer::llm_model::{QuantWeight, Weight};

use crate::support::{cpu, devices};

/// Numbers in -1 .. 1, the same each time.
fn tensor(shape: [usize; 4], seed: usize, device: &Device) -> Tensor<4> {
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|i| ((i * 7919 + seed * 104_729) % 10_007) as f32 / 5_003.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Attention of `seq` positions behind those that a cache of `dtype` holds.
fn attention(device: &Device, dtype: DType, seq: usize, starts: &[usize], softcap: Option<f64>) -> Vec<f32> {
    let (batch, dim, longest) = (starts.len(), 20, 90);
    let cache = |seed| {
        let empty = Kv::zeros([batch, 2, 100, dim], dtype, device);
        ops::append(tensor([batch, longest, 2, dim], seed, device), empty, &vec![0; batch])
    };
    let options = AttentionOptions { scale: 0.8, softcap, window: None };
    let out = ops::attention(tensor([batch, seq, 6, dim], 3, device), cache(1), cache(2), starts, options);
    out.into_data().try_into_vec::<f32>().expect("f32")
}

#[test]
fn attention_over_any_cache_is_the_same_on_every_device() {
    for info in devices().into_iter().filter(|info| info.name != "cpu") {
        for dtype in [DType::F32, DType::F16, DType::I8].into_iter().filter(|dtype| info.device.supports_dtype(*dtype)) {
            for (seq, starts) in [(3, vec![0, 87]), (20, vec![70])] {
                for softcap in [None, Some(0.6)] {
                    let want = attention(&cpu().device, dtype, seq, &starts, softcap);
                    let got = attention(&info.device, dtype, seq, &starts, softcap);
                    let furthest = want.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(
                        want.len() == got.len() && furthest < 1e-4,
                        "{}: {dtype:?} {seq} {starts:?} {softcap:?}: {furthest}",
                        info.name
                    );
                }
            }
        }
    }
}

#[test]
fn weights_of_every_format_mean_the_same_on_every_device() {
    // Activations that the eight bits of the CPU's kernels hold exactly, and rows and widths that fill no tile.
    let (outputs, width) = (33, 300);
    let x: Vec<f32> = (0..3 * width).map(|i| if i % width % 32 == 0 { 127.0 } else { ((i * 37) % 255) as f32 - 127.0 } / 64.0).collect();
    for format in QuantFormat::ALL {
        let matrix = QuantMatrix::random(QuantShape { format, rows: outputs, width });
        let results = |device: &Device| {
            let weight = Weight::Quantized(QuantWeight::new(&matrix, device));
            let ids = Tensor::<1, Int>::from_data(TensorData::new(vec![0_i32, 32, 7], [3]), device);
            let y = weight.project(Tensor::from_data(TensorData::new(x.clone(), [3, width]), device));
            [y, weight.rows(ids)].map(|out| out.into_data().try_into_vec::<f32>().expect("f32"))
        };
        let wanted = results(&cpu().device);
        for info in devices() {
            for (want, got) in wanted.iter().zip(results(&info.device)) {
                let far = |(a, b): (&f32, &f32)| (a - b).abs() / a.abs().max(1.0);
                let furthest = want.iter().zip(&got).map(far).fold(0.0, f32::max);
                assert!(want.len() == got.len() && furthest < 1e-4, "{}: {format}: {furthest}", info.name);
            }
        }
    }
}
