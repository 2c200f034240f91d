//! Partial selection: the `k` largest logits in one pass, without sorting the vocabulary.

use std::cmp::Ordering;

use super::lanes;

/// A logit and its id.
pub(super) type Candidate = (f32, u32);

/// Larger logits first, then lower ids.
pub(super) fn rank(a: &Candidate, b: &Candidate) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// The `k` first candidates by [`rank`] in any order but with the last of them at the end; fewer where the rest is masked.
///
/// A block whose largest logit cannot enter is passed over; the buffer is cut to `k` whenever it has doubled, so that each
/// logit costs a constant time whatever their order.
pub(super) fn largest(logits: &[f32], k: usize) -> Vec<Candidate> {
    let k = k.min(logits.len());
    if k == 0 {
        return Vec::new();
    }
    let room = k.saturating_mul(2).clamp(256, logits.len().max(256));
    let mut best = Vec::with_capacity(room + 1);
    let mut floor = f32::NEG_INFINITY;
    for (block, values) in logits.chunks(lanes::BLOCK).enumerate() {
        if lanes::max(values) <= floor {
            continue;
        }
        for (offset, &logit) in values.iter().enumerate() {
            // Ids ascend, so one that only equals the floor is ranked behind it.
            if logit > floor {
                best.push((logit, (block * lanes::BLOCK + offset) as u32));
                if best.len() >= room && room > k {
                    floor = cut(&mut best, k);
                }
            }
        }
    }
    cut(&mut best, k);
    best
}

/// Keeps the `k` first by [`rank`] and returns the logit of the last of them.
fn cut(candidates: &mut Vec<Candidate>, k: usize) -> f32 {
    let last = k.min(candidates.len()).saturating_sub(1);
    if last < candidates.len() {
        candidates.select_nth_unstable_by(last, rank);
    }
    candidates.truncate(k);
    candidates.last().map_or(f32::NEG_INFINITY, |(logit, _)| *logit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_full_sort(values in prop::collection::vec(-8i8..8, 1..2000), k in 0usize..600) {
            let logits: Vec<f32> = values.iter().map(|v| if *v == -8 { f32::NEG_INFINITY } else { f32::from(*v) }).collect();
            let mut sorted: Vec<Candidate> = logits.iter().copied().zip(0..).filter(|(logit, _)| logit.is_finite()).collect();
            sorted.sort_by(rank);
            sorted.truncate(k);
            let mut found = largest(&logits, k);
            prop_assert_eq!(found.last(), sorted.last());
            found.sort_by(rank);
            prop_assert_eq!(found, sorted);
        }
    }

    #[test]
    fn ascending_logits_are_no_trap() {
        let logits: Vec<f32> = (0..10_000).map(|value| value as f32).collect();
        let mut found = largest(&logits, 300);
        found.sort_by(rank);
        let expected: Vec<Candidate> = (9_700..10_000).rev().map(|id| (id as f32, id)).collect();
        assert_eq!(found, expected);
    }
}
