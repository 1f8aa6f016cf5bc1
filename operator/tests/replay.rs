//! Traces of arrivals, replayed through the decider: how much it costs, and what it leaves waiting, beside one who knows everything
//! beforehand. Simulated: no clock, the same numbers on every machine.

#[path = "../examples/replay/oracle.rs"]
mod oracle;
#[path = "../examples/replay/simulation.rs"]
mod simulation;
#[path = "../examples/replay/trace.rs"]
mod trace;

use gritstone_operator::autoscale::Aims;
use std::time::Duration;

fn aims() -> Aims {
    Aims {
        threads: 3,
        min_replicas: 0,
        max_replicas: 100,
        target_latency: Duration::from_secs(30),
        ready_jobs_per_replica: 100,
        scale_down_delay: Duration::from_secs(300),
        start_up: Duration::from_secs_f64(simulation::START_UP),
    }
}

#[test]
fn every_trace_costs_little_more_than_foresight_would_and_leaves_few_jobs_waiting() {
    for trace in trace::all() {
        let replay = simulation::replay(&trace, &aims());
        let (ratio, late) = (replay.replica_seconds() / replay.oracle_seconds(), replay.late_share());
        assert!(ratio <= 1.3, "{}: {ratio:.2} of the oracle's replica-seconds", trace.name);
        assert!(late <= 0.05, "{}: {:.1} % of the jobs are late", trace.name, late * 100.0);
    }
}

#[test]
fn every_trace_ends_at_zero() {
    for trace in trace::all() {
        let replay = simulation::replay(&trace, &aims());
        assert_eq!(replay.replicas.last().map(|(_, replicas)| *replicas), Some(0), "{}", trace.name);
        assert_eq!(replay.jobs, trace.arrivals.len() as u64, "{}", trace.name);
    }
}

#[test]
fn once_nothing_arrives_any_more_replicas_only_fall() {
    let trace = trace::all().into_iter().find(|trace| trace.name == "step").expect("the trace");
    let last = trace.arrivals.last().map_or(0.0, |arrival| arrival.at);
    let replay = simulation::replay(&trace, &aims());
    let after: Vec<u32> = replay.replicas.iter().filter(|(at, _)| *at > last + 2.0).map(|(_, n)| *n).collect();
    assert!(after.is_sorted_by(|a, b| a >= b), "{after:?}");
}

#[test]
fn the_number_turns_little_more_often_than_with_foresight() {
    assert_eq!(simulation::reversals([0, 1, 1, 3, 2, 2, 1, 4].into_iter()), 2);
    for trace in trace::all() {
        let replay = simulation::replay(&trace, &aims());
        let (ours, theirs) = (replay.reversals(), replay.oracle_reversals());
        assert!(ours <= theirs + 4, "{}: {ours} reversals, and {theirs} of the oracle", trace.name);
    }
}
