//! The poll loop: claim for every free slot, start each job, wait when there is nothing.

use super::config::WorkerConfig;
use super::hooks::{HookError, Life};
use super::link::{Link, in_time};
use super::plan::Plan;
use super::registration::Registration;
use super::running::Running;
use super::stop::Stop;
use crate::execute::Handler;
use gritstone_store::{Claim, ClaimedJob, Error, Selection, Store};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A job that a worker died with twice runs alone, so that it can't spend its neighbours' interruptions.
const ALONE_AFTER: u32 = 2;

/// When many slots come free one after the other, waiting this long for more of them turns many small claims into a few
/// large ones. Much shorter than a claim of one job with all its round trips.
const GATHER: Duration = Duration::from_micros(500);

pub(super) struct Claiming {
    link: Link,
    plan: Plan,
    config: WorkerConfig,
    classes: Option<Vec<String>>,
    handler: Arc<dyn Handler>,
    running: Arc<Running>,
    life: Arc<Life>,
    registration: Registration,
    process_id: i64,
    /// A claim may have been made whose answer never came.
    unsure: bool,
    /// Rung when someone says that there is work.
    wake: Arc<Notify>,
}

impl Claiming {
    pub(super) fn new(
        store: &Store,
        config: &WorkerConfig,
        handler: Arc<dyn Handler>,
        running: Arc<Running>,
        life: Arc<Life>,
        registration: &Registration,
        wake: Arc<Notify>,
    ) -> Self {
        Claiming {
            link: Link::new(store, "claims").reporting(&registration.reporter),
            plan: Plan::new(config.queues.clone(), config.order, Instant::now()),
            classes: config.classes.clone().or_else(|| handler.classes()),
            config: config.clone(),
            handler,
            running,
            life,
            process_id: registration.process_id,
            registration: registration.clone(),
            unsure: false,
            wake,
        }
    }

