//! Reading ahead: threads of the pool that wait fetch the weights that are read next.
//!
//! A token reads all weights once, so that memory decides how long it takes, and memory would idle while the caller computes what lies
//! between two products. What is read after some weights is what was read after them the last time.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::memory::{LINE, prefetch};

/// Weights that are told apart; of two in one place the later is remembered.
const PLACES: usize = 1024;
/// Bytes that are fetched at most: half of a small cache of the second level.
const MOST: usize = 256 << 10;
/// Bytes that a thread fetches between two looks for work.
const STEP: usize = 8 * LINE;

static AHEAD: Ahead = Ahead::new();

/// Says that weights which begin at `start` are read now.
pub fn reading(start: *const u8) {
    AHEAD.reading(start.addr());
}

/// Fetches a part of what is read next; false if there is nothing left to fetch.
pub fn fetch() -> bool {
    let Some(from) = AHEAD.take() else { return false };
    (from..from.saturating_add(STEP)).step_by(LINE).for_each(|line| prefetch(std::ptr::without_provenance(line)));
    true
}

/// What is known of the order. Threads change it without regard for each other, as nothing but speed depends on it.
struct Ahead {
    /// Where what was read after the weights of a place begins, or 0.
    after: [AtomicUsize; PLACES],
    /// Where the weights begin that were read last.
    last: AtomicUsize,
    rest: Rest,
}

/// What is to be fetched still, in cache lines of its own, as waiting threads write to it.
#[repr(align(128))]
struct Rest {
    next: AtomicUsize,
    end: AtomicUsize,
}

impl Ahead {
    const fn new() -> Self {
        let rest = Rest { next: AtomicUsize::new(0), end: AtomicUsize::new(0) };
        Self { after: [const { AtomicUsize::new(0) }; PLACES], last: AtomicUsize::new(0), rest }
    }

    fn reading(&self, start: usize) {
        self.after[place(self.last.swap(start, Relaxed))].store(start, Relaxed);
        let next = self.after[place(start)].load(Relaxed);
        self.rest.end.store(if next == 0 { 0 } else { next.saturating_add(MOST) }, Relaxed);
        self.rest.next.store(next, Relaxed);
    }

    /// The next [`STEP`] bytes to fetch.
    fn take(&self) -> Option<usize> {
        let left = |next| next < self.rest.end.load(Relaxed);
        if !left(self.rest.next.load(Relaxed)) {
            return None;
        }
        Some(self.rest.next.fetch_add(STEP, Relaxed)).filter(|next| left(*next))
    }
}

/// Matrices of one size lie at even distances, so that their addresses are spread by multiplying (Fibonacci hashing).
fn place(start: usize) -> usize {
    (((start / LINE) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_followed_the_last_time_is_taken_once() {
        let (ahead, layers) = (Ahead::new(), [0x10_0000, 0x50_0000, 0x90_0000]);
        layers.into_iter().for_each(|layer| ahead.reading(layer));
        assert_eq!(ahead.take(), None, "nothing followed yet");
        ahead.reading(layers[0]);
        let taken: Vec<usize> = std::iter::from_fn(|| ahead.take()).collect();
        assert_eq!((taken[0], taken.len(), taken[taken.len() - 1]), (layers[1], MOST / STEP, layers[1] + MOST - STEP));
        ahead.reading(layers[1]);
        assert_eq!(ahead.take(), Some(layers[2]));
    }

    #[test]
    fn matrices_at_even_distances_are_told_apart() {
        let mut places: Vec<usize> = (0..120).map(|index| place(0x7f00_0000_0000 + index * 0x1_0000)).collect();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() > 110, "{} places for 120 matrices", places.len());
    }
}
