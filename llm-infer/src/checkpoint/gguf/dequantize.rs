//! What the blocks of ggml's types mean, as f32; every product and sum is rounded by itself, as in ggml's reference.

use half::{bf16, f16};

use super::types::GgmlType;

/// The values of IQ4_NL.
const IQ4_NL: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/// Twice the values of MXFP4's four bits.
const MXFP4: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
/// Elements of a block of the K types.
const SUPER: usize = 256;

/// Writes the numbers of `blocks` of `kind` to `out`.
///
/// # Panics
/// When there are more or fewer than `out` has room for.
pub fn dequantize(kind: GgmlType, blocks: &[u8], out: &mut [f32]) {
    assert_eq!(kind.bytes(out.len() as u64), Some(blocks.len() as u64), "blocks of {} numbers of {}", out.len(), kind.name());
    let mut each = |decode: fn(&[u8], &mut [f32])| {
        for (block, out) in blocks.chunks_exact(kind.block_bytes()).zip(out.chunks_exact_mut(kind.block())) {
            decode(block, out);
        }
    };
    match kind {
        GgmlType::F32 => each(|x, out| out[0] = f32::from_le_bytes(bytes(x, 0))),
        GgmlType::F16 => each(|x, out| out[0] = half(x, 0)),
        GgmlType::Bf16 => each(|x, out| out[0] = bf16::from_le_bytes(bytes(x, 0)).to_f32()),
        GgmlType::F64 => each(|x, out| out[0] = f64::from_le_bytes(bytes(x, 0)) as f32),
        GgmlType::I8 => each(|x, out| out[0] = f32::from(x[0] as i8)),
        GgmlType::I16 => each(|x, out| out[0] = f32::from(i16::from_le_bytes(bytes(x, 0)))),
        GgmlType::I32 => each(|x, out| out[0] = i32::from_le_bytes(bytes(x, 0)) as f32),
        GgmlType::I64 => each(|x, out| out[0] = i64::from_le_bytes(bytes(x, 0)) as f32),
        GgmlType::Q4_0 => each(|x, out| with(half(x, 0), 0.0, |d, _| nibbles(&x[2..], out, |q| d * (f32::from(q) - 8.0)))),
        GgmlType::Q4_1 => each(|x, out| with(half(x, 0), half(x, 2), |d, m| nibbles(&x[4..], out, |q| d * f32::from(q) + m))),
        GgmlType::Iq4Nl => each(|x, out| with(half(x, 0), 0.0, |d, _| nibbles(&x[2..], out, |q| d * f32::from(IQ4_NL[usize::from(q)])))),
        GgmlType::Mxfp4 => {
            each(|x, out| with(half_power(x[0]), 0.0, |d, _| nibbles(&x[1..], out, |q| d * f32::from(MXFP4[usize::from(q)]))))
        }
        GgmlType::Q5_0 => each(|x, out| with(half(x, 0), 0.0, |d, _| fives(&x[2..], out, |q| d * (f32::from(q) - 16.0)))),
        GgmlType::Q5_1 => each(|x, out| with(half(x, 0), half(x, 2), |d, m| fives(&x[4..], out, |q| d * f32::from(q) + m))),
        GgmlType::Q8_0 => each(|x, out| {
            with(half(x, 0), 0.0, |d, _| out.iter_mut().zip(&x[2..]).for_each(|(out, q)| *out = d * f32::from(*q as i8)));
        }),
        GgmlType::Q2K => each(q2_k),
        GgmlType::Q3K => each(q3_k),
        GgmlType::Q4K => each(|x, out| q4_or_q5_k(x, None, &x[16..], out)),
        GgmlType::Q5K => each(|x, out| q4_or_q5_k(x, Some(&x[16..48]), &x[48..], out)),
        GgmlType::Q6K => each(q6_k),
    }
}

/// The two factors of a block, read once.
fn with(scale: f32, minimum: f32, decode: impl FnOnce(f32, f32)) {
    decode(scale, minimum);
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| from[at + i])
}

fn half(from: &[u8], at: usize) -> f32 {
    f16::from_le_bytes(bytes(from, at)).to_f32()
}

