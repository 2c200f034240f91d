//! From the stored dtype to the model's, and the search for values that are not numbers.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{DType, TensorData, bf16, f16};
use half::slice::HalfFloatSliceExt;
use llm_model::ops::threads;

use super::source::TensorInfo;
use crate::{Error, Result};

/// Numbers that one thread looks at at a time.
const PIECE: usize = 1 << 18;

/// `data` as `target`; a finite value that `target` cannot hold is refused, not turned into infinity.
pub(crate) fn convert(data: TensorData, target: DType, info: &TensorInfo) -> Result<TensorData> {
    if data.dtype() == target {
        return Ok(data);
    }
    if let Some(widened) = widen(&data, target) {
        return Ok(widened);
    }
    if let Some((index, value)) = first(&data, |value| value.is_finite() && value.abs() >= overflow(target)) {
        return Err(too_large(info, index, value, target));
    }
    data.try_cast(target)
        .map_err(|error| Error::invalid(&info.file, format!("tensor `{}`", info.name), error, format!("data of dtype {}", target.name())))
}

/// Puts `values`, which stand from `index` on in the tensor `info`, into the bytes of `out` as `target`, a type of floats; a value that
/// `target` cannot hold is refused.
pub(super) fn put(values: &[f32], index: usize, info: &TensorInfo, target: DType, out: &mut [u8]) -> Result<()> {
    let limit = overflow(target);
    if let Some(at) = values.iter().position(|value| f64::from(value.abs()) >= limit) {
        return Err(too_large(info, index + at, values[at].into(), target));
    }
    let halves = out.as_chunks_mut().0.iter_mut().zip(values);
    match target {
        DType::F16 => halves.for_each(|(half, value)| *half = f16::from_f32(*value).to_ne_bytes()),
        DType::BF16 => halves.for_each(|(half, value)| *half = bf16::from_f32(*value).to_ne_bytes()),
        _ => out.as_chunks_mut().0.iter_mut().zip(values).for_each(|(float, value)| *float = value.to_ne_bytes()),
    }
    Ok(())
}

fn too_large(info: &TensorInfo, index: usize, value: f64, target: DType) -> Error {
    let expected = format!("a value that {} can hold", target.name());
    Error::invalid(&info.file, place(info, index), format!("`{value:e}`"), expected).with_hint("load with `--dtype f32` or `--dtype bf16`")
}

/// Halves as f32, the commonest conversion, by the processor's own instructions.
fn widen(data: &TensorData, target: DType) -> Option<TensorData> {
    if target != DType::F32 || !matches!(data.dtype(), DType::F16 | DType::BF16) {
        return None;
    }
    let mut values = vec![0.0; data.num_elements()];
    match data.dtype() {
        DType::F16 => data.as_slice::<f16>().ok()?.convert_to_f32_slice(&mut values),
        _ => data.as_slice::<bf16>().ok()?.convert_to_f32_slice(&mut values),
    }
    Some(TensorData::new(values, data.shape().clone()))
}

/// Refuses the first NaN or infinity of `data`, naming tensor and index.
pub(crate) fn require_finite(data: &TensorData, info: &TensorInfo) -> Result<()> {
    if is_finite(data) {
        return Ok(());
    }
    match first(data, |value| !value.is_finite()) {
        Some((index, value)) => Err(Error::invalid(&info.file, place(info, index), format!("`{value}`"), "a finite number")
            .with_hint("the file is damaged; fetch it again")),
        None => Ok(()),
    }
}

/// Whether all floats are finite; looked at by all threads, without a way out of the loop, which would keep it from using vectors.
fn is_finite(data: &TensorData) -> bool {
    fn all<T: Sync>(values: &[T], finite: impl Fn(&T) -> bool + Sync) -> bool {
        let all = AtomicBool::new(true);
        threads::for_each(values.len().div_ceil(PIECE), |index| {
            let piece = &values[index * PIECE..values.len().min((index + 1) * PIECE)];
            if !piece.iter().fold(true, |all, value| all & finite(value)) {
                all.store(false, Ordering::Relaxed);
            }
        });
        all.into_inner()
    }
    match data.dtype() {
        DType::F32 => data.as_slice().is_ok_and(|values| all(values, |value: &f32| value.is_finite())),
        DType::F16 => data.as_slice().is_ok_and(|values| all(values, |value: &f16| value.is_finite())),
        DType::BF16 => data.as_slice().is_ok_and(|values| all(values, |value: &bf16| value.is_finite())),
        _ => false,
    }
}

