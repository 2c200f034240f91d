//! Progress bars, which appear only where work lasts.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work shorter than this shows no progress.
const PATIENCE: Duration = Duration::from_millis(700);

/// What a bar counts.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    Bytes,
    Count,
}

/// A progress bar that vanishes when dropped.
pub struct Progress {
    bar: ProgressBar,
    since: Instant,
    allowed: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str, unit: Unit, allowed: bool) -> Self {
        let template = match unit {
            Unit::Bytes => "{msg} [{bar:30}] {bytes}/{total_bytes} {eta}",
            Unit::Count => "{msg} [{bar:30}] {pos}/{len} {eta}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden()).with_style(style).with_message(what);
        Self { bar, since: Instant::now(), allowed }
    }

    /// Shows `done` of `total`.
    pub fn update(&self, done: u64, total: u64) {
        if self.allowed && self.bar.is_hidden() && !self.bar.is_finished() && self.since.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Says what is done now.
    pub fn describe(&self, what: &'static str) {
        if self.bar.message() != what {
            self.bar.set_message(what);
            // The time that is left is that of the new work.
            self.bar.reset_eta();
        }
    }

    /// Runs `print` with the bar out of the way.
    pub fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bar.suspend(print)
    }

    /// Removes the bar from the screen; it does not come back.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
