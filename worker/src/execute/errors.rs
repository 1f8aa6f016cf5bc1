//! What a failed run leaves behind: an error as Rails and Mission Control read it, and the classes that are ours.

use serde::Serialize;

/// The exception classes that Gritstone itself writes, for errors that no handler named. They are part of what users
/// see, filter and alert on, so they don't change.
pub mod class {
    /// The job ran past its deadline and was stopped. Uses an attempt.
    pub const JOB_TIMEOUT: &str = "Gritstone::JobTimeout";
    /// The child running the job died (a signal, an exit in the middle of it, a closed stdout). Uses an attempt.
    pub const HANDLER_CRASHED: &str = "Gritstone::HandlerCrashed";
    /// The command ended with an exit code that means neither done nor later, and gave no reply. Uses an attempt.
    pub const HANDLER_EXIT: &str = "Gritstone::HandlerExit";
    /// The server answered with a status that means neither done nor later, and gave no answer. Uses an attempt.
    pub const HANDLER_STATUS: &str = "Gritstone::HandlerStatus";
    /// The server, or a job that it had answered with 202, was silent for too long. Uses an attempt.
    pub const HANDLER_TIMEOUT: &str = "Gritstone::HandlerTimeout";
    /// A handler in Rust panicked. Uses an attempt.
    pub const HANDLER_PANICKED: &str = "Gritstone::HandlerPanicked";
    /// The handler asked for a retry or a failure and said nothing more about it.
    pub const HANDLER_ERROR: &str = "Gritstone::HandlerError";
    /// The handler answered, but with an outcome or a delay that means nothing. Uses an attempt.
    pub const INVALID_REPLY: &str = "Gritstone::InvalidReply";
    /// The job's arguments are not what its handler takes. Fails for good: they won't change.
    pub const INVALID_ARGUMENTS: &str = "Gritstone::InvalidArguments";
    /// No handler is registered for the job's class. Fails for good.
    pub const UNKNOWN_JOB_CLASS: &str = "Gritstone::UnknownJobClass";
    /// The job's row holds no envelope that can be read. Fails for good, without running.
    pub const UNREADABLE_JOB: &str = "Gritstone::UnreadableJob";
    /// The database refused to store how the run ended. Fails for good.
    pub const UNWRITABLE: &str = "Gritstone::UnwritableOutcome";
}

/// Longest exception class kept, in bytes.
const CLASS_LIMIT: usize = 255;
/// Longest message kept, in bytes.
const MESSAGE_LIMIT: usize = 16 * 1024;
/// Most lines of a backtrace kept.
const BACKTRACE_LINES: usize = 200;
/// Longest backtrace kept, in bytes.
const BACKTRACE_LIMIT: usize = 48 * 1024;

/// Why a run went wrong; serialises as `failed_executions.error` is written by Solid Queue. All parts are bounded (class
/// 255 bytes, message 16 KiB, backtrace 200 lines and 48 KiB), as most of it comes from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobError {
    exception_class: String,
    message: String,
    backtrace: Vec<String>,
}

impl JobError {
    /// An error without a backtrace.
    pub fn new(exception_class: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            exception_class: shortened(exception_class.into(), CLASS_LIMIT),
            message: shortened(message.into(), MESSAGE_LIMIT),
            backtrace: Vec::new(),
        }
    }

    /// The same with a backtrace, innermost line first.
    pub fn with_backtrace(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        let mut left = BACKTRACE_LIMIT;
        self.backtrace = lines
            .into_iter()
            .take(BACKTRACE_LINES)
            .map_while(|line| {
                let line = shortened(line, left);
                left = left.saturating_sub(line.len());
                (left > 0).then_some(line)
            })
            .collect();
        self
    }

    /// The class, as `retry_on` and filters name it.
    pub fn exception_class(&self) -> &str {
        &self.exception_class
    }

    /// What went wrong, for a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it went wrong, innermost line first.
    pub fn backtrace(&self) -> &[String] {
        &self.backtrace
    }
}

/// The text, cut at a character's edge to at most `limit` bytes; what was cut shows as an ellipsis.
pub(crate) fn shortened(mut text: String, limit: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() > limit {
        let mut end = limit.saturating_sub(ELLIPSIS.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(ELLIPSIS);
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serialises_as_rails_writes_it() {
        let error = JobError::new("Net::ReadTimeout", "execution expired").with_backtrace(["a.rb:1".to_owned()]);
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"exception_class":"Net::ReadTimeout","message":"execution expired","backtrace":["a.rb:1"]}"#
        );
    }

    #[test]
    fn long_texts_are_cut_at_a_characters_edge() {
        let error =
            JobError::new("E", "ü".repeat(MESSAGE_LIMIT)).with_backtrace((0..10_000).map(|n| format!("{n:0>900}")));
        assert!(error.message().len() <= MESSAGE_LIMIT);
        assert!(error.message().ends_with("ü…"));
        assert!(error.backtrace().iter().map(String::len).sum::<usize>() <= BACKTRACE_LIMIT);
        assert!(!error.backtrace().is_empty());
    }
}
