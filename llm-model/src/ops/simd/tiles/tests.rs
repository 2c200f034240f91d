//! Every kernel of this machine gives the bits of the plain one, whatever is computed beside.

use half::{bf16, f16};

use super::*;

/// Rows and width.
const SIZES: &[(usize, usize)] = if cfg!(miri) { &[(17, 33)] } else { &[(1, 1), (5, 32), (16, 172), (17, 64), (40, 31), (17, 300)] };

pub(super) fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// The outputs `[tokens, rows]` of `kernel`, strip by strip.
fn outputs(packed: &Packed, x: &[f32], width: usize, kernel: Kernel) -> Vec<u32> {
    let x = Activations::quantize(x, width, packed.zero, kernel);
    let tokens = (0..x.panels()).map(|panel| x.place(panel).1).sum::<usize>();
    let mut out = vec![f32::NAN; tokens * packed.rows];
    for strip in 0..packed.strips() {
        let target = Target { start: out.as_mut_ptr(), stride: packed.rows };
        // SAFETY: `out` has a number for each row of every token.
        unsafe { product(packed, strip..strip + 1, &x, target) };
    }
    out.iter().map(|x| x.to_bits()).collect()
}

/// Bits, whether there are minima, steps, and a table.
const FORMATS: [(usize, bool, Option<Steps>, Option<Table>); 14] = [
    (4, false, None, None),
    (4, true, None, None),
    (8, false, None, None),
    (8, true, None, None),
    (5, false, None, None),
    (5, true, None, None),
    (6, false, None, None),
    (2, true, Some(Steps::Nibbles), None),
    (3, false, Some(Steps::Halves), None),
    (4, true, Some(Steps::Both), None),
    (5, true, Some(Steps::Both), None),
    (6, false, Some(Steps::Halves), None),
    (4, false, None, Some(Table::Mxfp4)),
    (4, false, None, Some(Table::Iq4Nl)),
];

/// What stands for 0.
fn zero(bits: usize, minima: bool, table: Option<Table>) -> i32 {
    match table {
        Some(table) => table.zero().into(),
        None if minima => 0,
        None => 1 << (bits - 1),
    }
}

#[test]
fn every_kernel_gives_the_bits_of_the_plain_one() {
    for (bits, minima, steps, table) in FORMATS {
        for &(rows, width) in SIZES {
            let mut next = random((rows * width * bits) as u64);
            let blocks = width.div_ceil(BLOCK);
            let zero = zero(bits, minima, table);
            let empty = Packed { bits, table, zero, minima, steps, rows, blocks, values: &[], factors: Floats::F32(&[]) };
            let values: Vec<i32> = (0..empty.strips() * empty.words_of_strip()).map(|_| next() as i32).collect();
            let count = empty.strips() * empty.factors_of_strip();
            let factors: Vec<f32> = (0..count).map(|_| (next() % 128) as f32 / 64.0 - 1.0).collect();
            // Miri does not know the instructions that convert halves.
            let halves: Vec<f16> = if cfg!(miri) { Vec::new() } else { factors.iter().map(|x| f16::from_f32(*x)).collect() };
            let brief: Vec<bf16> = factors.iter().map(|x| bf16::from_f32(*x)).collect();
            let wide = Packed { values: &values, factors: Floats::F32(&factors), ..empty };
            // Sixty-fourths of so few bits are the same in all types.
            let narrow = [Floats::Bf16(&brief), Floats::F16(&halves)].map(|factors| Packed { factors, ..wide });
            // So many that every kernel unpacks strips for them.
            let most = if cfg!(miri) { 13 } else { 16 * 12 + 1 };
            let x: Vec<f32> = (0..most * width).map(|_| (next() % 20_001) as f32 / 1000.0 - 10.0).collect();
            let scalar = *Kernel::all(bits, table, steps).last().expect("there is a plain kernel");
            let singles: Vec<Vec<u32>> = x.chunks(width).map(|x| outputs(&wide, x, width, scalar)).collect();
            for kernel in Kernel::all(bits, table, steps) {
                for tokens in if cfg!(miri) { vec![1, most] } else { (1..=17).chain([most]).collect() } {
                    let expected = singles[..tokens].concat();
                    for packed in &[wide, narrow[0], narrow[1]][..if cfg!(miri) { 2 } else { 3 }] {
                        let got = outputs(packed, &x[..tokens * width], width, kernel);
                        assert_eq!(got, expected, "{kernel:?} minima {minima} {steps:?} {rows} x {width}, {tokens} tokens");
                    }
                }
            }
        }
    }
}

/// The largest numbers and activations that there are fit into all sums.
#[test]
fn extremes_do_not_overflow() {
    for (bits, minima, steps, table) in FORMATS {
        let zero = zero(bits, minima, table);
        // A word of one value, and what the value stands for: all of a table, else the first and the last.
        let words: Vec<(i32, i32)> = match table {
            Some(table) => (0..16).map(|value| (0x1111_1111_i32.wrapping_mul(value), table.numbers()[value as usize].into())).collect(),
            None => vec![(0, -zero), (-1, (1 << bits) - 1 - zero)],
        };
        for ((word, number), sign) in words.into_iter().flat_map(|word| [(word, 1.0), (word, -1.0)]) {
            let empty = Packed { bits, table, zero, minima, steps, rows: 16, blocks: 1, values: &[], factors: Floats::F32(&[]) };
            let mut values = vec![word; empty.words_of_strip()];
            if steps.is_some() {
                let first = values.len() - STEP_WORDS;
                values[first..].fill(0x0101_0101);
            }
            let factors: Vec<f32> = (0..empty.factors_of_strip()).map(|at| if at < ROWS { 1.0 } else { 0.0 }).collect();
            let packed = Packed { values: &values, factors: Floats::F32(&factors), ..empty };
            let expected = number as f32 * 32.0 * 127.0 * sign;
            for kernel in Kernel::all(bits, table, steps) {
                let got = outputs(&packed, &[127.0 * sign; BLOCK], BLOCK, kernel);
                assert!(got.iter().all(|x| f32::from_bits(*x) == expected), "{kernel:?} minima {minima}: {word:x}");
            }
        }
    }
}

#[test]
fn a_block_that_is_no_number_gives_none() {
    let (values, factors) = ([0x7777_7777; 4 * ROWS], [1.0; ROWS]);
    let packed = Packed {
        bits: 4,
        table: None,
        zero: 8,
        minima: false,
        steps: None,
        rows: 16,
        blocks: 1,
        values: &values,
        factors: Floats::F32(&factors),
    };
    for kernel in Kernel::all(4, None, None) {
        for bad in [f32::NAN, f32::INFINITY, -f32::INFINITY] {
            let mut x = [0.5; 2 * BLOCK];
            x[BLOCK + 3] = bad;
            let got = outputs(&packed, &x, BLOCK, kernel);
            assert!(got[..16].iter().all(|x| f32::from_bits(*x) == -16.0), "{kernel:?}: the other token is as it was");
            assert!(got[16..].iter().all(|x| !f32::from_bits(*x).is_finite()), "{kernel:?} {bad}");
        }
    }
}
