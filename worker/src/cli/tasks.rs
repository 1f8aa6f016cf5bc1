//! The recurring tasks of the files that `-f` names, put into the database.

use super::database::Patience;
use super::exit::Exit;
use super::manifests;
use crate::process::{Stop, recurring_task};
use gritstone_crds::Spec;
use gritstone_store::{Error, NewTask, ReplacedTasks, Store};
use std::path::{Component, Path, PathBuf};

/// A file or folder of manifests, and its tasks.
pub(super) struct Source {
    /// Its absolute path, under which the database knows whose the tasks are.
    owner: String,
    tasks: Vec<NewTask>,
}

/// What each of these paths has. One without tasks counts too: it may have had some before.
pub(super) fn sources(paths: &[PathBuf]) -> Result<Vec<Source>, Exit> {
    paths.iter().map(source).collect()
}

fn source(path: &PathBuf) -> Result<Source, Exit> {
    let mut tasks = Vec::new();
    for manifest in manifests::read(std::slice::from_ref(path))? {
        match &manifest.spec {
            Spec::RecurringTask(spec) => {
                let task = recurring_task(&manifest.metadata, spec);
                tasks.push(task.map_err(|error| Exit::Refused(format!("{}: {error}", manifest.source)))?);
            }
            Spec::CronSchedule(_) => {
                let (name, place) = (manifests::full_name(&manifest.metadata), manifest.source.to_string());
                tracing::warn!(
                    name,
                    place,
                    "a CronSchedule is the operator's own; this one is left out: write a RecurringTask"
                );
            }
            Spec::QueueWorker(_) | Spec::Dispatcher(_) => {}
        }
    }
    Ok(Source { owner: owner(path)?, tasks })
}

/// Not with links followed: they may lead elsewhere after each update, as those of a mounted ConfigMap do.
fn owner(path: &Path) -> Result<String, Exit> {
    let absolute = std::path::absolute(path)?;
    let plain: PathBuf = absolute.components().filter(|part| *part != Component::CurDir).collect();
    Ok(plain.to_string_lossy().into_owned())
}

/// True when there is a task in them.
pub(super) fn any(sources: &[Source]) -> bool {
    sources.iter().any(|source| !source.tasks.is_empty())
}

/// Makes the tasks of each source be these, waiting for a database that is away. False when told to stop meanwhile.
///
/// # Errors
/// When waiting doesn't help.
pub(super) async fn put(store: &Store, sources: &[Source], stop: &Stop) -> Result<bool, Exit> {
    let mut patience = Patience::default();
    for source in sources {
        loop {
            let put = async { store.connect().await?.replace_tasks(&source.owner, &source.tasks).await };
            match put.await {
                Ok(done) => {
                    say(&source.owner, &done);
                    break;
                }
                Err(error @ (Error::Unavailable(_) | Error::Conflict(_))) => {
                    if !patience.wait(store, &error, stop).await {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(Exit::from(error).during("putting recurring tasks", store.url())),
            }
        }
    }
    Ok(true)
}

fn say(owner: &str, done: &ReplacedTasks) {
    let ReplacedTasks { created, changed, removed, taken } = done;
    if !(created.is_empty() && changed.is_empty() && removed.is_empty()) {
        tracing::info!(owner, ?created, ?changed, ?removed, "put_recurring_tasks");
    }
    for taken in taken {
        tracing::error!(owner, "{taken}");
    }
}
