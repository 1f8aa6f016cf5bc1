//! Replays traces of arrivals through the decider, and prints how many replicas it wanted beside one who knew everything beforehand.
//!
//! ```console
//! $ cargo run --release -p gritstone-operator --example replay
//! $ cargo run --release -p gritstone-operator --example replay -- --over-time "on and off"
//! ```

#[path = "oracle.rs"]
mod oracle;
#[path = "simulation.rs"]
mod simulation;
#[path = "trace.rs"]
mod trace;

use clap::Parser;
use gritstone_operator::autoscale::Aims;
use std::time::Duration;

/// Replay traces of arrivals through the decider
#[derive(Parser)]
struct Options {
    /// Print the replicas over time of this trace
    #[arg(long, value_name = "NAME")]
    over_time: Option<String>,
    /// targetLatency, in seconds
    #[arg(long, default_value_t = 30)]
    target_latency: u64,
    /// scaleDownDelay, in seconds
    #[arg(long, default_value_t = 300)]
    scale_down_delay: u64,
    /// Jobs at a time in a worker
    #[arg(long, default_value_t = 3)]
    threads: u32,
}

fn main() {
    let options = Options::parse();
    let aims = Aims {
        threads: options.threads,
        min_replicas: 0,
        max_replicas: 100,
        target_latency: Duration::from_secs(options.target_latency),
        ready_jobs_per_replica: 100,
        scale_down_delay: Duration::from_secs(options.scale_down_delay),
        start_up: Duration::from_secs_f64(simulation::START_UP),
    };
    println!(
        "{:<20} {:>9} {:>16} {:>7} {:>6} {:>7} {:>6} {:>10} {:>9}",
        "", "jobs", "replica-seconds", "oracle", "ratio", "late", "most", "reversals", "oracle's"
    );
    for trace in trace::all() {
        let replay = simulation::replay(&trace, &aims);
        let (ours, theirs) = (replay.replica_seconds(), replay.oracle_seconds());
        let most = replay.replicas.iter().map(|(_, replicas)| *replicas).max().unwrap_or(0);
        println!(
            "{:<20} {:>9} {ours:>16.0} {theirs:>7.0} {:>6.2} {:>6.1}% {most:>6} {:>10} {:>9}",
            trace.name,
            replay.jobs,
            ours / theirs,
            replay.late_share() * 100.0,
            replay.reversals(),
            replay.oracle_reversals(),
        );
        if options.over_time.as_deref() == Some(trace.name) {
            let mut last = None;
            for ((at, replicas), oracle) in replay.replicas.iter().zip(&replay.oracle) {
                if last != Some((*replicas, *oracle)) {
                    println!("  after {at:>6.0} s: {replicas:>3} {}, oracle {oracle}", "#".repeat(*replicas as usize));
                    last = Some((*replicas, *oracle));
                }
            }
        }
    }
}
