//! ggml's blocks as our own: the same whole numbers and factors in another order.

use half::f16;
use llm_model::quant::{QuantFormat, RowsMut};

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

/// Writes values, factors and steps of `blocks` of `kind` to `out`.
///
/// # Panics
/// When they are of a type that [`format`] has no format for, or fewer than `out` has room for.
pub fn unpack(kind: GgmlType, blocks: &[u8], out: RowsMut) {
    match kind {
        // Signed bytes, where ours stand 128 higher.
        GgmlType::Q8_0 => each(blocks, out, |x: &[u8; 34], values| {
            values.copy_from_slice(&x[2..]);
            values.iter_mut().for_each(|value| *value ^= 0x80);
            [half(x, 0), f16::ZERO]
        }),
        GgmlType::Q4_0 | GgmlType::Iq4Nl => each(blocks, out, |x: &[u8; 18], values| {
            nibbles(&x[2..], values);
            [half(x, 0), f16::ZERO]
        }),
        GgmlType::Q4_1 => each(blocks, out, |x: &[u8; 20], values| {
            nibbles(&x[4..], values);
            [half(x, 0), half(x, 2)]
        }),
        // An exponent in place of a scale.
        GgmlType::Mxfp4 => {
            let places = out.values.as_chunks_mut().0.iter_mut().zip(out.exponents).zip(blocks.as_chunks::<17>().0);
            for ((values, exponent), block) in places {
                nibbles(&block[1..], values);
                *exponent = block[0];
            }
        }
        GgmlType::Q5_0 => each(blocks, out, |x: &[u8; 22], values| {
            fives(&x[2..], values);
            [half(x, 0), f16::ZERO]
        }),
        GgmlType::Q5_1 => each(blocks, out, |x: &[u8; 24], values| {
            fives(&x[4..], values);
            [half(x, 0), half(x, 2)]
        }),
        GgmlType::Q2K => each_super(blocks, out, |x: &[u8; 84], values, steps| {
            twos(&x[16..80], values);
            steps.copy_from_slice(x[..16].as_chunks().0);
            [half(x, 80), -half(x, 82)]
        }),
        GgmlType::Q3K => each_super(blocks, out, |x: &[u8; 110], values, steps| {
            q3_k(x, values, steps);
            [half(x, 108), f16::ZERO]
        }),
        GgmlType::Q4K => each_super(blocks, out, |x: &[u8; 144], values, steps| {
            for (pair, x) in values.as_chunks_mut::<64>().0.iter_mut().zip(x[16..].as_chunks::<32>().0) {
                halves(x, pair);
            }
            q4_or_q5_k(x, steps)
        }),
        GgmlType::Q5K => each_super(blocks, out, |x: &[u8; 176], values, steps| {
            let fifth = own::<32>(x, 16);
            for (pair, (values, low)) in values.as_chunks_mut::<64>().0.iter_mut().zip(x[48..].as_chunks::<32>().0).enumerate() {
                halves(low, values);
                for (block, values) in values.as_chunks_mut::<32>().0.iter_mut().enumerate() {
                    values.iter_mut().zip(&fifth).for_each(|(value, bits)| *value |= (bits >> (2 * pair + block) & 1) << 4);
                }
            }
            q4_or_q5_k(x, steps)
        }),
        GgmlType::Q6K => each_super(blocks, out, |x: &[u8; 210], values, steps| {
            q6_k(x, values);
            steps.copy_from_slice(x[192..208].as_chunks().0);
            [half(x, 208), f16::ZERO]
        }),
        other => unreachable!("{} has no packed form", other.name()),
    }
}

/// Calls `put` for each block of `BYTES`, which fills its values and returns scale and minimum.
fn each<const BYTES: usize>(blocks: &[u8], out: RowsMut, put: impl Fn(&[u8; BYTES], &mut [u8; 32]) -> [f16; 2]) {
    let places = out.values.as_chunks_mut().0.iter_mut().zip(blocks.as_chunks().0);
    for (at, (values, block)) in places.enumerate() {
        let [scale, minimum] = put(block, values);
        out.scales[at] = scale;
        if let Some(place) = out.minima.get_mut(at) {
            *place = minimum;
        }
    }
}

