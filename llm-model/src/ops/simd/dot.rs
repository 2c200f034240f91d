//! The product of two rows, where there is but one: [`super::products`] would leave most of its tile empty.

use super::vector::{Plain, Vector};
use super::{Level, level};

/// Σ a · b.
///
/// # Panics
/// When the lengths differ.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dot_at(level(), a, b)
}

fn dot_at(level: Level, a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // SAFETY: the level was detected on this machine, and the lengths are equal.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => x86::avx512(a, b),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => x86::avx2(a, b),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => with::<super::vector::Neon>(a, b),
            _ => with::<Plain>(a, b),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::vector::{Avx2, Avx512};
    use super::with;

    /// # Safety
    /// The processor has the features, and the lengths are equal.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    pub unsafe fn avx512(a: &[f32], b: &[f32]) -> f32 {
        // SAFETY: as the caller promises.
        unsafe { with::<Avx512>(a, b) }
    }

    /// # Safety
    /// The processor has the features, and the lengths are equal.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub unsafe fn avx2(a: &[f32], b: &[f32]) -> f32 {
        // SAFETY: as the caller promises.
        unsafe { with::<Avx2>(a, b) }
    }
}

/// Four registers of sums in turn, then their lanes, then what does not fill a register.
///
/// # Safety
/// The processor has the features of `V`, and the lengths are equal.
#[inline(always)]
unsafe fn with<V: Vector>(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: every load ends within both slices.
    unsafe {
        let mut sums = [V::splat(0.0); 4];
        let mut at = 0;
        while at + V::LANES <= a.len() {
            let sum = &mut sums[at / V::LANES % 4];
            *sum = V::fma(V::f32s(a.as_ptr().add(at)), V::f32s(b.as_ptr().add(at)), *sum);
            at += V::LANES;
        }
        let mut lanes = [0.0; 64];
        for (index, sum) in sums.into_iter().enumerate() {
            V::store(sum, lanes.as_mut_ptr().add(index * V::LANES));
        }
        let rest: f32 = a[at..].iter().zip(&b[at..]).map(|(a, b)| a * b).sum();
        lanes[..4 * V::LANES].iter().sum::<f32>() + rest
    }
}

#[cfg(test)]
mod tests {
    use super::super::{levels, tests::Stored};
    use super::*;

    #[test]
    fn every_level_gives_the_exact_product() {
        for n in [0, 1, 7, 8, 16, 31, 64, 100, 129] {
            let (a, b) = (Stored::exact(n, 1).f32, Stored::exact(n, 2).f32);
            let want: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert!(levels().into_iter().all(|level| dot_at(level, &a, &b) == want), "{n}");
        }
    }
}
