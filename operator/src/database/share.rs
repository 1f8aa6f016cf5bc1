//! Who has to see to which jobs, where several QueueWorkers serve a queue.
//!
//! Jobs are shared out by what the workers of each can take on now. One without workers gets a share only where no other can grow: else a
//! job that one worker would have done starts two.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use gritstone_store::{ClassBacklog, QueueBacklog};

use super::demand::Demand;
use super::user::User;

/// The part of one QueueWorker in what waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// Jobs that can be claimed now.
    pub(crate) ready: u64,
    /// False when `ready` was counted earlier, and jobs have ended since.
    pub(crate) is_stale: bool,
    /// Jobs that are due soon.
    pub(crate) due_soon: u64,
    /// How long the oldest ready job has been waiting.
    pub(crate) oldest: Duration,
}

/// What was counted, before it is shared out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Each queue, with whether its number was counted earlier.
    pub(super) queues: Vec<(QueueBacklog, bool)>,
    /// For those that claim only some classes: what of them waits, and whether that was counted earlier.
    pub(super) classes: HashMap<User, (Vec<ClassBacklog>, bool)>,
    /// What is due soon.
    pub(super) due: Vec<ClassBacklog>,
}

/// Shares it out.
pub(super) fn share_out(counted: &Counted, demands: &BTreeMap<User, Demand>) -> HashMap<User, Share> {
    let mut shares: HashMap<User, Share> = demands.keys().map(|user| (user.clone(), Share::default())).collect();
    for (queue, is_stale) in &counted.queues {
        let servers: Vec<(&User, &Demand)> = demands.iter().filter(|(_, demand)| demand.serves(&queue.queue)).collect();
        let mut give = |user: &User, jobs: u64, is_stale: bool| {
            let share = shares.entry(user.clone()).or_default();
            if jobs > 0 {
                share.ready += jobs;
                share.is_stale |= is_stale;
                share.oldest = share.oldest.max(queue.oldest);
            }
        };
        let mut left = queue.ready;
        for (user, demand) in servers.iter().filter(|(_, demand)| demand.classes.is_some()) {
            let Some((classes, is_stale)) = counted.classes.get(user) else { continue };
            let jobs = classes.iter().filter(|found| found.queue == queue.queue).map(|found| found.jobs).sum();
            let peers: Vec<_> = servers.iter().filter(|(_, peer)| demand.overlaps(peer)).copied().collect();
            let own = divide(jobs, &peers).into_iter().find(|(peer, _)| peer == user).map_or(0, |(_, own)| own);
            left = left.saturating_sub(own);
            give(user, own, *is_stale);
        }
        let others: Vec<_> = servers.iter().filter(|(_, demand)| demand.classes.is_none()).copied().collect();
        for (user, jobs) in divide(left, &others) {
            give(user, jobs, *is_stale);
        }
    }
    for due in &counted.due {
        let serves = |demand: &Demand| demand.serves(&due.queue) && demand.claims(&due.class);
        let servers: Vec<_> = demands.iter().filter(|(_, demand)| serves(demand)).collect();
        for (user, jobs) in divide(due.jobs, &servers) {
            shares.entry(user.clone()).or_default().due_soon += jobs;
        }
    }
    shares
}

