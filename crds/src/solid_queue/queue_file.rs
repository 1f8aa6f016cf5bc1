//! `config/queue.yml`: workers, dispatchers and the scheduler.

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use std::fmt;

use super::Settings;
use super::document::Document;
use super::environment::{self, Origin, Section};
use crate::check::Violation;
use crate::kinds::{DispatcherSpec, QueueWorkerSpec};
use crate::manifest::decode::{Findings, decode};
use crate::manifest::tree::{Content, Entry, Node};
use crate::manifest::{Problem, Source};
use crate::nearest::nearest;
use crate::path::Path;
use crate::text::{Duration, QueueSelector, QueueSelectors};

const WORKERS: &str = "workers";
const DISPATCHERS: &str = "dispatchers";
const SCHEDULER: &str = "scheduler";
const SECTIONS: [&str; 3] = [WORKERS, DISPATCHERS, SCHEDULER];

/// What the file names.
#[derive(Debug, Default)]
pub(super) struct Crew {
    pub(super) workers: Vec<(Source, QueueWorkerSpec)>,
    pub(super) dispatchers: Vec<(Source, DispatcherSpec)>,
    /// Whether the scheduler also runs the tasks that the application itself makes while it runs.
    pub(super) dynamic_tasks: bool,
}

/// What Solid Queue runs where no file says anything: a worker on all queues and a dispatcher.
pub(super) fn default_crew(file: &str, settings: &Settings<'_>) -> Crew {
    let source = || Source { file: file.to_owned(), line: 1 };
    Crew {
        workers: vec![(source(), settings.worker.clone())],
        dispatchers: vec![(source(), DispatcherSpec::default())],
        dynamic_tasks: false,
    }
}

/// Reads the file.
///
/// # Errors
/// Everything that is wrong in the part of the environment. What else is worth knowing goes into `warnings`.
pub(super) fn read(
    document: &Document<'_>,
    settings: &Settings<'_>,
    warnings: &mut Vec<Problem>,
) -> Result<Crew, Vec<Problem>> {
    let section = environment::section(&document.root, &settings.environment.name);
    if environment::is_empty(section.node) {
        return Ok(default_crew(document.file(), settings));
    }
    let findings = Findings::default();
    let Content::Map(entries) = &section.node.content else {
        findings.leave_out(section.path, format!("expected {}", SECTIONS.join(", ")));
        return Err(document.problems(findings));
    };
    let known = if section.is_nested { entries.clone() } else { sections_of_all(entries) };
    if known.is_empty() {
        nothing_here(document, settings, &findings, warnings);
        let problems = document.problems(findings);
        return if problems.is_empty() { Ok(default_crew(document.file(), settings)) } else { Err(problems) };
    }
    let node = Node { content: Content::Map(known), ..section.node.clone() };
    let crew = crew(&Section { node: &node, ..section }, document, settings, &findings, warnings);
    let problems = document.problems(findings);
    if problems.is_empty() { Ok(crew) } else { Err(problems) }
}

/// Of a file without environments what is meant for Solid Queue, or nearly: anything else may hold anchors, or other environments.
fn sections_of_all(entries: &[Entry]) -> Vec<Entry> {
    let is_meant = |entry: &&Entry| nearest(&entry.key, SECTIONS).is_some() && !looks_like_an_environment(&entry.value);
    entries.iter().filter(is_meant).cloned().collect()
}

fn looks_like_an_environment(node: &Node) -> bool {
    SECTIONS.iter().any(|section| node.get(section).is_some())
}

