//! One who knows beforehand when which job arrives, and how long it runs.

use crate::simulation::START_UP;
use crate::trace::Trace;
use gritstone_operator::autoscale::Aims;

/// Which share of the slots is busy, as the decider has it.
const BUSY_SHARE: f64 = 0.8;

/// How many replicas it wants at each look.
///
/// Each job's start is spread evenly over the latency it may have. The slots that are busy then, with the decider's room for chance, are
/// needed, but no more than there are jobs; workers are started early enough, and kept for `scaleDownDelay` after they were needed, as the
/// rules say.
pub fn replicas(trace: &Trace, aims: &Aims, looks: &[(f64, u32)]) -> Vec<u32> {
    let Some(every) = looks.first().map(|(at, _)| *at) else { return Vec::new() };
    let latency = aims.target_latency.as_secs_f64();
    // By look: the slots that are busy, and the jobs that have come and not ended.
    let mut load = vec![(0.0, 0.0); looks.len() + 1];
    for arrival in &trace.arrivals {
        let from = trace.resumed_after(arrival.at);
        // A start at any moment of the latency is as likely as another: the slot is busy at `t` with this probability.
        let (first, last) = (from / every, (from + latency + arrival.run_time) / every);
        for (look, (busy, there)) in load.iter_mut().enumerate().take(last as usize + 2).skip(first as usize) {
            let t = look as f64 * every;
            let started = (t - from).clamp(0.0, latency);
            let over = (t - arrival.run_time - from).clamp(0.0, latency);
            *busy += (started - over) / latency;
            *there += if t >= from { 1.0 - over / latency } else { 0.0 };
        }
    }
    let workers = |(busy, there): &(f64, f64)| {
        let slots = (busy / BUSY_SHARE).min(*there);
        (slots / f64::from(aims.threads) - 1e-9).ceil() as u32
    };
    let needed: Vec<u32> = load.iter().map(workers).collect();
    let (early, kept) = ((START_UP / every).ceil() as usize, (aims.scale_down_delay.as_secs_f64() / every) as usize);
    let most = |look: usize| {
        let window = look.saturating_sub(kept)..(look + 1 + early).min(needed.len());
        needed[window].iter().copied().max().unwrap_or(0).clamp(aims.min_replicas, aims.max_replicas)
    };
    (1..=looks.len()).map(most).collect()
}
