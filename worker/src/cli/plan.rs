//! What is to be run, whether manifests say so or a Rails application's own files. Both come to manifests, and from here on there is one way.

use super::exit::Exit;
use super::one_worker::OneWorker;
use super::rails::{Found, RailsFiles};
use super::tasks::Source;
use super::{Global, manifests};
use gritstone_crds::{Duration, Manifest, Metadata, QueueWorkerSpec, Spec};
use std::path::PathBuf;

/// What files say.
pub(super) struct Plan {
    /// Everything that they name.
    pub(super) manifests: Vec<Manifest>,
    /// Their recurring tasks.
    pub(super) tasks: Vec<Source>,
    /// Of Rails' files, what is to be said about them.
    found: Option<Found>,
}

impl Plan {
    /// The manifests that `-f` names.
    pub(super) fn of_manifests(paths: &[PathBuf]) -> Result<Self, Exit> {
        // All of them first, so that every problem of every file is told.
        let manifests = manifests::read(paths)?;
        let tasks = paths.iter().map(Source::of_manifests).collect::<Result<_, _>>()?;
        Ok(Plan { manifests, tasks, found: None })
    }

    /// Rails' files. `worker` is what each worker has that they say nothing about.
    pub(super) fn of_rails(files: &RailsFiles, worker: QueueWorkerSpec) -> Result<Self, Exit> {
        let found = files.read(worker)?;
        let manifests = found.application.manifests.clone();
        let tasks = match &found.owner {
            Some(owner) => vec![Source::of_rails(owner, &manifests)?],
            None => Vec::new(),
        };
        Ok(Plan { manifests, tasks, found: Some(found) })
    }

    /// Says what the files leave to be said.
    pub(super) fn say(&self) {
        if let Some(found) = &self.found {
            found.say();
        }
    }

    /// The one manifest of a kind that there is, or, where there are several, the one of the wanted name; with its full name.
    pub(super) fn one<S>(
        &self,
        wanted: Option<&str>,
        kind: &str,
        pick: impl Fn(&Spec) -> Option<S>,
    ) -> Result<(String, S), Exit> {
        let mut found: Vec<(String, &Metadata, S)> = Vec::new();
        for manifest in &self.manifests {
            let name = manifests::full_name(&manifest.metadata);
            found.extend(pick(&manifest.spec).map(|spec| (name, &manifest.metadata, spec)));
        }
        let names = found.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>().join(", ");
        if let Some(wanted) = wanted {
            found.retain(|(name, metadata, _)| name == wanted || metadata.name == wanted);
        }
        match (found.pop(), found.is_empty(), wanted) {
            (Some((name, _, spec)), true, _) => Ok((name, spec)),
            (Some(_), false, _) => {
                Err(Exit::Usage(format!("the files have several {kind}s: choose one with --name ({names})")))
            }
            (None, _, Some(wanted)) if !names.is_empty() => {
                Err(Exit::Usage(format!("the files have no {kind} called {wanted}; they have {names}")))
            }
            (None, ..) => Err(Exit::Usage(format!("the files have no {kind}"))),
        }
    }
}

/// Jobs of Active Job are retried by `retry_on`, which goes on as long as it says; the engine is only to stop what never ends.
pub(super) const ATTEMPTS_OF_RUBY: i32 = 1_000;
/// As often as a job may be interrupted by the death of its worker. `retry_on` has no say there: it died, too.
pub(super) const CRASHES_OF_RUBY: i32 = 3;

/// A worker of Rails' files as far as they say nothing about it.
pub(super) fn worker_of_rails(options: &OneWorker, drain_timeout: Duration) -> Result<QueueWorkerSpec, Exit> {
    let mut spec = options.spec(drain_timeout)?;
    let is_process = spec.handler.as_ref().is_some_and(|handler| handler.process.is_some());
    if options.attempts.is_none() && is_process {
        (spec.retry.attempts, spec.retry.crashes) = (ATTEMPTS_OF_RUBY, Some(CRASHES_OF_RUBY));
    }
    Ok(spec)
}

/// Refuses to guess which database Rails means: an empty one that nobody enqueues into would look like a quiet queue.
pub(super) fn need_database(files: &RailsFiles, global: &Global) -> Result<(), Exit> {
    if !files.are_meant() || global.database.is_some() {
        return Ok(());
    }
    Err(Exit::Usage(
        "which database? config/database.yml is not read: name the one that has Solid Queue's tables with --database or DATABASE_URL, \
         such as postgres://user@host/app_queue, mysql2://user@host/app_queue or sqlite://storage/production_queue.sqlite3"
            .into(),
    ))
}
