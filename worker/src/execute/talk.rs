//! Listening to a child that runs a job: its lines become notices, log lines, and at last an answer.

use super::child::{End, LineBuffer, Text};
use super::errors::class;
use super::protocol::{Claiming, Line, Notice, read_line};
use super::stopping::Why;
use super::{Context, Job, JobError, Outcome, Report, log_output};

/// What a line was.
enum Heard {
    Answer(Report),
    News,
    Nothing,
}

impl Heard {
    fn answer(self) -> Option<Report> {
        match self {
            Self::Answer(report) => Some(report),
            Self::News | Self::Nothing => None,
        }
    }
}

/// One job's ears.
pub(crate) struct Listener<'a> {
    pub(crate) job: &'a Job,
    pub(crate) context: &'a Context,
    pub(crate) claiming: Claiming,
    /// The child that it listens to, if it is one.
    pub(crate) pid: Option<i32>,
}

impl Listener<'_> {
    /// Hears all complete lines. Returns the answer: the first where others follow in the same channel, the last where the
    /// channel is the job's own.
    pub(crate) fn hear(&self, lines: &mut LineBuffer) -> Option<Report> {
        let mut answer = None;
        while let Some(text) = lines.next() {
            answer = self.line(text).answer().or(answer);
            if answer.is_some() && self.claiming == Claiming::Required {
                break;
            }
        }
        answer
    }

    /// Hears what is left when the child has ended: a last line needs no end.
    pub(crate) fn hear_rest(&self, lines: &mut LineBuffer) -> Option<Report> {
        let answer = self.hear(lines);
        if answer.is_some() && self.claiming == Claiming::Required {
            return answer;
        }
        lines.rest().and_then(|text| self.line(text).answer()).or(answer)
    }

    /// Hears complete lines up to the first answer; and whether any of them was a sign of life.
    pub(crate) fn hear_first(&self, lines: &mut LineBuffer) -> (Option<Report>, bool) {
        let mut lives = false;
        while let Some(text) = lines.next() {
            match self.line(text) {
                Heard::Answer(report) => return (Some(report), true),
                Heard::News => lives = true,
                Heard::Nothing => {}
            }
        }
        (None, lives)
    }

    fn line(&self, text: Text<'_>) -> Heard {
        let Text::Whole(line) = text else {
            tracing::warn!(job = self.job.id, pid = self.pid, "skipped a line of output that was too long to read");
            return Heard::Nothing;
        };
        match read_line(line, self.job, self.claiming) {
            Line::Answer(report) => return Heard::Answer(report),
            Line::Notice(notice) => {
                pass_on(notice, self.job, self.context);
                return Heard::News;
            }
            Line::Garbage if line.trim_ascii().is_empty() => {}
            Line::Garbage => {
                let text = String::from_utf8_lossy(&line[..line.len().min(LOGGED)]);
                log_output(Some(self.job), self.pid, text.trim_end());
            }
            Line::OtherClaim(claim) => {
                tracing::warn!(job = self.job.id, claim = self.job.claim, "ignored a line for another claim, {claim}");
            }
        }
        Heard::Nothing
    }
}

/// Hands news from a run on to whoever listens.
pub(crate) fn pass_on(notice: Notice, job: &Job, context: &Context) {
    let Some(notices) = &context.notices else { return };
    if notice.heartbeat {
        notices.heartbeat(job);
    }
    if let Some(progress) = &notice.progress {
        notices.progress(job, progress);
    }
    if let Some(line) = &notice.log {
        notices.log(job, line);
    }
}

/// Bytes of a line of plain output that are logged.
const LOGGED: usize = 8 * 1024;

/// What becomes of a job whose child died over it without an answer; `killed` when it was ended because it could not have
/// given one any more.
pub(crate) fn crashed(end: End, why: Option<Why>, killed: bool, job: &Job) -> Report {
    let outcome = match why {
        Some(why) => why.outcome(job),
        None => {
            let said =
                if killed { Some("closed its stdin or stdout in the middle of the job, and was killed") } else { None };
            Outcome::Retry { delay: None, error: blame(class::HANDLER_CRASHED, said, end) }
        }
    };
    outcome.into()
}

/// An error out of an exit code.
pub(crate) fn ended_badly(end: End) -> JobError {
    blame(class::HANDLER_EXIT, None, end)
}

/// An error out of how a child ended and what it said last.
fn blame(class: &str, did: Option<&str>, end: End) -> JobError {
    let mut message = match did {
        Some(did) => format!("the handler's process {did}"),
        None => format!("the handler's process {}", end.exit),
    };
    if let Some(line) = end.stderr.last() {
        message.push_str(": ");
        message.push_str(line);
    }
    JobError::new(class, message).with_backtrace(end.stderr)
}
