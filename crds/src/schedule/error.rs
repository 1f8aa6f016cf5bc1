//! Why a schedule can't be read: the place, what is wrong there, and what to write instead.

use std::fmt;
use std::ops::Range;

/// Why a text is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleError {
    /// Where in the text, in bytes; empty at its end when something is missing there.
    pub place: Range<usize>,
    /// What is wrong at that place.
    pub message: String,
    /// What to write instead, when that can be guessed.
    pub hint: Option<String>,
}

impl ScheduleError {
    pub(super) fn new(place: Range<usize>, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The text with the place marked in a line below it, for a terminal.
    pub fn marked(&self, text: &str) -> String {
        let before = text.get(..self.place.start).map_or(0, |before| before.chars().count());
        let marked = text.get(self.place.clone()).map_or(0, |marked| marked.chars().count()).max(1);
        format!("{text}\n{}{}", " ".repeat(before), "^".repeat(marked))
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(out, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ScheduleError {}