/// A file that has something, but nothing for this environment.
fn nothing_here(document: &Document<'_>, settings: &Settings<'_>, findings: &Findings, warnings: &mut Vec<Problem>) {
    let name = &settings.environment.name;
    let others = environment::environments(&document.root, looks_like_an_environment);
    if others.is_empty() {
        let message = format!("has none of {}: a worker on all queues and a dispatcher are run", SECTIONS.join(", "));
        warnings.push(document.problem(&Path::root(), message));
        return;
    }
    let has = format!("has nothing for the environment {name}, only for {}", others.join(", "));
    if settings.environment.origin == Origin::Option {
        let shortened = others.iter().copied().find(|other| other.starts_with(name.as_str()));
        let meant = nearest(name, others.iter().copied()).or(shortened);
        let hint = meant.map(|other| format!("; did you mean {other}?"));
        findings.leave_out(Path::root(), format!("{has}{}", hint.unwrap_or_default()));
    } else {
        let message = format!("{has}: a worker on all queues and a dispatcher are run, as Solid Queue does");
        warnings.push(document.problem(&Path::root(), message));
    }
}

fn crew(
    section: &Section<'_>,
    document: &Document<'_>,
    settings: &Settings<'_>,
    findings: &Findings,
    warnings: &mut Vec<Problem>,
) -> Crew {
    decode::<Sections>(section.node, &section.path, findings);
    let mut crew = Crew::default();
    for (path, node) in elements(section, WORKERS, findings) {
        let Some(options) = decode::<Worker>(node, &path, findings) else { continue };
        let mut spec = options.spec(&settings.worker);
        if spec.replicas == 0 && spec.threads < 1 {
            // One that isn't run at all has `threads: 0` beside `processes: 0` in many a file.
            spec.threads = settings.worker.threads;
        }
        report(spec.validate(), &path, &WORKER_FIELDS, findings);
        crew.workers.push((document.source(&path), spec));
    }
    for (path, node) in elements(section, DISPATCHERS, findings) {
        let Some(options) = decode::<Dispatcher>(node, &path, findings) else { continue };
        if options.recurring_tasks.is_some() {
            let message = "belongs into config/recurring.yml since Solid Queue 1.0: move the tasks there";
            findings.leave_out(path.field("recurring_tasks"), message.to_owned());
        }
        if options.batch_maintenance == Some(false) {
            let message = "has no effect: batches are always looked after".to_owned();
            warnings.push(document.problem(&path.field("batch_maintenance"), message));
        }
        let spec = options.spec();
        report(spec.validate(), &path, &DISPATCHER_FIELDS, findings);
        crew.dispatchers.push((document.source(&path), spec));
    }
    if let Some(node) = section.node.get(SCHEDULER) {
        let scheduler = decode::<Scheduler>(node, &section.path.field(SCHEDULER), findings);
        crew.dynamic_tasks = scheduler.and_then(|scheduler| scheduler.dynamic_tasks_enabled).unwrap_or(false);
    }
    crew
}

/// The elements of a list of the section, each with its path.
fn elements<'a>(section: &Section<'a>, key: &str, findings: &Findings) -> Vec<(Path, &'a Node)> {
    let path = section.path.field(key);
    match section.node.get(key).map(|node| &node.content) {
        None | Some(Content::Null) => Vec::new(),
        Some(Content::List(list)) => list.iter().enumerate().map(|(index, node)| (path.index(index), node)).collect(),
        Some(_) => {
            findings.leave_out(path, "expected a list: put `- ` in front of each".to_owned());
            Vec::new()
        }
    }
}

/// What the file calls the fields of our own specs.
const WORKER_FIELDS: [(&str, &str); 4] =
    [("queues", "queues"), ("threads", "threads"), ("replicas", "processes"), ("pollingInterval", "polling_interval")];
const DISPATCHER_FIELDS: [(&str, &str); 3] = [
    ("pollingInterval", "polling_interval"),
    ("batchSize", "batch_size"),
    ("concurrencyMaintenance", "concurrency_maintenance_interval"),
];

/// Says what is wrong with what was made of the fields at `path`, in the file's own words.
fn report(violations: Vec<Violation>, path: &Path, fields: &[(&str, &str)], findings: &Findings) {
    for Violation { path: at, message } in violations {
        // What the file doesn't say isn't its fault.
        if let Some((_, field)) = fields.iter().find(|(ours, _)| at.is_within(&Path::root().field("spec").field(ours)))
        {
            findings.add_violation(Violation { path: path.field(field), message });
        }
    }
}