/// The least magnitude that rounds to infinity in `target`.
fn overflow(target: DType) -> f64 {
    match target {
        DType::F16 => 65520.0,
        DType::BF16 => f64::from(f32::from_bits(0x7F7F_8000)),
        DType::F32 => f64::from(f32::MAX) * (1.0 + f64::EPSILON),
        _ => f64::INFINITY,
    }
}

/// Position and value of the first float that `found` picks; integers are never picked.
fn first(data: &TensorData, found: impl Fn(f64) -> bool) -> Option<(usize, f64)> {
    fn scan<T: Copy>(values: &[T], widen: impl Fn(T) -> f64, found: impl Fn(f64) -> bool) -> Option<(usize, f64)> {
        let index = values.iter().position(|value| found(widen(*value)))?;
        Some((index, widen(values[index])))
    }
    match data.dtype() {
        DType::F64 => scan(data.as_slice::<f64>().ok()?, |value| value, found),
        DType::F32 => scan(data.as_slice::<f32>().ok()?, f64::from, found),
        DType::F16 => scan(data.as_slice::<f16>().ok()?, f64::from, found),
        DType::BF16 => scan(data.as_slice::<bf16>().ok()?, f64::from, found),
        _ => None,
    }
}

/// `` tensor `name` at [2, 5] `` for the flat position `index`.
fn place(info: &TensorInfo, mut index: usize) -> String {
    let mut position = vec![0; info.shape.len()];
    for (at, dim) in position.iter_mut().zip(&info.shape).rev() {
        *at = index % dim;
        index /= dim;
    }
    format!("tensor `{}` at {position:?}", info.name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn info(shape: &[usize]) -> TensorInfo {
        TensorInfo {
            name: "w".to_owned(),
            dtype: DType::F32,
            shape: shape.to_vec(),
            bytes: 0,
            format: None,
            packing: None,
            file: Path::new("m").into(),
        }
    }

    #[test]
    fn halves_hold_what_they_can() {
        let data = TensorData::new(vec![1.0f32, -65519.0], [2]);
        let half = convert(data, DType::F16, &info(&[2])).unwrap();
        assert_eq!(half.as_slice::<f16>().unwrap(), [f16::from_f32(1.0), f16::MIN]);
        let error = convert(TensorData::new(vec![0.0f32, 1.0, 70000.0, 0.0], [2, 2]), DType::F16, &info(&[2, 2])).unwrap_err();
        assert_eq!(error.to_string(), "m: tensor `w` at [1, 0]: got `7e4`, expected a value that f16 can hold");
        let largest = TensorData::new(vec![f32::MAX], [1]);
        assert!(convert(largest.clone(), DType::BF16, &info(&[1])).is_err());
        assert!(convert(TensorData::new(vec![f64::from(f32::MAX)], [1]), DType::F32, &info(&[1])).is_ok());
        assert!(convert(TensorData::new(vec![1e39f64], [1]), DType::F32, &info(&[1])).is_err());
        assert!(convert(TensorData::new(vec![f32::NAN], [1]), DType::BF16, &info(&[1])).is_ok());
    }

    #[test]
    fn halves_widen_exactly() {
        let expected = [1.5, -0.25, f32::INFINITY];
        for data in
            [TensorData::new(expected.map(f16::from_f32).to_vec(), [3]), TensorData::new(expected.map(bf16::from_f32).to_vec(), [3])]
        {
            assert_eq!(convert(data, DType::F32, &info(&[3])).unwrap().as_slice::<f32>().unwrap(), expected);
        }
    }

    #[test]
    fn the_first_infinity_is_named() {
        let data = TensorData::new(vec![0.0f32, 1.0, 2.0, 3.0, f32::NEG_INFINITY, f32::NAN], [2, 3]);
        assert_eq!(
            require_finite(&data, &info(&[2, 3])).unwrap_err().to_string(),
            "m: tensor `w` at [1, 1]: got `-inf`, expected a finite number"
        );
        assert!(require_finite(&TensorData::new(vec![1i32], [1]), &info(&[1])).is_ok());
        let mut many = vec![f16::MAX; 2 * PIECE + 7];
        assert!(require_finite(&TensorData::new(many.clone(), [2 * PIECE + 7]), &info(&[2 * PIECE + 7])).is_ok());
        many[2 * PIECE + 6] = f16::NAN;
        let message = require_finite(&TensorData::new(many, [2 * PIECE + 7]), &info(&[2 * PIECE + 7])).unwrap_err().to_string();
        assert!(message.starts_with(&format!("m: tensor `w` at [{}]: got `NaN`", 2 * PIECE + 6)), "{message}");
    }
}
