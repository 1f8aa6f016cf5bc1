//! How many workers there should be, by what was enough lately.

use super::need::need;
use super::rates::Rates;
use super::window::Window;
use super::{Budget, Decision, Observation, Reason};
use std::time::Duration;

/// A look at the database that is older than this says nothing about now.
const STALE_AFTER: Duration = Duration::from_secs(15);

/// What a QueueWorker says about scaling, and how many jobs its workers run at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aims {
    /// `threads`.
    pub threads: u32,
    /// `autoscaling.minReplicas`.
    pub min_replicas: u32,
    /// `autoscaling.maxReplicas`.
    pub max_replicas: u32,
    /// `autoscaling.targetLatency`.
    pub target_latency: Duration,
    /// `autoscaling.readyJobsPerReplica`.
    pub ready_jobs_per_replica: u32,
    /// `autoscaling.scaleDownDelay`.
    pub scale_down_delay: Duration,
    /// How long a worker takes from being wanted to its first claim.
    pub start_up: Duration,
}

/// Decides for one QueueWorker, from look to look.
#[derive(Debug, Clone, Default)]
pub struct Decider {
    rates: Rates,
    /// How many would have been enough.
    needed: Window,
    /// How many were asked for while no run time was known.
    guessed: Window,
    last_look: Option<Duration>,
}

impl Decider {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Decider::default()
    }

    /// Decides at `now`, with `replicas` wanted so far. `seen` is the newest look, if one could be taken since the last decision.
    ///
    /// More at once. Fewer only down to what was needed at most within `scaleDownDelay`; what there was before the first look, and
    /// before the first one after a time without any, counts as needed. A guess made before a run time was known holds only until
    /// one is. While the database can't be looked at there are never fewer.
    pub fn decide(
        &mut self,
        now: Duration,
        seen: Option<&Observation>,
        replicas: u32,
        aims: &Aims,
        budget: Option<Budget>,
    ) -> Decision {
        let afforded = budget.map_or(u32::MAX, |budget| budget.replicas(replicas));
        let Some(seen) = seen.filter(|seen| now.saturating_sub(seen.at) <= STALE_AFTER) else {
            return bounded(replicas, Reason::NoData, aims, afforded);
        };
        if self.last_look.is_none_or(|last| seen.at.saturating_sub(last) > STALE_AFTER) {
            self.needed.note(now, replicas);
        }
        self.last_look = Some(seen.at);
        self.rates.note(seen);
        let (enough, reason) = need(seen, &self.rates, aims);
        if self.rates.run_time().is_some() {
            self.needed.note(now, enough);
            self.guessed.clear();
        } else {
            self.guessed.note(now, enough);
        }
        let delay = aims.scale_down_delay;
        let lately = self.needed.most(now, delay).max(self.guessed.most(now, delay));
        // Somebody may have asked for fewer than we would.
        let wanted = lately.min(replicas).max(enough);
        let reason = if wanted > enough { Reason::ScaleDownDelay { enough } } else { reason };
        bounded(wanted, reason, aims, afforded)
    }
}

