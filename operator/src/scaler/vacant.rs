//! Pods that run nothing, and so can go without anybody being asked.
//!
//! A ReplicaSet that shrinks takes first those that no node was found for, then those that are pending, then those that aren't ready. While
//! everything in front of that order holds nothing, the number can be lowered by as many at once: no pod that could be at a job is among
//! those that go. Else one pod that never starts would keep all others.

use gritstone_store::WorkerLoad;

use crate::pods::WorkerPod;

/// By how many the number can be lowered though nobody was cordoned, of `replicas`: those that were not even made, and of those that are
/// there the first to go, as long as they run nothing.
///
/// Nothing is run by a pod without a node. Nor by one whose engine the kubelet says isn't running, while it isn't on the list of processes:
/// who isn't there can't claim. Such an engine may start all the same in the moment until its pod is told to go; what it claims then has
/// `drainTimeout` to end.
pub(super) fn vacant(pods: &[WorkerPod], workers: &[&WorkerLoad], replicas: u32) -> u32 {
    let living: Vec<&WorkerPod> = pods.iter().filter(|pod| !pod.is_ending).collect();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    // More than there are to be: some of these are to go anyway, and which isn't known.
    let Some(missing) = replicas.checked_sub(count(living.len())) else { return 0 };
    let is_idle = |pod: &WorkerPod| !pod.may_run && workers.iter().all(|worker| worker.pod_uid != pod.uid);
    let mut vacant = missing;
    for turn in [Turn::Unbound, Turn::Pending, Turn::NotReady] {
        let these: Vec<_> = living.iter().filter(|pod| Turn::of(pod) == turn).collect();
        // Which of them would go first isn't told by their state.
        if !these.iter().all(|pod| is_idle(pod)) {
            break;
        }
        vacant = vacant.saturating_add(count(these.len()));
    }
    vacant
}

/// When a pod's turn is, whatever it is marked with: a ReplicaSet looks at marks only where this is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    Unbound,
    Pending,
    NotReady,
    Ready,
}

impl Turn {
    pub(super) fn of(pod: &WorkerPod) -> Self {
        match pod {
            WorkerPod { is_bound: false, .. } => Self::Unbound,
            WorkerPod { is_pending: true, .. } => Self::Pending,
            WorkerPod { is_ready: false, .. } => Self::NotReady,
            _ => Self::Ready,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::time::Duration;

    pub(crate) fn pod(name: &str) -> WorkerPod {
        WorkerPod {
            uid: format!("uid-of-{name}"),
            name: name.to_owned(),
            namespace: "shop".to_owned(),
            worker: "mail".to_owned(),
            is_bound: true,
            may_run: true,
            is_pending: false,
            is_ready: true,
            is_ending: false,
            has_cost: false,
        }
    }

    pub(crate) fn load(pod: &str, process_id: i64, claimed: u64) -> WorkerLoad {
        WorkerLoad {
            process_id,
            namespace: "shop".to_owned(),
            pod_uid: format!("uid-of-{pod}"),
            claimed,
            ended: 0,
            busy: Duration::ZERO,
            cordoned: true,
        }
    }

    fn unbound(name: &str) -> WorkerPod {
        WorkerPod { is_bound: false, may_run: false, is_pending: true, is_ready: false, ..pod(name) }
    }

    fn without_image(name: &str) -> WorkerPod {
        WorkerPod { may_run: false, is_pending: true, is_ready: false, ..pod(name) }
    }

    fn crashing(name: &str) -> WorkerPod {
        WorkerPod { may_run: false, is_ready: false, ..pod(name) }
    }

    fn count(pods: &[WorkerPod], replicas: u32) -> u32 {
        let loads = [load("a", 1, 3), load("held", 2, 1)];
        vacant(pods, &loads.iter().collect::<Vec<_>>(), replicas)
    }

    #[test]
    fn ready_workers_are_asked_first() {
        assert_eq!(count(&[pod("a"), pod("b")], 2), 0);
        assert_eq!(count(&[], 0), 0);
    }

    #[test]
    fn pods_without_a_node_or_an_image_and_such_as_were_not_made_hold_nothing() {
        assert_eq!(count(&[pod("a"), unbound("b"), unbound("c")], 3), 2);
        assert_eq!(count(&[pod("a"), without_image("b"), crashing("c"), unbound("d")], 4), 3);
        assert_eq!(count(&[pod("a")], 4), 3, "three were refused");
        assert_eq!(count(&[pod("a"), unbound("b")], 1), 0, "one is told to go already, and nobody knows which");
        let ending = WorkerPod { is_ending: true, ..pod("z") };
        assert_eq!(count(&[pod("a"), unbound("b"), ending], 2), 1, "one that ends isn't counted");
    }

    #[test]
    fn who_might_be_at_a_job_keeps_those_that_would_go_after_it() {
        let starting = WorkerPod { is_pending: true, is_ready: false, ..pod("s") };
        assert_eq!(count(&[starting, without_image("b"), crashing("c"), unbound("d")], 4), 1);
        let failing = WorkerPod { is_ready: false, ..pod("f") };
        assert_eq!(count(&[failing, without_image("b"), crashing("c")], 3), 1);
        // The kubelet's word is old: it is on the list.
        assert_eq!(count(&[without_image("held"), unbound("d")], 2), 1);
    }
}
