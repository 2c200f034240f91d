//! An operation gives the same on every device, by its public function.

use burn::tensor::{DType, Device, Tensor, TensorData};
use llm_infer::llm_model::ops::{self, AttentionOptions, Kv};

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
