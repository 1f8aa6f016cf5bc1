//! What handlers are told and what they may answer, whatever carries it: a child's stdin and stdout, or a request and its
//! response.
//!
//! **In** goes one JSON document ([`document`]), a single line:
//! ```json
//! {"id", "claim", "class", "queue", "priority", "arguments", "attempt", "interruptions", "deadline", "enqueued_at",
//!  "scheduled_at", "active_job", "traceparent"}
//! ```
//! Times are RFC 3339 in UTC or null; `arguments` is plain JSON, `active_job` the envelope as it is in the database (null
//! when that is no JSON).
//!
//! **Out** come lines ([`read_line`]), each a JSON object: an answer, which ends the run,
//! ```json
//! {"claim", "outcome": "done|retry|fail|release", "delay": seconds, "error": {"exception_class", "message", "backtrace"},
//!  "result", "active_job"}
//! ```
//! or, before it, `{"claim", "heartbeat": true}`, `{"claim", "progress": ...}`, `{"claim", "log": "..."}`.
//!
//! What comes out is not trusted:
//! - a line is at most [`LONGEST_LINE`]; a longer one is skipped without being kept, and counts as garbage;
//! - garbage (no JSON object, or one with none of the keys above) is the handler's own output: logged, otherwise ignored;
//! - `claim` must be the job's. Where several jobs share a channel a line without one is garbage; where the channel is the
//!   job's own it may be left out. A line for another claim (an answer given twice, or too late) is logged and ignored: it
//!   never reaches another job;
//! - an answer for this job whose outcome or delay means nothing is a retry with the error `Gritstone::InvalidReply`: the
//!   handler did run, and can't be asked what it meant;
//! - an error may be an object with any of its three keys, or a text; an absent class is `Gritstone::HandlerError`;
//! - an `active_job` that is not an object, or is another job's (`job_id`), is dropped, and the rest of the answer holds;
//! - over a channel shared by jobs the first answer counts; out of a process of its own, the last.
//!
//! With no answer, the exit code decides ([`of_exit_code`]).

mod document;
mod reply;

pub use document::{cancellation, document};
pub use reply::{Claiming, Line, Notice, read_line};

use std::time::Duration;

/// The longest line that is read from a handler, in bytes.
pub const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// Ask again later: no attempt used (sysexits' EX_TEMPFAIL).
pub const EXIT_LATER: i32 = 75;
/// Never: fail for good (sysexits' EX_DATAERR).
pub const EXIT_FAIL: i32 = 65;

/// What an exit code says when there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitMeaning {
    /// 0.
    Done,
    /// 75.
    Later,
    /// 65.
    Fail,
    /// Anything else.
    Retry,
}

/// What an exit code says when there was no answer.
pub fn of_exit_code(code: i32) -> ExitMeaning {
    match code {
        0 => ExitMeaning::Done,
        EXIT_LATER => ExitMeaning::Later,
        EXIT_FAIL => ExitMeaning::Fail,
        _ => ExitMeaning::Retry,
    }
}

/// Seconds, as a reply says them, when they are a wait at all.
fn seconds(number: f64) -> Option<Duration> {
    match Duration::try_from_secs_f64(number) {
        Ok(delay) => Some(delay.min(super::retry::LONGEST_DELAY)),
        Err(_) => (number > 0.0).then_some(super::retry::LONGEST_DELAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_mean_what_the_page_says() {
        assert_eq!(of_exit_code(0), ExitMeaning::Done);
        assert_eq!(of_exit_code(75), ExitMeaning::Later);
        assert_eq!(of_exit_code(65), ExitMeaning::Fail);
        for other in [1, 2, 64, 74, 76, 127, 137, 255, -1] {
            assert_eq!(of_exit_code(other), ExitMeaning::Retry);
        }
    }

    #[test]
    fn delays_saturate() {
        assert_eq!(seconds(1.5), Some(Duration::from_millis(1500)));
        assert_eq!(seconds(1e300), Some(super::super::retry::LONGEST_DELAY));
        assert_eq!(seconds(-1.0), None);
        assert_eq!(seconds(f64::NAN), None);
    }
}
