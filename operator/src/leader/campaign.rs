//! Waiting for the Lease, renewing it, giving it back.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::fence::Fence;
use super::lease::{Read, read, write};
use super::record::{Next, Seen};
use crate::Instruments;
use crate::health::Health;

/// For how long nobody else may take a Lease that isn't renewed. A standby sees the last renewal within [`LOOK`] and takes over at most
/// that much after the end, so it works within 15 s of a leader's sudden death.
const TERM: Duration = Duration::from_secs(12);
/// How long after its last renewal began a leader begins to stop.
const RENEWED_WITHIN: Duration = Duration::from_secs(8);
/// How long after its last renewal began a leader makes no call any more, and its process is gone.
const OVER: Duration = Duration::from_secs(11);
/// How often a leader renews.
const RENEW: Duration = Duration::from_secs(2);
/// How often a standby looks, and how soon a renewal that failed is tried again.
const LOOK: Duration = Duration::from_secs(1);
const _: () = assert!(TERM.as_secs() + 2 * LOOK.as_secs() < 15);
/// How long the API server may take over one call.
const ANSWER: Duration = Duration::from_secs(3);

/// Who wants which Lease.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease. Operators with the same take turns.
    pub lease: String,
    /// A name that no other start of an operator has had.
    pub identity: String,
}

/// Being the leader.
#[derive(Debug)]
pub struct Term {
    /// Cancelled when the term is over before its time: stop everything, and say so by `done`.
    pub lost: CancellationToken,
    /// To be cancelled once all work has stopped.
    pub done: CancellationToken,
}

/// Waits for the Lease, says so through `won`, and holds it until the term's `done` is cancelled; then gives it back. Ends without having
/// won when `stop` is cancelled first. `fence` is open while the term lasts. It stands by, for its health, from when it has read the Lease once.
///
/// A leader that can't renew cancels the term's `lost`; if it isn't `done` by the end of the term, the process exits: another may be at
/// work. So this must run on a thread that the controllers' work doesn't hold up.
pub async fn campaign(
    client: Client,
    candidate: Candidate,
    fence: Fence,
    instruments: Instruments,
    won: oneshot::Sender<Term>,
    stop: CancellationToken,
) {
    let leases: Api<Lease> = Api::namespaced(client, &candidate.namespace);
    tracing::info!(lease = candidate.lease, identity = candidate.identity, "standing by for the Lease");
    instruments.metrics.leading.set(&candidate.lease, false);
    let taking = take(&leases, &candidate, &instruments.health);
    let Some((held, renewed)) = stop.run_until_cancelled(taking).await else { return };
    tracing::info!(lease = candidate.lease, identity = candidate.identity, "leading");
    let (lost, done) = (CancellationToken::new(), CancellationToken::new());
    fence.extend(renewed + OVER);
    instruments.metrics.leading.set(&candidate.lease, true);
    if won.send(Term { lost: lost.clone(), done: done.clone() }).is_err() {
        done.cancel();
    }
    let mut held = Holding { leases, candidate, read: held, renewed };
    let end = held.hold(&fence, &done).await;
    instruments.metrics.leading.set(&held.candidate.lease, false);
    match end {
        End::Done => held.give_back(&fence).await,
        End::Lost => {
            lost.cancel();
            let over = tokio::time::Instant::from_std(held.renewed + OVER);
            if timeout_at(over, done.cancelled()).await.is_err() {
                tracing::error!("work did not stop before the end of the term: exiting");
                std::process::exit(1);
            }
        }
    }
}

/// Returns once the Lease is ours, with the moment before it was asked for.
async fn take(leases: &Api<Lease>, candidate: &Candidate, health: &Health) -> (Read, Instant) {
    let mut seen = Seen::default();
    loop {
        let wait = match try_take(leases, candidate, &mut seen).await {
            Ok(Ok(taken)) => return taken,
            Ok(Err(wait)) => {
                health.stands_by();
                wait
            }
            Err(problem) => {
                tracing::warn!(problem, lease = candidate.lease, "the Lease could not be asked for");
                LOOK
            }
        };
        sleep(wait).await;
    }
}

