//! `QueueWorker`: claims jobs and hands them to a handler.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[cfg(feature = "kube")]
use super::QueueWorkerStatus;
use super::{Autoscaling, ClassDefault, ConcurrencyLimit, Database, Handler, HandlerKind, Hooks, Retry, RetryPolicy};
use crate::check::{Violation, Violations};
use crate::path::Path;
use crate::text::{Duration, QueueSelectors};

/// What workers do, and how many there are. Defaults are Solid Queue's where it has the same setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource, schemars::JsonSchema),
    kube(
        group = "gritstone.dev",
        version = "v1alpha1",
        kind = "QueueWorker",
        plural = "queueworkers",
        shortname = "qw",
        category = "gritstone",
        namespaced,
        derive = "PartialEq",
        doc = "Workers that claim jobs from a queue database and hand them to a handler.",
        status = "QueueWorkerStatus",
        scale(
            spec_replicas_path = ".spec.replicas",
            status_replicas_path = ".status.replicas",
            label_selector_path = ".status.selector"
        ),
        printcolumn(name = "Queues", type_ = "string", json_path = ".spec.queues"),
        printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
        printcolumn(name = "Running", type_ = "integer", json_path = ".status.readyReplicas"),
        printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
        printcolumn(name = "Last scaling", type_ = "string", json_path = ".status.lastScaling.reason", priority = 1),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    ),
    schemars(transform = crate::schema::queue_worker)
)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueWorkerSpec {
    /// The queue's database. Needed on Kubernetes; elsewhere it comes from the command line or `DATABASE_URL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// The queues to work on. Default `["*"]`. See [`QueueSelectors`].
    pub queues: QueueSelectors,
    /// In which order they are asked. Default `Listed`.
    pub queue_order: QueueOrder,
    /// Claim only jobs of these classes, 1 to 500. Default every class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::set_of_names(500)))]
    pub classes: Option<Vec<String>>,
    /// How many jobs a worker runs at once, 1 to 1000. Default 3.
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 1000)))]
    pub threads: i32,
    /// How long an idle worker waits before it looks again, 1ms to 1h. Default 100ms. On PostgreSQL it is woken earlier.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("1ms", "1h")))]
    pub polling_interval: Duration,
    /// Whether claims use `SKIP LOCKED`; false is for databases without it. Default true.
    pub skip_locked: bool,
    /// Who does the work. Needed unless `allowCommands` is set: then it may be left out, and only commands are run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<Handler>,
    /// Whether jobs of class `Command`, whose argument is a text for the shell, are run at all. Default false: whoever can write to the
    /// database could run anything. They lie in the queue `gritstone_commands`, which is then served after those listed unless the
    /// list has it or rules it out.
    pub allow_commands: bool,
    /// How often a job is run. Default once.
    pub retry: Retry,
    /// How long a job may run before it is ended and counted as a run that asks for a retry, 1ms to 30d. Default for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("1ms", "30d")))]
    pub job_timeout: Option<Duration>,
    /// What becomes of the jobs of a worker that died. Default `Retry`; Solid Queue does `Fail`.
    pub dead_worker_policy: DeadWorkerPolicy,
    /// How many jobs are claimed beyond those that are running, 0 to 1000. Default as many as will start within 20 ms, judging by
    /// what jobs took lately, 500 at most: none where jobs are long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(range(min = 0, max = 1000)))]
    pub prefetch: Option<i32>,
    /// How many jobs may run at once, by class and key; at most 200. Default no limits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::unique_by("class", 200)))]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::concurrency_limits))]
    pub concurrency_limits: Vec<ConcurrencyLimit>,
    /// The queue, priority and attempts of classes, for whoever enqueues without saying; at most 500. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::unique_by("class", 500)))]
    pub class_defaults: Vec<ClassDefault>,
    /// Programs to run at points of a worker's life. Default none.
    #[serde(skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// How many workers, 0 to 10,000. Default 1. Ignored while `autoscaling` is set.
    #[cfg_attr(feature = "kube", schemars(range(min = 0, max = 10000)))]
    pub replicas: i32,
    /// Let the operator choose how many. Default not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// How long a stopping worker may finish its jobs before they are given back, up to 1d; a pod's termination grace follows
    /// from it. Default 5s (Solid Queue's `shutdown_timeout`).
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("0s", "1d")))]
    pub drain_timeout: Duration,
    /// A PodTemplateSpec that is merged into the worker's; the container `handler` is the user's own. Default none. Kept as it was
    /// written: Kubernetes has the types.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::preserve))]
    pub template: Option<Map<String, Value>>,
}

/// In which order a worker asks its queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum QueueOrder {
    /// As they are listed: the first is emptied first.
    #[default]
    Listed,
    /// Each claim starts one further.
    RoundRobin,
    /// A new order for each claim.
    Shuffled,
}

