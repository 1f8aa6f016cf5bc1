//! Solid Queue's own files, `config/queue.yml` and `config/recurring.yml`, as a Rails application has them.
//!
//! What comes out are our own manifests, so that nothing behind this module knows of two ways to describe a queue. A file is read
//! (`document`: its ERB worked out by `erb`, its YAML read as Ruby reads it by `ruby`), the part of the `environment` is taken, and
//! `queue_file` and `recurring_file` make specs of it, or say by line what is wrong; `names` names them, and `written` writes them
//! down. Nothing here runs Ruby.

mod document;
mod environment;
mod erb;
mod names;
mod queue_file;
mod recurring_file;
mod ruby;
mod written;

pub use document::File;
pub use environment::{Environment, Origin};
pub use erb::Variables;

use crate::kinds::{DispatcherSpec, QueueWorkerSpec, Spec};
use crate::manifest::{Manifest, Metadata, Problem, Source, read_text};
use document::Document;
use queue_file::Crew;
use recurring_file::Task;
use std::path::Path;

/// Where Rails keeps the file of workers and dispatchers.
pub const QUEUE_FILE: &str = "config/queue.yml";
/// Where Rails keeps the file of recurring tasks.
pub const RECURRING_FILE: &str = "config/recurring.yml";

/// What the files don't say.
pub struct Settings<'a> {
    /// Which part of the files holds.
    pub environment: Environment,
    /// What their ERB may ask for.
    pub variables: &'a Variables<'a>,
    /// In which time zone a schedule is meant that names none, by its IANA name: Rails' `config.time_zone`.
    pub time_zone: String,
    /// A worker as far as `queue.yml` says nothing about it: above all its handler.
    pub worker: QueueWorkerSpec,
    /// Whether recurring tasks are scheduled.
    pub recurring: Recurring,
}

/// Whether recurring tasks are scheduled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recurring {
    /// When there are any.
    #[default]
    WithTheRest,
    /// Not from here: Solid Queue's `SKIP_RECURRING`.
    Skip,
    /// And nothing else: Solid Queue's `ONLY_RECURRING`.
    Only,
}

/// What a Rails application runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Application {
    /// Its workers, dispatchers and recurring tasks.
    pub manifests: Vec<Manifest>,
    /// What was left out or is different here, by line.
    pub warnings: Vec<Problem>,
    /// The variables that the files' ERB asked for.
    pub variables: Vec<String>,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// What keeps it from being read.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        Ok(Self { name: path.display().to_string(), text: read_text(path)? })
    }
}

/// Reads the files. Without the first, there is a worker on all queues and a dispatcher, as in Solid Queue; without the second, no
/// recurring tasks.
///
/// # Errors
/// Everything that is wrong with them, by line.
pub fn read<'a>(
    queue: Option<&'a File>,
    recurring: Option<&'a File>,
    settings: &Settings<'_>,
) -> Result<Application, Vec<Problem>> {
    let (mut application, mut problems) = (Application::default(), Vec::new());
    let mut document = |file: &'a File| match Document::read(file, settings.variables) {
        Ok(document) => Some(document),
        Err(found) => {
            problems.extend(found);
            None
        }
    };
    let queue_document = queue.map(&mut document);
    let recurring_document = recurring.filter(|_| settings.recurring != Recurring::Skip).map(&mut document);
    let documents = [queue_document.as_ref(), recurring_document.as_ref()];
    for name in documents.into_iter().flatten().flatten().flat_map(Document::variables) {
        if !application.variables.contains(name) {
            application.variables.push(name.clone());
        }
    }
    let crew = match &queue_document {
        None => Ok(queue_file::default_crew(QUEUE_FILE, settings)),
        Some(None) => Ok(Crew::default()),
        Some(Some(document)) => queue_file::read(document, settings, &mut application.warnings),
    };
    let tasks = match &recurring_document {
        None | Some(None) => Ok(Vec::new()),
        Some(Some(document)) => recurring_file::read(document, settings, &mut application.warnings),
    };
    match (crew, tasks) {
        (Ok(crew), Ok(tasks)) if problems.is_empty() => {
            application.manifests = manifests(crew, tasks, settings.recurring);
            Ok(application)
        }
        (crew, tasks) => {
            problems.extend(crew.err().into_iter().chain(tasks.err()).flatten());
            problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
            Err(problems)
        }
    }
}

fn manifests(mut crew: Crew, tasks: Vec<Task>, recurring: Recurring) -> Vec<Manifest> {
    if recurring == Recurring::Only {
        (crew.workers, crew.dispatchers) = (Vec::new(), Vec::new());
    }
    let schedules = recurring != Recurring::Skip && (crew.dynamic_tasks || !tasks.is_empty());
    if schedules && crew.dispatchers.is_empty() {
        // The scheduler runs beside a dispatcher.
        let file = tasks.first().map_or_else(|| QUEUE_FILE.to_owned(), |(source, _)| source.file.clone());
        crew.dispatchers.push((Source { file, line: 1 }, DispatcherSpec::default()));
    }
    for (position, (_, spec)) in crew.dispatchers.iter_mut().enumerate() {
        // One, as in Solid Queue.
        spec.scheduler.enabled = schedules && position == 0;
        spec.scheduler.dynamic_tasks = spec.scheduler.enabled && crew.dynamic_tasks;
    }
    let mut manifests = Vec::new();
    let queues: Vec<String> = crew.workers.iter().map(|(_, spec)| spec.queues.to_string()).collect();
    let workers = crew.workers.into_iter().map(|(source, spec)| (source, Spec::QueueWorker(Box::new(spec))));
    manifests.extend(named(&queues, "all", workers));
    let same = vec!["dispatcher".to_owned(); crew.dispatchers.len()];
    let dispatchers = crew.dispatchers.into_iter().map(|(source, spec)| (source, Spec::Dispatcher(spec)));
    manifests.extend(named(&same, "dispatcher", dispatchers));
    let keys: Vec<String> = tasks.iter().filter_map(|(_, spec)| spec.key.clone()).collect();
    let tasks = tasks.into_iter().map(|(source, spec)| (source, Spec::RecurringTask(spec)));
    manifests.extend(named(&keys, "task", tasks));
    manifests
}

fn named(texts: &[String], otherwise: &str, specs: impl Iterator<Item = (Source, Spec)>) -> Vec<Manifest> {
    let manifest =
        |(name, (source, spec))| Manifest { metadata: Metadata { name, ..Metadata::default() }, spec, source };
    names::names(texts, otherwise).into_iter().zip(specs).map(manifest).collect()
}
