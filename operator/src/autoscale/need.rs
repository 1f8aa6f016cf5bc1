//! How many workers would be enough now.

use super::rates::Rates;
use super::{Aims, Observation, Reason};
use std::time::Duration;

/// Which share of the slots is meant to be busy; the rest takes what chance brings.
const BUSY_SHARE: f64 = 0.8;

/// How many workers would be enough, without regard to bounds or to what was enough before.
///
/// With `S` the run time, `λ` the arrivals, `R` the ready jobs and `T` the latency aimed at: `S · (λ + R/T)` slots serve what arrives
/// and work off what is there within `T`, or within what the oldest job has left of it, half of it at least. But slots beyond one for each job that is there, or arrives while a worker starts, would
/// stay empty: where jobs run for longer than `T`, that is the smaller number.
pub(super) fn need(seen: &Observation, rates: &Rates, aims: &Aims) -> (u32, Reason) {
    if seen.ready == 0 && seen.claimed == 0 && seen.due_soon == 0 {
        return (0, Reason::Idle);
    }
    let late = seen.ready > 0 && seen.oldest > aims.target_latency;
    let Some(run_time) = rates.run_time() else {
        let workers = match late {
            // None has ended while it waited: they are long.
            true => (seen.ready + seen.claimed).div_ceil(u64::from(aims.threads.max(1))),
            false => seen.ready.div_ceil(u64::from(aims.ready_jobs_per_replica.max(1))),
        };
        return match u32::try_from(workers).unwrap_or(u32::MAX) {
            0 | 1 => (1, Reason::Work),
            workers if late => (workers, Reason::Latency { oldest: seen.oldest }),
            workers => (workers, Reason::ReadyJobs { ready: seen.ready }),
        };
    };
    let (ready, arrivals) = (seen.ready as f64, rates.arrivals());
    let latency = aims.target_latency.as_secs_f64().max(0.001);
    let left = if late { latency } else { (latency - seen.oldest.as_secs_f64()).max(latency / 2.0) };
    let threads = f64::from(aims.threads.max(1));
    let busy = run_time * (arrivals + ready / left) * if late { 2.0 } else { 1.0 };
    let jobs = ready + seen.claimed as f64 + seen.due_soon as f64 + arrivals * aims.start_up.as_secs_f64();
    // Rounding is kept from making one more of a product that should be whole.
    let workers = ((busy / (threads * BUSY_SHARE)).min(jobs / threads) - 1e-9).ceil();
    if workers <= 1.0 {
        return (1, Reason::Work);
    }
    let reason = match late {
        true => Reason::Latency { oldest: seen.oldest },
        false => Reason::Load { arrivals, ready: seen.ready, run_time: Duration::from_secs_f64(run_time.max(0.0)) },
    };
    (workers.min(f64::from(u32::MAX)) as u32, reason)
}
