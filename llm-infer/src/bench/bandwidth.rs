//! How fast this machine reads memory.

use std::hint::black_box;
use std::time::Instant;

use burn::tensor::Tensor;
use llm_model::ops::memory::use_huge_pages;
use llm_model::ops::threads;

use crate::device::DeviceInfo;

/// Far larger than the caches of a processor, and than those of a card.
const BYTES: usize = 512 << 20;
const PASSES: usize = 5;

/// Bytes per second that `device` reads: the best of five sums over 512 MiB.
///
/// On the CPU each compute thread sums its part as 64-bit words. On a card it is Burn's own sum over a tensor, which includes
/// the start of the kernel and may be below what the memory could do.
pub fn read_bandwidth(device: &DeviceInfo) -> f64 {
    if device.gpu { of_card(device) } else { of_processor() }
}

fn of_processor() -> f64 {
    // In huge pages as weights are, and written once, so that every page is its own and not the shared page of zeros.
    let mut words: Vec<u64> = Vec::with_capacity(BYTES / 8);
    use_huge_pages(words.as_ptr().cast(), BYTES);
    words.extend(0..(BYTES / 8) as u64);
    let part = words.len().div_ceil(threads::count());
    best(|| {
        std::thread::scope(|scope| {
            let sum = |words: &[u64]| words.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word));
            for words in words.chunks(part) {
                scope.spawn(move || black_box(sum(black_box(words))));
            }
        });
    })
}

fn of_card(device: &DeviceInfo) -> f64 {
    let numbers = Tensor::<1>::ones([BYTES / 4], &device.device);
    best(|| {
        black_box(numbers.clone().sum().into_data());
    })
}

/// The highest speed of several passes over [`BYTES`], after one that warms up.
fn best(mut pass: impl FnMut()) -> f64 {
    pass();
    let seconds = (0..PASSES).map(|_| {
        let start = Instant::now();
        pass();
        start.elapsed().as_secs_f64()
    });
    BYTES as f64 / seconds.fold(f64::INFINITY, f64::min)
}
