//! Views of slices as matrices, and the calls of `gemm` on them.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::ops::threads;

/// A matrix as it lies in memory.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    height: usize,
    width: usize,
    /// Distance of neighbors in a column and in a row.
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Rows of `width` numbers, one after the other.
    pub fn rows(values: &'a [f32], width: usize) -> Self {
        Self { values, height: values.len() / width, width, strides: [width, 1] }
    }

    /// `height` rows of `width` numbers, each `stride` numbers after the one before.
    pub fn strided(values: &'a [f32], height: usize, width: usize, stride: usize) -> Self {
        Self { values, height, width, strides: [stride, 1] }
    }

    /// Rows as columns.
    pub fn transposed(self) -> Self {
        Self { height: self.width, width: self.height, strides: [self.strides[1], self.strides[0]], ..self }
    }

    fn columns(self, from: usize, count: usize) -> Self {
        Self { values: &self.values[from * self.strides[1]..], width: count, ..self }
    }

    /// The index of the last number.
    fn last(&self) -> usize {
        (self.height - 1) * self.strides[0] + (self.width - 1) * self.strides[1]
    }
}

/// Where a product goes: rows, of which other threads may write other columns.
pub struct Target<'a> {
    start: *mut f32,
    height: usize,
    width: usize,
    stride: usize,
    /// Whether the product is added to what is there.
    add: bool,
    borrowed: PhantomData<&'a mut [f32]>,
}

impl<'a> Target<'a> {
    /// All of `out` as rows of `width` numbers, which the product replaces.
    pub fn rows(out: &'a mut [f32], width: usize) -> Self {
        Self { start: out.as_mut_ptr(), height: out.len() / width, width, stride: width, add: false, borrowed: PhantomData }
    }

    /// The same, adding to what is there.
    pub fn added(self) -> Self {
        Self { add: true, ..self }
    }
}

/// Runs `work(from, count, target)` on all threads for blocks of `block` columns of `out`, whose rows have `width` numbers.
fn in_columns(out: &mut [f32], width: usize, block: usize, work: impl Fn(usize, usize, Target) + Sync) {
    let (start, height) = (AtomicPtr::new(out.as_mut_ptr()), out.len() / width);
    threads::for_each(width.div_ceil(block), |index| {
        let from = index * block;
        let count = block.min(width - from);
        // SAFETY: `from` lies within the first row of `out`, which is borrowed until all are done; the blocks are disjoint.
        let start = unsafe { start.load(Relaxed).add(from) };
        work(from, count, Target { start, height, width: count, stride: width, add: false, borrowed: PhantomData });
    });
}

/// out = a · b in row-major order, on all threads.
pub fn product(a: Matrix, b: Matrix, out: &mut [f32]) {
    let block = b.width.div_ceil(2 * threads::count()).max(16);
    in_columns(out, b.width, block, |from, count, target| multiply(a, b.columns(from, count), target));
}

/// out = a · b, or out + a · b, on the calling thread.
pub fn multiply(a: Matrix, b: Matrix, out: Target) {
    assert_eq!((a.width, a.height, b.width), (b.height, out.height, out.width), "the shapes of a product");
    assert!(a.height > 0 && a.width > 0 && b.width > 0 && a.last() < a.values.len() && b.last() < b.values.len());
    // SAFETY: both matrices lie within their slices, as was just checked; the target lies within the slice that it was made of
    // and belongs to this call alone.
    unsafe {
        gemm::gemm(
            a.height,
            b.width,
            a.width,
            out.start,
            1,
            out.stride as isize,
            out.add,
            a.values.as_ptr(),
            a.strides[1] as isize,
            a.strides[0] as isize,
            b.values.as_ptr(),
            b.strides[1] as isize,
            b.strides[0] as isize,
            f32::from(out.add),
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_views_have_their_known_values() {
        let a = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0]; // [[1, 2], [3, 4]] in rows of three
        let b = [5.0, 6.0, 7.0, 8.0]; // [[5, 6], [7, 8]]
        let mut out = vec![1.0; 4];
        multiply(Matrix::strided(&a, 2, 2, 3), Matrix::rows(&b, 2), Target::rows(&mut out, 2));
        assert_eq!(out, [19.0, 22.0, 43.0, 50.0]);
        multiply(Matrix::strided(&a, 2, 2, 3), Matrix::rows(&b, 2).transposed(), Target::rows(&mut out, 2).added());
        assert_eq!(out, [36.0, 45.0, 82.0, 103.0]);
        product(Matrix::rows(&b, 2).transposed(), Matrix::rows(&b, 2), &mut out);
        assert_eq!(out, [74.0, 86.0, 86.0, 100.0]);
    }
}
