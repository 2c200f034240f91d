//! Products with quantized weights in tiles of sixteen rows and 32 inputs.
//!
//! The layout is that of `quant::tiles`: a line of 64 bytes has four bytes for each of sixteen rows. So one 512-bit register of
//! weights meets one broadcast group of four activations, and two 256-bit or four 128-bit registers do the same for eight and
//! four rows each.

mod activations;
mod kernel;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::Range;
use std::sync::OnceLock;

pub use activations::Activations;
use kernel::{Factors, Group, Strip, Tile, multiply};

use super::Floats;

/// Inputs that share a scale.
pub const BLOCK: usize = 32;
/// Rows of a strip.
pub const ROWS: usize = 16;
/// Bytes of activations that stay in the cache beside the weights of a strip.
const RESIDENT: usize = 192 * 1024;

/// Packed weights of one matrix.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    /// 4 or 8.
    pub bits: usize,
    /// The value that stands for 0.
    pub zero: i32,
    /// Rows without padding.
    pub rows: usize,
    /// Blocks of a row.
    pub blocks: usize,
    /// `[strips, blocks, lines, 16]`.
    pub values: &'a [i32],
    /// Whether there is a minimum behind each scale.
    pub minima: bool,
    /// `[strips, blocks, factors, 16]`, f16 or f32.
    pub factors: Floats<'a>,
}

/// What multiplies tiles of one format on one kind of processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    #[cfg(target_arch = "x86_64")]
    VnniInt4,
    #[cfg(target_arch = "x86_64")]
    VnniInt8,
    #[cfg(target_arch = "x86_64")]
    Avx2Int4,
    #[cfg(target_arch = "x86_64")]
    Avx2Int8,
    #[cfg(target_arch = "aarch64")]
    NeonInt4,
    #[cfg(target_arch = "aarch64")]
    NeonInt8,
    ScalarInt4,
    ScalarInt8,
}

/// `$body` with `$tile` as the type behind `$kernel`.
macro_rules! with_tile {
    ($kernel:expr, $tile:ident => $body:expr) => {
        with_tile!($kernel, $tile => $body;
            #[cfg(target_arch = "x86_64")] VnniInt4 x86, #[cfg(target_arch = "x86_64")] VnniInt8 x86,
            #[cfg(target_arch = "x86_64")] Avx2Int4 x86<2>, #[cfg(target_arch = "x86_64")] Avx2Int8 x86<2>,
            #[cfg(target_arch = "aarch64")] NeonInt4 neon, #[cfg(target_arch = "aarch64")] NeonInt8 neon,
            #[cfg(true)] ScalarInt4 scalar, #[cfg(true)] ScalarInt8 scalar)
    };
    ($kernel:expr, $tile:ident => $body:expr; $(#[$cfg:meta] $name:ident $module:ident $(<$n:literal>)?),*) => {
        match $kernel {
            $(#[$cfg] Kernel::$name => { type $tile = $module::$name$(<$n>)?; $body })*
        }
    };
}

impl Kernel {
    /// The kernels for values of `bits` (4 or 8) bits that this machine can run, the best first.
    pub fn all(bits: usize) -> Vec<Self> {
        let mut all = Vec::new();
        let mut add = |int4, int8| all.push(if bits == 4 { int4 } else { int8 });
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni") {
                add(Self::VnniInt4, Self::VnniInt8);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
                add(Self::Avx2Int4, Self::Avx2Int8);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("dotprod") {
            add(Self::NeonInt4, Self::NeonInt8);
        }
        add(Self::ScalarInt4, Self::ScalarInt8);
        all
    }

    /// The best kernel for values of `bits` (4 or 8) bits.
    pub fn best(bits: usize) -> Self {
        static BEST: [OnceLock<Kernel>; 2] = [OnceLock::new(), OnceLock::new()];
        *BEST[usize::from(bits == 8)].get_or_init(|| Self::all(bits)[0])
    }

    /// Its name in traces.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::VnniInt4 => "int4 vnni",
            #[cfg(target_arch = "x86_64")]
            Self::VnniInt8 => "int8 vnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Int4 => "int4 avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Int8 => "int8 avx2",
            #[cfg(target_arch = "aarch64")]
            Self::NeonInt4 => "int4 neon",
            #[cfg(target_arch = "aarch64")]
            Self::NeonInt8 => "int8 neon",
            Self::ScalarInt4 => "int4 scalar",
            Self::ScalarInt8 => "int8 scalar",
        }
    }

    /// Most tokens of a panel.
    fn tokens(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::VnniInt4 | Self::VnniInt8 => 12,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Int4 | Self::Avx2Int8 => 4,
            _ => 4,
        }
    }

    fn group(self) -> Group {
        with_tile!(self, T => T::GROUP)
    }

    fn correction(self, sums: [i32; 2], zero: i32) -> i32 {
        with_tile!(self, T => T::correction(sums, zero))
    }
}

