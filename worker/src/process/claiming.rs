//! The poll loop: claim for every free slot and a little ahead, start each job, wait when there is nothing.

use super::config::WorkerConfig;
use super::foreign::{self, First, Foreign};
use super::hooks::{HookError, Life};
use super::link::{Link, in_time};
use super::pace::Pace;
use super::plan::Plan;
use super::registration::Registration;
use super::running::Running;
use super::slots::Room;
use super::stop::Stop;
use crate::execute::Handler;
use crate::health::Pulse;
use crate::health::metrics::Claims;
use gritstone_store::{Ahead, Claim, Claimed, ClaimedJob, Error, ReadyRows, SHELL_CLASS, Selection, Session, Store};
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

/// How long a job that was claimed ahead because jobs were short may wait for a slot.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Claiming {
    link: Link,
    plan: Plan,
    pace: Pace,
    config: WorkerConfig,
    classes: Option<Vec<String>>,
    foreign: Foreign,
    handler: Arc<dyn Handler>,
    running: Arc<Running>,
    life: Arc<Life>,
    registration: Registration,
    process_id: i64,
    /// A claim may have been made whose answer never came.
    unsure: bool,
    /// Rung when someone says that there is work.
    wake: Arc<Notify>,
    pulse: Pulse,
    claims: Claims,
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
            link: Link::new(store, "claims").reporting(&registration.reporter).counted(registration.connections()),
            plan: Plan::new(config.queues.clone(), config.order, handler.runs_commands(), Instant::now()),
            classes: config.classes.clone(),
            foreign: Foreign::default(),
            pace: Pace::default(),
            config: config.clone(),
            handler,
            running,
            life,
            process_id: registration.process_id,
            registration: registration.clone(),
            unsure: false,
            wake,
            pulse: registration.pulse("claims"),
            claims: registration.health.metrics().claims.clone(),
        }
    }

    /// Runs the start hooks, then polls until told to stop.
    ///
    /// # Errors
    /// Without a claim, when a start hook fails.
    pub(super) async fn run(mut self, stop: Stop) -> Result<(), HookError> {
        self.pulse.rest();
        self.life.start(&self.registration.process, &stop).await?;
        loop {
            if stop.is_paused() {
                self.pause(&stop).await;
            }
            tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                () = stop.paused(true) => continue,
                () = self.waited_too_long() => self.give_back().await,
                () = self.room() => {}
            }
            let polled = self.poll(&stop).await;
            // From here on it waits: for jobs, for its handler, for a database that is away.
            self.pulse.rest();
            match polled {
                Ok(Found::Enough) => {}
                Ok(Found::Less) => {
                    let wake = Arc::clone(&self.wake);
                    tokio::select! {
                        () = stop.requested() => return Ok(()),
                        () = stop.paused(true) => {}
                        () = self.waited_too_long() => self.give_back().await,
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

    /// Claims nothing until told to go on or to stop. What was claimed ahead is for others to run.
    async fn pause(&self, stop: &Stop) {
        self.running.give_back().await;
        tracing::info!(process_id = self.process_id, "claims are paused");
        tokio::select! {
            biased;
            () = stop.requested() => {}
            () = stop.paused(false) => tracing::info!(process_id = self.process_id, "claims go on"),
        }
    }

    /// How many jobs to hold beyond those that run, and how many of them will start so soon that they count as started.
    fn prefetch(&self) -> (usize, usize) {
        let soon = self.pace.soon(self.config.threads);
        (self.config.prefetch.unwrap_or(soon) as usize, soon as usize)
    }

    /// Waits until there is room for more jobs, and for a handler that can be reached.
    async fn room(&self) {
        let (prefetch, soon) = self.prefetch();
        let threads = self.config.threads as usize;
        let (most, enough) = match self.running.slots().has_unstarted() {
            true => (threads + prefetch.min(soon), 0),
            // While nothing is idle there is no hurry.
            false => (threads + prefetch, prefetch / 2),
        };
        self.running.below(most - enough).await;
        self.handler.ready().await;
        let quarter = most / 4;
        if quarter > 1 && self.running.count() > most - quarter {
            // Not many are free: a moment later there may be more.
            let _ = tokio::time::timeout(GATHER, self.running.below(most - quarter)).await;
        }
    }

    /// Rings when a job that was claimed ahead, unasked, waits for longer than was foreseen: another worker may be idle.
    async fn waited_too_long(&self) {
        loop {
            let since = match self.config.prefetch {
                None => self.running.slots().waiting_since(),
                Some(_) => None,
            };
            let Some(since) = since else { return std::future::pending().await };
            let patience = PATIENCE.saturating_sub(since.elapsed());
            if patience.is_zero() {
                return;
            }
            tokio::time::sleep(patience).await;
        }
    }

    /// Gives back what waits, and claims nothing ahead until it is known again what jobs take: else the same jobs would be
    /// claimed at once, and given back a moment later, for as long as none of the running ones ends.
    async fn give_back(&mut self) {
        self.pace.forget();
        self.running.give_back().await;
    }

    async fn poll(&mut self, stop: &Stop) -> Result<Found, Error> {
        if self.unsure || self.running.has_strays.swap(false, Ordering::Relaxed) {
            tokio::select! {
                () = stop.requested() => return Ok(Found::Less),
                recovered = self.recover_lost_reply(stop) => recovered?,
            }
        }
        self.pulse.turn();
        let (runs, busy) = self.running.totals();
        self.pace.note(runs, busy);
        let (prefetch, soon) = self.prefetch();
        let room = self.running.slots().room(prefetch, soon);
        if room.claim == 0 {
            self.promote(&room).await?;
            return Ok(Found::Enough);
        }
        let session = self.link.session().await?;
        if self.plan.needs_pauses(Instant::now()) {
            let any_paused = !in_time(session.paused_queues()).await?.is_empty();
            if self.plan.note_pauses(any_paused, Instant::now()) {
                self.foreign.forget();
            }
        }
        if self.plan.needs_names(Instant::now()) {
            let began = Instant::now();
            let names = in_time(session.resolve_queues(self.plan.selectors())).await?;
            if self.plan.note_names(names, began.elapsed(), Instant::now()) {
                self.foreign.forget();
            }
        }
        let began = Instant::now();
        let queues = self.plan.selection(began, rand::random());
        let limit = room.claim as u32;
        let look = match &self.classes {
            Some(classes) => look(session, self.foreign.first(began), &queues, classes, limit).await?,
            None => None,
        };
        let rows = look.as_ref().map(|look| Selection::Rows(look.found.rows.clone()));
        let claim = Claim {
            process_id: self.process_id,
            selection: rows.as_ref().unwrap_or(&queues),
            limit,
            classes: self.classes.as_deref(),
            commands: self.plan.commands(began),
            skip_locked: self.config.skip_locked,
            ahead: room.listed.then_some(Ahead { kept: &room.kept, starting: room.starting as u32 }),
        };
        let Claimed { jobs, met_commands } = in_time(session.claim(&claim)).await?;
        self.link.answered();
        let now = Instant::now();
        let took = now.duration_since(began);
        self.claims.answered(jobs.len(), took);
        let short = jobs.len() < limit as usize;
        let again = match look {
            Some(Look { after, found, took }) => {
                self.foreign.looked(after, &found, short, took, now);
                !short
            }
            None => {
                if self.classes.is_some() {
                    self.foreign.claimed(short, took, now);
                }
                self.plan.claimed(&jobs, limit, took, now) || met_commands
            }
        };
        if met_commands && self.plan.met_commands(now) {
            tracing::warn!(
                process_id = self.process_id,
                "jobs of class {SHELL_CLASS} are ready, which this worker may not run: a worker runs them that has \
                 `allowCommands: true` in its manifest, or is started with --allow-commands"
            );
        }
        tracing::trace!(process_id = self.process_id, idle_threads = limit, claimed = jobs.len(), "polling");
        if jobs.is_empty() {
            self.promote(&room).await?;
        } else {
            let job_ids = Ids(&jobs);
            tracing::debug!(process_id = self.process_id, ?job_ids, size = jobs.len(), "claim");
            self.running.promote(room.promoted);
            let unstarted = claim.ahead.map(|ahead| ahead.unstarted(jobs.iter().map(|job| job.claim_id)));
            let jobs = within_limits(self.link.session().await?, jobs).await?;
            self.pulse.rest();
            self.start(jobs, &unstarted.unwrap_or_default(), stop).await;
        }
        let held = self.running.slots().has_unstarted();
        Ok(if again || held { Found::Enough } else { Found::Less })
    }

    /// Lets jobs start that were listed as not started, once the list says so no more.
    async fn promote(&mut self, room: &Room) -> Result<(), Error> {
        if room.promoted > 0 {
            let session = self.link.session().await?;
            in_time(session.write_unstarted(self.process_id, &room.kept)).await?;
            self.running.promote(room.promoted);
        }
        Ok(())
    }

    /// Starts what was claimed; `unstarted` are the claims that are listed as not started.
    async fn start(&mut self, jobs: Vec<ClaimedJob>, unstarted: &[i64], stop: &Stop) {
        let mut alone = VecDeque::new();
        for job in jobs {
            if job.interruptions >= ALONE_AFTER {
                alone.push_back(job);
            } else if unstarted.contains(&job.claim_id) {
                self.running.slots().hold(job);
            } else {
                self.running.start(job);
            }
        }
        if !alone.is_empty() {
            self.start_alone(alone, stop).await;
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
        let held = self.running.slots().unstarted().collect::<Vec<_>>();
        let claims: Vec<i64> = waiting.iter().map(|job| job.claim_id).chain(held).collect();
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
            let lost = within_limits(session, lost).await?;
            // The claim may have listed them as not started.
            let unstarted = self.running.slots().unstarted().collect::<Vec<_>>();
            in_time(self.link.session().await?.write_unstarted(self.process_id, &unstarted)).await?;
            self.start(lost, &[], stop).await;
        }
        Ok(())
    }
}

/// What was found before a claim.
struct Look {
    after: Option<i64>,
    found: ReadyRows,
    took: Duration,
}

/// Looks before a claim of some classes, if it is to begin so.
async fn look(
    session: &mut Session<'_>,
    first: First,
    queues: &Selection,
    classes: &[String],
    limit: u32,
) -> Result<Option<Look>, Error> {
    let First::Look(after) = first else { return Ok(None) };
    let began = Instant::now();
    let found = in_time(session.ready_rows(queues, classes, after, limit.max(foreign::MOST))).await?;
    Ok(Some(Look { after, found, took: began.elapsed() }))
}

/// Leaves out jobs of others' making that would be one too many under their limit: they have been put back.
async fn within_limits(session: &mut Session<'_>, mut jobs: Vec<ClaimedJob>) -> Result<Vec<ClaimedJob>, Error> {
    let over = in_time(session.check_claimed(&jobs)).await?;
    if !over.claims.is_empty() {
        tracing::info!(size = over.claims.len(), "jobs that others made ready wait for a slot of their limit");
        jobs.retain(|job| !over.claims.contains(&job.claim_id));
        in_time(session.complete_batches(&over.batch_ids)).await?;
    }
    Ok(jobs)
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
