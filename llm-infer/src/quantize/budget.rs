//! Four or eight bits for each matrix, such that a file of a given size is as good as it can be.

use crate::{Error, Result};

/// A matrix that may have few bits or many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Bytes in the file, with few bits and with many.
    pub bytes: [u64; 2],
    /// The share of its outputs' (or weights') energy that is lost, with few bits and with many.
    pub loss: [f64; 2],
}

/// Which matrices get many bits when the file, `fixed` bytes and those of the matrices, may have `budget` bytes: those that gain
/// most for each byte, as long as they fit.
///
/// # Errors
/// A budget that is too small for few bits everywhere; the least that is enough is named.
pub fn choose(choices: &[Choice], fixed: u64, budget: u64) -> Result<Vec<bool>> {
    let least = fixed + choices.iter().map(|choice| choice.bytes[0]).sum::<u64>();
    let Some(mut room) = budget.checked_sub(least) else {
        return Err(Error::request("--budget", format!("{budget} bytes"), format!("at least {least}, which 4 bits for every matrix take")));
    };
    let gain = |choice: &Choice| (choice.loss[0] - choice.loss[1]) / (choice.bytes[1] - choice.bytes[0]).max(1) as f64;
    let mut order: Vec<usize> = (0..choices.len()).collect();
    order.sort_by(|a, b| gain(&choices[*b]).total_cmp(&gain(&choices[*a])));
    let mut many = vec![false; choices.len()];
    for index in order {
        let [low, high] = choices[index].bytes;
        if high - low <= room {
            room -= high - low;
            many[index] = true;
        }
    }
    Ok(many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_sensitive_come_first_and_the_rest_as_it_fits() {
        let choice = |low, high, loss| Choice { bytes: [low, high], loss: [loss, 0.0] };
        let choices = [choice(10, 20, 0.1), choice(100, 200, 0.5), choice(10, 20, 0.3)];
        assert_eq!(choose(&choices, 5, 125).unwrap(), [false; 3]);
        assert_eq!(choose(&choices, 5, 135).unwrap(), [false, false, true]);
        assert_eq!(choose(&choices, 5, 145).unwrap(), [true, false, true]);
        assert_eq!(choose(&choices, 5, 245).unwrap(), [true; 3]);
        let error = choose(&choices, 5, 124).unwrap_err().to_string();
        assert_eq!(error, "--budget: got 124 bytes, expected at least 125, which 4 bits for every matrix take");
    }
}
