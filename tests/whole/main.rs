//! One binary, so that Burn is linked once: `cargo test --release -p tests`.

mod conversations;
mod devices;
mod families;
mod faults;
mod formats;
mod gguf;
mod gradients;
mod grouped;
mod house;
mod invariance;
mod laws;
mod malformed;
mod memory;
mod mxfp4;
mod parity;
mod support;
