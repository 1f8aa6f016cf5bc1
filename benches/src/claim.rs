//! What a claim costs the server, by its own count.

use crate::server::Bench;
use anyhow::Result;
use gritstone::store::{Claim as StoreClaim, Finish, Identity, Mark, NewProcess, Selection, Session, Verdict};
use std::time::{Duration, Instant};

/// Runs claims and prints their mean time in the server, with an empty queue and with a long one.
#[derive(Debug, clap::Args)]
pub(crate) struct Claim {
    /// Jobs in the long queue
    #[arg(long, default_value_t = 100_000)]
    jobs: u64,
    /// Claims
    #[arg(long, default_value_t = 3_000)]
    claims: u32,
}

impl Claim {
    pub(crate) async fn run(&self) -> Result<()> {
        let mut bench = Bench::start().await?;
        for jobs in [0, self.jobs] {
            let queue = bench.queue().await?;
            if jobs > 0 {
                queue.fill(jobs).await?;
            }
            let mut session = queue.store.connect().await?;
            let process_id = register(&mut session).await?;
            let any = Selection::Any { excluded: vec!["solid_queue_recurring".into()], mark: Mark::START };
            let named = Selection::Queues(vec![("default".into(), Mark::START)]);
            for (title, selection) in [("any queue", &any), ("a queue by name", &named)] {
                bench.count_statements().await?;
                for _ in 0..self.claims {
                    claim(&mut session, process_id, selection).await?;
                }
                for (calls, mean, _, _) in bench.statements("with gate").await? {
                    println!(
                        "claim of 1, {title}, {jobs} jobs ready: mean {mean:.1} µs in the server over {calls} calls"
                    );
                }
            }
        }
        Ok(())
    }
}

/// Lists a worker to claim for.
pub(crate) async fn register(session: &mut Session<'static>) -> Result<i64> {
    let process = NewProcess {
        kind: "Worker".into(),
        name: "worker-bench".into(),
        pid: std::process::id(),
        hostname: "bench".into(),
        supervisor_id: None,
        metadata: serde_json::json!({}),
        identity: Identity::default(),
        max_interruptions: 3,
    };
    Ok(session.register(&process).await?.process_id)
}

/// Claims a job, if there is one, and finishes it; how long the claim took.
pub(crate) async fn claim(session: &mut Session<'static>, process_id: i64, selection: &Selection) -> Result<Duration> {
    let claim = StoreClaim { process_id, selection, limit: 1, classes: None, skip_locked: true, ahead: None };
    let began = Instant::now();
    let claimed = session.claim(&claim).await?;
    let took = began.elapsed();
    let finishes: Vec<Finish> = claimed
        .iter()
        .map(|job| Finish { claim_id: job.claim_id, job_id: job.job_id, verdict: Verdict::Done })
        .collect();
    session.finish(&finishes, true).await?;
    Ok(took)
}
