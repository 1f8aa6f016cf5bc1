//! What a dispatcher, or a supervisor, does beside its main work: burying the dead, mending limits and batches, clearing.

use super::finishing::consequences;
use super::identity;
use super::link::{Link, in_time};
use super::registration::Registration;
use super::stop::Stop;
use gritstone_store::{Buried, ClearOptions, Death, Error, Session, Settings, Settled, Store};
use std::time::{Duration, Instant};

/// How often a process looks whether its neighbours on the same host are still there. Cheap: the list of processes and
/// a few files of /proc.
const NEIGHBOURS_INTERVAL: Duration = Duration::from_secs(2);

/// How often finished jobs and unused ids are cleared.
const CLEARING_INTERVAL: Duration = Duration::from_secs(60);

/// Finished jobs deleted in one transaction, and the pause after it, as Solid Queue's installer schedules it.
const CLEARING_BATCH: u32 = 500;
const CLEARING_PAUSE: Duration = Duration::from_millis(300);

/// How many deaths a claim without any process survives: whose policy held is not known any more.
const ORPHAN_INTERRUPTIONS: u32 = 3;

/// What this process takes care of.
#[derive(Clone)]
pub(super) struct Duties {
    pub(super) registration: Registration,
    /// Sweep limits and batches this often.
    pub(super) sweeps: Option<Duration>,
    pub(super) clearing: bool,
}

/// Looks after the database until told to stop.
pub(super) async fn run(store: Store, duties: Duties, stop: Stop) {
    let mut link = Link::new(&store, "maintenance")
        .reporting(&duties.registration.reporter)
        .counted(duties.registration.connections());
    // At boot the first round of everything, at once.
    let mut next =
        Next { neighbours: Instant::now(), prune: Instant::now(), sweep: Instant::now(), clear: Instant::now() };
    while !stop.is_requested() {
        let round = tokio::select! {
            () = stop.requested() => return,
            round = round(&store, &mut link, &duties, &mut next) => round,
        };
        match round {
            Ok(()) => {
                link.answered();
                tokio::select! {
                    () = stop.requested() => return,
                    () = tokio::time::sleep_until(next.soonest(&duties).into()) => {}
                }
            }
            Err(error) => {
                tokio::select! {
                    () = stop.requested() => return,
                    () = link.wait_after(&error) => {}
                }
            }
        }
    }
}

struct Next {
    neighbours: Instant,
    prune: Instant,
    sweep: Instant,
    clear: Instant,
}

impl Next {
    fn soonest(&self, duties: &Duties) -> Instant {
        let mut soonest = self.neighbours.min(self.prune);
        if duties.sweeps.is_some() {
            soonest = soonest.min(self.sweep);
        }
        if duties.clearing {
            soonest = soonest.min(self.clear);
        }
        soonest
    }
}

/// One look at everything that is due. What fails is due again at the next look; unless the database is away, the rest is
/// done all the same.
async fn round(store: &Store, link: &mut Link, duties: &Duties, next: &mut Next) -> Result<(), Error> {
    let session = link.session().await?;
    let now = Instant::now();
    let mut outcome = Ok(());
    if now >= next.neighbours {
        let done = bury_neighbours(store, session, &duties.registration).await;
        next.neighbours = again(done, now, NEIGHBOURS_INTERVAL, &mut outcome)?;
    }
    if now >= next.prune {
        let done = bury_silent(store, session, duties).await;
        next.prune = again(done, now, duties.registration.settings().alive_threshold / 2, &mut outcome)?;
    }
    if let Some(interval) = duties.sweeps
        && now >= next.sweep
    {
        next.sweep = again(sweep(store, session).await, now, interval, &mut outcome)?;
    }
    if duties.clearing && now >= next.clear {
        next.clear =
            again(clear(session, &duties.registration.settings()).await, now, CLEARING_INTERVAL, &mut outcome)?;
    }
    outcome
}

/// When a duty is due again. Its error ends the round when the database is away, and waits for the round's end otherwise.
fn again(
    done: Result<(), Error>,
    now: Instant,
    interval: Duration,
    outcome: &mut Result<(), Error>,
) -> Result<Instant, Error> {
    match done {
        Ok(()) => Ok(now + interval),
        Err(error) if error.is_unavailable() => Err(error),
        Err(error) => {
            *outcome = Err(error);
            Ok(now)
        }
    }
}

