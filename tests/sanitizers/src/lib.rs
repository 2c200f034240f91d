//! The kernels on slices and the compute pool of llm-model, with their tests.
#![allow(dead_code, unused_imports)]

#[path = "../../../llm-model/src/ops"]
mod ops {
    #[path = "ahead.rs"]
    mod ahead;
    #[path = "simd/mod.rs"]
    mod simd;
    #[path = "threads.rs"]
    mod threads;
    /// Stands for `memory.rs`, which gives advice to the system alone.
    mod memory {
        pub const LINE: usize = 64;
        pub fn keep_freed() {}
        pub fn prefetch(_: *const u8) {}
    }
}
