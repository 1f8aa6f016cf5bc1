//! `gritstone work`: one worker.

use super::exit::Exit;
use super::handler::{self, HandlerOptions};
use super::{Global, database, manifests, runtime, signals};
use crate::process::{Stop, Worker, follow_parent, supervisor_id};
use gritstone_crds::{QueueWorkerSpec, Spec};
use std::path::PathBuf;

/// Run one worker
///
/// What it does is the QueueWorker of a manifest (`-f`), or a worker on all queues with the handler named here. It stops
/// gracefully on TERM and INT, at once on QUIT, and waits while the database is away.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  gritstone work -f worker.yaml\n  gritstone work --process 'python3 worker.py'")]
pub(super) struct Work {
    /// A manifest with one QueueWorker
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Which QueueWorker, where there are several
    #[arg(long, requires = "file")]
    name: Option<String>,
    #[command(flatten)]
    handler: HandlerOptions,
}

impl Work {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let spec = self.spec()?;
        runtime::block_on(async {
            let handler = handler::build(&spec)?;
            let store = database::open(global)?;
            let stop = Stop::new();
            signals::listen(&stop)?;
            follow_parent(&stop);
            Worker::new(store, (&spec).into(), handler).supervised_by(supervisor_id()).run(&stop).await;
            Ok(())
        })
    }

    fn spec(&self) -> Result<QueueWorkerSpec, Exit> {
        if self.file.is_empty() {
            return Ok(QueueWorkerSpec { handler: self.handler.spec()?, ..QueueWorkerSpec::default() });
        }
        let mut found: Vec<(String, QueueWorkerSpec)> = Vec::new();
        for manifest in manifests::read(&self.file)? {
            let name = manifest.metadata.name.clone();
            if let Spec::QueueWorker(spec) = manifest.spec
                && self.name.as_ref().is_none_or(|wanted| *wanted == name)
            {
                found.push((name, *spec));
            }
        }
        match (found.pop(), found.is_empty()) {
            (Some((_, spec)), true) => Ok(spec),
            (None, _) => Err(Exit::Usage("the file has no such QueueWorker".into())),
            (Some(_), false) => Err(Exit::Usage("the file has several QueueWorkers: choose one with --name".into())),
        }
    }
}
