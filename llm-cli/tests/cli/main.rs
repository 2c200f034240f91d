//! The command line as its users see it: output, errors, exit codes. The models are the fixtures of `tests/fixtures`.

mod batch;
mod bench;
#[cfg(unix)]
mod broken_off;
mod cache;
mod convert;
mod errors;
mod eval;
mod generate;
mod help;
#[cfg(unix)]
mod interrupt;
mod models;
mod quantize;
mod support;
#[cfg(unix)]
mod terminal;
mod tools;
