//! One QueueWorker's scaling, from look to look; `lower` takes workers away.

mod lower;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use gritstone_crds::kinds::LastScaling;
use gritstone_store::WorkerLoad;
use jiff::{Timestamp, Unit};
use kube::runtime::events::{Event, EventType};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::counters::Counters;
use super::deployment;
use super::gauges::OfOne;
use super::lowering::{Lowering, Step};
use super::order::{CONNECTIONS, Order, Said, State};
use crate::autoscale::{Budget, Decider, Decision, Observation};
use crate::context::Context;
use crate::database::{DatabaseFault, Look, Looks, Share, User};
use crate::pods::WorkerPod;
use lower::Sight;

/// How long nothing may be seen before it is looked whether that has become too long.
const TICK: Duration = Duration::from_secs(5);
/// How long the database may take to cordon a worker.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take until the Deployment is seen with the number that we wrote.
const SEEN: Duration = Duration::from_secs(15);
/// How long after an error of the API server it is called again.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a step could not be taken this time.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("writing the number of workers of {deployment} failed: {source}")]
    Scale { deployment: String, source: kube::Error },
    #[error("marking the pod {pod} as one to go failed: {source}")]
    Mark { pod: String, source: kube::Error },
    #[error("reading the pods of {worker} failed: {source}")]
    Pods { worker: String, source: kube::Error },
    #[error("the database can't be asked: {0}")]
    Fault(#[from] DatabaseFault),
    #[error("cordoning a worker failed: {0}")]
    Cordon(#[from] gritstone_store::Error),
    #[error("cordoning a worker took longer than {PATIENCE:?}")]
    Late,
}

pub(super) struct Task {
    context: Weak<Context>,
    user: User,
    orders: watch::Receiver<(Order, Option<Looks>)>,
    said: Arc<Mutex<Said>>,
    gauges: OfOne,
    origin: Instant,
    decider: Decider,
    counters: Counters,
    /// The number that we wrote, and when, until the Deployment is seen with it.
    wrote: Option<(u32, Instant)>,
    /// The look that was taken in last, and the ready jobs in it.
    last: Option<(Instant, u64)>,
    lowering: Option<Lowering>,
    /// Before this nobody is chosen to go.
    rest_until: Instant,
}

impl Task {
    pub(super) fn new(
        context: Weak<Context>,
        user: User,
        orders: watch::Receiver<(Order, Option<Looks>)>,
        said: Arc<Mutex<Said>>,
        gauges: OfOne,
    ) -> Self {
        let now = Instant::now();
        Task {
            context,
            user,
            orders,
            said,
            gauges,
            origin: now,
            decider: Decider::new(),
            counters: Counters::default(),
            wrote: None,
            last: None,
            lowering: None,
            rest_until: now,
        }
    }

    /// Until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let (order, looks) = self.orders.borrow_and_update().clone();
            let look = looks.as_ref().and_then(|looks| looks.borrow().clone());
            let Some(context) = self.context.upgrade() else { return };
            // In a box: a step that writes takes sixteen kilobytes, which each of these tasks would have all the time.
            if let Err(error) = Box::pin(self.step(&context, &order, look.as_deref())).await {
                tracing::warn!(%error, worker = %self.user, "scaling failed; it is tried again");
                sleep(PAUSE).await;
            }
            drop(context);
            tokio::select! {
                gone = self.orders.changed() => if gone.is_err() { return },
                () = next_look(looks, look.map(|look| look.at)) => {}
                () = sleep(TICK) => {}
            }
        }
    }

    async fn step(&mut self, context: &Context, order: &Order, look: Option<&Look>) -> Result<(), Error> {
        let in_deployment = order.rollout.wanted.max(0).unsigned_abs();
        self.wrote = self.wrote.filter(|(wrote, at)| *wrote != in_deployment && at.elapsed() < SEEN);
        let replicas = self.wrote.map_or(in_deployment, |(wrote, _)| wrote);
        let pods = context.pods.of(self.user.namespace(), self.user.name());
        let workers: Vec<&WorkerLoad> = look.map_or_else(Vec::new, |look| {
            let uids: HashSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
            look.workers.iter().filter(|worker| uids.contains(worker.pod_uid.as_str())).collect()
        });
        let is_new = look.filter(|look| self.last.is_none_or(|(at, _)| look.at > at));
        let observation = is_new.map(|look| self.observe(look, &workers));
        let budget = order.connections.map(|connections| budget(connections, replicas, &pods));
        let now = self.origin.elapsed();
        if matches!(&self.lowering, Some(Lowering { step: Step::Going(_), .. })) {
            self.see_who_went(context, order, &pods).await?;
        }
        // What was taken in already says nothing new, and isn't missing either; nor is what could not be there yet.
        let last = self.last.map_or(self.origin, |(at, _)| at);
        if observation.is_none() && last.elapsed() < TICK * 2 {
            return Ok(());
        }
        if observation.is_none() {
            self.gauges.nobody_knows_what_waits();
        }
        let decision = self.decider.decide(now, observation.as_ref(), replicas, &order.aims, budget);
        self.gauges.wanted(decision.replicas);
        if decision.replicas > replicas {
            self.give_up_lowering(context).await;
            self.say(context, State::of(&decision.reason));
            self.scale(context, order, replicas, &decision).await?;
            return Ok(());
        }
        if decision.replicas == replicas {
            self.give_up_lowering(context).await;
            self.say(context, State::of(&decision.reason));
            return Ok(());
        }
        match look {
            Some(look) => {
                let sight = Sight { taken: look.at, pods: &pods, workers: &workers };
                self.lower(context, order, replicas, &decision, sight).await
            }
            // Nobody can be seen to have nothing to do.
            None => {
                self.say(context, State::NoData);
                Ok(())
            }
        }
    }

    fn observe(&mut self, look: &Look, workers: &[&WorkerLoad]) -> Observation {
        let share = look.shares.get(&self.user).copied().unwrap_or_default();
        let newest = look.workers.iter().map(|worker| worker.process_id).max();
        let done = self.counters.note(workers.iter().copied(), newest);
        // Counted a while ago: what has ended since is taken off, and what has come is not known.
        let ready = match (share.is_stale, self.last) {
            (true, Some((_, ready))) => ready.saturating_sub(done.ended),
            _ => share.ready,
        };
        self.last = Some((look.at, ready));
        self.gauges.waits(&Share { ready, ..share });
        Observation {
            at: look.at.saturating_duration_since(self.origin),
            ready,
            due_soon: share.due_soon,
            claimed: done.claimed,
            ended: done.ended,
            busy: done.busy,
            oldest: share.oldest,
        }
    }

    /// Writes a larger number, or the smaller one when everything is ready for it. False when the number is another than was thought:
    /// the next order says which.
    async fn scale(&mut self, context: &Context, order: &Order, from: u32, decision: &Decision) -> Result<bool, Error> {
        let to = decision.replicas;
        let error = |source| Error::Scale { deployment: order.deployment.name.clone(), source };
        if !deployment::change(context, &order.deployment, from, to).await.map_err(error)? {
            tracing::info!(worker = %self.user, from, to, "not scaled: somebody else has changed the number meanwhile");
            self.wrote = None;
            return Ok(false);
        }
        self.wrote = Some((to, Instant::now()));
        context.instruments.metrics.scalings.count(from, to, &decision.reason);
        let reason = decision.reason.to_string();
        tracing::info!(worker = %self.user, from, to, reason, "scaled");
        let now = Timestamp::now();
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        super::lock(&self.said).last = Some(LastScaling {
            time: now.round(Unit::Second).unwrap_or(now),
            from: number(from),
            to: number(to),
            reason: reason.clone(),
        });
        context.touch(&self.user);
        let what = if to > from { "ScaledUp" } else { "ScaledDown" };
        self.event(context, order, EventType::Normal, what, format!("from {from} to {to} workers: {reason}")).await;
        Ok(true)
    }

    /// Has the status say it, if it is something new.
    fn say(&self, context: &Context, state: State) {
        let mut said = super::lock(&self.said);
        if said.state != state {
            said.state = state;
            drop(said);
            context.touch(&self.user);
        }
    }

    async fn event(&self, context: &Context, order: &Order, kind: EventType, reason: &str, note: String) {
        let event = Event {
            type_: kind,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Scale".to_owned(),
            secondary: None,
        };
        if let Err(error) = context.events.publish(&event, &order.object).await {
            tracing::warn!(%error, reason, "an Event could not be written");
        }
    }
}

