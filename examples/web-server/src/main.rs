//! A web server that runs its own jobs: one program, one database, nothing else to deploy.
//!
//! ```console
//! $ cargo run -p gritstone-example-web-server &
//! $ curl --json '{"customer": "Ann", "items": 3}' http://127.0.0.1:8080/orders
//! {"order":1}
//! $ cat outbox/1.txt
//! Dear Ann, thank you for ordering 3 items.
//! ```
//!
//! An order and its job are written in one transaction, so there is never one without the other. TERM stops it in order: no new
//! connections, answers to what was asked, running jobs to their end; what is left stays in the queue for the next start.

mod orders;
mod receipts;

use anyhow::Context as _;
use clap::Parser;
use gritstone::execute::Handler;
use gritstone::execute::native::Native;
use gritstone::execute::retry::Policy;
use gritstone::process::{DispatcherConfig, Stop, Supervisor, SupervisorConfig, WorkerConfig};
use gritstone::store::{MigrateOptions, Store, StoreOptions};
use orders::Shop;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long running jobs get when it stops: less than the 30 s after which Kubernetes kills.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Take orders over HTTP, and send their receipts from jobs
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A SQLite file for orders and jobs, made if it is missing
    #[arg(long, default_value = "shop.db", value_name = "FILE")]
    database: PathBuf,
    /// The folder for receipts
    #[arg(long, default_value = "outbox", value_name = "DIR")]
    outbox: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    std::fs::create_dir_all(&options.outbox)
        .with_context(|| format!("making the folder {}", options.outbox.display()))?;
    let store = Store::open(&format!("sqlite://{}", options.database.display()), StoreOptions::default())?;
    store.migrate(MigrateOptions::default()).await?;
    let shop = Shop::open(&options.database, store.clone()).await?;
    let listener = tokio::net::TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("listening on {}", options.listen))?;

    let (serving, engine_stop) = (Stop::new(), Stop::new());
    let mut engine = tokio::spawn(run_engine(store, shop.clone(), options.outbox, engine_stop.clone()));
    println!("listening on http://{}", listener.local_addr()?);
    let stop_serving = serving.clone();
    let server = axum::serve(listener, orders::routes(shop))
        .with_graceful_shutdown(async move { stop_serving.requested().await });
    let server = tokio::spawn(server.into_future());

    let mut terminate = signal(SignalKind::terminate())?;
    let ended = tokio::select! {
        _ = terminate.recv() => None,
        _ = tokio::signal::ctrl_c() => None,
        // Without its engine it would take orders that nobody confirms: whoever started it should see that it ended.
        ended = &mut engine => Some(ended),
    };
    // Requests first: they may still enqueue.
    serving.gracefully();
    server.await??;
    engine_stop.gracefully();
    match ended {
        Some(ended) => ended?,
        None => engine.await?,
    }
}

/// One worker and one dispatcher inside this process, until told to stop.
async fn run_engine(store: Store, shop: Shop, outbox: PathBuf, stop: Stop) -> anyhow::Result<()> {
    let worker = WorkerConfig {
        threads: 5,
        retry: Policy { attempts: 5, ..Policy::default() },
        drain_timeout: DRAIN_TIMEOUT,
        ..WorkerConfig::default()
    };
    let supervisor = SupervisorConfig { shutdown_timeout: DRAIN_TIMEOUT, ..SupervisorConfig::default() };
    let handler: Arc<dyn Handler> = Arc::new(Native::new().on(receipts::CLASS, move |(order,): (i64,), _| {
        let (shop, outbox) = (shop.clone(), outbox.clone());
        async move { receipts::send(&shop, &outbox, order).await }
    }));
    Supervisor::new(store, supervisor)
        .worker(worker, move || Arc::clone(&handler))
        .dispatcher(DispatcherConfig::default())
        .run(&stop)
        .await?;
    Ok(())
}
