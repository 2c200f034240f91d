//! What a rendering may use, so that no template runs for long or fills the memory.

use super::value::Eval;
use std::cell::Cell;

/// What a rendering may still use: steps, and the bytes of any one text.
///
/// Every byte produced costs a fraction of a step, so that the steps bound the memory too.
pub(super) struct Budget {
    steps: Cell<u64>,
    max_bytes: usize,
}

impl Budget {
    const BYTES_PER_STEP: usize = 256;

    /// A budget that grows with the size of the conversation: `nodes` JSON values of `bytes` bytes.
    pub fn for_input(nodes: usize, bytes: usize) -> Self {
        let steps = 300_000 + 3_000 * nodes as u64 + bytes as u64;
        Self { steps: Cell::new(steps), max_bytes: (1 << 20) + 16 * bytes }
    }

    pub fn spend(&self, steps: usize) -> Eval<()> {
        match self.steps.get().checked_sub(steps as u64) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => {
                self.steps.set(0);
                Err("the template does too much work for this conversation".into())
            }
        }
    }

    /// Accounts for a text of `bytes` bytes before it is made.
    pub fn grow(&self, bytes: usize) -> Eval<()> {
        self.check(bytes)?;
        self.spend(1 + bytes / Self::BYTES_PER_STEP)
    }

    /// Whether a text may be as long as `bytes` bytes.
    pub fn check(&self, bytes: usize) -> Eval<()> {
        if bytes <= self.max_bytes { Ok(()) } else { Err(format!("the template makes a text of more than {} bytes", self.max_bytes)) }
    }
}
