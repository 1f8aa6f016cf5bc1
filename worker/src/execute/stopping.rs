//! Jobs that are told to stop, and what becomes of those that have nothing to say about it.

use super::errors::class;
use super::{Context, Job, JobError, Outcome, Report, time_left};
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// Why a job is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The engine wants it to: shutdown, a lost claim.
    Cancelled,
    /// Its time is up.
    TimedOut,
}

impl Why {
    /// What becomes of a job that ended without saying how after it was told to stop.
    pub(crate) fn outcome(self, job: &Job) -> Outcome {
        match self {
            Self::Cancelled => Outcome::Release { delay: None },
            Self::TimedOut => Outcome::Retry {
                delay: None,
                error: JobError::new(
                    class::JOB_TIMEOUT,
                    match job.deadline {
                        Some(deadline) => {
                            format!("the job was not done by its deadline, {deadline:.0}, and was stopped")
                        }
                        None => "the job was not done in time, and was stopped".to_owned(),
                    },
                ),
            },
        }
    }
}

/// Rings after `wait`, of which a year is as good as for ever.
fn alarm(wait: Duration) -> Pin<Box<Sleep>> {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    Box::pin(sleep_until(Instant::now() + wait.min(YEAR)))
}

/// What a job's handler has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Tell the job to stop.
    Stop,
    /// End it: its grace is over.
    Kill,
}

/// Watches for the moment when a job must stop, and then for its grace to run out.
#[derive(Debug)]
pub(crate) struct Watch {
    why: Option<Why>,
    /// The deadline; once the job is ending, the end of its grace.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Whether the grace runs.
    ending: bool,
    grace: Duration,
}

impl Watch {
    /// For a job that is about to start; a report when it needn't any more.
    pub(crate) fn start(job: &Job, context: &Context, grace: Duration) -> Result<Self, Report> {
        let left = time_left(job);
        if context.cancel.is_cancelled() {
            return Err(Why::Cancelled.outcome(job).into());
        }
        if left == Some(Duration::ZERO) {
            return Err(Why::TimedOut.outcome(job).into());
        }
        Ok(Self { why: None, alarm: left.map(alarm), ending: false, grace })
    }

    /// Why the job was told to stop, if it was.
    pub(crate) fn why(&self) -> Option<Why> {
        self.why
    }

    /// For a job that must stop for a reason the watch doesn't know of.
    pub(crate) fn stop(&mut self) {
        self.why.get_or_insert(Why::Cancelled);
        self.begin_grace();
    }

    /// For a job that can't go on, though nobody told it to stop: its grace begins.
    pub(crate) fn begin_grace(&mut self) {
        if !self.ending {
            self.ending = true;
            self.alarm = Some(alarm(self.grace));
        }
    }

    /// Resolves when something is to be done. Can be dropped and called again.
    pub(crate) async fn next(&mut self, cancel: &CancellationToken) -> Call {
        let rings = async {
            match &mut self.alarm {
                Some(alarm) => alarm.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled(), if self.why.is_none() => self.why = Some(Why::Cancelled),
            () = rings => {
                self.alarm = None;
                if self.ending {
                    return Call::Kill;
                }
                self.why = Some(Why::TimedOut);
            }
        }
        self.begin_grace();
        Call::Stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::sample_job;
    use futures::FutureExt;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_cancelled_job_is_told_to_stop_and_then_killed() {
        let context = Context::default();
        let mut watch = Watch::start(&sample_job(), &context, Duration::ZERO).unwrap();
        assert!(watch.next(&context.cancel).now_or_never().is_none());
        context.cancel.cancel();
        assert_eq!(watch.next(&context.cancel).await, Call::Stop);
        assert_eq!(watch.why(), Some(Why::Cancelled));
        assert_eq!(watch.next(&context.cancel).await, Call::Kill);
    }

    #[tokio::test]
    async fn a_job_past_its_deadline_is_told_to_stop() {
        let context = Context::default();
        let soon = jiff::Timestamp::now() + Duration::from_millis(20);
        let job = Job { deadline: Some(soon), ..sample_job() };
        let mut watch = Watch::start(&job, &context, LONG).unwrap();
        assert_eq!(watch.next(&context.cancel).await, Call::Stop);
        assert_eq!(watch.why(), Some(Why::TimedOut));
        assert!(watch.next(&context.cancel).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_job_that_cannot_go_on_is_killed_without_being_told() {
        let context = Context::default();
        let mut watch = Watch::start(&sample_job(), &context, Duration::ZERO).unwrap();
        watch.begin_grace();
        assert_eq!(watch.next(&context.cancel).await, Call::Kill);
        assert_eq!(watch.why(), None);
    }

    #[test]
    fn a_job_that_is_over_before_it_starts_never_does() {
        let context = Context::default();
        let job = Job { deadline: Some(jiff::Timestamp::UNIX_EPOCH), ..sample_job() };
        let report = Watch::start(&job, &context, LONG).unwrap_err();
        assert!(
            matches!(report.outcome, Outcome::Retry { error, .. } if error.exception_class() == class::JOB_TIMEOUT)
        );
        context.cancel.cancel();
        let report = Watch::start(&job, &context, LONG).unwrap_err();
        assert_eq!(report.outcome, Outcome::Release { delay: None });
    }
}
