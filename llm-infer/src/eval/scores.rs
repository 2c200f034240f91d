//! What logits say about the token that came: log-probability, and divergence from a reference.

use std::sync::OnceLock;

use llm_model::ops::threads;

use super::Comparison;
use crate::{Error, Result};

/// The distribution `softmax(logits)` of one position, in double precision.
struct Distribution<'a> {
    logits: &'a [f32],
    /// The largest logit: relative to it nothing overflows.
    largest: f64,
    /// `ln Σ exp(logit - largest)`.
    log_sum_exp: f64,
}

impl<'a> Distribution<'a> {
    /// `None` where a logit is no finite number.
    fn new(logits: &'a [f32]) -> Option<Self> {
        let largest = f64::from(logits[largest(logits)]);
        let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum();
        let finite = logits.iter().all(|logit| logit.is_finite());
        finite.then(|| Self { logits, largest, log_sum_exp: sum.ln() })
    }

    /// `ln p(id)`.
    fn logprob(&self, id: usize) -> f64 {
        f64::from(self.logits[id]) - self.largest - self.log_sum_exp
    }

    /// `KL(self ‖ other) = Σ p ln(p / q)`.
    fn divergence(&self, other: &Self) -> f64 {
        let term = |id: usize| {
            let logprob = self.logprob(id);
            logprob.exp() * (logprob - other.logprob(id))
        };
        // Not below zero but by rounding.
        (0..self.logits.len()).map(term).sum::<f64>().max(0.0)
    }
}

/// The lowest id of the largest logit.
fn largest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    best
}

/// What is known of one token.
struct Score {
    logprob: f64,
    /// The same by the reference, its divergence, and whether both find the same token likeliest.
    reference: Option<(f64, f64, bool)>,
}

/// `None` where a logit is no finite number.
fn score(logits: &[f32], reference: Option<&[f32]>, target: u32) -> Option<Score> {
    let (model, target) = (Distribution::new(logits)?, target as usize);
    let reference = match reference {
        None => None,
        Some(logits) => {
            let reference = Distribution::new(logits)?;
            let agrees = largest(reference.logits) == largest(model.logits);
            Some((reference.logprob(target), reference.divergence(&model), agrees))
        }
    };
    Some(Score { logprob: model.logprob(target), reference })
}

/// The sums over all tokens so far.
#[derive(Debug, Default)]
pub(super) struct Totals {
    tokens: usize,
    logprobs: f64,
    reference_logprobs: f64,
    divergences: Vec<f64>,
    agreements: usize,
}

impl Totals {
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Counts `targets` by the logits before them: the model's, and behind them the reference's where there is one.
    pub fn add(&mut self, logits: &[Vec<f32>], targets: &[u32]) -> Result<()> {
        let row = |model: usize, index: usize| {
            let logits: &Vec<f32> = logits.get(model)?;
            logits.chunks(logits.len() / targets.len()).nth(index)
        };
        let scores: Vec<OnceLock<Option<Score>>> = targets.iter().map(|_| OnceLock::new()).collect();
        threads::for_each(targets.len(), |index| {
            let found = row(0, index).and_then(|logits| score(logits, row(1, index), targets[index]));
            // Each index comes once, so there is nothing yet.
            let _ = scores[index].set(found);
        });
        for score in scores {
            let Some(Some(score)) = score.into_inner() else {
                return Err(Error::Logits { got: format!("NaN or infinity before token {}", self.tokens + 1) });
            };
            self.tokens += 1;
            self.logprobs += score.logprob;
            if let Some((logprob, divergence, agrees)) = score.reference {
                self.reference_logprobs += logprob;
                self.divergences.push(divergence);
                self.agreements += usize::from(agrees);
            }
        }
        Ok(())
    }

    /// `exp` of the mean negative log-probability.
    ///
    /// # Errors
    /// [`Error::Logits`] where that is beyond all numbers.
    pub fn perplexity(&self) -> Result<f64> {
        self.perplexity_of(self.logprobs)
    }

    fn perplexity_of(&self, logprobs: f64) -> Result<f64> {
        let mean = -logprobs / self.tokens as f64;
        Some(mean.exp()).filter(|found| found.is_finite()).ok_or_else(|| Error::Logits { got: format!("{mean} nats per token") })
    }

