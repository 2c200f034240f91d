//! Scales that are powers of two, stored as exponents of eight bits: E8M0 of the OCP Microscaling Formats.

use half::bf16;

/// What is no exponent.
pub const NAN: u8 = 255;

/// 2^(exponent − 128): half of what E8M0 says, as the numbers of [`super::Table::Mxfp4`] are twice those of the format.
pub fn scale(exponent: u8) -> bf16 {
    let exponent = u16::from(exponent);
    // The smallest two are subnormal.
    bf16::from_bits(if exponent < 2 { 0x20 << exponent } else { (exponent - 1) << 7 })
}

/// The exponent of a scale that [`scale`] gave.
pub fn of(scale: bf16) -> u8 {
    let bits = scale.to_bits();
    if bits < 0x80 { (bits >> 6) as u8 } else { ((bits >> 7) + 1) as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exponent_is_exact() {
        for exponent in 0..=254 {
            assert_eq!(scale(exponent).to_f64(), 2.0_f64.powi(i32::from(exponent) - 128), "{exponent}");
            assert_eq!(of(scale(exponent)), exponent);
        }
    }
}
