//! What a claim costs the server, by its own count.

use crate::figures::Table;
use crate::server::Bench;
use anyhow::Result;
use gritstone::store::{
    COMMANDS_QUEUE, Claim as StoreClaim, Commands, Finish, Identity, Mark, NewProcess, RAILS_COMMANDS, Selection,
    Session, Verdict,
};
use std::time::{Duration, Instant};

/// Runs claims and reads their mean time in the server, with an empty queue and with a long one.
#[derive(Debug, clap::Args)]
pub(crate) struct Claim {
    /// Jobs in the long queue
    #[arg(long, default_value_t = 100_000)]
    jobs: u64,
    /// Claims
    #[arg(long, default_value_t = 3_000)]
    claims: u32,
    /// Jobs a claim asks for
    #[arg(long, default_value_t = 1)]
    limit: u32,
}

impl Claim {
    pub(crate) async fn run(&self, table: &mut Table) -> Result<()> {
        let mut bench = Bench::start().await?;
        for jobs in [0, self.jobs] {
            let queue = bench.queue().await?;
            if jobs > 0 {
                queue.fill(jobs).await?;
            }
            let mut session = queue.store.connect().await?;
            let process_id = register(&mut session).await?;
            // As a worker claims that may not run commands: their queue is left out too.
            let excluded = [RAILS_COMMANDS, COMMANDS_QUEUE].map(str::to_owned).to_vec();
            let any = Selection::Any { excluded, mark: Mark::START };
            let named = Selection::Queues(vec![("default".into(), Mark::START)]);
            for (title, selection) in [("any queue", &any), ("a queue by name", &named)] {
                for commands in [Commands::Leave, Commands::Take, Commands::PassOver] {
                    bench.count_statements().await?;
                    for _ in 0..self.claims {
                        claim(&mut session, process_id, selection, commands, self.limit).await?;
                    }
                    for (calls, mean, _, _) in bench.statements("with gate").await? {
                        table.figure(
                            &format!("claim of {}, {title}, commands {commands:?}, {jobs} jobs ready", self.limit),
                            format!("mean {mean:.1} µs in the server over {calls} calls"),
                        );
                    }
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
pub(crate) async fn claim(
    session: &mut Session<'static>,
    process_id: i64,
    selection: &Selection,
    commands: Commands,
    limit: u32,
) -> Result<Duration> {
    let claim = StoreClaim { process_id, selection, limit, classes: None, commands, skip_locked: true, ahead: None };
    let began = Instant::now();
    let claimed = session.claim(&claim).await?.jobs;
    let took = began.elapsed();
    let finishes: Vec<Finish> = claimed
        .iter()
        .map(|job| Finish { claim_id: job.claim_id, job_id: job.job_id, verdict: Verdict::Done })
        .collect();
    session.finish(&finishes, true).await?;
    Ok(took)
}
