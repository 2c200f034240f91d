//! Products of f32 matrices on slices, through the `gemm` crate.

mod cpu;

pub use cpu::{Matrix, Target, multiply, product};