impl Packed<'_> {
    /// Strips of sixteen rows, the last perhaps padded.
    pub fn strips(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    fn strip(&self, index: usize) -> Strip {
        let (words, count) = (self.blocks * ROWS * BLOCK * self.bits / 32, self.factors_of_strip());
        Strip {
            values: self.values[index * words..][..words].as_ptr().cast(),
            factors: match self.factors.range(index * count, count) {
                Floats::F16(all) => Factors::F16(all.as_ptr()),
                Floats::F32(all) => Factors::F32(all.as_ptr()),
                Floats::Bf16(_) | Floats::I8(_) => unreachable!("factors are f16 or f32"),
            },
            minima: self.minima,
            blocks: self.blocks,
        }
    }

    fn factors_of_strip(&self) -> usize {
        self.blocks * ROWS * (1 + usize::from(self.minima))
    }

    fn check(&self) {
        let weights = self.strips() * self.blocks * ROWS * BLOCK;
        assert_eq!(self.values.len(), weights * self.bits / 32, "values of {} rows and {} blocks", self.rows, self.blocks);
        assert_eq!(self.factors.len(), self.strips() * self.factors_of_strip(), "factors of {} rows and {} blocks", self.rows, self.blocks);
    }
}

/// Where the products of some strips go: `out[token · stride + row]`.
#[derive(Clone, Copy)]
pub struct Target {
    /// The output of token 0 and row 0.
    pub start: *mut f32,
    /// From a token to the next.
    pub stride: usize,
}

/// The outputs of `strips` for all tokens, on the calling thread.
///
/// # Safety
/// The rows of `strips` of every token can be written in `out`, and nobody else touches them meanwhile.
pub unsafe fn product(packed: &Packed, strips: Range<usize>, x: &Activations, out: Target) {
    packed.check();
    assert!(strips.end <= packed.strips() && x.blocks() == packed.blocks, "strips {strips:?} of {} blocks", packed.blocks);
    let job = Job { packed, strips, x, out };
    // SAFETY: the kernel was found on this machine; the rest was checked, or is promised by the caller.
    unsafe {
        match x.kernel() {
            #[cfg(target_arch = "x86_64")]
            Kernel::VnniInt4 => job.vnni_int4(),
            #[cfg(target_arch = "x86_64")]
            Kernel::VnniInt8 => job.vnni_int8(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2Int4 => job.avx2_int4(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2Int8 => job.avx2_int8(),
            #[cfg(target_arch = "aarch64")]
            Kernel::NeonInt4 => job.run::<neon::NeonInt4, neon::NeonInt4>(),
            #[cfg(target_arch = "aarch64")]
            Kernel::NeonInt8 => job.run::<neon::NeonInt8, neon::NeonInt8>(),
            Kernel::ScalarInt4 => job.run::<scalar::ScalarInt4, scalar::ScalarInt4>(),
            Kernel::ScalarInt8 => job.run::<scalar::ScalarInt8, scalar::ScalarInt8>(),
        }
    }
}

/// A product on one thread.
struct Job<'a> {
    packed: &'a Packed<'a>,
    strips: Range<usize>,
    x: &'a Activations,
    out: Target,
}

/// The job with the features of a processor, so that all that is inlined uses them.
macro_rules! with_features {
    ($($name:ident $features:literal $few:ty, $many:ty;)*) => {
        #[cfg(target_arch = "x86_64")]
        impl Job<'_> {
            $(
                /// # Safety
                /// The processor has the features, and `out` can be written.
                #[target_feature(enable = $features)]
                unsafe fn $name(&self) {
                    // SAFETY: as the caller promises.
                    unsafe { self.run::<$few, $many>() }
                }
            )*
        }
    };
}