/// The Lease, or how long to wait before the next look.
async fn try_take(
    leases: &Api<Lease>,
    candidate: &Candidate,
    seen: &mut Seen,
) -> Result<Result<(Read, Instant), Duration>, String> {
    let read = in_time(read(leases, &candidate.lease)).await?;
    if let Next::Wait(left) = seen.look(&read.record, &candidate.identity, Instant::now()) {
        return Ok(Err(left.min(LOOK)));
    }
    let asked = Instant::now();
    match in_time(write(leases, &candidate.lease, &read.held_by(&candidate.identity, TERM))).await? {
        Some(read) => Ok(Ok((read, asked))),
        None => Ok(Err(LOOK)),
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, String> {
    match timeout(ANSWER, call).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER.as_secs())),
    }
}

/// How a term ends.
enum End {
    /// The work is done.
    Done,
    /// Somebody else has the Lease, or it could not be renewed in time.
    Lost,
}

struct Holding {
    leases: Api<Lease>,
    candidate: Candidate,
    read: Read,
    /// When the last renewal that worked was begun.
    renewed: Instant,
}

impl Holding {
    async fn hold(&mut self, fence: &Fence, done: &CancellationToken) -> End {
        let mut wait = RENEW;
        loop {
            let deadline = self.renewed + RENEWED_WITHIN;
            let rest = wait.min(deadline.saturating_duration_since(Instant::now()));
            if done.run_until_cancelled(sleep(rest)).await.is_none() {
                return End::Done;
            }
            if Instant::now() >= deadline {
                tracing::error!(lease = self.candidate.lease, "the Lease was not renewed in time: stopping");
                return End::Lost;
            }
            let renewing = timeout_at(tokio::time::Instant::from_std(deadline), self.renew());
            wait = match renewing.await {
                Ok(Ok(true)) => {
                    fence.extend(self.renewed + OVER);
                    RENEW
                }
                Ok(Ok(false)) => {
                    tracing::error!(lease = self.candidate.lease, "somebody else has the Lease: stopping");
                    fence.close();
                    return End::Lost;
                }
                Ok(Err(problem)) => {
                    tracing::warn!(problem, lease = self.candidate.lease, "the Lease could not be renewed");
                    LOOK
                }
                Err(_) => Duration::ZERO,
            };
        }
    }

    /// Renews. False when it is somebody else's.
    async fn renew(&mut self) -> Result<bool, String> {
        let (name, own) = (&self.candidate.lease, &self.candidate.identity);
        let asked = Instant::now();
        if let Some(read) = in_time(write(&self.leases, name, &self.read.held_by(own, TERM))).await? {
            (self.read, self.renewed) = (read, asked);
            return Ok(true);
        }
        // Our own renewal, whose answer was lost, or somebody's label: as long as it is ours, the next try builds on this.
        self.read = in_time(read(&self.leases, name)).await?;
        if self.read.record.holder.as_ref() == Some(own) {
            return Err("it was written by somebody else meanwhile".to_owned());
        }
        Ok(false)
    }

    /// Lets a standby take it at once.
    async fn give_back(&self, fence: &Fence) {
        fence.close();
        let name = &self.candidate.lease;
        match self.try_give_back().await {
            Ok(true) => tracing::info!(lease = name, "the Lease is given back"),
            Ok(false) => tracing::warn!(lease = name, "the Lease is somebody else's already"),
            Err(problem) => tracing::warn!(problem, lease = name, "the Lease could not be given back"),
        }
    }

    /// False when it is somebody else's.
    async fn try_give_back(&self) -> Result<bool, String> {
        let name = &self.candidate.lease;
        if in_time(write(&self.leases, name, &self.read.given_back())).await?.is_some() {
            return Ok(true);
        }
        // Written since: by a renewal of ours whose answer was lost.
        let read = in_time(read(&self.leases, name)).await?;
        if read.record.holder.as_ref() != Some(&self.candidate.identity) {
            return Ok(false);
        }
        Ok(in_time(write(&self.leases, name, &read.given_back())).await?.is_some())
    }
}
