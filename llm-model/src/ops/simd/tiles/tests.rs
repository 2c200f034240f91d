//! Every kernel of this machine gives the bits of the plain one, whatever is computed beside.

use half::f16;

use super::*;

/// Rows and width.
const SIZES: &[(usize, usize)] = if cfg!(miri) { &[(17, 33)] } else { &[(1, 1), (5, 32), (16, 172), (17, 64), (40, 31)] };

fn random(seed: u64) -> impl FnMut() -> u64 {
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
    let tokens = x.panels().map(|(_, count)| count).sum::<usize>();
    let mut out = vec![f32::NAN; tokens * packed.rows];
    for strip in 0..packed.strips() {
        let target = Target { start: out.as_mut_ptr(), stride: packed.rows };
        // SAFETY: `out` has a number for each row of every token.
        unsafe { product(packed, strip..strip + 1, &x, target) };
    }
    out.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn every_kernel_gives_the_bits_of_the_plain_one() {
    for bits in [4, 8] {
        for minima in [false, true] {
            for &(rows, width) in SIZES {
                let mut next = random((rows * width * bits) as u64);
                let blocks = width.div_ceil(BLOCK);
                let count = rows.div_ceil(ROWS) * blocks * ROWS;
                let values: Vec<i32> = (0..count * bits).map(|_| next() as i32).collect();
                let count = count * (1 + usize::from(minima));
                let factors: Vec<f32> = (0..count).map(|_| (next() % 128) as f32 / 64.0 - 1.0).collect();
                // Miri does not know the instructions that convert halves.
                let halves: Vec<f16> = if cfg!(miri) { Vec::new() } else { factors.iter().map(|x| f16::from_f32(*x)).collect() };
                let zero = if minima { 0 } else { 1 << (bits - 1) };
                let wide = Packed { bits, zero, minima, rows, blocks, values: &values, factors: Floats::F32(&factors) };
                let narrow = Packed { factors: Floats::F16(&halves), ..wide };
                let most = if cfg!(miri) { 5 } else { 25 };
                let x: Vec<f32> = (0..most * width).map(|_| (next() % 20_001) as f32 / 1000.0 - 10.0).collect();
                let scalar = *Kernel::all(bits).last().expect("there is a plain kernel");
                let singles: Vec<Vec<u32>> = x.chunks(width).map(|x| outputs(&wide, x, width, scalar)).collect();
                for kernel in Kernel::all(bits) {
                    for tokens in if cfg!(miri) { vec![1, most] } else { (1..=17).chain([most]).collect() } {
                        let expected = singles[..tokens].concat();
                        for packed in &[wide, narrow][..if cfg!(miri) { 1 } else { 2 }] {
                            let got = outputs(packed, &x[..tokens * width], width, kernel);
                            assert_eq!(got, expected, "{kernel:?} minima {minima} {rows} x {width}, {tokens} tokens");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_block_that_is_no_number_gives_none() {
    let (values, factors) = ([0x7777_7777; 4 * ROWS], [1.0; ROWS]);
    let packed = Packed { bits: 4, zero: 8, minima: false, rows: 16, blocks: 1, values: &values, factors: Floats::F32(&factors) };
    for kernel in Kernel::all(4) {
        for bad in [f32::NAN, f32::INFINITY, -f32::INFINITY] {
            let mut x = [0.5; 2 * BLOCK];
            x[BLOCK + 3] = bad;
            let got = outputs(&packed, &x, BLOCK, kernel);
            assert!(got[..16].iter().all(|x| f32::from_bits(*x) == -16.0), "{kernel:?}: the other token is as it was");
            assert!(got[16..].iter().all(|x| !f32::from_bits(*x).is_finite()), "{kernel:?} {bad}");
        }
    }
}
