//! `kill -9`, again and again, of workers, dispatchers and supervisors.

use crate::fleet::{Aim, Fleet};
use crate::verdict;
use gritstone_store::{Limit, NewJob, UseLimit};
use gritstone_tests::rig::{Crew, Site, until, until_within};
use gritstone_tests::servers::{Engine, Server};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use std::time::{Duration, Instant};

/// So many kills; `GRITSTONE_FAULT_KILLS` says otherwise.
const KILLS: usize = 10;

/// So many jobs for each kill; `GRITSTONE_FAULT_JOBS` says how many in all.
const JOBS_PER_KILL: usize = 200;

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// One in ten at a dispatcher, one in ten at a supervisor with children, the rest at workers, in random order.
fn aims(kills: usize, random: &mut StdRng) -> Vec<Aim> {
    let tenth = kills / 10;
    let mut aims = vec![Aim::Worker; kills];
    aims[..tenth].fill(Aim::Dispatcher);
    aims[tenth..2 * tenth].fill(Aim::Supervisor);
    aims.shuffle(random);
    aims
}

/// Jobs of 5 to 50 ms: eight in ten due at once, one due within seconds, one under a limit that it shares with others.
fn mixed(jobs: usize, random: &mut StdRng) -> Vec<NewJob> {
    let limit = Limit { to: verdict::LIMIT, ..Limit::default() };
    let mut job = |number: usize| {
        let seconds: f64 = random.random_range(0.005..0.05);
        let job = NewJob::new("Work", vec![json!(seconds)]);
        match number % 10 {
            0 => job.after(Duration::from_millis(random.random_range(0..5_000))),
            1 => {
                let key = format!("Work/{}", random.random_range(0..jobs.div_ceil(200)));
                job.limited(UseLimit { key, declare: Some(limit) })
            }
            _ => job,
        }
    };
    (0..jobs).map(&mut job).collect()
}

async fn no_kill_loses_a_job_or_runs_one_unaccounted_for(engine: Engine) {
    let kills = variable("GRITSTONE_FAULT_KILLS").unwrap_or(KILLS);
    let jobs = variable("GRITSTONE_FAULT_JOBS").unwrap_or(kills * JOBS_PER_KILL);
    let seed: u64 = variable("GRITSTONE_FAULT_SEED").unwrap_or_else(rand::random);
    println!("{engine}: GRITSTONE_FAULT_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);

    let began = Instant::now();
    let site = Site::new(engine, &Crew { threads: 4, ..Crew::default() }).await;
    let ids = site.enqueue_jobs(&mixed(jobs, &mut random)).await;
    let mut fleet = Fleet::start(&site);
    let aims = aims(kills, &mut random);
    let (mut hits, mut hit_jobs) = (0, 0);
    for (number, aim) in aims.iter().enumerate() {
        // Spread over the whole run by progress, so that it doesn't matter how fast the machine is.
        let moment = (number as f64 + random.random::<f64>()) / (kills + 1) as f64 * jobs as f64;
        until_within(PATIENCE, "enough jobs have finished for the next kill", async || {
            fleet.tend();
            (over(&site).await >= moment as i64).then_some(())
        })
        .await;
        let held = until("there is something to kill", async || {
            fleet.tend();
            fleet.kill(*aim, &mut random).await
        })
        .await;
        hits += usize::from(held > 0);
        hit_jobs += held;
    }
    until_within(PATIENCE, "every job is over", async || {
        fleet.tend();
        (over(&site).await >= jobs as i64).then_some(())
    })
    .await;
    fleet.stop().await;
    let took = began.elapsed();

    let tally = verdict::check(&site, &ids).await;
    println!(
        "{engine}: {kills} kills, {hits} of a process that held jobs ({hit_jobs} in all); {} jobs, {} runs: {} extra runs for {} \
         recorded interruptions; {} out of interruptions {:?}; {:.0} s",
        tally.jobs,
        tally.runs,
        tally.extra_runs,
        tally.interruptions,
        tally.failed.len(),
        tally.failed,
        took.as_secs_f64()
    );
    assert!(hits * 10 >= kills * 8, "only {hits} of {kills} kills hit a process that held jobs");
    assert!(tally.interruptions > 0, "no kill interrupted anything");
}

/// A job may wait until a frozen or busy machine goes on; a stuck queue waits for ever.
const PATIENCE: Duration = Duration::from_secs(180);

/// Jobs that are finished or failed.
async fn over(site: &Site) -> i64 {
    site.int(
        "select (select count(*) from solid_queue_jobs where finished_at is not null) + \
         (select count(*) from solid_queue_failed_executions)",
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    no_kill_loses_a_job_or_runs_one_unaccounted_for(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    no_kill_loses_a_job_or_runs_one_unaccounted_for(Server::Postgres.into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb() {
    no_kill_loses_a_job_or_runs_one_unaccounted_for(Server::MariaDb.into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql() {
    no_kill_loses_a_job_or_runs_one_unaccounted_for(Server::MySql.into()).await;
}