/// Room for so many workers, beside those pods that hold connections without being counted: those on their way out, and any that are there
/// besides as many as there are to be. Some of these may still have to come.
fn budget(connections: u32, replicas: u32, pods: &[WorkerPod]) -> Budget {
    let count = |is_ending| pods.iter().filter(|pod| pod.is_ending == is_ending).count().try_into().unwrap_or(u32::MAX);
    let others = count(true).saturating_add(count(false).saturating_sub(replicas));
    Budget { connections, each: CONNECTIONS, others }
}

/// Returns when there is another look than the one taken at `seen`; never when there are none.
async fn next_look(looks: Option<Looks>, seen: Option<Instant>) {
    let Some(mut looks) = looks else { return std::future::pending().await };
    let is_other = |look: &Option<Arc<Look>>| look.as_ref().map(|look| look.at) != seen;
    if looks.wait_for(is_other).await.is_err() {
        // The database is another one now; the next order says which.
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_that_end_hold_connections_whether_or_not_the_next_are_there() {
        let others = |replicas, living: usize, ending: usize| {
            let pod = |is_ending| WorkerPod { is_ending, ..WorkerPod::default() };
            let pods = [vec![pod(false); living], vec![pod(true); ending]].concat();
            budget(24, replicas, &pods).others
        };
        assert_eq!(others(2, 2, 0), 0);
        assert_eq!(others(2, 1, 1), 1, "the second is still to come");
        assert_eq!(others(2, 3, 0), 1, "one of a rollout");
        assert_eq!(others(1, 3, 2), 4, "two have yet to be told to go");
    }
}
