//! The recurring tasks of the files that `-f` names, put into the database.

use super::database::Patience;
use super::exit::Exit;
use super::manifests;
use crate::process::{Stop, rails_task, recurring_task};
use gritstone_crds::kinds::Interval;
use gritstone_crds::{Manifest, Metadata, RecurringTaskSpec, ScheduleError, Spec};
use gritstone_store::{Error, NewTask, ReplacedTasks, Store};
use std::path::PathBuf;

/// A file or folder, and its tasks. One without tasks counts too: it may have had some before.
pub(super) struct Source {
    /// Its absolute path, or another name, under which the database knows whose the tasks are.
    owner: String,
    tasks: Vec<NewTask>,
}

impl Source {
    /// What manifests have.
    pub(super) fn of_manifests(path: &PathBuf) -> Result<Self, Exit> {
        let manifests = manifests::read(std::slice::from_ref(path))?;
        let compiled = manifests.iter().filter_map(refusal).collect::<Vec<_>>();
        if !compiled.is_empty() {
            return Err(Exit::Problems(compiled));
        }
        Ok(Source { owner: manifests::absolute(path)?, tasks: tasks(&manifests, recurring_task)? })
    }

    /// What a Rails application's `recurring.yml` has: its rows are as Rails' own scheduler writes them.
    pub(super) fn of_rails(owner: &str, manifests: &[Manifest]) -> Result<Self, Exit> {
        Ok(Source { owner: owner.to_owned(), tasks: tasks(manifests, rails_task)? })
    }
}

/// What to write in place of a CronSchedule: the operator puts its own into the database, and one in a file would be a second copy of a task that
/// nobody compiles anew.
fn refusal(manifest: &Manifest) -> Option<String> {
    let Spec::CronSchedule(spec) = &manifest.spec else { return None };
    let schedule = match (&spec.cron, spec.interval) {
        (_, Some(Interval { every, offset })) => format!("{{every: {every}, offset: {offset}}}"),
        (cron, None) => format!("{:?}", cron.as_deref().unwrap_or_default()),
    };
    Some(format!(
        "{}: a CronSchedule is what the operator makes of a RecurringTask and puts into the database itself; in a file, write \
         kind: RecurringTask, with schedule: {schedule} and the rest as it is",
        manifest.source
    ))
}

fn tasks(
    manifests: &[Manifest],
    make: impl Fn(&Metadata, &RecurringTaskSpec) -> Result<NewTask, ScheduleError>,
) -> Result<Vec<NewTask>, Exit> {
    let mut tasks = Vec::new();
    for manifest in manifests {
        if let Spec::RecurringTask(spec) = &manifest.spec {
            let task = make(&manifest.metadata, spec);
            tasks.push(task.map_err(|error| Exit::Refused(format!("{}: {error}", manifest.source)))?);
        }
    }
    Ok(tasks)
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
