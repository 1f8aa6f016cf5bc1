//! What the operator costs: memory, time and calls to the API server with so many QueueWorkers.
//!
//! As it is shipped: `scripts/build-images --only operator out && cargo run -p gritstone-operator --example figures -- --program
//! target/dist/gritstone-operator 0 1000 10000`. Without `--program` it is the one that was built last beside this.
//!
//! With `--takeovers 20` it is measured instead how long nobody leads after a leader's end.
//!
//! A real API server without nodes: the Deployments get no pods. The API server, etcd and this share the machine with it.

mod operator;
mod takeover;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use gritstone_crds::kinds::QueueWorker;
use gritstone_tests::cluster::Cluster;
use gritstone_tests::rig::{built, processes};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tokio::time::sleep;

use operator::Operator;

/// How long it has nothing to do before it is watched doing nothing.
const SETTLING: Duration = Duration::from_secs(60);
/// How many are created at once.
const AT_ONCE: usize = 16;

/// What to measure.
#[derive(Parser)]
struct Arguments {
    /// The operator's program; the one that was built last beside this unless given
    #[arg(long)]
    program: Option<PathBuf>,
    /// QueueWorkers that scale by load, instead of such with a fixed number
    #[arg(long)]
    scaled: bool,
    /// An operator that starts when all objects are there already, made by one before it
    #[arg(long)]
    restarted: bool,
    /// For how many minutes calls are counted at rest. Every object is looked at once in ten
    #[arg(long, default_value_t = 1)]
    minutes: u32,
    /// Measure instead how long it takes until a standby leads: so many times after `kill -9` of the leader, and as often after TERM
    #[arg(long)]
    takeovers: Option<usize>,
    /// How many QueueWorkers
    #[arg(required_unless_present = "takeovers")]
    counts: Vec<usize>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    arguments.program.get_or_insert_with(|| built("gritstone-operator", "gritstone-operator"));
    if let Some(count) = arguments.takeovers {
        let program = arguments.program.as_deref().context("a program")?;
        return takeover::measure(program, count).await;
    }
    println!(
        "QueueWorkers   ready after   MiB: peak, at rest (heap)   reconciliation: p50, p99   a minute at rest: writes, reads"
    );
    for count in &arguments.counts {
        measure(&arguments, *count).await?;
    }
    Ok(())
}

async fn measure(arguments: &Arguments, count: usize) -> Result<()> {
    let cluster = Cluster::start().await.context("starting an API server")?;
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds").display().to_string();
    cluster.kubectl(&["apply", "-f", &crds]).await?;
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]).await?;
    let config = Kubeconfig::read_from(cluster.kubeconfig())?;
    let client = Client::try_from(Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?)?;
    fill(&client, count, arguments.scaled).await?;

    let program = arguments.program.as_deref().context("a program")?;
    let workers: Api<QueueWorker> = Api::namespaced(client, "shop");
    if arguments.restarted {
        let mut before = Operator::start(program, &cluster).await?;
        has_made(&before, &workers, count).await?;
        before.child.kill().await?;
    }
    let start = Instant::now();
    let mut operator = Operator::start(program, &cluster).await?;
    has_made(&operator, &workers, count).await?;
    let ready = start.elapsed();
    let busy = operator.metrics().await?;
    sleep(SETTLING).await;
    let before = operator.metrics().await?;
    let (all, heap) = (operator.ask(processes::memory)?, operator.ask(processes::own_memory)?);
    sleep(Duration::from_secs(60) * arguments.minutes).await;
    let after = operator.metrics().await?;
    let a_minute = |calls: fn(&str) -> f64| (calls(&after) - calls(&before)) / f64::from(arguments.minutes);
    println!(
        "{count:>12}   {:>9.1} s   {:>9.1}, {:>7.1} ({:>5.1})   {:>14} ms, {} ms   {:>24.1}, {:.1}",
        ready.as_secs_f64(),
        mebibytes(operator.ask(processes::peak_memory)?),
        mebibytes(all),
        mebibytes(heap),
        quantile(&busy, 0.5),
        quantile(&busy, 0.99),
        a_minute(writes),
        a_minute(reads),
    );
    operator.child.kill().await?;
    Ok(())
}

