//! Devices by the names that users type, and what of them this machine has.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{DType, Device};

use crate::{Error, Result};

/// A device as `--device` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The best GPU that is built in and present, else the CPU.
    #[default]
    Auto,
    /// The CPU through Burn's Flex backend (`cpu` or `flex`).
    Flex,
    /// The CPU through Burn's NdArray backend.
    NdArray,
    /// A GPU through WebGPU, by its index in `llm devices`.
    Wgpu(Option<usize>),
    /// A GPU through Vulkan with SPIR-V kernels.
    Vulkan(Option<usize>),
    /// An Apple GPU.
    Metal(Option<usize>),
    /// An NVIDIA GPU.
    Cuda(Option<usize>),
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || Error::request("--device", format!("`{text}`"), "auto, cpu, flex, ndarray, wgpu[:N], vulkan[:N], metal[:N] or cuda[:N]");
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        match (name, index) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu" | "flex", None) => Ok(Self::Flex),
            ("ndarray", None) => Ok(Self::NdArray),
            ("wgpu", index) => Ok(Self::Wgpu(index)),
            ("vulkan", index) => Ok(Self::Vulkan(index)),
            ("metal", index) => Ok(Self::Metal(index)),
            ("cuda", index) => Ok(Self::Cuda(index)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, index) = match self {
            Self::Auto => ("auto", None),
            Self::Flex => ("cpu", None),
            Self::NdArray => ("ndarray", None),
            Self::Wgpu(index) => ("wgpu", *index),
            Self::Vulkan(index) => ("vulkan", *index),
            Self::Metal(index) => ("metal", *index),
            Self::Cuda(index) => ("cuda", *index),
        };
        match index {
            Some(index) => write!(f, "{name}:{index}"),
            None => f.write_str(name),
        }
    }
}

/// A device that is there.
#[derive(Debug, Clone)]
pub struct DeviceInfo {
    /// What `--device` takes, as `wgpu:0`.
    pub name: String,
    /// What the hardware calls itself.
    pub description: String,
    /// Whether it is a card rather than a processor.
    pub gpu: bool,
    /// The device itself.
    pub device: Device,
}

impl DeviceInfo {
    /// The float types that the device computes with.
    pub fn dtypes(&self) -> Vec<&'static str> {
        [(DType::F32, "f32"), (DType::F16, "f16"), (DType::BF16, "bf16")]
            .into_iter()
            .filter(|(dtype, _)| self.device.supports_dtype(*dtype))
            .map(|(_, name)| name)
            .collect()
    }

    /// Whether this is the CPU through NdArray, which holds floats in f32 only.
    pub fn is_ndarray(&self) -> bool {
        self.name == "ndarray"
    }
}

/// Every device that is built in and present, best first for each kind.
pub fn list() -> Vec<DeviceInfo> {
    let mut found = Vec::new();
    #[cfg(feature = "cuda")]
    gpus(&mut found, "cuda", burn::tensor::DeviceType::Cuda);
    #[cfg(feature = "metal")]
    gpus(&mut found, "metal", burn::tensor::DeviceType::Metal);
    #[cfg(feature = "vulkan")]
    gpus(&mut found, "vulkan", burn::tensor::DeviceType::Vulkan);
    #[cfg(feature = "wgpu")]
    gpus(&mut found, "wgpu", burn::tensor::DeviceType::Wgpu);
    found.push(cpu());
    #[cfg(feature = "ndarray")]
    found.push(ndarray());
    found
}

#[cfg(feature = "ndarray")]
#[expect(deprecated, reason = "burn-ndarray is deprecated upstream, but users may still ask for it")]
fn ndarray() -> DeviceInfo {
    let description = format!("{} (Burn NdArray, f32 only)", processor());
    DeviceInfo { name: "ndarray".into(), description, gpu: false, device: Device::ndarray() }
}

