//! The program that the operator's image runs: two threads' worth of work. The controllers have a runtime of their own; the pages and the
//! Lease have another, which no amount of work of the controllers holds up.

use std::net::TcpListener;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use gritstone_operator::leader::{Candidate, Fence, FenceLayer, Term, campaign};
use gritstone_operator::metrics::RequestsLayer;
use gritstone_operator::{Arguments, Instruments, Settings, cluster_id, logging, pages, run};
use kube::client::ClientBuilder;
use kube::{Client, Config};
use rand::Rng;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tower::timeout::TimeoutLayer;

/// The controllers wait most of their time. A thread for each of a node's many processors would be memory for nothing.
const THREADS: usize = 2;
/// How long the API server may take until it begins to answer a call. Of a connection whose other end is gone without a word, nothing else
/// would tell for a quarter of an hour. (What comes of a watch has limits of its own.)
const ANSWER: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    match operate(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // For a person: without a stack, whatever RUST_BACKTRACE says.
            eprintln!("gritstone-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn operate(arguments: Arguments) -> anyhow::Result<()> {
    logging::start(&arguments.log, arguments.log_format).context("reading --log")?;
    // Only fails where one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind(arguments.health).with_context(|| format!("listening on {}", arguments.health))?;
    listener.set_nonblocking(true).context("listening without waiting")?;

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.context("starting the controllers' runtime")?;
    let stop = CancellationToken::new();
    // Before anything is said: whoever reads it may tell us to stop.
    runtime.block_on(async { stop_on_signal(stop.clone()) }).context("listening to signals")?;
    let config =
        runtime.block_on(Config::infer()).context("finding the API server, from the pod or from KUBECONFIG")?;
    let operator = Operator {
        own_namespace: arguments.own_namespace.clone().unwrap_or_else(|| config.default_namespace.clone()),
        config,
        instruments: Instruments::default(),
        fence: if arguments.leader_elect { Fence::default() } else { Fence::open() },
        stop,
        finished: CancellationToken::new(),
        arguments,
    };
    if operator.arguments.leader_elect {
        operator.instruments.health.asks();
    }
    let (won, term) = oneshot::channel();
    let beside = operator.clone();
    let control = thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || beside.control(listener, won))
        .context("starting the thread of the pages and the Lease")?;
    let worked = runtime.block_on(operator.work(term));
    operator.finished.cancel();
    match control.join() {
        Ok(controlled) => worked.and(controlled),
        Err(_) => bail!("the thread of the pages and the Lease ended by a mistake of the operator's: please report it"),
    }
}

#[derive(Clone)]
struct Operator {
    arguments: Arguments,
    own_namespace: String,
    config: Config,
    instruments: Instruments,
    fence: Fence,
    stop: CancellationToken,
    finished: CancellationToken,
}

impl Operator {
    /// Serves the pages, and holds the Lease, until all work has finished.
    fn control(self, listener: TcpListener, won: oneshot::Sender<Term>) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).context("serving pages")?;
            let address = listener.local_addr().context("finding the address of the pages")?;
            tracing::info!(%address, "serving /livez, /readyz and /metrics");
            let pages = tokio::spawn(pages::serve(listener, self.instruments.clone()));
            if self.arguments.leader_elect {
                // A client belongs to the runtime that it was made on.
                let client = self.client(Fence::open())?;
                let candidate = self.candidate();
                campaign(client, candidate, self.fence.clone(), self.instruments, won, self.stop.clone()).await;
            } else {
                self.instruments.metrics.leading.set(&self.arguments.lease, true);
            }
            self.finished.cancelled().await;
            pages.abort();
            Ok(())
        })
    }

    fn candidate(&self) -> Candidate {
        let pod = self.arguments.pod.clone().or_else(|| std::env::var("HOSTNAME").ok());
        let pod = pod.unwrap_or_else(|| "operator".to_owned());
        Candidate {
            namespace: self.own_namespace.clone(),
            lease: self.arguments.lease.clone(),
            identity: format!("{pod}_{:016x}", rand::rng().random::<u64>()),
        }
    }

    fn client(&self, fence: Fence) -> anyhow::Result<Client> {
        let requests = RequestsLayer(self.instruments.metrics.requests.clone());
        let builder = ClientBuilder::try_from(self.config.clone()).context("making a client of the API server")?;
        Ok(builder.with_layer(&TimeoutLayer::new(ANSWER)).with_layer(&requests).with_layer(&FenceLayer(fence)).build())
    }

    /// Runs the controllers once this operator leads.
    async fn work(&self, term: oneshot::Receiver<Term>) -> anyhow::Result<()> {
        let health = self.instruments.health.clone();
        tokio::spawn({
            let (health, stop) = (health.clone(), self.stop.clone());
            async move { health.beat(stop).await }
        });
        if !self.arguments.leader_elect {
            return self.run(self.stop.clone()).await;
        }
        // Told to stop before it led.
        let Ok(term) = term.await else { return Ok(()) };
        health.leads();
        let stop = self.stop.child_token();
        tokio::spawn({
            let (stop, lost) = (stop.clone(), term.lost.clone());
            async move {
                lost.cancelled().await;
                stop.cancel();
            }
        });
        let ended = self.run(stop).await;
        term.done.cancel();
        if term.lost.is_cancelled() {
            bail!("the Lease was lost: another replica may be at work, and this one starts anew as a standby");
        }
        ended
    }

    async fn run(&self, stop: CancellationToken) -> anyhow::Result<()> {
        let client = self.client(self.fence.clone())?;
        let cluster_id = match &self.arguments.cluster_id {
            Some(id) => id.clone(),
            None => match stop.run_until_cancelled(cluster_id(&client, &self.own_namespace)).await {
                Some(id) => {
                    id.context("finding the cluster's id, kube-system's UID or one kept here: or give --cluster-id")?
                }
                None => return Ok(()),
            },
        };
        let scopes = self.arguments.scopes(&self.own_namespace);
        let (image, pull) = (self.arguments.image.clone(), self.arguments.pull());
        let settings = Settings { scopes, image, pull, cluster_id };
        run(client, settings, self.instruments.clone(), stop).await;
        Ok(())
    }
}

/// Listens to TERM and INT from now on.
fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}