/// Every section that there is.
#[derive(serde::Deserialize)]
struct Sections {
    #[serde(rename = "workers")]
    _workers: Option<IgnoredAny>,
    #[serde(rename = "dispatchers")]
    _dispatchers: Option<IgnoredAny>,
    #[serde(rename = "scheduler")]
    _scheduler: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct Worker {
    queues: Option<Queues>,
    threads: Option<i32>,
    processes: Option<i32>,
    polling_interval: Option<Seconds>,
}

impl Worker {
    fn spec(self, base: &QueueWorkerSpec) -> QueueWorkerSpec {
        let mut spec = base.clone();
        if let Some(Queues(queues)) = self.queues {
            spec.queues = queues;
        }
        spec.threads = self.threads.unwrap_or(spec.threads);
        spec.replicas = self.processes.unwrap_or(1);
        if let Some(Seconds(interval)) = self.polling_interval {
            spec.polling_interval = interval;
        }
        spec
    }
}

#[derive(serde::Deserialize)]
struct Dispatcher {
    polling_interval: Option<Seconds>,
    batch_size: Option<i32>,
    concurrency_maintenance: Option<bool>,
    concurrency_maintenance_interval: Option<Seconds>,
    batch_maintenance: Option<bool>,
    recurring_tasks: Option<IgnoredAny>,
}

impl Dispatcher {
    fn spec(self) -> DispatcherSpec {
        let mut spec = DispatcherSpec::default();
        if let Some(Seconds(interval)) = self.polling_interval {
            spec.polling_interval = interval;
        }
        spec.batch_size = self.batch_size.unwrap_or(spec.batch_size);
        let maintenance = &mut spec.concurrency_maintenance;
        maintenance.enabled = self.concurrency_maintenance.unwrap_or(maintenance.enabled);
        if let Some(Seconds(interval)) = self.concurrency_maintenance_interval {
            maintenance.interval = interval;
        }
        spec
    }
}

#[derive(serde::Deserialize)]
struct Scheduler {
    dynamic_tasks_enabled: Option<bool>,
    /// Ours looks every two seconds, which costs one small query.
    #[serde(rename = "polling_interval")]
    _polling_interval: Option<Seconds>,
}

/// `0.1`: a length of time in seconds, as Ruby has it.
struct Seconds(Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecondsVisitor)
    }
}

struct SecondsVisitor;

impl Visitor<'_> for SecondsVisitor {
    type Value = Seconds;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number of seconds")
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Seconds, E> {
        Ok(Seconds(Duration::from_secs(seconds)))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Seconds, E> {
        match u64::try_from(seconds) {
            Ok(seconds) => self.visit_u64(seconds),
            Err(_) => Err(E::custom(format!("{seconds} seconds are no length of time"))),
        }
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Seconds, E> {
        match std::time::Duration::try_from_secs_f64(seconds) {
            Ok(duration) => Ok(Seconds(Duration::from_millis(duration.as_secs_f64().mul_add(1_000.0, 0.5) as u64))),
            Err(_) => Err(E::custom(format!("{seconds} seconds are no length of time"))),
        }
    }
}

/// A name, several with commas, or a list; nothing stands for all queues.
struct Queues(QueueSelectors);

impl<'de> Deserialize<'de> for Queues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QueuesVisitor)
    }
}

struct QueuesVisitor;

impl QueuesVisitor {
    fn queues<E: de::Error>(selectors: Vec<QueueSelector>) -> Result<Queues, E> {
        match selectors.is_empty() {
            true => Ok(Queues(QueueSelectors::default())),
            false => QueueSelectors::new(selectors).map(Queues).map_err(E::custom),
        }
    }
}

impl<'de> Visitor<'de> for QueuesVisitor {
    type Value = Queues;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a queue or a list of queues such as [urgent, \"mail*\"]")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Queues, E> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Self::queues(names.map(str::parse).collect::<Result<_, _>>().map_err(E::custom)?)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Queues, A::Error> {
        let mut selectors = Vec::new();
        while let Some(selector) = list.next_element()? {
            selectors.push(selector);
        }
        Self::queues(selectors)
    }
}