/// Buries processes whose heartbeat has aged, and takes over claims that belong to nobody.
async fn bury_silent(store: &Store, session: &mut Session<'_>, duties: &Duties) -> Result<(), Error> {
    // As it is now: it may have been raised since this process started.
    let threshold = in_time(session.settings()).await?.alive_threshold;
    let buried = in_time(session.prune(threshold, Some(duties.registration.process_id))).await?;
    if !buried.is_empty() {
        tracing::warn!(size = buried.len(), "prune_processes");
    }
    for buried in buried {
        settle(store, session, buried, &duties.registration).await?;
    }
    let orphans = in_time(session.recover_orphans(ORPHAN_INTERRUPTIONS)).await?;
    settle(store, session, orphans, &duties.registration).await
}

/// Sweeps limits and batches.
async fn sweep(store: &Store, session: &mut Session<'_>) -> Result<(), Error> {
    let swept = in_time(session.sweep_limits()).await?;
    if swept.released > 0 || swept.reclaimed > 0 {
        tracing::info!(
            keys = swept.keys,
            released = swept.released,
            reclaimed = swept.reclaimed,
            "release_many_blocked"
        );
    }
    store.wake(swept.queues);
    let queues = in_time(session.sweep_batches()).await?;
    tracing::trace!(callbacks = queues.len(), "sweep_stalled_batches");
    store.wake(queues);
    Ok(())
}

/// Buries processes that are provably gone, those of this host and those of an earlier container of this pod, without waiting for their
/// heartbeats to age.
async fn bury_neighbours(store: &Store, session: &mut Session<'_>, own: &Registration) -> Result<(), Error> {
    let pod = identity::own_pod();
    for process in in_time(session.processes()).await? {
        // The number of a dead pod's pid namespace is given again, to another pod of that node for one; and machines that were cloned while
        // they ran have the same boot. So pods know of nobody but their own.
        let is_near = process.id != own.process_id && process.pod == pod;
        let Some(incarnation) = process.incarnation.as_deref().filter(|_| is_near) else { continue };
        let how = if identity::is_gone(incarnation) {
            format!("pid {} is gone from its host", process.pid)
        } else if pod.is_some() && identity::is_predecessor(incarnation) {
            "its container was started anew".to_owned()
        } else {
            continue;
        };
        if let Some(buried) = in_time(session.bury(process.id, &Death::Exited { how })).await? {
            settle(store, session, buried, own).await?;
        }
    }
    Ok(())
}

/// Buries, once, who ran in this pod's container before it was started anew. For a worker that nobody supervises; waits for the database as
/// long as it takes.
pub(super) async fn bury_predecessors(store: Store, registration: Registration) {
    if identity::own_pod().is_none() {
        return;
    }
    let mut link = Link::new(&store, "maintenance").reporting(&registration.reporter);
    loop {
        let bury = async {
            let session = link.session().await?;
            bury_neighbours(&store, session, &registration).await
        };
        match bury.await {
            Ok(()) => return,
            Err(error) => link.wait_after(&error).await,
        }
    }
}

/// Logs what became of a dead process's jobs and hands on what they held.
pub(super) async fn settle(
    store: &Store,
    session: &mut Session<'_>,
    buried: Buried,
    by: &Registration,
) -> Result<(), Error> {
    if buried.released.is_empty()
        && buried.interrupted.is_empty()
        && buried.failed.is_empty()
        && buried.process_id.is_none()
    {
        return Ok(());
    }
    by.health.metrics().lives.buried(&buried);
    tracing::warn!(
        process_id = buried.process_id, name = buried.name, released = ?buried.released, interrupted = ?buried.interrupted,
        failed = ?buried.failed, "fail_many_claimed"
    );
    let settled = Settled { signals: buried.signals, batch_ids: buried.batch_ids, ..Settled::default() };
    store.wake(in_time(consequences(session, &settled)).await?);
    Ok(())
}

async fn clear(session: &mut Session<'_>, settings: &Settings) -> Result<(), Error> {
    let by_age = settings.clear_finished_after.map(|age| ClearOptions {
        finished_before: Some(age),
        batch_size: CLEARING_BATCH,
        ..ClearOptions::default()
    });
    let by_count = settings.keep_at_most.map(|keep| ClearOptions {
        keep_at_most: Some(keep),
        batch_size: CLEARING_BATCH,
        ..ClearOptions::default()
    });
    for options in [by_age, by_count].into_iter().flatten() {
        loop {
            let cleared = in_time(session.clear_finished(&options)).await?;
            if cleared < u64::from(CLEARING_BATCH) {
                break;
            }
            tokio::time::sleep(CLEARING_PAUSE).await;
        }
    }
    in_time(session.sweep_unique_keys()).await?;
    Ok(())
}
