//! The program that the operator's image runs.

use anyhow::Context;
use clap::Parser;
use gritstone_operator::{Settings, run};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Keeps true on Kubernetes what manifests of gritstone.dev ask for
#[derive(Debug, Parser)]
#[command(name = "gritstone-operator", version)]
struct Arguments {
    /// The namespace to look after; all of them if none is named
    #[arg(long, env = "GRITSTONE_OPERATOR_NAMESPACE")]
    namespace: Option<String>,
    /// The image of workers, with `gritstone` at /gritstone
    #[arg(long, env = "GRITSTONE_OPERATOR_IMAGE")]
    image: String,
    /// What tells this cluster from others [default: the UID of the namespace kube-system]
    #[arg(long, env = "GRITSTONE_CLUSTER_ID")]
    cluster_id: Option<String>,
    /// What to log: error, warn, info, debug, trace, or a filter such as gritstone_operator=debug
    #[arg(long, env = "GRITSTONE_LOG", default_value = "info")]
    log: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_new(&arguments.log).context("reading --log")?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // Only fails where one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let client = Client::try_default().await.context("finding the API server, from the pod or from KUBECONFIG")?;
    let cluster_id = match arguments.cluster_id {
        Some(id) => id,
        None => cluster_id(&client).await?,
    };
    let settings = Settings { namespace: arguments.namespace, image: arguments.image, cluster_id };
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    run(client, settings, stop).await;
    Ok(())
}

async fn cluster_id(client: &Client) -> anyhow::Result<String> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let system = namespaces.get("kube-system").await.context("reading the UID of kube-system: or give --cluster-id")?;
    system.metadata.uid.context("the namespace kube-system has no UID: give --cluster-id")
}

async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut term), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
}
