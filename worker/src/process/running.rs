//! One job in a handler's hands: from its row to a verdict.

use super::finishing::Finisher;
use super::hooks::{FailedJob, Reporter};
use super::notices::LoggedNotices;
use crate::execute::errors::class;
use crate::execute::retry::{self, Policy};
use crate::execute::{Arguments, Context, Handler, Job, JobError, Notices, Report};
use gritstone_store::{ClaimedJob, Envelope, Finish, Verdict};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// The jobs that a worker is running, and what running them needs.
pub(super) struct Running {
    handler: Arc<dyn Handler>,
    policy: Policy,
    notices: Arc<dyn Notices>,
    job_timeout: Option<Duration>,
    finisher: Finisher,
    reporter: Reporter,
    /// By claim. The token ends that job alone.
    jobs: Mutex<HashMap<i64, Handle>>,
    /// Rung whenever a slot becomes free.
    pub(super) freed: Notify,
    pub(super) done: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) busy_micros: AtomicU64,
    /// Claims are held that nobody runs; the claiming loop is to look.
    pub(super) has_strays: AtomicBool,
}

/// What a running job can be ended by.
struct Handle {
    /// Tells its handler.
    cancel: CancellationToken,
    /// Drops it.
    task: AbortHandle,
}

impl Running {
    pub(super) fn new(
        handler: Arc<dyn Handler>,
        policy: Policy,
        job_timeout: Option<Duration>,
        finisher: Finisher,
        reporter: Reporter,
    ) -> Self {
        Running {
            handler,
            policy,
            notices: Arc::new(LoggedNotices),
            job_timeout,
            finisher,
            reporter,
            jobs: Mutex::default(),
            freed: Notify::new(),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            busy_micros: AtomicU64::new(0),
            has_strays: AtomicBool::new(false),
        }
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<i64, Handle>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many jobs are running.
    pub(super) fn count(&self) -> usize {
        self.jobs().len()
    }

    /// The claims of the jobs that are running.
    pub(super) fn claims(&self) -> Vec<i64> {
        self.jobs().keys().copied().collect()
    }

    /// Waits until the end of every run so far is written.
    pub(super) async fn flush(&self) {
        self.finisher.flush().await;
    }

    /// Ends the jobs of these claims.
    pub(super) fn cancel(&self, claims: &[i64]) {
        let jobs = self.jobs();
        for job in claims.iter().filter_map(|claim| jobs.get(claim)) {
            job.cancel.cancel();
        }
    }

    /// Ends all jobs.
    pub(super) fn cancel_all(&self) {
        for job in self.jobs().values() {
            job.cancel.cancel();
        }
    }

    /// Drops the jobs that did not end when told to: nothing more is written for them.
    pub(super) fn drop_all(&self) {
        for (_, job) in self.jobs().drain() {
            job.task.abort();
        }
        self.freed.notify_waiters();
    }

    /// Waits until fewer than `most` jobs are running.
    pub(super) async fn below(&self, most: usize) {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Listening before looking, so that a slot freed in between is not missed.
            freed.as_mut().enable();
            if self.count() < most {
                return;
            }
            freed.await;
        }
    }

    /// Starts a job.
    pub(super) fn start(self: &Arc<Self>, claimed: ClaimedJob) {
        let cancel = CancellationToken::new();
        let (claim_id, token) = (claimed.claim_id, cancel.clone());
        let running = Arc::clone(self);
        // Held until it is in the list, so that it can't be taken off before.
        let mut jobs = self.jobs();
        let task = tokio::spawn(async move {
            let finish = running.run(claimed, token).await;
            running.finisher.send(finish).await;
            running.jobs().remove(&claim_id);
            running.freed.notify_waiters();
        });
        jobs.insert(claim_id, Handle { cancel, task: task.abort_handle() });
    }

    async fn run(&self, claimed: ClaimedJob, cancel: CancellationToken) -> Finish {
        let (claim_id, job_id) = (claimed.claim_id, claimed.job_id);
        let attempts = claimed.attempts;
        let unread = self.reporter.hears_of_jobs().then(|| FailedJob::from(&claimed));
        let started = Instant::now();
        let verdict = match self.prepare(claimed) {
            Ok(job) => {
                let job = Arc::new(job);
                let context = Context { cancel, notices: Some(Arc::clone(&self.notices)) };
                let report = self.handler.run(Arc::clone(&job), context).await;
                self.decide(&job, attempts, report)
            }
            Err(error) => {
                if let Some(job) = unread {
                    self.reporter.job(job, &error, false);
                }
                Verdict::Fail { error: stored(error), envelope: None }
            }
        };
        self.busy_micros.fetch_add(started.elapsed().as_micros() as u64, Ordering::Relaxed);
        match &verdict {
            Verdict::Done => self.done.fetch_add(1, Ordering::Relaxed),
            Verdict::Fail { .. } => self.failed.fetch_add(1, Ordering::Relaxed),
            Verdict::Retry { .. } | Verdict::Release { .. } => 0,
        };
        Finish { claim_id, job_id, verdict }
    }

