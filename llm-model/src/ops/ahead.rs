//! Reading ahead: threads of the pool that wait fetch the weights that they read next.
//!
//! A token reads all weights once, so that memory decides how long it takes, and memory would idle while the caller computes what lies
//! between two products. What a thread reads after some weights is what it read after them the last time.

use std::cell::RefCell;

use super::memory::{LINE, prefetch};

/// Weights that are told apart; of two in one place the later is remembered.
const PLACES: usize = 1024;
/// Bytes that are fetched at most: half of a small cache of the second level.
const MOST: usize = 256 << 10;
/// Bytes that a thread fetches between two looks for work.
const STEP: usize = 8 * LINE;

thread_local! {
    static AHEAD: RefCell<Ahead> = const { RefCell::new(Ahead::new()) };
}

/// Says that this thread reads from `part` on now, of the weights that begin at `start`; only the first part of them counts.
pub fn reading(start: *const u8, part: *const u8) {
    AHEAD.with_borrow_mut(|ahead| ahead.reading(start.addr(), part.addr()));
}

/// Fetches some of what this thread reads next; false if there is nothing left to fetch.
pub fn fetch() -> bool {
    let Some(from) = AHEAD.with_borrow_mut(Ahead::take) else { return false };
    (from..from.saturating_add(STEP)).step_by(LINE).for_each(|line| prefetch(std::ptr::without_provenance(line)));
    true
}

/// What a thread knows of the order.
struct Ahead {
    /// Where this thread began to read what followed the weights of a place, or 0.
    after: [usize; PLACES],
    /// Where the weights begin that are read now.
    now: usize,
    /// What is to be fetched still.
    next: usize,
    end: usize,
}

impl Ahead {
    const fn new() -> Self {
        Self { after: [0; PLACES], now: 0, next: 0, end: 0 }
    }

    fn reading(&mut self, start: usize, part: usize) {
        if start != self.now {
            self.after[place(self.now)] = part;
            self.now = start;
            self.next = self.after[place(start)];
            self.end = if self.next == 0 { 0 } else { self.next.saturating_add(MOST) };
        }
    }

    /// The next [`STEP`] bytes to fetch.
    fn take(&mut self) -> Option<usize> {
        let next = self.next;
        (next < self.end).then(|| {
            self.next += STEP;
            next
        })
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
        let (mut ahead, layers) = (Ahead::new(), [0x10_0000, 0x50_0000, 0x90_0000]);
        // This thread reads the second half of each, in two parts.
        let read = |ahead: &mut Ahead, layer| [0x800, 0xc00].into_iter().for_each(|part| ahead.reading(layer, layer + part));
        layers.into_iter().for_each(|layer| read(&mut ahead, layer));
        assert_eq!(ahead.take(), None, "nothing followed yet");
        read(&mut ahead, layers[0]);
        let taken: Vec<usize> = std::iter::from_fn(|| ahead.take()).collect();
        let from = layers[1] + 0x800;
        assert_eq!((taken[0], taken.len(), taken[taken.len() - 1]), (from, MOST / STEP, from + MOST - STEP));
        read(&mut ahead, layers[1]);
        assert_eq!(ahead.take(), Some(layers[2] + 0x800));
    }

    #[test]
    fn matrices_at_even_distances_are_told_apart() {
        let mut places: Vec<usize> = (0..120).map(|index| place(0x7f00_0000_0000 + index * 0x1_0000)).collect();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() > 110, "{} places for 120 matrices", places.len());
    }
}
