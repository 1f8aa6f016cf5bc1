//! The steps towards fewer workers, as [`Lowering`] decides them: cordons, marks, and the number.

use std::time::Duration;

use gritstone_store::WorkerLoad;
use kube::runtime::events::EventType;
use tokio::time::{Instant, timeout};

use super::{Error, PATIENCE, Task};
use crate::autoscale::Decision;
use crate::context::Context;
use crate::pods::{WorkerPod, read};
use crate::scaler::deployment;
use crate::scaler::lowering::{CORDON, Chosen, Lowering, Next, RENEW, Step, choose};
use crate::scaler::order::{Order, State};
use crate::scaler::vacant::vacant;

/// How long after workers could not be taken away it is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// How old a look may be that says who isn't on the list of processes.
const FRESH: Duration = Duration::from_secs(2);

/// The workers as they are seen.
#[derive(Clone, Copy)]
pub(super) struct Sight<'s> {
    /// When those in the database were looked at.
    pub(super) taken: Instant,
    pub(super) pods: &'s [WorkerPod],
    pub(super) workers: &'s [&'s WorkerLoad],
}

impl Task {
    /// Takes the next step towards fewer workers.
    pub(super) async fn lower(
        &mut self,
        context: &Context,
        order: &Order,
        replicas: u32,
        decision: &Decision,
        sight: Sight<'_>,
    ) -> Result<(), Error> {
        let now = Instant::now();
        let surplus = replicas.saturating_sub(decision.replicas);
        let Sight { taken, pods, workers } = sight;
        let Some(mut lowering) = self.lowering.take() else {
            if self.lower_vacant(context, order, replicas, decision, sight).await? || now < self.rest_until {
                return Ok(());
            }
            let chosen = if order.rollout.is_of_one { choose(pods, workers, replicas, surplus) } else { None };
            let Some(chosen) = chosen.filter(|chosen| !chosen.is_empty()) else {
                self.say(context, State::Unsettled);
                return Ok(());
            };
            self.unmark(context, pods, &chosen).await?;
            self.cordon(context, &chosen, CORDON).await?;
            self.say(context, State::Active);
            let since = Instant::now();
            self.lowering = Some(Lowering { chosen, step: Step::Emptying(since), renewed: since });
            return Ok(());
        };
        if let Step::Going(_) = lowering.step {
            self.lowering = Some(lowering);
            return Ok(());
        }
        let next = lowering.next(now, taken, pods, workers);
        if next == Next::Wait && now.duration_since(lowering.renewed) >= RENEW {
            self.cordon(context, &lowering.chosen, CORDON).await?;
            lowering.renewed = Instant::now();
        }
        match next {
            Next::Wait => self.lowering = Some(lowering),
            Next::Mark { mut empty, mut others } => {
                // Fewer may have become too many meanwhile.
                others.extend(empty.split_off(empty.len().min(surplus as usize)));
                self.cordon(context, &others, Duration::ZERO).await?;
                for chosen in &empty {
                    let error = |source| Error::Mark { pod: chosen.pod.name.clone(), source };
                    deployment::mark(&context.client, &chosen.pod, true).await.map_err(error)?;
                }
                self.cordon(context, &empty, CORDON).await?;
                let since = Instant::now();
                self.lowering = Some(Lowering { chosen: empty, step: Step::Marked(since), renewed: since });
            }
            Next::Lower => {
                let to = replicas.saturating_sub(u32::try_from(lowering.chosen.len()).unwrap_or(u32::MAX));
                let decision = Decision { replicas: to.max(decision.replicas), reason: decision.reason.clone() };
                // Also when the answer is an error: it may have been done.
                let before = std::mem::replace(&mut lowering.step, Step::Going(now));
                self.lowering = Some(lowering);
                if !self.scale(context, order, replicas, &decision).await? {
                    self.lowering.iter_mut().for_each(|lowering| lowering.step = before);
                    self.give_up_lowering(context).await;
                }
            }
            // What ends is seen before.
            Next::End { .. } => {}
            Next::GiveUp => {
                self.lowering = Some(lowering);
                self.give_up_lowering(context).await;
                self.rest_until = Instant::now() + AGAIN;
                self.say(context, State::Busy);
            }
        }
        Ok(())
    }

