//! Hashes a folder with a job for each file, as a program that has the engine inside.
//!
//! ```console
//! $ cargo run -p gritstone-example-hash-folder -- FOLDER OUT
//! $ (cd FOLDER && sha256sum --check OUT/SHA256SUMS)
//! ```
//!
//! It enqueues a batch, a `HashFile` for each file, and works on it itself. When all are done, the batch enqueues one
//! `WriteSums`, which puts the lines together. Other workers may share the database: this one claims its own two classes alone.

use anyhow::{Context as _, bail};
use clap::Parser;
use gritstone::execute::Handler;
use gritstone::execute::native::{JobContext, Native};
use gritstone::execute::retry::Policy;
use gritstone::process::{DispatcherConfig, Stop, Supervisor, SupervisorConfig, WorkerConfig};
use gritstone::store::{BatchCallbacks, BatchRef, JobState, MigrateOptions, NewBatch, NewJob, Store, StoreOptions};
use gritstone_example_hash_folder::sums;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Hash every file of a folder, a job each, into OUT/SHA256SUMS
#[derive(Parser)]
struct Options {
    /// The folder; it is only read
    folder: PathBuf,
    /// Where SHA256SUMS goes
    out: PathBuf,
    /// The queue's database
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "sqlite://gritstone.db",
        value_name = "URL"
    )]
    database: String,
    /// Files hashed at a time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    threads: u32,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let store = Store::open(&options.database, StoreOptions::default())?;
    store.migrate(MigrateOptions::default()).await?;

    let stop = Stop::new();
    let engine = tokio::spawn(run_engine(store.clone(), options.threads, stop.clone()));
    let hashed = tokio::select! {
        hashed = hash(&store, &options) => hashed,
        interrupted = tokio::signal::ctrl_c() => match interrupted {
            Ok(()) => Err(anyhow::anyhow!("interrupted; what isn't hashed yet is still in the queue")),
            Err(error) => Err(error).context("listening to Ctrl-C"),
        },
    };
    stop.gracefully();
    engine.await??;
    hashed
}

/// One worker and one dispatcher inside this process.
async fn run_engine(store: Store, threads: u32, stop: Stop) -> anyhow::Result<()> {
    let worker =
        WorkerConfig { threads, retry: Policy { attempts: 3, ..Policy::default() }, ..WorkerConfig::default() };
    let handler: Arc<dyn Handler> = Arc::new(Native::new().on("HashFile", hash_file).on("WriteSums", write_sums));
    Supervisor::new(store, SupervisorConfig::default())
        .worker(worker, move || Arc::clone(&handler))
        .dispatcher(DispatcherConfig::default())
        .run(&stop)
        .await?;
    Ok(())
}

/// Enqueues the batch and waits until its callback is done.
async fn hash(store: &Store, options: &Options) -> anyhow::Result<()> {
    let folder = options.folder.canonicalize().with_context(|| format!("the folder {}", options.folder.display()))?;
    // Before the new folders, which may be inside.
    let names = sums::files(&folder)?;
    std::fs::create_dir_all(&options.out).with_context(|| format!("making the folder {}", options.out.display()))?;
    let out = options.out.canonicalize()?;
    let run = uuid::Uuid::new_v4().to_string();
    let parts = out.join(format!(".parts-{run}"));
    std::fs::create_dir(&parts).with_context(|| format!("making the folder {}", parts.display()))?;

    let on_success = NewJob::new("WriteSums", vec![json!(parts), json!(out.join("SHA256SUMS"))]).id(&run);
    let callbacks = BatchCallbacks { on_success: Some(on_success), ..BatchCallbacks::default() };
    let description = Some(format!("hash {}", folder.display()));
    let mut session = store.session().await?;
    let batch = session.create_batch(&NewBatch { description, callbacks, ..NewBatch::default() }).await?;
    let jobs: Vec<NewJob> = names.iter().enumerate().map(|(i, name)| job(&batch, &folder, name, &parts, i)).collect();
    for some in jobs.chunks(1_000) {
        store.enqueue(some).await?;
    }
    session.start_batch(batch.id).await?;
    drop(session);

    wait_for(store, &batch, &run).await?;
    std::fs::remove_dir_all(&parts)?;
    println!("{} files hashed into {}", names.len(), out.join("SHA256SUMS").display());
    Ok(())
}

fn job(batch: &BatchRef, folder: &Path, name: &str, parts: &Path, index: usize) -> NewJob {
    let part = parts.join(format!("{index:08}"));
    NewJob { batch: Some(batch.clone()), ..NewJob::new("HashFile", vec![json!(folder), json!(name), json!(part)]) }
}

async fn wait_for(store: &Store, batch: &BatchRef, callback: &str) -> anyhow::Result<()> {
    loop {
        let mut session = store.session().await?;
        if let Some(job) = session.job(callback).await? {
            match job.state {
                JobState::Finished => return Ok(()),
                JobState::Failed => bail!("SHA256SUMS could not be written: {:?}", job.error),
                _ => {}
            }
        }
        let states = session.batches(100).await?;
        if let Some(state) = states.iter().find(|state| state.id == batch.id && state.failed_at.is_some()) {
            bail!("{} of {} files could not be hashed; their jobs say why", state.failed_jobs, state.total_jobs);
        }
        drop(session);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A run that was cut short may be followed by another: each file is written whole or not at all, and twice the same.
async fn hash_file((folder, name, part): (PathBuf, String, PathBuf), _: JobContext) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || {
        let line = sums::line(&folder, &name).with_context(|| format!("hashing {name}"))?;
        sums::write_whole(&part, &line)
    })
    .await?
}

async fn write_sums((parts, target): (PathBuf, PathBuf), _: JobContext) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || sums::write_whole(&target, &sums::join(&parts)?)).await?
}
