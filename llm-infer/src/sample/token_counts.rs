//! How often each token was seen, kept up to date from one step to the next.

use std::collections::HashMap;

/// Counts of the tokens of a growing history: each token is looked at once.
#[derive(Debug, Default)]
pub(super) struct TokenCounts {
    counts: HashMap<u32, u32>,
    counted: usize,
}

impl TokenCounts {
    /// Counts what was added to `history`; a shorter history is counted anew.
    pub(super) fn update(&mut self, history: &[u32]) -> &HashMap<u32, u32> {
        if history.len() < self.counted {
            self.counts.clear();
            self.counted = 0;
        }
        for id in &history[self.counted..] {
            *self.counts.entry(*id).or_default() += 1;
        }
        self.counted = history.len();
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_starts_anew() {
        let mut counts = TokenCounts::default();
        assert_eq!(counts.update(&[5, 6, 5]), &HashMap::from([(5, 2), (6, 1)]));
        assert_eq!(counts.update(&[5, 6, 5, 5]), &HashMap::from([(5, 3), (6, 1)]));
        assert_eq!(counts.update(&[7]), &HashMap::from([(7, 1)]));
    }
}