/// 2^(exponent − 128), half of what E8M0 says, as [`MXFP4`] has twice the values.
fn half_power(exponent: u8) -> f32 {
    f32::from_bits(if exponent < 2 { 0x0020_0000 << exponent } else { (u32::from(exponent) - 1) << 23 })
}

/// The low halves of 16 bytes, then the high ones.
fn nibbles(x: &[u8], out: &mut [f32], value: impl Fn(u8) -> f32) {
    for (i, byte) in x[..16].iter().enumerate() {
        (out[i], out[16 + i]) = (value(byte & 15), value(byte >> 4));
    }
}

/// As [`nibbles`], with a fifth bit for each element in the four bytes before.
fn fives(x: &[u8], out: &mut [f32], value: impl Fn(u8) -> f32) {
    let fifth = u32::from_le_bytes(bytes(x, 0));
    let bit = |i: usize| ((fifth >> i & 1) as u8) << 4;
    for (i, byte) in x[4..20].iter().enumerate() {
        (out[i], out[16 + i]) = (value(byte & 15 | bit(i)), value(byte >> 4 | bit(16 + i)));
    }
}

/// 16 scales and minima of four bits, two bits an element, then both factors.
fn q2_k(x: &[u8], out: &mut [f32]) {
    let (scales, values) = (&x[..16], &x[16..80]);
    let (d, minimum) = (half(x, 80), half(x, 82));
    for i in 0..SUPER {
        let (scale, min) = (d * f32::from(scales[i / 16] & 15), minimum * f32::from(scales[i / 16] >> 4));
        let q = values[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
        out[i] = scale * f32::from(q) - min;
    }
}

/// A third bit for each element, two bits an element, 16 scales of six bits, then the factor.
fn q3_k(x: &[u8], out: &mut [f32]) {
    let (high, values, scales, d) = (&x[..32], &x[32..96], &x[96..108], half(x, 108));
    for i in 0..SUPER {
        let place = i / 16;
        let low = scales[place % 8] >> (place / 8 * 4) & 15;
        let scale = d * (f32::from(low | (scales[8 + place % 4] >> (place / 4 * 2) & 3) << 4) - 32.0);
        let q = values[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
        let third = if high[i % 32] >> (i / 32) & 1 == 0 { 4.0 } else { 0.0 };
        out[i] = scale * (f32::from(q) - third);
    }
}

/// Factors, then eight scales and minima of six bits in twelve bytes, then perhaps a fifth bit and four bits an element.
fn q4_or_q5_k(x: &[u8], fifth: Option<&[u8]>, values: &[u8], out: &mut [f32]) {
    let (d, minimum) = (half(x, 0), half(x, 2));
    for (block, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, min) = scale_and_minimum(&x[4..16], block);
        let (scale, min) = (d * f32::from(scale), minimum * f32::from(min));
        for (i, out) in out.iter_mut().enumerate() {
            let low = values[block / 2 * 32 + i] >> (block % 2 * 4) & 15;
            let bit = fifth.map_or(0, |fifth| (fifth[i] >> block & 1) << 4);
            *out = scale * f32::from(low | bit) - min;
        }
    }
}

/// Scale and minimum of one of eight blocks: the first four lie as they are, the others in what these leave.
pub(super) fn scale_and_minimum(packed: &[u8], block: usize) -> (u8, u8) {
    if block < 4 {
        return (packed[block] & 63, packed[4 + block] & 63);
    }
    let rest = packed[4 + block];
    (rest & 15 | packed[block - 4] >> 2 & 48, rest >> 4 | packed[block] >> 2 & 48)
}

/// Four bits an element, two bits an element, 16 signed scales, then the factor.
fn q6_k(x: &[u8], out: &mut [f32]) {
    let (low, high, scales, d) = (&x[..128], &x[128..192], &x[192..208], half(x, 208));
    for i in 0..SUPER {
        let (part, group, place) = (i / 128, i % 128 / 32, i % 32);
        let four = low[part * 64 + group % 2 * 32 + place] >> (group / 2 * 4) & 15;
        let two = high[part * 32 + place] >> (2 * group) & 3;
        out[i] = d * f32::from(scales[i / 16] as i8) * (f32::from(four | two << 4) - 32.0);
    }
}
