//! The kernels on slices and the compute pool of llm-model, with their tests.
#![allow(dead_code, unused_imports)]

#[path = "../../../llm-model/src/ops"]
mod ops {
    #[path = "simd/mod.rs"]
    mod simd;
    #[path = "threads.rs"]
    mod threads;
    /// Stands for `memory.rs`, which gives advice to the system alone.
    mod memory {
        pub fn keep_freed() {}
    }
}
