//! How long it takes from a job in a queue to the Deployment that is told of it, and what looking costs the database.
//!
//! Starts an API server and, unless `GRITSTONE_TEST_POSTGRES` and `GRITSTONE_TEST_MARIADB` say where they are, database servers; runs the
//! operator; enqueues a job into one queue after the other, each served by a QueueWorker without workers. In debug builds too: what it
//! measures is waiting.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::TryStreamExt as _;
use gritstone_crds::kinds::QueueWorker;
use gritstone_operator::{Instruments, Scope, Settings, run};
use gritstone_store::{MigrateOptions, NewJob, Store, StoreOptions};
use gritstone_tests::cluster::Cluster;
use gritstone_tests::servers::{Server, TestDatabase};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt as _};
use rand::Rng as _;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;

/// Jobs that are enqueued, a second and a bit apart.
const ROUNDS: usize = 40;
/// For how long statements are counted.
const COUNTED: Duration = Duration::from_secs(20);

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
    for server in [Server::Postgres, Server::MariaDb] {
        measure(&client, server).await?;
    }
    Ok(())
}

async fn measure(client: &Client, server: Server) -> Result<()> {
    let database = TestDatabase::create(server).await?;
    let store = Store::open(&database.url, StoreOptions::default())?;
    store.migrate(MigrateOptions::default()).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"generateName": "depth-"}}))?;
    let namespace = namespaces.create(&PostParams::default(), &namespace).await?.name_any();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let secret = json!({"metadata": {"name": "app-db"}, "stringData": {"uri": database.url}});
    secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;

    let stop = CancellationToken::new();
    let scopes = vec![Scope::Namespace(namespace.clone())];
    let settings = Settings { scopes, image: "none".to_owned(), cluster_id: "bench".to_owned() };
    let operator = tokio::spawn(run(client.clone(), settings, Instruments::default(), stop.clone()));
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
    let active = |worker: &QueueWorker| {
        let conditions = worker.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|condition| condition.reason == "Active")
    };
    while workers.list(&Default::default()).await?.items.iter().filter(|worker| active(worker)).count() < ROUNDS {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    if server == Server::Postgres {
        let before = statements(&database.url).await?;
        tokio::time::sleep(COUNTED).await;
        let count = statements(&database.url).await? - before;
        println!(
            "{server:?}: {:.1} statements a second, for {ROUNDS} QueueWorkers",
            count as f64 / COUNTED.as_secs_f64()
        );
    }
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

/// Transactions of this database so far; each statement of a look is one.
async fn statements(url: &str) -> Result<i64> {
    let mut connection = PgConnection::connect(url).await?;
    let sql = "select xact_commit from pg_stat_database where datname = current_database()";
    Ok(sqlx::query_scalar(sql).fetch_one(&mut connection).await?)
}
