//! Ctrl-C: it ends the process where nothing runs that could stop; else the first asks the work to stop, the second ends all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ui::INTERRUPTED;

/// What the user wants: whether Ctrl-C was pressed since the last [`Interrupt::reset`].
#[derive(Debug, Clone)]
pub struct Interrupt {
    stop: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens to Ctrl-C from here on; until [`Interrupt::hold`] the first press ends the process.
    ///
    /// # Errors
    /// When the system refuses the handler.
    pub fn listen() -> anyhow::Result<Self> {
        let interrupt = Self { stop: Arc::default(), held: Arc::default() };
        let Self { stop, held } = interrupt.clone();
        ctrlc::set_handler(move || {
            if !held.load(Ordering::SeqCst) || stop.swap(true, Ordering::SeqCst) {
                std::process::exit(INTERRUPTED.into());
            }
        })?;
        Ok(interrupt)
    }

    /// From here on there is work that looks at [`Interrupt::flag`]: the first press only sets it.
    pub fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// The flag itself, for work that looks at one.
    pub fn flag(&self) -> &AtomicBool {
        &self.stop
    }

    /// Whether to stop.
    pub fn is_set(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Forgets the first press, as the work that it stopped is over.
    pub fn reset(&self) {
        self.stop.store(false, Ordering::SeqCst);
    }
}