    /// What the reference, called `name`, makes of it.
    ///
    /// # Errors
    /// As [`Totals::perplexity`].
    pub fn comparison(&mut self, name: &str) -> Result<Comparison> {
        self.divergences.sort_by(f64::total_cmp);
        let tokens = self.tokens as f64;
        Ok(Comparison {
            model: name.to_owned(),
            perplexity: self.perplexity_of(self.reference_logprobs)?,
            kl_mean: self.divergences.iter().sum::<f64>() / tokens,
            kl_p99: percentile(&self.divergences, 0.99),
            top1_agreement: self.agreements as f64 / tokens,
            perplexity_ratio: self.perplexity_of(self.logprobs - self.reference_logprobs)?,
        })
    }
}

/// The value at `share` of the way through `sorted`, linear between ranks as in NumPy and llama-perplexity; 0 where there is none.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let (rank, rest) = (place as usize, place.fract());
    let at = |rank: usize| sorted.get(rank).or(sorted.last()).copied().unwrap_or(0.0);
    at(rank) * (1.0 - rest) + at(rank + 1) * rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(probabilities: &[f64]) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln() as f32).collect()
    }

    #[test]
    fn log_probabilities_are_those_of_torch() {
        let logits = [2.0, -1.0, 0.5, 3.0, -0.25, -2.0];
        let found = score(&logits, None, 4).expect("finite").logprob;
        assert!((found - -3.664_618).abs() < 1e-6, "{found}");
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let found = score(&[3e38, 3e38, -3e38], None, 1).expect("finite").logprob;
        assert!((found - 0.5_f64.ln()).abs() < 1e-12, "{found}");
        let found = score(&[-1e30, 0.0], None, 0).expect("finite").logprob;
        assert_eq!(found, f64::from(-1e30_f32));
    }

    #[test]
    fn the_divergence_is_that_of_the_model_from_the_reference() {
        let (base, model) = (logits(&[0.5, 0.5]), logits(&[0.9, 0.1]));
        let (logprob, divergence, agrees) = score(&model, Some(&base), 0).and_then(|score| score.reference).expect("finite");
        // 0.5 ln(0.5 / 0.9) + 0.5 ln(0.5 / 0.1); the other way round it were 0.368.
        assert!((divergence - 0.510_825_623_765_990_7).abs() < 1e-7, "{divergence}");
        assert!((logprob - 0.5_f64.ln()).abs() < 1e-7 && agrees);
        let (_, divergence, agrees) = score(&base, Some(&model), 0).and_then(|score| score.reference).expect("finite");
        assert!((divergence - 0.368_064_207_168_459_1).abs() < 1e-7 && agrees, "{divergence}");
        let (_, divergence, agrees) = score(&model, Some(&logits(&[0.1, 0.9])), 0).and_then(|score| score.reference).expect("finite");
        assert!(divergence > 1.0 && !agrees);
    }

    #[test]
    fn what_is_no_number_is_refused_and_counted() {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(score(&[0.0, wrong, 1.0], None, 0).is_none());
            assert!(score(&[0.0, 0.5, 1.0], Some(&[wrong, 0.0, 0.0]), 0).is_none());
        }
        let mut totals = Totals::default();
        totals.add(&[vec![0.0; 4]], &[1, 0]).expect("finite");
        assert!((totals.perplexity().expect("finite") - 2.0).abs() < 1e-12);
        let error = totals.add(&[vec![0.0, 0.0, f32::NAN, 0.0]], &[1, 0]).expect_err("no number");
        assert_eq!(error.to_string(), "logits: got NaN or infinity before token 4, expected finite numbers");
        totals.add(&[vec![0.0, -1e30]], &[1]).expect("finite");
        assert!(totals.perplexity().is_err());
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        let sorted: Vec<f64> = (1..=5).map(f64::from).collect();
        assert!((percentile(&sorted, 0.99) - 4.96).abs() < 1e-12);
        assert_eq!((percentile(&sorted, 0.5), percentile(&[7.0], 0.99), percentile(&[], 0.99)), (3.0, 7.0, 0.0));
    }
}