/// Within the bounds; what is afforded is above `minReplicas`, which is no help to a database that takes no more connections.
fn bounded(wanted: u32, reason: Reason, aims: &Aims, afforded: u32) -> Decision {
    let wanted_or_least = wanted.max(aims.min_replicas.min(aims.max_replicas));
    let replicas = wanted_or_least.min(aims.max_replicas).min(afforded);
    let reason = if replicas == wanted {
        reason
    } else if replicas > wanted {
        Reason::MinReplicas
    } else if afforded < aims.max_replicas {
        Reason::ConnectionBudget { needed: wanted_or_least }
    } else {
        Reason::MaxReplicas { needed: wanted_or_least }
    };
    Decision { replicas, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AIMS: Aims = Aims {
        threads: 5,
        min_replicas: 0,
        max_replicas: 20,
        target_latency: Duration::from_secs(30),
        ready_jobs_per_replica: 100,
        scale_down_delay: Duration::from_secs(300),
        start_up: Duration::from_secs(5),
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn look(at: u64, ready: u64) -> Observation {
        Observation { at: seconds(at), ready, ..Observation::default() }
    }

    /// Decides at every second look, two seconds apart, from one that was just taken.
    fn decide(decider: &mut Decider, seen: &Observation, replicas: u32) -> Decision {
        decider.decide(seen.at, Some(seen), replicas, &AIMS, None)
    }

    #[test]
    fn from_zero_at_once_by_what_is_ready_while_no_run_time_is_known() {
        let mut decider = Decider::new();
        assert_eq!(decide(&mut decider, &look(0, 0), 0), Decision { replicas: 0, reason: Reason::Idle });
        let due = Observation { due_soon: 1, ..look(2, 0) };
        assert_eq!(decide(&mut decider, &due, 0), Decision { replicas: 1, reason: Reason::Work });
        assert_eq!(decide(&mut decider, &look(4, 1), 0).replicas, 1);
        let many = decide(&mut decider, &look(6, 450), 1);
        assert_eq!(many, Decision { replicas: 5, reason: Reason::ReadyJobs { ready: 450 } });
        assert_eq!(many.reason.to_string(), "450 jobs are ready; how long they run isn't known yet");
    }

    #[test]
    fn run_times_and_arrivals_say_how_many() {
        let mut decider = Decider::new();
        let mut last = 0;
        for second in 0..60 {
            // 40 arrive in a second and take half a second each: 20 slots, 25 with room for chance, 5 workers.
            let seen = Observation { ended: 40, busy: seconds(20), claimed: 20, ..look(second, 0) };
            last = decide(&mut decider, &seen, last).replicas;
        }
        assert_eq!(last, 5);
    }

    #[test]
    fn long_jobs_get_a_slot_each_and_no_more() {
        let mut decider = Decider::new();
        decide(&mut decider, &Observation { ended: 1, busy: seconds(600), ..look(0, 0) }, 1);
        let five = Observation { claimed: 5, ..look(2, 10) };
        assert_eq!(decide(&mut decider, &five, 1).replicas, 3, "fifteen jobs");
    }

    #[test]
    fn a_job_that_waits_too_long_doubles_what_the_load_needs() {
        let (mut punctual, mut late) = (Decider::new(), Decider::new());
        let known = Observation { ended: 10, busy: seconds(10), ..look(0, 300) };
        decide(&mut punctual, &known, 1);
        decide(&mut late, &known, 1);
        let seen = look(2, 300);
        let normal = decide(&mut punctual, &seen, 1).replicas;
        let doubled = decide(&mut late, &Observation { oldest: seconds(31), ..seen }, 1);
        assert_eq!((normal, doubled.replicas), (3, 5));
        assert_eq!(doubled.reason.as_str(), "Latency");
    }

    #[test]
    fn fewer_only_after_the_delay_and_then_as_many_as_were_needed_in_it() {
        let mut decider = Decider::new();
        assert_eq!(decide(&mut decider, &look(0, 1_000), 0).replicas, 10);
        let mut replicas = 10;
        for at in (2..).step_by(2).take(400) {
            let ready = if at == 100 { 500 } else { 0 };
            let decision = decide(&mut decider, &look(at, ready), replicas);
            replicas = decision.replicas;
            let expected = match at {
                ..=300 => 10,
                301..=400 => 5,
                _ => 0,
            };
            assert_eq!(replicas, expected, "after {at} s: {decision:?}");
        }
    }

    #[test]
    fn what_is_not_known_changes_nothing_until_it_has_been_known_for_the_delay() {
        let mut decider = Decider::new();
        let mut replicas = 10;
        let outage = 1_000..1_060;
        for at in (0..2_000).step_by(2) {
            let seen = look(at, 0);
            let seen = (!outage.contains(&at)).then_some(&seen);
            let decision = decider.decide(seconds(at), seen, replicas, &AIMS, None);
            if outage.contains(&at) {
                assert_eq!(decision.reason, Reason::NoData);
            }
            // Somebody else's doing, just before the outage.
            replicas = if at == 990 { 10 } else { decision.replicas };
            match at {
                0..=300 | 990 | 1_002..1_360 => assert!(replicas == 10 || at >= 992, "{at}: {replicas}"),
                301..990 => assert_eq!(replicas, 0, "{at}"),
                _ => {}
            }
        }
        assert_eq!(replicas, 0);
    }

    #[test]
    fn a_guess_holds_until_a_run_time_is_known() {
        let mut decider = Decider::new();
        assert_eq!(decide(&mut decider, &look(0, 1_500), 0).replicas, 15);
        assert_eq!(decide(&mut decider, &look(2, 1_400), 15).replicas, 15);
        let known = Observation { ended: 400, busy: Duration::from_millis(400), ..look(4, 1_000) };
        assert_eq!(decide(&mut decider, &known, 15).replicas, 1);
    }

    #[test]
    fn where_no_run_time_is_known_and_jobs_wait_too_long_each_gets_a_slot() {
        let mut decider = Decider::new();
        let seen = Observation { claimed: 5, oldest: seconds(31), ..look(0, 7) };
        assert_eq!(decide(&mut decider, &seen, 1).replicas, 3);
    }

    #[test]
    fn an_old_look_is_none() {
        let mut decider = Decider::new();
        let seen = look(0, 0);
        assert_eq!(decider.decide(seconds(16), Some(&seen), 7, &AIMS, None).reason, Reason::NoData);
    }

    #[test]
    fn bounds_and_budget_say_so() {
        let aims = Aims { min_replicas: 2, ..AIMS };
        let ask = |ready, budget| Decider::new().decide(seconds(0), Some(&look(0, ready)), 0, &aims, budget);
        assert_eq!(ask(0, None), Decision { replicas: 2, reason: Reason::MinReplicas });
        assert_eq!(ask(5_000, None), Decision { replicas: 20, reason: Reason::MaxReplicas { needed: 50 } });
        let budget = Budget { connections: 40, each: 4, others: 2 };
        let decision = ask(5_000, Some(budget));
        assert_eq!(decision, Decision { replicas: 8, reason: Reason::ConnectionBudget { needed: 50 } });
        assert_eq!(ask(0, Some(Budget { connections: 3, ..budget })).replicas, 0);
    }

    #[test]
    fn while_pods_of_a_rollout_end_the_number_stays() {
        let ask = |replicas, others| {
            let budget = Some(Budget { connections: 24, each: 8, others });
            Decider::new().decide(seconds(0), Some(&look(0, 5_000)), replicas, &AIMS, budget).replicas
        };
        assert_eq!([ask(3, 0), ask(3, 2), ask(1, 2), ask(1, 1)], [3, 3, 1, 2]);
    }

    fn looks() -> impl Strategy<Value = Vec<(u64, Option<Observation>)>> {
        let look = (0..200_000u64, 0..50u64, 0..3u64, 0..2_000u64, 0..600u64, 0..100_000u64);
        prop::collection::vec((1..30u64, prop::option::weighted(0.9, look)), 1..200).prop_map(|looks| {
            let mut now = 0;
            let mut later = Vec::new();
            for (wait, seen) in looks {
                now += wait;
                let seen = seen.map(|(ready, claimed, due_soon, ended, oldest, busy)| Observation {
                    at: seconds(now),
                    ready,
                    claimed,
                    due_soon,
                    ended,
                    busy: Duration::from_millis(busy),
                    oldest: seconds(oldest),
                });
                later.push((now, seen));
            }
            later
        })
    }

    proptest! {
        #[test]
        fn whatever_is_seen_decisions_keep_the_bounds_and_never_end_work(looks in looks(), start in 0..20u32) {
            let (mut decider, mut replicas) = (Decider::new(), start);
            for (now, seen) in looks {
                let decision = decider.decide(seconds(now), seen.as_ref(), replicas, &AIMS, None);
                prop_assert!(decision.replicas <= AIMS.max_replicas);
                match &seen {
                    None => prop_assert_eq!(decision.replicas, replicas),
                    Some(seen) => {
                        let work = seen.ready + seen.claimed + seen.due_soon > 0;
                        prop_assert!(!work || decision.replicas >= 1, "work and nobody for it");
                    }
                }
                prop_assert!(decision.replicas >= replicas || now >= 300, "fewer within the first delay");
                replicas = decision.replicas;
            }
        }

        #[test]
        fn more_ready_jobs_never_call_for_fewer_workers(ready in 0..100_000u64, more in 0..100_000u64, run in 1..100_000u64) {
            let known = Observation { ended: 100, busy: Duration::from_millis(run * 100), ..look(0, 0) };
            let ask = |ready| {
                let mut decider = Decider::new();
                decide(&mut decider, &known, 0);
                decide(&mut decider, &look(1_000, ready), 0).replicas
            };
            prop_assert!(ask(ready) <= ask(ready + more));
        }
    }
}
