//! A bar on stderr for what takes long.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// How far a command has come. Shown on a terminal alone; gone when dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of so many, or of nobody knows how many.
    pub(crate) fn new(total: Option<u64>, what: &'static str) -> Self {
        let (bar, template) = match total {
            Some(total) => (ProgressBar::new(total), "{msg} {wide_bar} {human_pos}/{human_len} {eta}"),
            None => (ProgressBar::new_spinner(), "{msg} {spinner} {human_pos}"),
        };
        // The template is right, or a test would have failed; a bar of another look is no reason to stop.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        bar.set_message(what);
        if total.is_none() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress(bar)
    }

    /// None at all.
    pub(crate) fn hidden() -> Self {
        Progress(ProgressBar::hidden())
    }

    /// So many more are done.
    pub(crate) fn add(&self, count: u64) {
        self.0.inc(count);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