/// What becomes of jobs whose worker died while they ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum DeadWorkerPolicy {
    /// They run again, until they have been interrupted three times.
    #[default]
    Retry,
    /// They have failed.
    Fail,
}

impl Default for QueueWorkerSpec {
    fn default() -> Self {
        Self {
            database: None,
            queues: QueueSelectors::default(),
            queue_order: QueueOrder::default(),
            classes: None,
            threads: 3,
            polling_interval: Duration::from_millis(100),
            skip_locked: true,
            handler: None,
            allow_commands: false,
            retry: Retry::default(),
            job_timeout: None,
            dead_worker_policy: DeadWorkerPolicy::default(),
            prefetch: None,
            concurrency_limits: Vec::new(),
            class_defaults: Vec::new(),
            hooks: Hooks::default(),
            replicas: 1,
            autoscaling: None,
            drain_timeout: Duration::from_secs(5),
            template: None,
        }
    }
}

/// The class of jobs that are a text for the shell.
const SHELL_CLASS: &str = "Command";

/// The most classes that a claim can filter by.
const MAX_CLASSES: usize = 500;

impl QueueWorkerSpec {
    /// Who does the work, if not commands alone.
    pub fn handler(&self) -> Option<HandlerKind<'_>> {
        self.handler.as_ref().and_then(Handler::kind)
    }

    /// How often jobs of `class` are run.
    pub fn retry_policy(&self, class: &str) -> RetryPolicy {
        self.retry.policy(class)
    }

    /// The limit on jobs of `class`.
    pub fn concurrency_limit(&self, class: &str) -> Option<&ConcurrencyLimit> {
        self.concurrency_limits.iter().find(|limit| limit.class == class)
    }

    /// What jobs of `class` have unless their enqueuer says otherwise.
    pub fn class_default(&self, class: &str) -> Option<&ClassDefault> {
        self.class_defaults.iter().find(|entry| entry.class == class)
    }

    /// Everything that makes no sense in it.
    pub fn validate(&self) -> Vec<Violation> {
        let mut found = Violations::default();
        self.check(&Path::root().field("spec"), &mut found);
        found.into_vec()
    }

    fn check(&self, at: &Path, found: &mut Violations) {
        if let Some(database) = &self.database {
            database.check(&at.field("database"), found);
        }
        if let Some(classes) = &self.classes {
            self.check_classes(classes, &at.field("classes"), found);
        }
        found.number(at.field("threads"), self.threads, 1..=1_000);
        let hour = Duration::from_mins(60);
        found.duration(at.field("pollingInterval"), self.polling_interval, Duration::from_millis(1)..=hour);
        match &self.handler {
            Some(handler) => handler.check(&at.field("handler"), found),
            None if self.allow_commands => {}
            None => found.add(at.field("handler"), "is missing: give one of http, process, command"),
        }
        self.retry.check(&at.field("retry"), found);
        let day = Duration::from_mins(24 * 60);
        if let Some(timeout) = self.job_timeout {
            let month = Duration::from_mins(30 * 24 * 60);
            found.duration(at.field("jobTimeout"), timeout, Duration::from_millis(1)..=month);
        }
        if let Some(prefetch) = self.prefetch {
            found.number(at.field("prefetch"), prefetch, 0..=1_000);
        }
        ConcurrencyLimit::check_all(&self.concurrency_limits, &at.field("concurrencyLimits"), found);
        ClassDefault::check_all(&self.class_defaults, &at.field("classDefaults"), found);
        self.hooks.check(&at.field("hooks"), found);
        found.number(at.field("replicas"), self.replicas, 0..=10_000);
        if let Some(autoscaling) = &self.autoscaling {
            autoscaling.check(&at.field("autoscaling"), found);
        }
        found.duration(at.field("drainTimeout"), self.drain_timeout, Duration::ZERO..=day);
    }

    fn check_classes(&self, classes: &[String], at: &Path, found: &mut Violations) {
        if classes.is_empty() {
            found.add(at.clone(), "is an empty list, so nothing would ever be claimed: leave it out for every class");
        }
        found.list(at, classes, MAX_CLASSES, |class| ("", class));
        for (position, class) in classes.iter().enumerate() {
            found.name(at.index(position), "the class", class);
            if class == SHELL_CLASS && !self.allow_commands {
                found.add(
                    at.index(position),
                    format!("{class} is a text for the shell: say allowCommands: true to run them"),
                );
            } else if class != SHELL_CLASS && self.handler.is_none() && self.allow_commands {
                found.add(at.index(position), format!("{class} needs a handler: give one of http, process, command"));
            }
        }
    }
}
