//! Taking workers away without ending a job.
//!
//! Which pod goes when a Deployment shrinks is Kubernetes' choice, unless it is told. So: workers are chosen, those with the fewest jobs
//! first, and cordoned in the database, where a claim looks. What they hold they finish. Those that are empty then are marked as the
//! first to go (`pod-deletion-cost`); a moment later, when the mark has reached Kubernetes' caches, the number is lowered by as many. Then
//! it is seen which went. A cordon runs out unless it is renewed, so an operator that dies halfway leaves nothing behind.

use std::time::Duration;

use gritstone_store::WorkerLoad;
use tokio::time::Instant;

use super::vacant::Turn;
use crate::pods::WorkerPod;

/// How long a cordon lasts unless it is renewed, and when it is.
pub(super) const CORDON: Duration = Duration::from_secs(60);
pub(super) const RENEW: Duration = Duration::from_secs(15);
/// How long the others are waited for once some of the chosen are empty.
const STRAGGLERS: Duration = Duration::from_secs(5);
/// How long the chosen may take to be empty before they claim again.
const EMPTYING: Duration = Duration::from_secs(60);
/// How long Kubernetes' caches get to hear of the marks.
const CACHES: Duration = Duration::from_secs(2);
/// How long it may take until a pod is told to go.
const GOING: Duration = Duration::from_secs(15);

/// A worker that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) pod: WorkerPod,
    /// Its process's rows; a container that started anew may have two.
    pub(super) processes: Vec<i64>,
    /// The jobs that it holds.
    pub(super) claimed: u64,
}

/// Chooses so many: of those whose turn is first, the ones with the fewest jobs. None as long as not every pod is on the list of processes,
/// or there are others than `replicas`. A pod need not be ready: whoever is on the list can be cordoned.
pub(super) fn choose(pods: &[WorkerPod], workers: &[&WorkerLoad], replicas: u32, surplus: u32) -> Option<Vec<Chosen>> {
    if pods.len() != replicas as usize || pods.iter().any(|pod| pod.is_ending) {
        return None;
    }
    let mut chosen: Vec<Chosen> = pods.iter().map(|pod| with_jobs(pod, workers)).collect();
    if chosen.iter().any(|chosen| chosen.processes.is_empty()) {
        return None;
    }
    let order = |chosen: &Chosen| (Turn::of(&chosen.pod), chosen.claimed);
    chosen.sort_by(|a, b| (order(a), &a.pod.name).cmp(&(order(b), &b.pod.name)));
    chosen.truncate(surplus as usize);
    Some(chosen)
}

fn with_jobs(pod: &WorkerPod, workers: &[&WorkerLoad]) -> Chosen {
    let own: Vec<_> = workers.iter().filter(|worker| worker.pod_uid == pod.uid).collect();
    Chosen {
        pod: pod.clone(),
        processes: own.iter().map(|worker| worker.process_id).collect(),
        claimed: own.iter().map(|worker| worker.claimed).sum(),
    }
}

/// How far it has come.
#[derive(Clone, Debug)]
pub(super) struct Lowering {
    pub(super) chosen: Vec<Chosen>,
    pub(super) step: Step,
    /// When the cordons were written last.
    pub(super) renewed: Instant,
}

/// What is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The chosen end what they hold, since then.
    Emptying(Instant),
    /// Caches hear of the marks, since then.
    Marked(Instant),
    /// The chosen are told to go, since then.
    Going(Instant),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait.
    Wait,
    /// Mark those that are first to go, and let the others claim again.
    Mark { empty: Vec<Chosen>, others: Vec<Chosen> },
    /// Lower the number by as many as are chosen.
    Lower,
    /// It is over: let those claim again that stayed. `others` went in their place.
    End { stayed: Vec<Chosen>, others: Vec<WorkerPod> },
    /// Let all of them claim again.
    GiveUp,
}