/// Makes a namespace with so many QueueWorkers on one database, which isn't there.
async fn fill(client: &Client, count: usize, scaled: bool) -> Result<()> {
    let create = PostParams::default();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.create(&create, &serde_json::from_value(json!({"metadata": {"name": "shop"}}))?).await?;
    let secret = json!({"metadata": {"name": "app-db"}, "stringData": {"uri": "postgres://127.0.0.1:1/app"}});
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "shop");
    secrets.create(&create, &serde_json::from_value(secret)?).await?;
    let workers: Api<QueueWorker> = Api::namespaced(client.clone(), "shop");
    let mut spec = json!({
        "database": {"secretRef": {"name": "app-db"}},
        "queues": ["mail", "default"],
        "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}},
        "template": {"spec": {"containers": [{"name": "handler", "image": "shop:1"}]}},
    });
    if scaled {
        spec["autoscaling"] = json!({"minReplicas": 0, "maxReplicas": 10});
    }
    let spec = serde_json::from_value(spec).context("a spec")?;
    stream::iter(0..count)
        .map(|number| {
            let worker = QueueWorker::new(&format!("worker-{number:05}"), Clone::clone(&spec));
            let (workers, create) = (workers.clone(), &create);
            async move { workers.create(create, &worker).await.map(drop) }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(())
}

async fn have_status(workers: &Api<QueueWorker>, count: usize) -> Result<bool> {
    let (mut page, mut said) = (ListParams::default().limit(500), 0);
    loop {
        let list = workers.list(&page).await?;
        said += list.items.iter().filter(|worker| worker.status.is_some()).count();
        match list.metadata.continue_ {
            Some(token) if !token.is_empty() => page = page.continue_token(&token),
            _ => return Ok(said >= count),
        }
    }
}

/// Waits until every QueueWorker was looked at and says so.
async fn has_made(operator: &Operator, workers: &Api<QueueWorker>, count: usize) -> Result<()> {
    loop {
        let done = sum(&operator.metrics().await?, "controller_runtime_reconcile_total{controller=\"queueworker\"");
        if done >= count as f64 && have_status(workers, count).await? {
            return Ok(());
        }
        sleep(Duration::from_millis(500)).await;
    }
}

fn values<'a>(text: &'a str, series: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    let lines = text.lines().filter(move |line| line.starts_with(series));
    lines.filter_map(|line| line.rsplit_once(' ').and_then(|(name, value)| Some((name, value.parse().ok()?))))
}

fn sum(text: &str, series: &str) -> f64 {
    values(text, series).map(|(_, value)| value).sum()
}

/// Calls that write, those of the Lease left out: it is renewed every two seconds by PUT.
fn writes(text: &str) -> f64 {
    let calls = values(text, "rest_client_requests_total");
    calls.filter(|(name, _)| name.contains("PATCH") || name.contains("POST")).map(|(_, value)| value).sum()
}

/// Calls that read: watches that begin anew, every five minutes each, and the one Secret, every ten seconds, are among them.
fn reads(text: &str) -> f64 {
    values(text, "rest_client_requests_total").filter(|(name, _)| name.contains("GET")).map(|(_, value)| value).sum()
}

/// The upper bound of the bucket that so many are within, in milliseconds.
fn quantile(text: &str, part: f64) -> String {
    let series = "controller_runtime_reconcile_time_seconds_bucket{";
    let ours = values(text, series).filter(|(name, _)| name.contains("\"queueworker\""));
    let buckets: Vec<(&str, f64)> = ours.collect();
    let all = buckets.last().map_or(0.0, |(_, count)| *count);
    let found = buckets.iter().find(|(_, count)| all > 0.0 && *count >= all * part);
    let bound = found.and_then(|(name, _)| name.split("le=\"").nth(1)?.split('"').next()?.parse::<f64>().ok());
    bound.map_or("-".to_owned(), |bound| format!("<= {:.0}", bound * 1_000.0))
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1_024.0
}