    /// A job as handlers see it, out of its row.
    fn prepare(&self, claimed: ClaimedJob) -> Result<Job, JobError> {
        let unreadable =
            |what: &str| JobError::new(class::UNREADABLE_JOB, format!("the job's row can't be read: {what}"));
        let envelope = claimed.envelope.unwrap_or_else(|| "{}".into());
        let peek: Peek<'_> = serde_json::from_str(&envelope).map_err(|e| unreadable(&e.to_string()))?;
        let raw = peek.arguments.map_or("[]", RawValue::get);
        // Plain JSON stays the text it is; only Active Job's markers make it worth building a value.
        let arguments = match raw.contains("_aj_") {
            false => Arguments::from_json(raw.to_owned()).map_err(|e| unreadable(&e.to_string()))?,
            true => {
                let values: Vec<serde_json::Value> =
                    serde_json::from_str(raw).map_err(|e| unreadable(&format!("arguments: {e}")))?;
                Arguments::from(values.into_iter().map(crate::active_job::plain).collect::<Vec<_>>())
            }
        };
        let deadline = self.job_timeout.and_then(|timeout| Timestamp::now().checked_add(timeout).ok());
        Ok(Job {
            id: claimed.active_job_id.unwrap_or_else(|| claimed.job_id.to_string()),
            claim: claimed.claim_id,
            row_id: claimed.job_id,
            class: claimed.class,
            queue: claimed.queue,
            priority: claimed.priority,
            arguments,
            attempt: peek.executions.unwrap_or(0).saturating_add(1),
            interruptions: claimed.interruptions,
            deadline,
            enqueued_at: peek.enqueued_at.and_then(|time| time.parse().ok()).or(Some(claimed.created_at)),
            scheduled_at: claimed.scheduled_at,
            traceparent: peek.traceparent.map(Cow::into_owned),
            active_job: envelope,
        })
    }

    fn decide(&self, job: &Job, attempts: Option<u32>, report: Report) -> Verdict {
        let decided = match attempts {
            // Its enqueuer said how many runs it has, which goes before what the worker says of its class.
            Some(attempts) => {
                let own = retry::ClassPolicy {
                    attempts: Some(attempts),
                    ..self.policy.classes.get(&job.class).copied().unwrap_or_default()
                };
                let classes = HashMap::from([(job.class.clone(), own)]);
                let policy = Policy { classes, ..self.policy.clone() };
                policy.decide(report.outcome, job.attempt, &job.class, rand::random())
            }
            None => self.policy.decide(report.outcome, job.attempt, &job.class, rand::random()),
        };
        let kept = report.active_job.as_deref().map_or(job.active_job.as_str(), RawValue::get);
        match decided {
            retry::Verdict::Done => Verdict::Done,
            retry::Verdict::RetryIn { delay, error } => {
                tracing::warn!(
                    job = job.id,
                    class = job.class,
                    attempt = job.attempt,
                    delay = delay.as_secs_f32(),
                    error_class = error.exception_class(),
                    error = error.message(),
                    "the job will run again"
                );
                self.reporter.job(job, &error, true);
                Verdict::Retry { delay, envelope: counted(kept, job.attempt, Some(error.exception_class())) }
            }
            retry::Verdict::Fail(error) => {
                tracing::error!(
                    job = job.id,
                    class = job.class,
                    attempt = job.attempt,
                    error_class = error.exception_class(),
                    error = error.message(),
                    "the job failed"
                );
                self.reporter.job(job, &error, false);
                let envelope = counted(kept, job.attempt, Some(error.exception_class()));
                Verdict::Fail { error: stored(error), envelope: Some(envelope) }
            }
            retry::Verdict::Release(delay) => Verdict::Release { delay },
        }
    }
}

/// The few keys of an envelope that running needs, without building the rest.
#[derive(Deserialize)]
struct Peek<'e> {
    #[serde(borrow, default)]
    arguments: Option<&'e RawValue>,
    #[serde(default)]
    executions: Option<u32>,
    #[serde(borrow, default)]
    enqueued_at: Option<Cow<'e, str>>,
    #[serde(borrow, default)]
    traceparent: Option<Cow<'e, str>>,
}

/// The envelope after a run that counts. One that can't be read stays as it is.
fn counted(envelope: &str, attempt: u32, exception_class: Option<&str>) -> String {
    match Envelope::parse(envelope) {
        Ok(mut parsed) => {
            parsed.set_executions(attempt);
            if let Some(class) = exception_class {
                parsed.count_exception(class);
            }
            parsed.to_string()
        }
        Err(_) => envelope.to_owned(),
    }
}

/// The error as the store keeps it.
fn stored(error: JobError) -> gritstone_store::JobError {
    gritstone_store::JobError {
        exception_class: error.exception_class().to_owned(),
        message: error.message().to_owned(),
        backtrace: Some(error.backtrace().to_vec()),
    }
}