/// As [`each`] for superblocks, whose steps `put` fills, too.
fn each_super<const BYTES: usize>(blocks: &[u8], out: RowsMut, put: impl Fn(&[u8; BYTES], &mut [u8; 256], &mut [[u8; 2]; 8]) -> [f16; 2]) {
    let places = out.values.as_chunks_mut().0.iter_mut().zip(out.steps.as_chunks_mut().0).zip(blocks.as_chunks().0);
    for (at, ((values, steps), block)) in places.enumerate() {
        let [scale, minimum] = put(block, values, steps);
        out.scales[at] = scale;
        if let Some(place) = out.minima.get_mut(at) {
            *place = minimum;
        }
    }
}

fn half(x: &[u8], at: usize) -> f16 {
    f16::from_le_bytes([x[at], x[at + 1]])
}

/// The `N` bytes of `x` from `at` on, of their own: where bytes and values might be the same memory, the compiler takes them one by one.
fn own<const N: usize>(x: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&x[at..at + N]);
    bytes
}

/// The low halves of 32 bytes, then the high ones.
fn halves(x: &[u8], values: &mut [u8; 64]) {
    let (x, (low, high)) = (own::<32>(x, 0), values.split_at_mut(32));
    low.iter_mut().zip(&x).for_each(|(low, byte)| *low = byte & 15);
    high.iter_mut().zip(&x).for_each(|(high, byte)| *high = byte >> 4);
}

/// The factors, and the steps of the eight blocks.
fn q4_or_q5_k(x: &[u8], steps: &mut [[u8; 2]; 8]) -> [f16; 2] {
    steps.iter_mut().enumerate().for_each(|(block, steps)| *steps = scale_and_minimum(&x[4..16], block).into());
    [half(x, 0), -half(x, 2)]
}

/// The low halves of 16 bytes, then the high ones.
fn nibbles(x: &[u8], values: &mut [u8; 32]) {
    let (x, (low, high)) = (own::<16>(x, 0), values.split_at_mut(16));
    low.iter_mut().zip(&x).for_each(|(low, byte)| *low = byte & 15);
    high.iter_mut().zip(&x).for_each(|(high, byte)| *high = byte >> 4);
}

/// As [`nibbles`], with a fifth bit for each in the four bytes before.
fn fives(x: &[u8], values: &mut [u8; 32]) {
    nibbles(&x[4..], values);
    for (values, fifths) in values.as_chunks_mut().0.iter_mut().zip(&x[..4]) {
        // Bit i of eight stands alone in byte i, and carries into the highest bit of that.
        let alone = (u64::from(*fifths) * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
        let sixteens = (alone + 0x7f7f_7f7f_7f7f_7f7f) >> 3 & 0x1010_1010_1010_1010;
        *values = (u64::from_le_bytes(*values) | sixteens).to_le_bytes();
    }
}

/// Two bits each: 32 bytes have the first, second, third and last 32 of 128 values.
fn twos(x: &[u8], values: &mut [u8; 256]) {
    for (part, values) in values.as_chunks_mut::<128>().0.iter_mut().enumerate() {
        let x = own::<32>(x, 32 * part);
        for (quarter, values) in values.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            values.iter_mut().zip(&x).for_each(|(value, byte)| *value = byte >> (2 * quarter) & 3);
        }
    }
}

/// A third bit for each value, two bits for each, scales of six bits.
fn q3_k(x: &[u8; 110], values: &mut [u8; 256], steps: &mut [[u8; 2]; 8]) {
    let (high, scales) = (own::<32>(x, 0), &x[96..108]);
    twos(&x[32..96], values);
    for (block, values) in values.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        values.iter_mut().zip(&high).for_each(|(value, byte)| *value |= (byte >> block & 1) << 2);
    }
    for (place, step) in steps.as_flattened_mut().iter_mut().enumerate() {
        let low = scales[place % 8] >> (place / 8 * 4) & 15;
        *step = (low | (scales[8 + place % 4] >> (place / 4 * 2) & 3) << 4).wrapping_sub(32);
    }
}

/// Four bits for each value, then two bits for each.
fn q6_k(x: &[u8; 210], values: &mut [u8; 256]) {
    for (group, values) in values.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (part, group) = (group / 4, group % 4);
        let low = own::<32>(x, part * 64 + group % 2 * 32);
        let high = own::<32>(x, 128 + part * 32);
        for ((value, low), high) in values.iter_mut().zip(&low).zip(&high) {
            *value = low >> (group / 2 * 4) & 15 | (high >> (2 * group) & 3) << 4;
        }
    }
}
