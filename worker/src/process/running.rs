//! One job in a handler's hands: from its row to a verdict.

use super::finishing::Finisher;
use super::hooks::{FailedJob, Reporter};
use super::notices::LoggedNotices;
use super::slots::Slots;
use crate::execute::errors::class;
use crate::execute::retry::{self, Policy};
use crate::execute::{Arguments, Context, Handler, Job, JobError, Notices, Report};
use crate::health::metrics::{Ended, QueueJobs};
use gritstone_store::{ClaimedJob, Counters, Envelope, Finish, Verdict};
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
    jobs: QueueJobs,
    slots: Mutex<Slots<Handle>>,
    /// Rung whenever a slot becomes free.
    pub(super) freed: Notify,
    pub(super) done: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Runs, however they ended.
    runs: AtomicU64,
    pub(super) busy_micros: AtomicU64,
    /// Claims are held that nobody runs; the claiming loop is to look.
    pub(super) has_strays: AtomicBool,
}

/// What a running job can be ended by.
pub(super) struct Handle {
    /// Tells its handler.
    cancel: CancellationToken,
    /// Drops it, and whatever would have come after it.
    task: AbortHandle,
}

impl Running {
    pub(super) fn new(
        handler: Arc<dyn Handler>,
        policy: Policy,
        job_timeout: Option<Duration>,
        finisher: Finisher,
        reporter: Reporter,
        jobs: QueueJobs,
        threads: u32,
    ) -> Self {
        Running {
            handler,
            policy,
            notices: Arc::new(LoggedNotices),
            job_timeout,
            finisher,
            reporter,
            jobs,
            slots: Mutex::new(Slots::new(threads)),
            freed: Notify::new(),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            busy_micros: AtomicU64::new(0),
            has_strays: AtomicBool::new(false),
        }
    }

    pub(super) fn slots(&self) -> MutexGuard<'_, Slots<Handle>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many jobs are running, or about to.
    pub(super) fn count(&self) -> usize {
        self.slots().admitted()
    }

    /// The claims of all jobs that are held.
    pub(super) fn claims(&self) -> Vec<i64> {
        self.slots().claims()
    }

    /// Whether anything was claimed ahead that hasn't started.
    pub(super) fn has_waiting(&self) -> bool {
        let slots = self.slots();
        slots.has_unstarted() || slots.waiting_since().is_some()
    }

    /// How many runs there were, and the time that they took.
    pub(super) fn totals(&self) -> (u64, Duration) {
        let busy = Duration::from_micros(self.busy_micros.load(Ordering::Relaxed));
        (self.runs.load(Ordering::Relaxed), busy)
    }

    /// What became of them, as others are told.
    pub(super) fn counters(&self) -> Counters {
        Counters {
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            busy: Duration::from_micros(self.busy_micros.load(Ordering::Relaxed)),
        }
    }

    /// Waits until the end of every run so far is written.
    pub(super) async fn flush(&self) {
        self.finisher.flush().await;
    }

    /// Ends the jobs of these claims.
    pub(super) fn cancel(&self, claims: &[i64]) {
        let mut slots = self.slots();
        slots.forget(&claims.iter().copied().collect());
        for job in claims.iter().filter_map(|claim| slots.running.get(claim)) {
            job.cancel.cancel();
        }
    }

    /// Ends the jobs that run; those that wait take their places.
    pub(super) fn cancel_running(&self) {
        for job in self.slots().running.values() {
            job.cancel.cancel();
        }
    }

    /// Ends all jobs, and starts none of those that wait.
    pub(super) fn cancel_all(&self) {
        let mut slots = self.slots();
        slots.take_waiting();
        for job in slots.running.values() {
            job.cancel.cancel();
        }
    }

    /// Gives back what was claimed ahead and has not started: it is ready again, nothing counted.
    pub(super) async fn give_back(&self) {
        let waiting = self.slots().take_waiting();
        self.freed.notify_waiters();
        for job in waiting {
            let verdict = Verdict::Release { delay: None, envelope: None };
            self.finisher.send(Finish { claim_id: job.claim_id, job_id: job.job_id, verdict }).await;
        }
    }

    /// Drops the jobs that did not end when told to: nothing more is written for them.
    pub(super) fn drop_all(&self) {
        for (_, job) in self.slots().running.drain() {
            job.task.abort();
        }
        self.freed.notify_waiters();
    }

    /// Waits until fewer than `most` jobs are running or about to.
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

    /// Starts a job, at once or when a slot becomes free.
    pub(super) fn start(self: &Arc<Self>, claimed: ClaimedJob) {
        // Held until it is in the list, so that it can't be taken off before.
        let mut slots = self.slots();
        let Some(claimed) = slots.admit(claimed, Instant::now()) else { return };
        let cancel = CancellationToken::new();
        let claim_id = claimed.claim_id;
        let task = tokio::spawn(Arc::clone(self).work_off(claimed, cancel.clone()));
        slots.running.insert(claim_id, Handle { cancel, task: task.abort_handle() });
    }