    /// Lowers the number by those that run nothing, as the API server has them now. Whether there were any.
    async fn lower_vacant(
        &mut self,
        context: &Context,
        order: &Order,
        replicas: u32,
        decision: &Decision,
        Sight { taken, pods, workers }: Sight<'_>,
    ) -> Result<bool, Error> {
        let surplus = replicas.saturating_sub(decision.replicas);
        let count = |pods: &[WorkerPod]| vacant(pods, workers, replicas).min(surplus);
        if !order.rollout.is_of_one || taken.elapsed() >= FRESH || count(pods) == 0 {
            return Ok(false);
        }
        let (namespace, worker) = (self.user.namespace(), self.user.name());
        let error = |source| Error::Pods { worker: self.user.to_string(), source };
        let now = read(&context.client, namespace, worker).await.map_err(error)?;
        // Whether another is on the list of processes was not looked at.
        let is_known = |pod: &WorkerPod| pods.iter().any(|known| known.uid == pod.uid);
        let count = if now.iter().all(is_known) { count(&now) } else { 0 };
        if count > 0 {
            self.say(context, State::Active);
            let decision = Decision { replicas: replicas.saturating_sub(count), reason: decision.reason.clone() };
            self.scale(context, order, replicas, &decision).await?;
        }
        Ok(count > 0)
    }

    /// The number was lowered: lets those claim again that stayed, and says so if another went.
    pub(super) async fn see_who_went(
        &mut self,
        context: &Context,
        order: &Order,
        pods: &[WorkerPod],
    ) -> Result<(), Error> {
        let Some(lowering) = self.lowering.take() else { return Ok(()) };
        let now = Instant::now();
        let Next::End { stayed, others } = lowering.next(now, now, pods, &[]) else {
            self.lowering = Some(lowering);
            return Ok(());
        };
        if !others.is_empty() {
            let names = others.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>().join(", ");
            let words = format!("{names} went and was not chosen to: its jobs have until drainTimeout to end");
            self.event(context, order, EventType::Warning, "OtherWorkerWent", words).await;
        }
        self.let_go(context, &stayed).await
    }

    /// Lets workers claim again that were to go.
    async fn let_go(&self, context: &Context, chosen: &[Chosen]) -> Result<(), Error> {
        self.cordon(context, chosen, Duration::ZERO).await?;
        for chosen in chosen {
            let error = |source| Error::Mark { pod: chosen.pod.name.clone(), source };
            deployment::mark(&context.client, &chosen.pod, false).await.map_err(error)?;
        }
        Ok(())
    }

    /// More are needed, or nobody can go. What fails here undoes itself: cordons run out, and marks are taken off before others are
    /// chosen.
    pub(super) async fn give_up_lowering(&mut self, context: &Context) {
        let Some(lowering) = self.lowering.take() else { return };
        // Those that are on their way out go.
        if let Step::Going(_) = lowering.step {
            self.lowering = Some(lowering);
            return;
        }
        if let Err(error) = self.let_go(context, &lowering.chosen).await {
            tracing::warn!(%error, worker = %self.user, "workers that stay claim nothing until their cordon runs out");
        }
    }

    /// Takes the marks off that an earlier time left.
    async fn unmark(&self, context: &Context, pods: &[WorkerPod], chosen: &[Chosen]) -> Result<(), Error> {
        let stays = |pod: &&WorkerPod| pod.has_cost && !chosen.iter().any(|chosen| chosen.pod.uid == pod.uid);
        for pod in pods.iter().filter(stays) {
            let error = |source| Error::Mark { pod: pod.name.clone(), source };
            deployment::mark(&context.client, pod, false).await.map_err(error)?;
        }
        Ok(())
    }

    /// Keeps workers from claiming for so long; zero lets them.
    async fn cordon(&self, context: &Context, chosen: &[Chosen], duration: Duration) -> Result<(), Error> {
        if chosen.is_empty() {
            return Ok(());
        }
        let store = context.databases.store(&self.user)?;
        let cordon = async {
            let mut session = store.connect().await?;
            for process_id in chosen.iter().flat_map(|chosen| &chosen.processes) {
                session.cordon(*process_id, duration).await?;
            }
            Ok(())
        };
        timeout(PATIENCE, cordon).await.map_err(|_| Error::Late)?
    }
}
