//! How fast this machine reads memory.

use std::hint::black_box;
use std::time::Instant;

use burn::tensor::Tensor;
use llm_model::ops::memory::use_huge_pages;
use llm_model::ops::threads;

use crate::device::DeviceInfo;

/// Far larger than the caches of a processor, and than those of a card.
const BYTES: usize = 512 << 20;
const PASSES: usize = 3;

/// Reads 512 MiB of a device to see how fast that goes.
///
/// On the CPU each compute thread sums its part as 64-bit words. On a card it is Burn's own sum over a tensor, which includes
/// the start of the kernel and may be below what the memory could do.
pub struct Bandwidth {
    memory: Memory,
    bytes: usize,
}

enum Memory {
    OfProcessor(Vec<u64>),
    OfCard(Box<Tensor<1>>),
}

impl Bandwidth {
    /// Takes the memory.
    pub fn new(device: &DeviceInfo) -> Self {
        Self::of(device, BYTES)
    }

    /// As [`Bandwidth::new`] with so many bytes.
    pub(super) fn of(device: &DeviceInfo, bytes: usize) -> Self {
        let memory = if device.gpu {
            Memory::OfCard(Tensor::ones([bytes / 4], &device.device).into())
        } else {
            // In huge pages as weights are, and written once, so that every page is its own and not the shared page of zeros.
            let mut words: Vec<u64> = Vec::with_capacity(bytes / 8);
            use_huge_pages(words.as_ptr().cast(), bytes);
            words.extend(0..(bytes / 8) as u64);
            Memory::OfProcessor(words)
        };
        let bandwidth = Self { memory, bytes };
        bandwidth.pass();
        bandwidth
    }

    /// Bytes that are read in a second now: the best of three passes.
    pub fn bytes_per_second(&self) -> f64 {
        let seconds = (0..PASSES).map(|_| {
            let start = Instant::now();
            self.pass();
            start.elapsed().as_secs_f64()
        });
        self.bytes as f64 / seconds.fold(f64::INFINITY, f64::min)
    }

    fn pass(&self) {
        match &self.memory {
            Memory::OfProcessor(words) => std::thread::scope(|scope| {
                let sum = |words: &[u64]| words.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word));
                for words in words.chunks(words.len().div_ceil(threads::count())) {
                    scope.spawn(move || black_box(sum(black_box(words))));
                }
            }),
            Memory::OfCard(numbers) => {
                black_box(numbers.as_ref().clone().sum().into_data());
            }
        }
    }
}
