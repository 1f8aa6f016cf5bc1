//! How long nobody leads after a leader's end.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gritstone_tests::cluster::Cluster;
use gritstone_tests::rig::{Signal, processes};
use rand::Rng;
use tokio::time::sleep;

use crate::operator::Operator;

/// How often it is looked whether another leads: the times are too long by that at most.
const LOOK: Duration = Duration::from_millis(10);

/// Ends one leader after the other, each with a standby beside it, so many times in each way.
pub async fn measure(program: &Path, count: usize) -> Result<()> {
    ensure!(count > 0, "--takeovers: how often?");
    let cluster = Cluster::start().await.context("starting an API server")?;
    let mut leader = Operator::start(program, &cluster).await?;
    until(&leader, "/metrics", LEADS).await?;
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            let standby = Operator::start(program, &cluster).await?;
            // Ready is a standby that has read the Lease.
            until(&standby, "/readyz", "HTTP/1.1 200").await?;
            // At any moment between two renewals.
            let pause = rand::rng().random_range(0..2_000);
            sleep(Duration::from_millis(pause)).await;
            let end = Instant::now();
            ensure!(processes::send(leader.pid()?, signal), "the leader had ended before");
            until(&standby, "/metrics", LEADS).await?;
            took.push(end.elapsed());
            leader.child.wait().await?;
            leader = standby;
        }
        took.sort();
        let (median, most) = (took[count / 2].as_secs_f64(), took[count - 1].as_secs_f64());
        println!("{signal} to the leader, until the standby leads: median {median:.2} s, most {most:.2} s, of {count}");
    }
    leader.child.kill().await?;
    Ok(())
}

const LEADS: &str = "leader_election_master_status{name=\"gritstone-operator\"} 1\n";

async fn until(operator: &Operator, page: &str, text: &str) -> Result<()> {
    while !operator.page(page).await?.contains(text) {
        sleep(LOOK).await;
    }
    Ok(())
}
