//! What a generation took: seconds, tokens per second, bytes.

use serde::Serialize;

/// Seconds of the phases of one generation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Timings {
    /// Opening and loading the model.
    pub load_s: f64,
    /// Computing the prompt.
    pub prefill_s: f64,
    /// From the request to the first token.
    pub time_to_first_token_s: f64,
    /// From the first token to the last.
    pub decode_s: f64,
    /// Prompt tokens that were computed (not reused) by `prefill_s`.
    pub prefill_tokens_per_second: f64,
    /// Tokens after the first by `decode_s`.
    pub decode_tokens_per_second: f64,
}

/// Bytes that a model and its session hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Weights on the device.
    pub weights_bytes: u64,
    /// Allocated keys and values.
    pub kv_cache_bytes: u64,
    /// Most memory that the process had resident; absent where the system does not tell.
    pub peak_rss_bytes: Option<u64>,
}

/// Tokens of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens that were generated.
    pub completion_tokens: usize,
}

/// Most memory that this process ever had resident, in bytes (`VmHWM`).
pub fn peak_rss_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

/// Memory that this process has resident now, in bytes (`VmRSS`).
pub fn rss_bytes() -> Option<u64> {
    status_bytes("VmRSS:")
}

fn status_bytes(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// `count / seconds`, 0 where no time passed.
pub fn per_second(count: usize, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_without_time_is_zero() {
        assert_eq!(per_second(10, 2.0), 5.0);
        assert_eq!(per_second(10, 0.0), 0.0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_is_at_least_what_is_resident() {
        let (now, peak) = (rss_bytes().expect("linux"), peak_rss_bytes().expect("linux"));
        assert!(now > 1 << 20 && peak >= now / 2);
    }
}
