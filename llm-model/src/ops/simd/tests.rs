//! Numbers for the tests of the kernels.

use half::{bf16, f16};

use super::Floats;

/// The same numbers in each type.
pub struct Stored {
    pub f32: Vec<f32>,
    f16: Vec<f16>,
    bf16: Vec<bf16>,
    i8: Vec<i8>,
}

impl Stored {
    /// Whole numbers between -32 and 32: exact in every type, and in every order of summation.
    pub fn exact(count: usize, seed: usize) -> Self {
        Self::of((0..count).map(|i| ((i * 37 + seed * 11) % 64) as f32 - 32.0))
    }

    /// Numbers whose sums are rounded; in 8 bits what is left of them.
    pub fn random(count: usize, seed: usize) -> Self {
        Self::of((0..count).map(|i| ((i * 7919 + seed * 104_729) % 10_007) as f32 / 50.0 - 100.0))
    }

    fn of(numbers: impl Iterator<Item = f32>) -> Self {
        let f32: Vec<f32> = numbers.collect();
        let (f16, bf16) = (f32.iter().map(|x| f16::from_f32(*x)).collect(), f32.iter().map(|x| bf16::from_f32(*x)).collect());
        Self { f16, bf16, i8: f32.iter().map(|x| *x as i8).collect(), f32 }
    }

    pub fn all(&self) -> [Floats<'_>; 4] {
        [Floats::F32(&self.f32), Floats::F16(&self.f16), Floats::Bf16(&self.bf16), Floats::I8(&self.i8)]
    }
}