    /// Lets so many jobs start that were listed as not started.
    pub(super) fn promote(self: &Arc<Self>, count: usize) {
        let promoted = self.slots().promote(count);
        for job in promoted {
            self.start(job);
        }
    }

    /// Runs a job, and in its slot those that wait, one after the other.
    async fn work_off(self: Arc<Self>, mut claimed: ClaimedJob, mut cancel: CancellationToken) {
        loop {
            let claim_id = claimed.claim_id;
            let finish = self.run(claimed, cancel).await;
            self.finisher.send(finish).await;
            let next = {
                let mut slots = self.slots();
                slots.next_after(claim_id).map(|(job, Handle { task, .. })| {
                    let cancel = CancellationToken::new();
                    slots.running.insert(job.claim_id, Handle { cancel: cancel.clone(), task });
                    (job, cancel)
                })
            };
            self.freed.notify_waiters();
            match next {
                Some(next) => (claimed, cancel) = next,
                None => return,
            }
        }
    }

    async fn run(&self, claimed: ClaimedJob, cancel: CancellationToken) -> Finish {
        let (claim_id, job_id) = (claimed.claim_id, claimed.job_id);
        let (attempts, queue) = (claimed.attempts, claimed.queue.clone());
        let unread = self.reporter.hears_of_jobs().then(|| FailedJob::from(&claimed));
        let started = Instant::now();
        let running = self.jobs.running();
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
        drop(running);
        let took = started.elapsed();
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.busy_micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        let ended = match &verdict {
            Verdict::Done => Ended::Done,
            Verdict::Fail { .. } => Ended::Fail,
            Verdict::Retry { .. } => Ended::Retry,
            Verdict::Interrupt => Ended::Interrupt,
            Verdict::Release { .. } => Ended::Release,
        };
        match ended {
            Ended::Done => self.done.fetch_add(1, Ordering::Relaxed),
            Ended::Fail => self.failed.fetch_add(1, Ordering::Relaxed),
            Ended::Retry | Ended::Interrupt | Ended::Release => 0,
        };
        self.jobs.ended(&queue, ended, took);
        Finish { claim_id, job_id, verdict }
    }

    /// A job as handlers see it, out of its row.
    fn prepare(&self, claimed: ClaimedJob) -> Result<Job, JobError> {
        let unreadable =
            |what: &str| JobError::new(class::UNREADABLE_JOB, format!("the job's row can't be read: {what}"));
        let envelope = claimed.envelope.unwrap_or_else(|| "{}".into());
        let peek: Peek<'_> = serde_json::from_str(&envelope).map_err(|e| unreadable(&e.to_string()))?;
        let raw = peek.arguments.map_or("[]", RawValue::get);
        let arguments = crate::active_job::plain(raw)
            .and_then(|plain| Arguments::from_json(plain.unwrap_or_else(|| raw.to_owned())))
            .map_err(|e| unreadable(&format!("arguments: {e}")))?;
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
        let mut outcome = report.outcome.after_interruptions(job.interruptions);
        if let Some(most) = self.policy.crashes
            && outcome.is_crash()
        {
            let before =
                Envelope::parse(&job.active_job).map_or(0, |envelope| envelope.exceptions(class::HANDLER_CRASHED));
            outcome = outcome.after_crashes(before, most);
        }
        let decided = match attempts {
            // Its enqueuer said how many runs it has, which goes before what the worker says of its class.
            Some(attempts) => {
                let own = retry::ClassPolicy {
                    attempts: Some(attempts),
                    ..self.policy.classes.get(&job.class).copied().unwrap_or_default()
                };
                let classes = HashMap::from([(job.class.clone(), own)]);
                let policy = Policy { classes, ..self.policy.clone() };
                policy.decide(outcome, job.attempt, &job.class, rand::random())
            }
            None => self.policy.decide(outcome, job.attempt, &job.class, rand::random()),
        };
        let updated = report.active_job.as_deref().map(RawValue::get);
        // A handler that hands back an envelope has counted its exceptions itself, as `retry_on` does.
        let counted = |exception_class: &str| match updated {
            Some(envelope) => counted(envelope, job.attempt, None),
            None => counted(&job.active_job, job.attempt, Some(exception_class)),
        };
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
                Verdict::Retry { delay, envelope: counted(error.exception_class()) }
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
                let envelope = counted(error.exception_class());
                Verdict::Fail { error: stored(error), envelope: Some(envelope) }
            }
            retry::Verdict::Interrupt(error) => {
                tracing::warn!(
                    job = job.id,
                    class = job.class,
                    attempt = job.attempt,
                    interruptions = job.interruptions + 1,
                    error_class = error.exception_class(),
                    error = error.message(),
                    "the job was interrupted, and will run again"
                );
                self.reporter.job(job, &error, true);
                Verdict::Interrupt
            }
            retry::Verdict::Release(delay) => Verdict::Release { delay, envelope: updated.map(str::to_owned) },
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
