//! Which kernels a machine can run, and how it runs them.

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use super::avx2::{Avx2, Avx2Large, Avx2Small};
#[cfg(target_arch = "x86_64")]
use super::avx512::Vnni;
use super::kernel::{Correction, Group, Tile};
#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
use super::scalar::Scalar;
use super::table::{Halves, Iq4Nl, Mxfp4, Table, Whole};
use super::{Job, Steps};

/// What multiplies tiles of values of some bits, which may be places in a table, on one kind of processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    processor: Processor,
    bits: usize,
    table: Option<Table>,
    /// Whether each half of a block has a scale of its own.
    halves: bool,
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

/// `$body` with `$tile` as the type of a processor for the values of `$kernel`: `$small` for numbers of four bits or about as many, `$large`
/// for those of eight, `$tiles` for all others.
macro_rules! tiles {
    ($kernel:expr, $tile:ident => $body:expr; $small:ident, $tiles:ident, $large:ident) => {
        tiles!(@ $kernel, $tile => $body;
            (2, None, true) => $tiles<Halves<2>>, (3, None, true) => $tiles<Halves<3>>, (6, None, true) => $tiles<Halves<6>>,
            (4, None, false) => $small<Whole<4>>, (5, None, false) => $tiles<Whole<5>>, (6, None, false) => $tiles<Whole<6>>,
            (8, None, false) => $large<Whole<8>>,
            (4, Some(Table::Mxfp4), false) => $small<Mxfp4>, (4, Some(Table::Iq4Nl), false) => $large<Iq4Nl>)
    };
    (@ $kernel:expr, $tile:ident => $body:expr; $($values:pat => $type:ty),*) => {
        match ($kernel.bits, $kernel.table, $kernel.halves) {
            $($values => { type $tile = $type; $body })*
            (bits, table, halves) => unreachable!("values of {bits} bits, {table:?}, halves with scales: {halves}"),
        }
    };
}

/// `$body` with `$tile` as the type behind `$kernel`.
macro_rules! with_tile {
    ($kernel:expr, $tile:ident => $body:expr) => {
        match $kernel.processor {
            #[cfg(target_arch = "x86_64")]
            Processor::Vnni => tiles!($kernel, $tile => $body; Vnni, Vnni, Vnni),
            #[cfg(target_arch = "x86_64")]
            Processor::Avx2 => tiles!($kernel, $tile => $body; Avx2Small, Avx2, Avx2Large),
            #[cfg(target_arch = "aarch64")]
            Processor::Neon => tiles!($kernel, $tile => $body; Neon, Neon, Neon),
            Processor::Scalar => tiles!($kernel, $tile => $body; Scalar, Scalar, Scalar),
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

    /// Its name, as that of the kernel for values of `bits` bits and perhaps a table.
    fn name(self, bits: usize, table: Option<Table>) -> &'static str {
        let names = match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => ["int2 vnni", "int3 vnni", "int4 vnni", "int5 vnni", "int6 vnni", "int8 vnni", "mxfp4 vnni", "iq4_nl vnni"],
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => ["int2 avx2", "int3 avx2", "int4 avx2", "int5 avx2", "int6 avx2", "int8 avx2", "mxfp4 avx2", "iq4_nl avx2"],
            #[cfg(target_arch = "aarch64")]
            Self::Neon => ["int2 neon", "int3 neon", "int4 neon", "int5 neon", "int6 neon", "int8 neon", "mxfp4 neon", "iq4_nl neon"],
            Self::Scalar => {
                ["int2 scalar", "int3 scalar", "int4 scalar", "int5 scalar", "int6 scalar", "int8 scalar", "mxfp4 scalar", "iq4_nl scalar"]
            }
        };
        names[match table {
            None => bits.min(7) - 2,
            Some(Table::Mxfp4) => 6,
            Some(Table::Iq4Nl) => 7,
        }]
    }
}

impl Kernel {
    /// The kernels for values of `bits` bits, and perhaps a table, in blocks with `steps` that this machine can run, the best first.
    #[cfg(test)]
    pub fn all(bits: usize, table: Option<Table>, steps: Option<Steps>) -> Vec<Self> {
        Processor::all().into_iter().map(|processor| Self::on(processor, bits, table, steps)).collect()
    }

    /// The best kernel for values of `bits` bits, 2 to 6 or 8, or the four of a table, in blocks with `steps`.
    pub fn best(bits: usize, table: Option<Table>, steps: Option<Steps>) -> Self {
        static BEST: OnceLock<Processor> = OnceLock::new();
        Self::on(*BEST.get_or_init(|| Processor::all()[0]), bits, table, steps)
    }

    fn on(processor: Processor, bits: usize, table: Option<Table>, steps: Option<Steps>) -> Self {
        Self { processor, bits, table, halves: matches!(steps, Some(Steps::Halves | Steps::Nibbles)) }
    }

    /// Its name in traces.
    pub fn name(self) -> &'static str {
        self.processor.name(self.bits, self.table)
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

    /// How its sums begin where `zero` stands for 0.
    pub(super) fn correction(self, zero: i32) -> Correction {
        with_tile!(self, T => Correction { zero: zero - T::TAKEN, apart: T::APART })
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