with_features!(
    vnni_int4 "avx512f,avx512bw,avx512vnni,f16c" x86::VnniInt4, x86::VnniInt4;
    vnni_int8 "avx512f,avx512bw,avx512vnni,f16c" x86::VnniInt8, x86::VnniInt8;
    avx2_int4 "avx2,fma,f16c" x86::Avx2Int4<2>, x86::Avx2Int4<2>;
    avx2_int8 "avx2,fma,f16c" x86::Avx2Int8<2>, x86::Avx2Int8<2>;
);

impl Job<'_> {
    /// As many panels at a time as stay in the cache; against these every strip.
    ///
    /// # Safety
    /// The processor has the features of `T`, and `out` can be written.
    #[inline(always)]
    unsafe fn run<Few: Tile, Many: Tile>(&self) {
        let panels: Vec<(usize, usize)> = self.x.panels().collect();
        let bytes = panels.first().map_or(1, |(_, tokens)| tokens * self.x.blocks() * (8 * Few::GROUP.bytes() + 8));
        for panels in panels.chunks((RESIDENT / bytes).max(1)) {
            for index in self.strips.clone() {
                let strip = self.packed.strip(index);
                for &(first, tokens) in panels {
                    // SAFETY: as the caller promises.
                    unsafe { self.panel::<Few, Many>(index, strip, first, tokens) }
                }
            }
        }
    }

    /// One strip and one panel.
    ///
    /// # Safety
    /// As [`Job::run`].
    #[inline(always)]
    unsafe fn panel<Few: Tile, Many: Tile>(&self, index: usize, strip: Strip, first: usize, tokens: usize) {
        let (panel, stride) = (self.x.panel(first), self.out.stride);
        let kept = ROWS.min(self.packed.rows - index * ROWS);
        let mut whole = [0.0; 12 * ROWS];
        // SAFETY: the strip's rows of these tokens can be written; a strip with padding goes through memory of its own.
        unsafe {
            let out = self.out.start.add(first * stride + index * ROWS);
            let (to, step) = if kept == ROWS { (out, stride) } else { (whole.as_mut_ptr(), ROWS) };
            match tokens {
                1 => multiply::<Few, 1>(strip, panel, to, step),
                2 => multiply::<Few, 2>(strip, panel, to, step),
                3 => multiply::<Many, 3>(strip, panel, to, step),
                4 => multiply::<Many, 4>(strip, panel, to, step),
                5 => multiply::<Many, 5>(strip, panel, to, step),
                6 => multiply::<Many, 6>(strip, panel, to, step),
                7 => multiply::<Many, 7>(strip, panel, to, step),
                8 => multiply::<Many, 8>(strip, panel, to, step),
                9 => multiply::<Many, 9>(strip, panel, to, step),
                10 => multiply::<Many, 10>(strip, panel, to, step),
                11 => multiply::<Many, 11>(strip, panel, to, step),
                12 => multiply::<Many, 12>(strip, panel, to, step),
                _ => unreachable!("a panel has at most 12 tokens"),
            }
            if kept < ROWS {
                for token in 0..tokens {
                    std::ptr::copy_nonoverlapping(whole.as_ptr().add(token * ROWS), out.add(token * stride), kept);
                }
            }
        }
    }
}
