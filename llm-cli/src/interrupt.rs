//! Ctrl-C: the first asks the work to stop, the second ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ui::INTERRUPTED;

/// What the user wants: whether Ctrl-C was pressed since the last [`Interrupt::reset`].
#[derive(Debug, Clone)]
pub struct Interrupt {
    stop: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens to Ctrl-C from here on.
    ///
    /// # Errors
    /// When the system refuses the handler.
    pub fn listen() -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        ctrlc::set_handler(move || {
            if seen.swap(true, Ordering::SeqCst) {
                std::process::exit(INTERRUPTED.into());
            }
        })?;
        Ok(Self { stop })
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
