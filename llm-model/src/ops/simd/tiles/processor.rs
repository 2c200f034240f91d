//! Which kernels a machine can run, and how it runs them.

use std::sync::OnceLock;

use super::Job;
use super::kernel::{Group, Tile};
#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
use super::scalar::Scalar;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx2Int4, Avx2Int8, Vnni};

/// What multiplies tiles of values of some bits on one kind of processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    processor: Processor,
    bits: usize,
}

/// A kind of processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Processor {
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Scalar,
}

/// The types of tiles of a processor for each number of bits.
macro_rules! tiles {
    ($bits:expr, $tile:ident => $body:expr; $two:ty, $three:ty, $four:ty, $five:ty, $six:ty, $eight:ty) => {
        tiles!(@ $bits, $tile => $body; 2 $two, 3 $three, 4 $four, 5 $five, 6 $six, 8 $eight)
    };
    (@ $bits:expr, $tile:ident => $body:expr; $($count:literal $type:ty),*) => {
        match $bits {
            $($count => { type $tile = $type; $body })*
            other => unreachable!("values of {other} bits"),
        }
    };
}

/// `$body` with `$tile` as the type behind `$kernel`.
macro_rules! with_tile {
    ($kernel:expr, $tile:ident => $body:expr) => {
        match $kernel.processor {
            #[cfg(target_arch = "x86_64")]
            Processor::Vnni => tiles!($kernel.bits, $tile => $body; Vnni<2>, Vnni<3>, Vnni<4>, Vnni<5>, Vnni<6>, Vnni<8>),
            #[cfg(target_arch = "x86_64")]
            Processor::Avx2 => {
                tiles!($kernel.bits, $tile => $body; Avx2<2, 2>, Avx2<3, 2>, Avx2Int4<2>, Avx2<5, 2>, Avx2<6, 2>, Avx2Int8<2>)
            }
            #[cfg(target_arch = "aarch64")]
            Processor::Neon => tiles!($kernel.bits, $tile => $body; Neon<2>, Neon<3>, Neon<4>, Neon<5>, Neon<6>, Neon<8>),
            Processor::Scalar => {
                tiles!($kernel.bits, $tile => $body; Scalar<2>, Scalar<3>, Scalar<4>, Scalar<5>, Scalar<6>, Scalar<8>)
            }
        }
    };
}

impl Processor {
    /// The best of this machine first.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni") {
                all.push(Self::Vnni);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
                all.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("dotprod") {
            all.push(Self::Neon);
        }
        all.push(Self::Scalar);
        all
    }

    /// Its name, as that of the kernel for values of `bits` bits.
    fn name(self, bits: usize) -> &'static str {
        let names = match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => ["int2 vnni", "int3 vnni", "int4 vnni", "int5 vnni", "int6 vnni", "int8 vnni"],
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => ["int2 avx2", "int3 avx2", "int4 avx2", "int5 avx2", "int6 avx2", "int8 avx2"],
            #[cfg(target_arch = "aarch64")]
            Self::Neon => ["int2 neon", "int3 neon", "int4 neon", "int5 neon", "int6 neon", "int8 neon"],
            Self::Scalar => ["int2 scalar", "int3 scalar", "int4 scalar", "int5 scalar", "int6 scalar", "int8 scalar"],
        };
        names[bits.min(7) - 2]
    }
}

impl Kernel {
    /// The kernels for values of `bits` bits that this machine can run, the best first.
    #[cfg(test)]
    pub fn all(bits: usize) -> Vec<Self> {
        Processor::all().into_iter().map(|processor| Self { processor, bits }).collect()
    }

    /// The best kernel for values of `bits` bits: 2 to 6, or 8.
    pub fn best(bits: usize) -> Self {
        static BEST: OnceLock<Processor> = OnceLock::new();
        Self { processor: *BEST.get_or_init(|| Processor::all()[0]), bits }
    }

    /// Its name in traces.
    pub fn name(self) -> &'static str {
        self.processor.name(self.bits)
    }

    /// Most tokens of a panel.
    pub(super) fn tokens(self) -> usize {
        with_tile!(self, T => T::TOKENS)
    }

    /// How it wants the activations of four inputs.
    pub(super) fn group(self) -> Group {
        with_tile!(self, T => T::GROUP)
    }

    /// Parts of a block that have sums of their own.
    pub(super) fn parts(self) -> usize {
        with_tile!(self, T => T::PARTS)
    }

    /// See [`Tile::correction`].
    pub(super) fn correction(self, sums: [i32; 2], zero: i32) -> i32 {
        with_tile!(self, T => T::correction(sums, zero))
    }

    /// Does the job.
    ///
    /// # Safety
    /// The processor is that of this machine, and `job.out` can be written.
    pub(super) unsafe fn run(self, job: &Job) {
        // SAFETY: as the caller promises.
        unsafe { with_tile!(self, T => T::run(job)) }
    }
}
