//! `Dispatcher`: makes due jobs ready and keeps the database in order.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[cfg(feature = "kube")]
use super::DispatcherStatus;
use super::{Database, ProcessHooks};
use crate::check::{Violation, Violations};
use crate::path::Path;
use crate::text::Duration;

/// What dispatchers do. Defaults are Solid Queue's where it has the same setting, except for `processes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource, schemars::JsonSchema),
    kube(
        group = "gritstone.dev",
        version = "v1alpha1",
        kind = "Dispatcher",
        plural = "dispatchers",
        shortname = "dsp",
        category = "gritstone",
        namespaced,
        derive = "PartialEq",
        doc = "Dispatchers of a queue database: they make due jobs ready, keep it in order, and run the scheduler of recurring tasks.",
        status = "DispatcherStatus",
        printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
        printcolumn(name = "Running", type_ = "integer", json_path = ".status.readyReplicas"),
        printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )
)]
#[serde(rename_all = "camelCase", default)]
pub struct DispatcherSpec {
    /// The queue's database. Needed on Kubernetes; elsewhere it comes from the command line or `DATABASE_URL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// How many dispatchers, 0 to 100; several share the work. Default 1.
    #[cfg_attr(feature = "kube", schemars(range(min = 0, max = 100)))]
    pub replicas: i32,
    /// How long to wait after a look that found nothing due, 1ms to 1h. Default 1s.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("1ms", "1h")))]
    pub polling_interval: Duration,
    /// How many due jobs are made ready at once, 1 to 10,000. Default 500.
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 10000)))]
    pub batch_size: i32,
    /// The sweep of concurrency limits.
    pub concurrency_maintenance: ConcurrencyMaintenance,
    /// The scheduler of recurring tasks, which runs beside the dispatcher.
    pub scheduler: Scheduler,
    /// How long finished jobs are kept.
    pub finished_jobs: FinishedJobs,
    /// When a process counts as dead, for all processes on this database.
    pub processes: Processes,
    /// Programs to run at points of a dispatcher's life. Default none.
    #[serde(skip_serializing_if = "ProcessHooks::is_empty")]
    pub hooks: ProcessHooks,
    /// Whether to bring the database's tables up to date before starting. Default true. Tables that Rails made are not touched.
    pub migrate: bool,
    /// A PodTemplateSpec that is merged into the dispatchers'; their container is the one named `gritstone`. Default none. Kept as it
    /// was written: Kubernetes has the types.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::preserve))]
    pub template: Option<Map<String, Value>>,
}

/// The sweep that frees blocked jobs whose wake-up was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ConcurrencyMaintenance {
    /// Whether it runs. Default true.
    pub enabled: bool,
    /// How often, 1s to 1d. Default 10m.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("1s", "1d")))]
    pub interval: Duration,
}

/// The scheduler of recurring tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Scheduler {
    /// Whether it runs. Default true.
    pub enabled: bool,
    /// Whether it also runs the tasks that a Rails application makes while it runs (`SolidQueue.schedule_recurring_task`). Default
    /// false, as Solid Queue's `dynamic_tasks_enabled`.
    pub dynamic_tasks: bool,
    /// Programs to run at points of a scheduler's life. Default none.
    #[serde(skip_serializing_if = "ProcessHooks::is_empty")]
    pub hooks: ProcessHooks,
}

/// What becomes of finished jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct FinishedJobs {
    /// Whether they are kept at all; false deletes each as it finishes. Default true.
    pub preserve: bool,
    /// How long they are kept, 1s to 3650d. Default 1d.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("1s", "3650d")))]
    pub clear_after: Duration,
    /// How many are kept at most, the latest ones, 0 or more. Default no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(range(min = 0)))]
    pub keep_at_most: Option<i64>,
}

