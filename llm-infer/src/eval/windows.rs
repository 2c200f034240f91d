//! Which tokens are read together, and which of them are scored.

/// A part of the text: tokens `begin..end` are read, `scored..end` are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first token that is read.
    pub begin: usize,
    /// The first token that is scored.
    pub scored: usize,
    /// Behind the last token.
    pub end: usize,
}

/// The windows over `count` tokens: at most `context` long, `stride` apart, and each scores what none before it did.
///
/// So every token but the first is scored once. These are the windows of transformers' guide, with one difference: with
/// `stride = context` the guide leaves out the first token of each window, as nothing stands before it there; here such windows begin
/// one token earlier, at the last token of the window before.
///
/// `context` must be at least 2, and `stride` within `1..=context`: see [`super::EvalOptions::check`].
pub fn windows(count: usize, context: usize, stride: usize) -> impl Iterator<Item = Window> {
    let step = stride.min(context - 1);
    let (mut begin, mut scored) = (0, 1);
    std::iter::from_fn(move || {
        if scored >= count {
            return None;
        }
        let window = Window { begin, scored, end: (begin + context).min(count) };
        (begin, scored) = (begin + step, window.end);
        Some(window)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The loop of transformers' guide: where windows begin and end, and how many tokens at their end are scored.
    fn guide(count: usize, max_length: usize, stride: usize) -> Vec<(usize, usize, usize)> {
        let (mut found, mut previous) = (Vec::new(), 0);
        for begin in (0..count).step_by(stride) {
            let end = (begin + max_length).min(count);
            found.push((begin, end, end - previous));
            previous = end;
            if end == count {
                break;
            }
        }
        // The first token of the text has no logits before it.
        found[0].2 -= 1;
        found
    }

    #[test]
    fn half_a_window_is_read_again() {
        let found: Vec<_> = windows(10, 4, 2).map(|w| (w.begin, w.scored, w.end)).collect();
        assert_eq!(found, [(0, 1, 4), (2, 4, 6), (4, 6, 8), (6, 8, 10)]);
        let disjoint: Vec<_> = windows(10, 4, 4).map(|w| (w.begin, w.scored, w.end)).collect();
        assert_eq!(disjoint, [(0, 1, 4), (3, 4, 7), (6, 7, 10)]);
        assert_eq!((windows(0, 4, 2).count(), windows(1, 4, 2).count(), windows(2, 4, 4).count()), (0, 0, 1));
    }

    proptest! {
        #[test]
        fn every_token_but_the_first_is_scored_once(count in 0usize..300, context in 2usize..80, stride in 1usize..80) {
            let stride = stride.min(context);
            let mut next = 1;
            for window in windows(count, context, stride) {
                prop_assert!(window.begin < window.scored && window.scored < window.end && window.end - window.begin <= context);
                prop_assert_eq!(window.scored, next);
                prop_assert!(window.begin == 0 || window.scored - window.begin >= (context - stride).max(1));
                next = window.end;
            }
            prop_assert_eq!(next.max(1), count.max(1));
        }

        #[test]
        fn windows_are_those_of_the_guide(count in 2usize..300, context in 2usize..80, stride in 1usize..80) {
            let stride = stride.min(context - 1);
            let found: Vec<_> = windows(count, context, stride).map(|w| (w.begin, w.end, w.end - w.scored)).collect();
            prop_assert_eq!(found, guide(count, context, stride));
        }

        #[test]
        fn a_text_that_fits_is_one_window(count in 2usize..80, more in 0usize..9, stride in 1usize..80) {
            let context = count + more;
            prop_assert_eq!(windows(count, context, stride.min(context)).collect::<Vec<_>>(), [Window { begin: 0, scored: 1, end: count }]);
        }
    }
}