/// So many jobs, by what each can take on; what can't be divided goes to those that it belongs to most.
fn divide<'d>(jobs: u64, servers: &[(&'d User, &Demand)]) -> Vec<(&'d User, u64)> {
    let grows = servers.iter().any(|(_, demand)| demand.capacity > 0 && demand.may_grow);
    let weight = |demand: &Demand| match demand.capacity {
        0 if !grows && demand.may_grow => demand.threads,
        capacity => capacity,
    };
    let weights: Vec<u128> = servers.iter().map(|(_, demand)| u128::from(weight(demand))).collect();
    let all: u128 = weights.iter().sum();
    if all == 0 {
        return Vec::new();
    }
    let parts = weights.iter().map(|weight| (u128::from(jobs) * weight / all, u128::from(jobs) * weight % all));
    let mut parts: Vec<(usize, u128, u128)> =
        parts.enumerate().map(|(place, (whole, rest))| (place, whole, rest)).collect();
    let mut left = u128::from(jobs) - parts.iter().map(|(_, whole, _)| whole).sum::<u128>();
    parts.sort_by_key(|(place, _, rest)| (std::cmp::Reverse(*rest), *place));
    for (_, whole, _) in &mut parts {
        let more = left.min(1);
        *whole += more;
        left -= more;
    }
    parts.sort_by_key(|(place, ..)| *place);
    servers.iter().zip(parts).map(|((user, _), (_, whole, _))| (*user, whole.try_into().unwrap_or(u64::MAX))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gritstone_crds::kinds::QueueWorkerSpec;
    use serde_json::{Value, json};

    fn user(name: &str) -> User {
        User::new("QueueWorker", "shop", name)
    }

    fn demands(workers: &[(&str, Value, u32)]) -> BTreeMap<User, Demand> {
        let demand = |spec: &Value, replicas| {
            let spec: QueueWorkerSpec = serde_json::from_value(spec.clone()).expect("a spec");
            Demand::of(&spec, replicas)
        };
        workers.iter().map(|(name, spec, replicas)| (user(name), demand(spec, *replicas))).collect()
    }

    fn ready(queue: &str, ready: u64) -> (QueueBacklog, bool) {
        (QueueBacklog { queue: queue.to_owned(), ready, exact: true, oldest: Duration::from_secs(ready) }, false)
    }

    fn shared(counted: &Counted, workers: &[(&str, Value, u32)]) -> Vec<u64> {
        let shares = share_out(counted, &demands(workers));
        workers.iter().map(|(name, ..)| shares[&user(name)].ready).collect()
    }

    fn scaled(queues: &str) -> Value {
        json!({"queues": queues, "threads": 2, "handler": {"http": {"url": "http://localhost"}}, "autoscaling": {"maxReplicas": 4}})
    }

    #[test]
    fn queues_are_shared_by_what_each_can_take_on() {
        let counted = Counted { queues: vec![ready("a", 100), ready("b", 7)], ..Counted::default() };
        let workers = [("one", scaled("a"), 1), ("two", scaled("*"), 3)];
        assert_eq!(shared(&counted, &workers), [25, 82]);
        let none = Counted { queues: vec![ready("c", 5)], ..Counted::default() };
        assert_eq!(shared(&none, &[("one", scaled("a,!c"), 1)]), [0]);
    }

    #[test]
    fn one_job_starts_one_worker() {
        let counted = Counted { queues: vec![ready("a", 1)], ..Counted::default() };
        assert_eq!(shared(&counted, &[("one", scaled("a"), 0), ("two", scaled("a"), 0)]), [1, 0]);
        assert_eq!(shared(&counted, &[("one", scaled("a"), 0), ("two", scaled("a"), 1)]), [0, 1]);
    }

    #[test]
    fn one_without_workers_helps_where_no_other_can_grow() {
        let counted = Counted { queues: vec![ready("a", 100)], ..Counted::default() };
        assert_eq!(shared(&counted, &[("one", scaled("a"), 0), ("two", scaled("a"), 4)]), [20, 80]);
        let fixed = json!({"queues": "a", "threads": 2, "replicas": 1});
        assert_eq!(shared(&counted, &[("one", scaled("a"), 0), ("two", fixed, 1)]), [50, 50]);
    }

    #[test]
    fn who_claims_some_classes_has_to_see_to_those() {
        let mut mail = scaled("a");
        mail["classes"] = json!(["Mail"]);
        let of_mail = vec![ClassBacklog { queue: "a".to_owned(), class: "Mail".to_owned(), jobs: 40 }];
        let counted = Counted {
            queues: vec![ready("a", 100)],
            classes: HashMap::from([(user("mail"), (of_mail, true))]),
            due: vec![ClassBacklog { queue: "a".to_owned(), class: "Report".to_owned(), jobs: 3 }],
        };
        let workers = [("all", scaled("a"), 1), ("mail", mail, 1)];
        assert_eq!(shared(&counted, &workers), [80, 20]);
        let shares = share_out(&counted, &demands(&workers));
        assert_eq!((shares[&user("all")].due_soon, shares[&user("mail")].due_soon), (3, 0));
        assert_eq!((shares[&user("all")].is_stale, shares[&user("mail")].is_stale), (false, true));
    }

    #[test]
    fn commands_are_for_those_that_may_run_them() {
        let counted = Counted { queues: vec![ready("gritstone_commands", 3)], ..Counted::default() };
        let commands = json!({"queues": "a", "allowCommands": true, "handler": {"http": {"url": "http://localhost"}}});
        assert_eq!(shared(&counted, &[("a", scaled("*"), 1), ("b", commands, 1)]), [0, 3]);
    }
}
