//! One binary, so that Burn is linked once: `cargo test --release -p tests`.

mod conversations;
mod devices;
mod families;
mod formats;
mod gguf;
mod gradients;
mod house;
mod invariance;
mod laws;
mod parity;
mod support;
