//! The heartbeat: saying that a process lives, and stopping its jobs in time when that can't be said.
//!
//! Others take a process for dead when its last heartbeat is older than the alive threshold, and run its jobs again. So
//! a worker whose heartbeats fail ends its jobs before that, counted on its own monotonic clock from the *start* of the last good
//! write, with room for the handlers' grace.

use super::link::{Link, STATEMENT_TIMEOUT, within};
use super::registration::Registration;
use super::running::Running;
use gritstone_store::{Counters, Error, Session, Store};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Why a process's life, as others see it, is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// Its row is gone: someone pruned it.
    Row,
    /// It could not say for too long that it lives.
    Contact,
}

/// How often what was done is written down between beats, if anything was: the operator looks every second, and decides by it how
/// many workers there should be.
const COUNT: Duration = Duration::from_secs(2);

/// What handlers get to end in, and what clocks and schedulers may take, before the threshold: together a third of it.
fn reserve(alive_threshold: Duration) -> Duration {
    alive_threshold / 3
}

/// What handlers get of that to end in: half.
pub(super) fn grace(alive_threshold: Duration) -> Duration {
    reserve(alive_threshold) / 2
}

/// Beats until the process's life is over. `running` is a worker's jobs: claims that vanish end theirs.
pub(super) async fn beat(store: Store, registration: Registration, running: Option<Arc<Running>>) -> Lost {
    let lost = beat_on(store, &registration, running).await;
    let reason = match lost {
        Lost::Row => "row",
        Lost::Contact => "contact",
    };
    registration.health.metrics().lives.lost(registration.kind, reason);
    lost
}

async fn beat_on(store: Store, registration: &Registration, running: Option<Arc<Running>>) -> Lost {
    let mut link = Link::new(&store, "heartbeat").reporting(&registration.reporter).counted(registration.connections());
    let mut last_good = registration.since;
    let mut suspects = HashSet::new();
    let pulse = registration.pulse("heartbeat");
    loop {
        let interval = registration.settings().heartbeat_interval;
        pulse.rest();
        rest(spread(interval, rand::random()), &mut link, registration, running.as_ref()).await;
        loop {
            let threshold = registration.settings().alive_threshold;
            let lifetime = threshold.saturating_sub(reserve(threshold));
            let deadline = last_good + lifetime;
            pulse.turn();
            let began = Instant::now();
            let Some(left) = deadline.checked_duration_since(began) else { return Lost::Contact };
            let attempt = async {
                let session = link.session().await?;
                say(session, registration, running.as_ref(), &mut suspects).await
            };
            match within(left.min(interval.max(Duration::from_secs(1))).min(STATEMENT_TIMEOUT), attempt).await {
                Ok(true) => {
                    link.answered();
                    last_good = began;
                    registration.listed.beat(began);
                    break;
                }
                Ok(false) => return Lost::Row,
                Err(error) => {
                    let pause = link.wait_after(&error);
                    if tokio::time::timeout(left, pause).await.is_err() {
                        return Lost::Contact;
                    }
                }
            }
        }
    }
}

/// Waits for the next beat. Meanwhile writes down what was done, and gives back what was claimed ahead once the process is cordoned.
async fn rest(pause: Duration, link: &mut Link, registration: &Registration, running: Option<&Arc<Running>>) {
    let until = Instant::now() + pause;
    let mut written = Counters::default();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Some(running) = running.filter(|_| left > COUNT) else { return tokio::time::sleep(left).await };
        tokio::time::sleep(COUNT).await;
        let counters = running.counters();
        if counters == written && !running.has_waiting() {
            continue;
        }
        let write = async {
            let session = link.session().await?;
            if counters != written {
                session.write_counters(registration.process_id, counters).await?;
            }
            give_back_if_cordoned(session, registration.process_id, running).await
        };
        // The next beat sees to a database that is away.
        if within(COUNT / 2, write).await.is_ok() {
            written = counters;
        }
    }
}

async fn give_back_if_cordoned(
    session: &mut Session<'_>,
    process_id: i64,
    running: &Arc<Running>,
) -> Result<(), Error> {
    if running.has_waiting() && session.is_cordoned(process_id).await? {
        let running = Arc::clone(running);
        // Not here: what gives back waits while the database can't keep up, and a heartbeat must not.
        tokio::spawn(async move { running.give_back().await });
    }
    Ok(())
}

/// One heartbeat; false when the row is gone.
///
/// `suspects` are the claims that were held at the last one without being run. Held for two heartbeats, such a claim was made
/// by a statement whose sender had given it up: a server that was frozen may still carry it out when it goes on.
async fn say(
    session: &mut Session<'_>,
    registration: &Registration,
    running: Option<&Arc<Running>>,
    suspects: &mut HashSet<i64>,
) -> Result<bool, Error> {
    let process_id = registration.process_id;
    if !session.heartbeat(process_id).await? {
        return Ok(false);
    }
    let settings = session.settings().await?;
    registration.settings.send_if_modified(|known| {
        let changed = *known != settings;
        *known = settings;
        changed
    });
    let Some(running) = running else { return Ok(true) };
    session.write_counters(process_id, running.counters()).await?;
    let before = running.claims();
    let held = session.claim_ids_of(process_id).await?;
    // Still running after the look, and not held: not merely finished in between.
    let lost: Vec<i64> = before.iter().copied().filter(|claim| !held.contains(claim)).collect();
    let still: Vec<i64> = running.claims().into_iter().filter(|claim| lost.contains(claim)).collect();
    if !still.is_empty() {
        tracing::warn!(process_id, claims = ?still, "these claims were taken away; ending their jobs");
        running.cancel(&still);
    }
    give_back_if_cordoned(session, process_id, running).await?;
    let idle: HashSet<i64> = held.into_iter().filter(|claim| !before.contains(claim)).collect();
    if !idle.is_disjoint(suspects) {
        running.has_strays.store(true, Ordering::Relaxed);
    }
    *suspects = idle;
    Ok(true)
}

/// An interval, at most a tenth shorter, so that many processes don't write at the same moment.
fn spread(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(1.0 - 0.1 * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_and_margin_leave_two_thirds_of_the_threshold() {
        assert_eq!(reserve(Duration::from_secs(120)), Duration::from_secs(40));
        assert_eq!(grace(Duration::from_secs(120)), Duration::from_secs(20));
    }

    #[test]
    fn heartbeats_are_spread_but_never_late() {
        assert_eq!(spread(Duration::from_secs(10), 0.0), Duration::from_secs(10));
        assert_eq!(spread(Duration::from_secs(10), 1.0), Duration::from_secs(9));
    }
}
