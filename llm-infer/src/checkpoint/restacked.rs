//! Experts put together in one tensor of each kind, as gpt-oss stores them: `stacked.rs` the other way, in floats.

use std::collections::HashMap;

use burn::tensor::{DType, TensorData};

use super::source::{TensorInfo, WeightSource};
use super::stacked::{EXPERTS, transposed};
use crate::{Error, Result};

/// A source that shows `….experts.0.X.weight [out, in]` and those behind it as `….experts.X [experts, in, out]`, and biases as `X_bias`.
pub(super) struct Restacked<S> {
    source: S,
    tensors: Vec<TensorInfo>,
    /// The experts of each stack, in order.
    stacks: HashMap<String, Vec<TensorInfo>>,
}

impl<S: WeightSource> Restacked<S> {
    /// The tensors of `source`.
    ///
    /// # Errors
    /// Experts that are not counted from 0, or that differ in their dimensions.
    pub fn new(source: S) -> Result<Self> {
        let (mut order, mut stacks) = (Vec::new(), HashMap::<String, Vec<(usize, TensorInfo)>>::new());
        for info in source.tensors() {
            let (name, expert) = stack_of(&info.name).unwrap_or_else(|| (info.name.clone(), 0));
            let stack = stacks.entry(name.clone()).or_default();
            if stack.is_empty() {
                order.push(name);
            }
            stack.push((expert, info.clone()));
        }
        let (mut tensors, mut all) = (Vec::new(), HashMap::new());
        for name in order {
            let mut stack = stacks.remove(&name).unwrap_or_default();
            stack.sort_by_key(|(expert, _)| *expert);
            if stack.iter().enumerate().any(|(index, (expert, info))| index != *expert || info.shape != stack[0].1.shape) {
                let info = &stack[0].1;
                return Err(Error::invalid(
                    &info.file,
                    format!("tensor `{name}`"),
                    "experts that differ",
                    "experts of the same dimensions",
                ));
            }
            let parts: Vec<TensorInfo> = stack.into_iter().map(|(_, info)| info).collect();
            let first = &parts[0];
            let shape = if stack_of(&first.name).is_none() {
                first.shape.clone()
            } else {
                [parts.len()].into_iter().chain(first.shape.iter().rev().copied()).collect()
            };
            let bytes = parts.iter().map(|info| info.bytes).sum();
            tensors.push(TensorInfo { name: name.clone(), shape, bytes, ..first.clone() });
            all.insert(name, parts);
        }
        Ok(Self { source, tensors, stacks: all })
    }
}

/// The stack that the tensor `name` of an expert belongs to, and its number.
fn stack_of(name: &str) -> Option<(String, usize)> {
    let (layer, rest) = name.split_once(EXPERTS)?;
    let (expert, kind) = rest.split_once('.')?;
    let (kind, end) = kind.rsplit_once('.')?;
    let bias = if end == "bias" { "_bias" } else { "" };
    Some((format!("{layer}{EXPERTS}{kind}{bias}"), expert.parse().ok()?))
}

impl<S: WeightSource> WeightSource for Restacked<S> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<TensorData> {
        let parts = self.stacks.get(name).map_or(&[][..], Vec::as_slice);
        if parts.first().is_none_or(|info| stack_of(&info.name).is_none()) {
            return self.source.read(name);
        }
        let mut read = parts.iter().map(|info| self.source.read(&info.name)).collect::<Result<Vec<_>>>()?;
        if read.iter().any(|data| data.dtype() != read[0].dtype()) {
            read = read.into_iter().map(|data| data.convert_dtype(DType::F32)).collect();
        }
        let dtype = read[0].dtype();
        let shape: Vec<usize> = [parts.len()].into_iter().chain(parts[0].shape.iter().rev().copied()).collect();
        let turned = |data: TensorData| if data.shape().len() == 2 { transposed(&data) } else { data };
        let bytes = read.into_iter().flat_map(|data| turned(data).as_bytes().to_vec()).collect();
        Ok(TensorData::from_bytes_vec(bytes, shape, dtype))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experts_have_their_stack() {
        let stack = |name: &str| stack_of(&format!("model.layers.0.mlp.{name}"));
        assert_eq!(stack("experts.12.down_proj.weight"), Some(("model.layers.0.mlp.experts.down_proj".to_owned(), 12)));
        assert_eq!(stack("experts.0.gate_up_proj.bias"), Some(("model.layers.0.mlp.experts.gate_up_proj_bias".to_owned(), 0)));
        assert_eq!((stack("router.weight"), stack("experts.down_proj")), (None, None));
    }
}