impl Lowering {
    /// Decides by what is seen now: `taken` is when, of the workers in the database.
    pub(super) fn next(&self, now: Instant, taken: Instant, pods: &[WorkerPod], workers: &[&WorkerLoad]) -> Next {
        let fresh = taken > self.renewed;
        let seen: Vec<Chosen> = self.chosen.iter().map(|chosen| with_jobs(&chosen.pod, workers)).collect();
        let is_there = |chosen: &Chosen| pods.iter().any(|pod| pod.uid == chosen.pod.uid && !pod.is_ending);
        match self.step {
            Step::Emptying(since) if fresh => {
                let is_empty =
                    |chosen: &Chosen| chosen.claimed == 0 && !chosen.processes.is_empty() && is_there(chosen);
                let (empty, others): (Vec<_>, Vec<_>) = seen.into_iter().partition(is_empty);
                let waited = now.duration_since(since);
                if !empty.is_empty() && (others.is_empty() || waited >= STRAGGLERS) {
                    Next::Mark { empty, others }
                } else if waited >= EMPTYING {
                    Next::GiveUp
                } else {
                    Next::Wait
                }
            }
            Step::Emptying(_) => Next::Wait,
            Step::Marked(since) if fresh && now.duration_since(since) >= CACHES => {
                // Cordoned since it was empty, it can hold nothing: unless the cordon ran out while nobody looked.
                // An engine that was started again meanwhile has another row, which isn't cordoned.
                let is_as_before = |(seen, marked): (&Chosen, &Chosen)| {
                    let is_cordoned = seen.processes.iter().all(|process| marked.processes.contains(process));
                    seen.claimed == 0 && !seen.processes.is_empty() && is_cordoned && is_there(seen)
                };
                let as_before = seen.iter().zip(&self.chosen).all(is_as_before);
                if as_before && self.are_first(pods) { Next::Lower } else { Next::GiveUp }
            }
            Step::Marked(_) => Next::Wait,
            Step::Going(since) => {
                let stayed: Vec<Chosen> = self.chosen.iter().filter(|chosen| is_there(chosen)).cloned().collect();
                if !stayed.is_empty() && now.duration_since(since) < GOING {
                    return Next::Wait;
                }
                let chosen = |pod: &&WorkerPod| self.chosen.iter().any(|chosen| chosen.pod.uid == pod.uid);
                let others = pods.iter().filter(|pod| pod.is_ending && !chosen(pod)).cloned().collect();
                Next::End { stayed, others }
            }
        }
    }
}

impl Lowering {
    /// Whether nobody goes before the chosen, who are marked: no other pod's turn is before theirs, and none is on its way out.
    fn are_first(&self, pods: &[WorkerPod]) -> bool {
        let is_chosen = |pod: &&WorkerPod| self.chosen.iter().any(|chosen| chosen.pod.uid == pod.uid);
        let (chosen, others): (Vec<_>, Vec<_>) = pods.iter().partition(is_chosen);
        let last = chosen.into_iter().map(Turn::of).max();
        pods.iter().all(|pod| !pod.is_ending) && others.into_iter().all(|pod| Some(Turn::of(pod)) >= last)
    }
}

#[cfg(test)]
mod tests {
    use super::super::vacant::tests::{load, pod};
    use super::*;

