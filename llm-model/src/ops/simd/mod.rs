//! Vector kernels on slices for x86-64 with AVX-512 or AVX2 and for ARM with NEON, chosen at run time, and a plain form for the rest.
//!
//! Each kernel adds up in an order that depends on the lengths alone, so that a result does not depend on what is computed beside
//! it: [`products`] and [`combine`] on floats, written once on the registers of [`vector`], and [`tiles`] on quantized weights. Together with the compute pool this is where the CPU backends have their `unsafe` code; what calls it is safe.
#![allow(unsafe_code)]

/// A function that is compiled for every level and called at the one that the processor has. In its body `FUSED` says whether x · y + z is
/// one instruction there, which is rounded once.
macro_rules! vectorized {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            fn any<const FUSED: bool>($($arg: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            fn avx512($($arg: $type),*) $(-> $result)? {
                any::<true>($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2($($arg: $type),*) $(-> $result)? {
                any::<true>($($arg),*)
            }

            match $crate::ops::simd::level() {
                // SAFETY: the level was detected on this machine.
                #[cfg(target_arch = "x86_64")]
                $crate::ops::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::ops::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
                _ => any::<{ cfg!(target_arch = "aarch64") }>($($arg),*),
            }
        }
    };
}

mod bytes;
mod combine;
mod dot;
mod elementwise;
pub mod products;
pub mod rounding;
mod softmax;
pub mod strip;
#[cfg(test)]
mod tests;
pub mod tiles;
mod vector;

pub use bytes::round_to_i8;
pub use combine::combine;
pub use dot::dot;
pub use elementwise::{gelu, gelu_quick, gelu_tanh, multiply, relu, relu_squared, rotate, scale, silu, silu_gated, subtract, sum};
pub use products::{Target, products};
pub use softmax::{exp, exp_sum, softcap, tanh};

use half::{bf16, f16, slice::HalfFloatSliceExt};

/// A slice of any type that weights and caches are stored in.
#[derive(Clone, Copy)]
pub enum Floats<'a> {
    /// 32 bits.
    F32(&'a [f32]),
    /// 16 bits, IEEE.
    F16(&'a [f16]),
    /// 16 bits, the upper half of an f32.
    Bf16(&'a [bf16]),
    /// Whole numbers, which someone else has a factor for.
    I8(&'a [i8]),
}

impl<'a> Floats<'a> {
    /// The numbers at `from .. from + length`.
    pub fn range(self, from: usize, length: usize) -> Self {
        match self {
            Self::F32(all) => Self::F32(&all[from..from + length]),
            Self::F16(all) => Self::F16(&all[from..from + length]),
            Self::Bf16(all) => Self::Bf16(&all[from..from + length]),
            Self::I8(all) => Self::I8(&all[from..from + length]),
        }
    }

    /// Where they begin.
    pub fn start(self) -> *const u8 {
        match self {
            Self::F32(all) => all.as_ptr().cast(),
            Self::F16(all) => all.as_ptr().cast(),
            Self::Bf16(all) => all.as_ptr().cast(),
            Self::I8(all) => all.as_ptr().cast(),
        }
    }

    /// Bytes from here to `other`.
    pub fn way_to(self, other: Self) -> isize {
        (other.start() as isize).wrapping_sub(self.start() as isize)
    }

    /// How many there are.
    pub fn len(self) -> usize {
        match self {
            Self::F32(all) => all.len(),
            Self::F16(all) => all.len(),
            Self::Bf16(all) => all.len(),
            Self::I8(all) => all.len(),
        }
    }

    /// Whether reading them as f32 costs this machine nothing beside multiplying them.
    pub fn free_to_widen(self) -> bool {
        match self {
            Self::F32(_) => true,
            #[cfg(target_arch = "x86_64")]
            Self::F16(_) => level() == Level::Avx2,
            _ => false,
        }
    }

    /// The numbers in f32: as they are, or widened into `memory`.
    pub fn widened<'b>(self, memory: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        if let Self::F32(all) = self {
            return all;
        }
        memory.resize(self.len(), 0.0);
        self.widen(memory);
        memory
    }

    /// Writes the numbers to `out` as f32.
    pub fn widen(self, out: &mut [f32]) {
        match self {
            Self::F32(all) => out.copy_from_slice(all),
            Self::F16(all) => all.convert_to_f32_slice(out),
            Self::Bf16(all) => out.iter_mut().zip(all).for_each(|(out, x)| *out = x.to_f32()),
            Self::I8(all) => bytes::widen(all, out),
        }
    }
}

/// A slice that numbers are written to in its own type.
pub enum FloatsMut<'a> {
    /// 32 bits.
    F32(&'a mut [f32]),
    /// 16 bits, IEEE.
    F16(&'a mut [f16]),
    /// 16 bits, the upper half of an f32.
    Bf16(&'a mut [bf16]),
}

impl FloatsMut<'_> {
    /// Writes `numbers` from `at` on, each rounded to the nearest.
    pub fn write(&mut self, at: usize, numbers: &[f32]) {
        let range = at..at + numbers.len();
        match self {
            Self::F32(all) => all[range].copy_from_slice(numbers),
            Self::F16(all) => all[range].convert_from_f32_slice(numbers),
            Self::Bf16(all) => all[range].convert_from_f32_slice(numbers),
        }
    }
}

/// What the processor offers, from best to least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Avx512,
    Avx2,
    Neon,
    Scalar,
}

/// The best level of this machine; each check is one cached load.
pub fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("f16c")
        {
            return Level::Avx512;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
            return Level::Avx2;
        }
    }
    if cfg!(target_arch = "aarch64") { Level::Neon } else { Level::Scalar }
}

/// The levels that this machine has, for tests.
#[cfg(test)]
pub fn levels() -> Vec<Level> {
    [Level::Avx512, Level::Avx2, Level::Neon, Level::Scalar]
        .into_iter()
        .skip_while(|found| *found != level())
        .filter(|found| *found != Level::Neon || cfg!(target_arch = "aarch64"))
        .collect()
}
