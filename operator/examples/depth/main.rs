//! How long it takes from a job in a queue to the Deployment that is told of it, and what looking costs the database.
//!
//! Starts an API server and database servers that nobody else uses; runs the operator; counts the statements with RecurringTasks alone, then
//! with QueueWorkers as well; enqueues a job into one queue after the other, each served by a QueueWorker without workers. In debug builds
//! too: what it measures is waiting.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::TryStreamExt as _;
use gritstone_crds::kinds::{Condition, QueueWorker, RecurringTask};
use gritstone_operator::{Instruments, Pull, Scope, Settings, run};
use gritstone_store::{MigrateOptions, NewJob, Store, StoreOptions};
use gritstone_tests::cluster::Cluster;
use gritstone_tests::rig::Sql;
use gritstone_tests::servers::{PrivateServer, Server, ServerOptions};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt as _};
use rand::Rng as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Jobs that are enqueued, a second and a bit apart.
const ROUNDS: usize = 40;
/// How often it is looked whether all is there.
const LOOK: Duration = Duration::from_millis(200);
/// How long after that counting begins.
const SETTLING: Duration = Duration::from_secs(15);
/// For how long statements are counted.
const COUNTED: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start().await?;
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds").display().to_string();
    cluster.kubectl(&["apply", "-f", &crds]).await?;
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]).await?;
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    for server in Server::ALL {
        measure(&client, server).await?;
    }
    Ok(())
}

async fn measure(client: &Client, server: Server) -> Result<()> {
    let private = PrivateServer::start(server, ServerOptions::default()).await?;
    let url = private.create_database("depth").await?;
    let store = Store::open(&url, StoreOptions::default())?;
    store.migrate(MigrateOptions::default()).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"generateName": "depth-"}}))?;
    let namespace = namespaces.create(&PostParams::default(), &namespace).await?.name_any();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let secret = json!({"metadata": {"name": "app-db"}, "stringData": {"uri": url}});
    secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;

    let stop = CancellationToken::new();
    let scopes = vec![Scope::Namespace(namespace.clone())];
    let settings = Settings { scopes, image: "none".to_owned(), pull: Pull::default(), cluster_id: "bench".to_owned() };
    let operator = tokio::spawn(run(client.clone(), settings, Instruments::default(), stop.clone()));
    let tasks: Api<RecurringTask> = Api::namespaced(client.clone(), &namespace);
    for tasks_there in [1, ROUNDS] {
        for round in tasks.list(&Default::default()).await?.items.len()..tasks_there {
            let spec = json!({
                "database": {"secretRef": {"name": "app-db"}},
                "schedule": "every day at noon",
                "job": {"class": "Report"},
            });
            let task = RecurringTask::new(&queue(round), serde_json::from_value(spec)?);
            tasks.create(&PostParams::default(), &task).await?;
        }
        let scheduled = |task: &RecurringTask| says(task.status.iter().flat_map(|it| &it.conditions), "Scheduled");
        while tasks.list(&Default::default()).await?.items.iter().filter(|task| scheduled(task)).count() < tasks_there {
            tokio::time::sleep(LOOK).await;
        }
        let rate = rate(&private).await?;
        println!("{server:?}: {rate:.2} statements a second, for {tasks_there} RecurringTasks");
    }
    let workers: Api<QueueWorker> = Api::namespaced(client.clone(), &namespace);
    for round in 0..ROUNDS {
        let spec = json!({
            "database": {"secretRef": {"name": "app-db"}},
            "queues": queue(round),
            "handler": {"http": {"url": "http://127.0.0.1:8080/jobs"}},
            "autoscaling": {"minReplicas": 0, "maxReplicas": 3},
        });
        let worker = QueueWorker::new(&queue(round), serde_json::from_value(spec)?);
        workers.create(&PostParams::default(), &worker).await?;
    }
    let active = |worker: &QueueWorker| says(worker.status.iter().flat_map(|it| &it.conditions), "Active");
    while workers.list(&Default::default()).await?.items.iter().filter(|worker| active(worker)).count() < ROUNDS {
        tokio::time::sleep(LOOK).await;
    }
    let rate = rate(&private).await?;
    println!("{server:?}: {rate:.2} statements a second, for these and {ROUNDS} QueueWorkers that scale");
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let mut took = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        // At any moment between two looks.
        let pause = rand::rng().random_range(2_000..3_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        took.push(until_scaled(&deployments, &store, &queue(round)).await?);
    }
    took.sort();
    println!(
        "{server:?}: from a job to the scale write: p50 {:?}, p90 {:?}, most {:?}",
        took[ROUNDS / 2],
        took[ROUNDS * 9 / 10],
        took[ROUNDS - 1]
    );
    stop.cancel();
    operator.await.context("the operator ended by a mistake of its own")
}

fn queue(round: usize) -> String {
    format!("q-{round:03}")
}

/// Enqueues a job, and waits until the Deployment of the one worker of that queue is to have a pod.
async fn until_scaled(deployments: &Api<Deployment>, store: &Store, queue: &str) -> Result<Duration> {
    let name = format!("{queue}-worker");
    let version = deployments.get(&name).await?.resource_version().unwrap_or_default();
    let watch = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut changes = std::pin::pin!(deployments.watch(&watch, &version).await?);
    let began = Instant::now();
    store.enqueue(&[NewJob::new("Job", vec![]).on(queue)]).await?;
    while let Some(change) = changes.try_next().await? {
        if let WatchEvent::Modified(deployment) = change
            && deployment.spec.and_then(|spec| spec.replicas) == Some(1)
        {
            return Ok(began.elapsed());
        }
    }
    bail!("the watch of {name} ended")
}

fn says<'c>(mut conditions: impl Iterator<Item = &'c Condition>, reason: &str) -> bool {
    conditions.any(|condition| condition.reason == reason)
}

/// How many statements a second the server is sent, by nobody but the operator.
async fn rate(private: &PrivateServer) -> Result<f64> {
    // What has been sent is told a while later.
    tokio::time::sleep(SETTLING).await;
    let before = statements(private).await?;
    tokio::time::sleep(COUNTED).await;
    let after = statements(private).await?;
    Ok((after - before) as f64 / COUNTED.as_secs_f64())
}

/// Statements so far. PostgreSQL counts transactions: each statement of a look is one.
async fn statements(private: &PrivateServer) -> Result<i64> {
    let mut sql = Sql::connect(private.server().into(), &private.admin_url()).await?;
    let query = match private.server() {
        Server::Postgres => "select xact_commit::text as count from pg_stat_database where datname = 'depth'",
        Server::MariaDb | Server::MySql => "show global status like 'Questions'",
    };
    let rows = sql.rows(query).await?;
    let count = rows.first().and_then(|row| row.last()).context("no count of statements")?;
    Ok(count.parse()?)
}