fn cpu() -> DeviceInfo {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let description = format!("{}, {threads} threads (Burn Flex)", processor());
    DeviceInfo { name: "cpu".into(), description, gpu: false, device: Device::flex() }
}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn gpus(found: &mut Vec<DeviceInfo>, kind: &str, device_type: burn::tensor::DeviceType) {
    for (index, device) in Device::enumerate(device_type).into_vec().into_iter().enumerate() {
        let Some(identity) = device.identity() else { continue };
        let gpu = identity.physical.is_some();
        let description = if gpu { identity.name } else { format!("{} (software)", identity.name) };
        found.push(DeviceInfo { name: format!("{kind}:{index}"), description, gpu, device });
    }
}

/// Whether it is worth to look for a GPU: drivers that find none print to stderr of the process and take a second for it.
fn may_have_gpu() -> bool {
    let nodes = ["/dev/dri/renderD128", "/dev/dri/renderD129", "/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd"];
    !cfg!(target_os = "linux") || nodes.iter().any(|node| std::path::Path::new(node).exists())
}

/// The name of the processor, where the system tells it.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// Opens the device that `choice` names.
///
/// # Errors
/// [`Error::Device`] when it is not built in or not there, with the command that builds it or what there is instead.
pub fn open(choice: DeviceChoice) -> Result<DeviceInfo> {
    let (kind, index) = match choice {
        DeviceChoice::Flex => return Ok(cpu()),
        DeviceChoice::Auto if !may_have_gpu() => return Ok(cpu()),
        DeviceChoice::Auto => return Ok(list().into_iter().find(|device| device.gpu).unwrap_or_else(cpu)),
        #[cfg(feature = "ndarray")]
        DeviceChoice::NdArray => return Ok(ndarray()),
        #[cfg(not(feature = "ndarray"))]
        DeviceChoice::NdArray => ("ndarray", None),
        DeviceChoice::Wgpu(index) => ("wgpu", index),
        DeviceChoice::Vulkan(index) => ("vulkan", index),
        DeviceChoice::Metal(index) => ("metal", index),
        DeviceChoice::Cuda(index) => ("cuda", index),
    };
    if !built_in(kind) {
        return Err(Error::Device {
            device: choice.to_string(),
            message: format!("this program was built without {kind}"),
            hint: Some(format!("build it with `cargo run --release --features {kind} -- <command> --device {choice}`")),
        });
    }
    let all = list();
    let name = format!("{kind}:{}", index.unwrap_or(0));
    let found = all.iter().find(|device| device.name == name);
    found.cloned().ok_or_else(|| Error::Device {
        device: choice.to_string(),
        message: "there is no such device on this machine".into(),
        hint: Some(format!("available: {}", all.iter().map(|device| device.name.as_str()).collect::<Vec<_>>().join(", "))),
    })
}

fn built_in(kind: &str) -> bool {
    match kind {
        "ndarray" => cfg!(feature = "ndarray"),
        "wgpu" => cfg!(feature = "wgpu"),
        "vulkan" => cfg!(feature = "vulkan"),
        "metal" => cfg!(feature = "metal"),
        "cuda" => cfg!(feature = "cuda"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["auto", "cpu", "ndarray", "wgpu", "wgpu:1", "vulkan:0", "metal", "cuda:7"] {
            assert_eq!(name.parse::<DeviceChoice>().expect(name).to_string(), name);
        }
        for name in ["", "gpu", "cpu:0", "wgpu:", "wgpu:x", "cuda:-1"] {
            assert!(name.parse::<DeviceChoice>().is_err(), "{name}");
        }
    }

    #[test]
    fn the_cpu_is_always_there() {
        let names: Vec<_> = list().into_iter().map(|device| device.name).collect();
        assert!(names.iter().any(|name| name == "cpu"), "{names:?}");
        assert_eq!(open(DeviceChoice::Flex).expect("cpu").name, "cpu");
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_device_that_is_not_built_in_names_the_command() {
        let error = open(DeviceChoice::Cuda(None)).expect_err("not built in");
        assert!(error.hint().expect("hint").contains("--features cuda"), "{error}");
    }

    #[test]
    fn a_missing_index_lists_what_there_is() {
        if cfg!(feature = "wgpu") {
            let error = open(DeviceChoice::Wgpu(Some(99))).expect_err("no hundred cards");
            assert!(error.hint().expect("hint").contains("cpu"), "{error}");
        }
    }
}
