//! Values of flags; a refusal says what is expected.

use std::ops::RangeInclusive;

use llm_infer::Error;
use llm_infer::device::DeviceChoice;
use llm_infer::plot::PlotFile;

use crate::spelling;
use crate::ui::Failure;

/// The most tokens that one sequence may be asked to have; no model comes near it.
const MOST_TOKENS: usize = 1 << 24;
/// More threads than any machine has cores help nobody, and a system has only so many.
const MOST_THREADS: usize = 1024;
/// What `--device` may begin with.
const DEVICES: [&str; 8] = ["auto", "cpu", "flex", "ndarray", "wgpu", "vulkan", "metal", "cuda"];

pub fn positive(text: &str) -> Result<usize, String> {
    within(text, 1..=usize::MAX)
}

pub fn count(text: &str) -> Result<usize, String> {
    within(text, 0..=usize::MAX)
}

pub fn threads(text: &str) -> Result<usize, String> {
    within(text, 1..=MOST_THREADS)
}

pub fn tokens(text: &str) -> Result<usize, String> {
    within(text, 1..=MOST_TOKENS)
}

pub fn up_to_tokens(text: &str) -> Result<usize, String> {
    within(text, 0..=MOST_TOKENS)
}

/// A context to train in: a token, and the one that is learned from it.
pub fn training_context(text: &str) -> Result<usize, String> {
    within(text, 2..=MOST_TOKENS)
}

fn within(text: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ if *range.end() == usize::MAX => Err(format!("a whole number, at least {}", range.start())),
        _ => Err(format!("a whole number from {} to {}", range.start(), range.end())),
    }
}

/// A number of bytes, as `1500000`, `1.5M` or `2GiB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 7] =
        [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("", 1)];
    let unit = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)));
    let parsed = unit.and_then(|(number, unit)| match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(unit),
        Err(_) => number.parse().ok().filter(|x: &f64| *x > 0.0 && x.is_finite() && unit > 1).map(|x| (x * unit as f64) as u64),
    });
    parsed.filter(|bytes| *bytes > 0).ok_or_else(|| "a number of bytes, as 5000000, 5M or 4.8MiB".into())
}

pub fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("a whole number from 0 to {}", u64::MAX))
}

pub fn top_k(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "a whole number, at least 0".into())
}

pub fn number(text: &str) -> Result<f32, String> {
    text.parse().map_err(|_| "a number".into())
}

pub fn above_zero(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite()).ok_or_else(|| "a number above 0".into())
}

pub fn id_and_bias(text: &str) -> Result<(u32, f32), String> {
    let pair = text.split_once('=').and_then(|(id, bias)| Some((id.trim().parse().ok()?, bias.trim().parse().ok()?)));
    pair.ok_or_else(|| "a token id and a number, as in 42=-1.5".into())
}

pub fn plot_file(text: &str) -> Result<PlotFile, Failure> {
    PlotFile::new(text).map_err(|error| Failure::usage(error.to_string()))
}

pub fn device(text: &str) -> Result<DeviceChoice, Failure> {
    text.parse().map_err(|error: Error| {
        let name = text.split(':').next().unwrap_or_default();
        let near = spelling::nearest(name, DEVICES.map(str::to_owned)).into_iter().filter(|known| known != name).collect::<Vec<_>>();
        let hint = spelling::question(&near).unwrap_or_else(|| "`llm devices` shows what this machine has".into());
        Failure::usage(error.to_string()).with_hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_part_of_the_refusal() {
        assert_eq!(positive("0"), Err("a whole number, at least 1".into()));
        assert_eq!(threads("20000"), Err("a whole number from 1 to 1024".into()));
        assert!(up_to_tokens("18446744073709551615").is_err() && up_to_tokens("0").is_ok() && tokens("0").is_err());
        assert!(training_context("1").is_err() && training_context("2").is_ok());
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(["12", "3K", "1.5M", "2GiB"].map(|text| bytes(text).unwrap()), [12, 3_000, 1_500_000, 2 << 30]);
        assert!(["", "0", "-1", "1.5", "x", "NaNM", "99999999999999G"].into_iter().all(|text| bytes(text).is_err()));
    }
}