    /// Runs the start hooks, then polls until told to stop.
    ///
    /// # Errors
    /// Without a claim, when a start hook fails.
    pub(super) async fn run(mut self, stop: Stop) -> Result<(), HookError> {
        self.life.start(&self.registration.process, &stop).await?;
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                () = self.free_slot() => {}
            }
            match self.poll(&stop).await {
                Ok(Found::Enough) => {}
                Ok(Found::Less) => {
                    let wake = Arc::clone(&self.wake);
                    tokio::select! {
                        () = stop.requested() => return Ok(()),
                        () = wake.notified() => self.plan.woken(),
                        () = tokio::time::sleep(self.config.polling_interval) => {}
                    }
                }
                Err(error) => {
                    self.unsure = true;
                    tokio::select! {
                        () = stop.requested() => return Ok(()),
                        () = self.link.wait_after(&error) => {}
                    }
                }
            }
        }
    }

    /// Waits for a slot, and for a handler that can be reached.
    async fn free_slot(&self) {
        self.running.below(self.config.threads as usize).await;
        self.handler.ready().await;
        let quarter = self.config.threads as usize / 4;
        if quarter > 1 && self.running.count() > self.config.threads as usize - quarter {
            // Not many are free: a moment later there may be more.
            let more = self.running.below(self.config.threads as usize - quarter);
            let _ = tokio::time::timeout(GATHER, more).await;
        }
    }

    async fn poll(&mut self, stop: &Stop) -> Result<Found, Error> {
        if self.unsure || self.running.has_strays.swap(false, Ordering::Relaxed) {
            tokio::select! {
                () = stop.requested() => return Ok(Found::Less),
                recovered = self.recover_lost_reply(stop) => recovered?,
            }
        }
        let free = (self.config.threads as usize).saturating_sub(self.running.count()) as u32;
        if free == 0 {
            return Ok(Found::Enough);
        }
        let session = self.link.session().await?;
        if self.plan.needs_names(Instant::now()) {
            let names = in_time(session.resolve_queues(self.plan.selectors())).await?;
            let any_paused = !in_time(session.paused_queues()).await?.is_empty();
            self.plan.note_names(names, any_paused, Instant::now());
        }
        let began = Instant::now();
        let selection = self.plan.selection(began, rand::random());
        let jobs = claim(session, self.process_id, &selection, free, self.classes.as_deref(), &self.config).await?;
        self.link.answered();
        let now = Instant::now();
        let again = self.plan.claimed(&jobs, free, now.duration_since(began), now);
        tracing::trace!(process_id = self.process_id, idle_threads = free, claimed = jobs.len(), "polling");
        if !jobs.is_empty() {
            let job_ids = Ids(&jobs);
            tracing::debug!(process_id = self.process_id, ?job_ids, size = jobs.len(), "claim");
        }
        self.start(jobs, stop).await;
        Ok(if again { Found::Enough } else { Found::Less })
    }

    async fn start(&mut self, jobs: Vec<ClaimedJob>, stop: &Stop) {
        let (alone, together): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.interruptions >= ALONE_AFTER);
        for job in together {
            self.running.start(job);
        }
        if !alone.is_empty() {
            self.start_alone(alone.into(), stop).await;
        }
    }

    /// Starts jobs one by one, each when nothing else runs. Until then they are listed as not started: a worker's death while they
    /// wait is none of theirs. A stop leaves their claims to deregistration, which gives them back.
    async fn start_alone(&mut self, mut waiting: VecDeque<ClaimedJob>, stop: &Stop) {
        if self.running.count() > 0 || waiting.len() > 1 {
            // One that is not listed merely counts as started.
            let _ = self.list_unstarted(&waiting).await;
        }
        while let Some(job) = waiting.pop_front() {
            tracing::warn!(
                job = job.job_id,
                class = job.class,
                interruptions = job.interruptions,
                "a worker died with this job before; running it alone"
            );
            tokio::select! {
                () = stop.requested() => return,
                () = self.running.below(1) => {}
            }
            // One that runs must not be listed: its deaths would go uncounted.
            while let Err(error) = self.list_unstarted(&waiting).await {
                tokio::select! {
                    () = stop.requested() => return,
                    () = self.link.wait_after(&error) => {}
                }
            }
            self.running.start(job);
            tokio::select! {
                () = stop.requested() => return,
                () = self.running.below(1) => {}
            }
        }
    }

    async fn list_unstarted(&mut self, waiting: &VecDeque<ClaimedJob>) -> Result<(), Error> {
        let claims: Vec<i64> = waiting.iter().map(|job| job.claim_id).collect();
        in_time(self.link.session().await?.write_unstarted(self.process_id, &claims)).await
    }

    /// After a broken connection: a claim may have been made although its answer never came. What we hold and don't run,
    /// we run.
    ///
    /// What runs is noted *before* the ends of earlier runs are flushed: a run that ends in between is either noted, or written
    /// and so no longer held. The other way round a job could be taken for lost that had just run.
    async fn recover_lost_reply(&mut self, stop: &Stop) -> Result<(), Error> {
        let known = self.running.claims();
        self.running.flush().await;
        let session = self.link.session().await?;
        let held = in_time(session.claims_of(self.process_id)).await?;
        let lost: Vec<ClaimedJob> = held.into_iter().filter(|job| !known.contains(&job.claim_id)).collect();
        self.unsure = false;
        if !lost.is_empty() {
            tracing::info!(size = lost.len(), "running jobs whose claim was answered to a broken connection");
            self.start(lost, stop).await;
        }
        Ok(())
    }
}

/// Shows jobs' ids; the list is made only if someone logs it.
struct Ids<'j>(&'j [ClaimedJob]);

impl std::fmt::Debug for Ids<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|job| job.job_id)).finish()
    }
}

enum Found {
    /// As much as was asked for, or something may be left: look again at once.
    Enough,
    /// Less: there is nothing more for now.
    Less,
}

async fn claim(
    session: &mut gritstone_store::Session<'_>,
    process_id: i64,
    selection: &Selection,
    limit: u32,
    classes: Option<&[String]>,
    config: &WorkerConfig,
) -> Result<Vec<ClaimedJob>, Error> {
    let claim = Claim { process_id, selection, limit, classes, skip_locked: config.skip_locked };
    in_time(session.claim(&claim)).await
}
