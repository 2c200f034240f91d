//! Strips whose values were taken out of their bits once, for many tokens.
//!
//! A kernel takes values out of their bits for each panel, as most often there is but one. Where factors have steps that is a third of
//! its work, else a tenth: so for many panels a strip is unpacked into memory that stays in the cache meanwhile.

use super::kernel::{Factors, Lanes, Strip, Tile};
use super::table::Values;
use super::{Packed, ROWS};
use crate::ops::memory::{LINE, prefetch};

/// Panels from which on it pays to unpack a strip for them: many where a mask is all that it takes. Measured with AVX2.
pub fn panels(packed: &Packed) -> usize {
    let simple = packed.steps.is_none() && packed.table.is_none() && matches!(packed.bits, 4 | 8);
    match (cfg!(miri), simple) {
        // Soon, as Miri takes its time.
        (true, _) => 2,
        (false, true) => 16,
        (false, false) => 3,
    }
}

/// A byte for each value: the numbers that `V` has for them.
pub struct Numbers<V>(std::marker::PhantomData<V>);

impl<V: Values> Values for Numbers<V> {
    const BITS: usize = 8;
    const PARTS: usize = V::PARTS;
    #[cfg(target_arch = "aarch64")]
    const LARGE: bool = V::LARGE;
}

/// Where a strip is unpacked to.
#[derive(Default)]
pub struct Memory {
    values: Vec<Line>,
    factors: Vec<f32>,
}

/// So that no line of values lies across two of the cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "written and read as bytes")] [u8; LINE]);

impl Memory {
    /// What `strip` holds, as `T::Unpacked` reads it: until the next strip is unpacked.
    ///
    /// # Safety
    /// The processor has the features of `T`, and the strip can be read.
    #[inline(always)]
    pub unsafe fn unpack<T: Tile>(&mut self, strip: Strip) -> Strip {
        self.values.resize(strip.blocks * T::Unpacked::BITS, Line([0; LINE]));
        self.factors.resize(strip.blocks * T::PARTS * ROWS * (1 + usize::from(strip.minima)), 0.0);
        // SAFETY: there is room for every block, and the rest is as the caller promises.
        unsafe { if strip.steps.is_some() { self.fill::<T, true>(strip) } else { self.fill::<T, false>(strip) } }
        Strip { values: self.values.as_ptr().cast(), factors: Factors::F32(self.factors.as_ptr()), steps: None, ahead: 0, ..strip }
    }

    /// # Safety
    /// As [`Memory::unpack`], and there is room.
    #[inline(always)]
    unsafe fn fill<T: Tile, const STEPS: bool>(&mut self, strip: Strip) {
        let (mut values, mut factors) = (self.values.as_mut_ptr().cast::<u8>(), self.factors.as_mut_ptr());
        // SAFETY: as the caller promises.
        unsafe {
            for block in 0..strip.blocks {
                let lines = strip.block::<STEPS>(T::BITS, block);
                for line in 0..T::BITS {
                    prefetch(lines.wrapping_add(LINE * line + strip.ahead));
                }
                T::unpack(lines, values);
                values = values.add(LINE * T::Unpacked::BITS);
                for part in 0..T::PARTS {
                    for row in (0..ROWS).step_by(T::Lanes::ROWS) {
                        let [scale, minimum] = strip.factors::<T, STEPS>(block, part, row);
                        T::Lanes::store(scale, factors.add(row));
                        if strip.minima {
                            T::Lanes::store(minimum, factors.add(ROWS + row));
                        }
                    }
                    factors = factors.add(ROWS * (1 + usize::from(strip.minima)));
                }
            }
        }
    }
}
