//! `llm devices`: what can run a model here, and what would have to be built in.

use std::io::Write;

use llm_infer::device;
use serde_json::json;

use super::{Environment, print_json};

/// The kinds that are features of the build, whether they are built in, and what they are.
const KINDS: [(&str, bool, &str); 5] = [
    ("ndarray", cfg!(feature = "ndarray"), "CPU through Burn's NdArray"),
    ("wgpu", cfg!(feature = "wgpu"), "GPUs through WebGPU"),
    ("vulkan", cfg!(feature = "vulkan"), "GPUs through Vulkan with SPIR-V kernels"),
    ("metal", cfg!(feature = "metal"), "Apple GPUs"),
    ("cuda", cfg!(feature = "cuda"), "NVIDIA GPUs"),
];

pub fn run(environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let devices = device::list();
    let absent = KINDS.iter().filter(|(_, built_in, _)| !built_in);
    let command = |kind: &str| format!("cargo build --release --features {kind}");
    if environment.common.json {
        let devices: Vec<_> = devices
            .iter()
            .map(|device| json!({"name": device.name, "description": device.description, "gpu": device.gpu, "dtypes": device.dtypes()}))
            .collect();
        let absent: Vec<_> = absent.map(|(kind, _, what)| json!({"name": kind, "description": what, "build": command(kind)})).collect();
        return print_json(&json!({"devices": devices, "not_built_in": absent}), out);
    }
    let width = devices.iter().map(|device| device.name.len()).max().unwrap_or(0);
    for device in &devices {
        writeln!(out, "{:<width$}  {:<14}  {}", device.name, device.dtypes().join(" "), device.description)?;
    }
    for (index, (kind, _, what)) in absent.enumerate() {
        if index == 0 {
            writeln!(out, "\nnot built in:")?;
        }
        writeln!(out, "  {kind:<8}  {what}: {}", command(kind))?;
    }
    Ok(())
}