    #[test]
    fn those_with_the_fewest_jobs_go_and_first_those_that_are_not_ready() {
        let loads = [load("a", 1, 2), load("b", 2, 0), load("c", 3, 1)];
        let loads: Vec<_> = loads.iter().collect();
        let mut pods = [pod("a"), pod("b"), pod("c")];
        let names = |pods: &[WorkerPod], replicas, surplus| {
            let chosen = choose(pods, &loads, replicas, surplus)?;
            Some(chosen.into_iter().map(|chosen| chosen.pod.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&pods, 3, 2), Some(vec!["b".to_owned(), "c".to_owned()]));
        assert_eq!(names(&pods, 4, 2), None, "one is still to come");
        assert_eq!(names(&pods, 2, 1), None, "one is too many");
        pods[0].is_ready = false;
        assert_eq!(names(&pods, 3, 2), Some(vec!["a".to_owned(), "b".to_owned()]), "whatever they are marked with");
        pods[1].is_ending = true;
        assert_eq!(names(&pods, 3, 1), None, "one goes already");
        pods[1] = pod("d");
        assert_eq!(names(&pods, 3, 1), None, "one is not on the list");
    }

    fn lowering(step: impl Fn(Instant) -> Step, now: Instant) -> Lowering {
        let chosen = [("a", 1), ("b", 2)];
        let chosen = chosen.map(|(name, process)| Chosen { pod: pod(name), processes: vec![process], claimed: 0 });
        Lowering { chosen: chosen.to_vec(), step: step(now), renewed: now }
    }

    #[tokio::test]
    async fn a_worker_with_a_job_is_waited_for_and_let_off() {
        let now = Instant::now();
        let lowering = lowering(Step::Emptying, now);
        let pods = [pod("a"), pod("b"), pod("c")];
        let later = |seconds| now + Duration::from_secs(seconds);
        let one_busy = [load("a", 1, 0), load("b", 2, 1)];
        let next = |seconds, loads: &[WorkerLoad]| {
            lowering.next(later(seconds), later(seconds), &pods, &loads.iter().collect::<Vec<_>>())
        };
        assert_eq!(lowering.next(later(9), now, &pods, &[]), Next::Wait, "an old look says nothing");
        assert_eq!(next(1, &one_busy), Next::Wait);
        let Next::Mark { empty, others } = next(6, &one_busy) else { panic!("nobody was marked") };
        assert_eq!((empty[0].pod.name.as_str(), others[0].pod.name.as_str()), ("a", "b"));
        let both_busy = [load("a", 1, 1), load("b", 2, 1)];
        assert_eq!(next(59, &both_busy), Next::Wait);
        assert_eq!(next(60, &both_busy), Next::GiveUp);
        // Its row is gone: who knows what it is at.
        assert_eq!(next(60, &[load("b", 2, 1)]), Next::GiveUp);
    }

    #[tokio::test]
    async fn the_number_is_lowered_once_caches_have_heard_and_if_nothing_changed() {
        let now = Instant::now();
        let lowering = lowering(Step::Marked, now);
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut pods = [pod("a"), pod("b"), pod("c")];
        let mut loads = [load("a", 1, 0), load("b", 2, 0)];
        let next = |seconds, pods: &[WorkerPod], loads: &[WorkerLoad]| {
            lowering.next(later(seconds), later(seconds), pods, &loads.iter().collect::<Vec<_>>())
        };
        assert_eq!(next(1, &pods, &loads), Next::Wait);
        assert_eq!(next(2, &pods, &loads), Next::Lower);
        loads[1].claimed = 1;
        assert_eq!(next(2, &pods, &loads), Next::GiveUp);
        loads[1].claimed = 0;
        pods[2].is_ready = false;
        assert_eq!(next(2, &pods, &loads), Next::GiveUp, "one that isn't ready would go before those that are marked");
        pods[0].is_ready = false;
        assert_eq!(next(2, &pods, &loads), Next::GiveUp, "before one of them");
        pods[1].is_ready = false;
        assert_eq!(next(2, &pods, &loads), Next::Lower, "marked among those that aren't");
        loads[0].process_id = 7;
        assert_eq!(next(2, &pods, &loads), Next::GiveUp, "its engine was started again, and may claim");
    }

    #[tokio::test]
    async fn it_is_seen_who_went() {
        let now = Instant::now();
        let lowering = lowering(Step::Going, now);
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut pods = [pod("b"), pod("c")];
        assert_eq!(lowering.next(later(1), now, &pods, &[]), Next::Wait);
        pods[0].is_ending = true;
        assert_eq!(lowering.next(later(1), now, &pods, &[]), Next::End { stayed: vec![], others: vec![] });
        pods = [pod("b"), pod("c")];
        pods[1].is_ending = true;
        let Next::End { stayed, others } = lowering.next(later(15), now, &pods, &[]) else { panic!("it isn't over") };
        assert_eq!((stayed[0].pod.name.as_str(), others[0].name.as_str()), ("b", "c"));
    }
}
