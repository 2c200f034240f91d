//! ggml's blocks as our own: the same whole numbers and factors in another order.

use half::f16;
use llm_model::quant::QuantFormat;

use super::dequantize::scale_and_minimum;
use super::types::GgmlType;

/// The format of ours that has exactly the numbers of such blocks; `None` where there is none.
pub fn format(kind: GgmlType) -> Option<QuantFormat> {
    Some(match kind {
        GgmlType::Q8_0 => QuantFormat::Int8,
        GgmlType::Q4_0 => QuantFormat::Int4,
        GgmlType::Q4_1 => QuantFormat::Int4Asymmetric,
        GgmlType::Q5_0 => QuantFormat::Int5,
        GgmlType::Q5_1 => QuantFormat::Int5Asymmetric,
        GgmlType::Q2K => QuantFormat::Q2K,
        GgmlType::Q3K => QuantFormat::Q3K,
        GgmlType::Q4K => QuantFormat::Q4K,
        GgmlType::Q5K => QuantFormat::Q5K,
        GgmlType::Q6K => QuantFormat::Q6K,
        GgmlType::Iq4Nl => QuantFormat::Iq4Nl,
        GgmlType::Mxfp4 => QuantFormat::Mxfp4,
        _ => return None,
    })
}

/// Scale and minimum of the block `x`, whose values and, where the format has them, steps are written; zeros where it has none.
///
/// # Panics
/// When it is no block of a type that [`format`] has a format for.
pub fn unpack(kind: GgmlType, x: &[u8], values: &mut [u8], steps: &mut [[u8; 2]]) -> [f16; 2] {
    let half = |at: usize| f16::from_le_bytes([x[at], x[at + 1]]);
    match kind {
        // Signed bytes, where ours stand 128 higher.
        GgmlType::Q8_0 => values.iter_mut().zip(&x[2..]).for_each(|(value, byte)| *value = byte ^ 0x80),
        GgmlType::Q4_0 | GgmlType::Iq4Nl => nibbles(&x[2..18], values),
        GgmlType::Q4_1 => nibbles(&x[4..20], values),
        // An exponent in place of a scale.
        GgmlType::Mxfp4 => {
            nibbles(&x[1..17], values);
            return [f16::ZERO; 2];
        }
        GgmlType::Q5_0 => fives(&x[2..22], values),
        GgmlType::Q5_1 => fives(&x[4..24], values),
        GgmlType::Q2K => {
            twos(&x[16..80], values);
            steps.copy_from_slice(x[..16].as_chunks().0);
            return [half(80), -half(82)];
        }
        GgmlType::Q3K => {
            q3_k(x, values, steps);
            return [half(108), f16::ZERO];
        }
        GgmlType::Q4K | GgmlType::Q5K => {
            let (fifth, low) = if kind == GgmlType::Q5K { (Some(&x[16..48]), &x[48..]) } else { (None, &x[16..]) };
            for (block, values) in values.chunks_exact_mut(32).enumerate() {
                for (i, value) in values.iter_mut().enumerate() {
                    let bit = fifth.map_or(0, |fifth| (fifth[i] >> block & 1) << 4);
                    *value = low[block / 2 * 32 + i] >> (block % 2 * 4) & 15 | bit;
                }
            }
            steps.iter_mut().enumerate().for_each(|(block, steps)| *steps = scale_and_minimum(&x[4..16], block).into());
            return [half(0), -half(2)];
        }
        GgmlType::Q6K => {
            q6_k(x, values);
            steps.copy_from_slice(x[192..208].as_chunks().0);
            return [half(208), f16::ZERO];
        }
        other => unreachable!("{} has no packed form", other.name()),
    }
    let minimum = matches!(kind, GgmlType::Q4_1 | GgmlType::Q5_1);
    [half(0), if minimum { half(2) } else { f16::ZERO }]
}

/// The low halves of 16 bytes, then the high ones.
fn nibbles(x: &[u8], values: &mut [u8]) {
    let (low, high) = values.split_at_mut(16);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(x) {
        (*low, *high) = (byte & 15, byte >> 4);
    }
}

/// As [`nibbles`], with a fifth bit for each in the four bytes before.
fn fives(x: &[u8], values: &mut [u8]) {
    let fifth = u32::from_le_bytes([x[0], x[1], x[2], x[3]]);
    nibbles(&x[4..], values);
    values.iter_mut().enumerate().for_each(|(i, value)| *value |= ((fifth >> i & 1) as u8) << 4);
}

/// Two bits each: 32 bytes have the first, second, third and last 32 of 128 values.
fn twos(x: &[u8], values: &mut [u8]) {
    for (values, bytes) in values.chunks_exact_mut(128).zip(x.chunks_exact(32)) {
        for (quarter, values) in values.chunks_exact_mut(32).enumerate() {
            values.iter_mut().zip(bytes).for_each(|(value, byte)| *value = byte >> (2 * quarter) & 3);
        }
    }
}

/// A third bit for each value, two bits for each, scales of six bits.
fn q3_k(x: &[u8], values: &mut [u8], steps: &mut [[u8; 2]]) {
    let (high, scales) = (&x[..32], &x[96..108]);
    twos(&x[32..96], values);
    for (block, values) in values.chunks_exact_mut(32).enumerate() {
        values.iter_mut().zip(high).for_each(|(value, byte)| *value |= (byte >> block & 1) << 2);
    }
    for (place, step) in steps.as_flattened_mut().iter_mut().enumerate() {
        let low = scales[place % 8] >> (place / 8 * 4) & 15;
        *step = (low | (scales[8 + place % 4] >> (place / 4 * 2) & 3) << 4).wrapping_sub(32);
    }
}

/// Four bits for each value, then two bits for each.
fn q6_k(x: &[u8], values: &mut [u8]) {
    let (low, high) = (&x[..128], &x[128..192]);
    for (group, values) in values.chunks_exact_mut(32).enumerate() {
        let (part, group) = (group / 4, group % 4);
        let low = &low[part * 64 + group % 2 * 32..][..32];
        let high = &high[part * 32..][..32];
        for ((value, low), high) in values.iter_mut().zip(low).zip(high) {
            *value = low >> (group / 2 * 4) & 15 | (high >> (2 * group) & 3) << 4;
        }
    }
}