/// How processes are known to be alive.
///
/// Solid Queue has 60s and 5m. Ours are shorter, so that a Rails process on the same tables, which goes by its own five minutes,
/// is never the first to call one of our workers dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema), schemars(transform = crate::schema::processes))]
#[serde(rename_all = "camelCase", default)]
pub struct Processes {
    /// How often each process says that it is alive, 1s to 100s. Default 15s.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("1s", "100s")))]
    pub heartbeat_interval: Duration,
    /// How long it may stay silent before its jobs go to others: at least three heartbeats, up to 5m. Default 2m.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("3s", "5m")))]
    pub alive_threshold: Duration,
}

impl Default for DispatcherSpec {
    fn default() -> Self {
        Self {
            database: None,
            replicas: 1,
            polling_interval: Duration::from_secs(1),
            batch_size: 500,
            concurrency_maintenance: ConcurrencyMaintenance::default(),
            scheduler: Scheduler::default(),
            finished_jobs: FinishedJobs::default(),
            processes: Processes::default(),
            hooks: ProcessHooks::default(),
            migrate: true,
            template: None,
        }
    }
}

impl Default for ConcurrencyMaintenance {
    fn default() -> Self {
        Self { enabled: true, interval: Duration::from_mins(10) }
    }
}

impl Default for Scheduler {
    fn default() -> Self {
        Self { enabled: true, dynamic_tasks: false, hooks: ProcessHooks::default() }
    }
}

impl Default for FinishedJobs {
    fn default() -> Self {
        Self { preserve: true, clear_after: Duration::from_mins(24 * 60), keep_at_most: None }
    }
}

impl Default for Processes {
    fn default() -> Self {
        Self { heartbeat_interval: Duration::from_secs(15), alive_threshold: Duration::from_mins(2) }
    }
}

/// Two heartbeats may be lost and a third be late before a process counts as dead.
const HEARTBEATS_PER_THRESHOLD: u64 = 3;
/// When Solid Queue's own pruner calls a process dead.
const RAILS_ALIVE_THRESHOLD: Duration = Duration::from_mins(5);

impl DispatcherSpec {
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
        found.number(at.field("replicas"), self.replicas, 0..=100);
        let hour = Duration::from_mins(60);
        found.duration(at.field("pollingInterval"), self.polling_interval, Duration::from_millis(1)..=hour);
        found.number(at.field("batchSize"), self.batch_size, 1..=10_000);
        let sweep = at.field("concurrencyMaintenance").field("interval");
        let second = Duration::from_secs(1);
        found.duration(sweep, self.concurrency_maintenance.interval, second..=Duration::from_mins(24 * 60));
        let finished = at.field("finishedJobs");
        found.duration(finished.field("clearAfter"), self.finished_jobs.clear_after, second..=Duration::MAX);
        if let Some(keep) = self.finished_jobs.keep_at_most {
            found.number(finished.field("keepAtMost"), keep, 0..=i64::MAX);
        }
        self.processes.check(&at.field("processes"), found);
        self.hooks.check(&at.field("hooks"), found);
        self.scheduler.hooks.check(&at.field("scheduler").field("hooks"), found);
    }
}

impl Processes {
    fn check(&self, at: &Path, found: &mut Violations) {
        let Self { heartbeat_interval, alive_threshold } = *self;
        let slowest = Duration::from_millis(RAILS_ALIVE_THRESHOLD.as_millis() / HEARTBEATS_PER_THRESHOLD);
        found.duration(at.field("heartbeatInterval"), heartbeat_interval, Duration::from_secs(1)..=slowest);
        if alive_threshold > RAILS_ALIVE_THRESHOLD {
            let message = format!(
                "{alive_threshold} is too long: Rails calls a silent process dead after {RAILS_ALIVE_THRESHOLD}"
            );
            found.add(at.field("aliveThreshold"), message);
        }
        let least = Duration::from_millis(heartbeat_interval.as_millis().saturating_mul(HEARTBEATS_PER_THRESHOLD));
        if alive_threshold < least {
            let message = format!(
                "{alive_threshold} is less than {HEARTBEATS_PER_THRESHOLD} heartbeats ({heartbeat_interval} each): say at least {least}"
            );
            found.add(at.field("aliveThreshold"), message);
        }
    }
}
