//! What a worker and a dispatcher do, in the engine's own terms.

use super::hooks::Hooks;
use crate::execute::retry::{Backoff, ClassPolicy, Policy};
use gritstone_crds::kinds::{self, DeadWorkerPolicy};
use gritstone_crds::{DispatcherSpec, QueuePattern, QueueSelector, QueueWorkerSpec};
use gritstone_store::{Limit, OnConflict, Selector, Settings};
use serde_json::json;
use std::time::Duration;

/// How a worker goes through its queues.
pub use gritstone_crds::kinds::QueueOrder;

/// What a worker does.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The queues, in order.
    pub queues: Vec<Selector>,
    /// How to go through them.
    pub order: QueueOrder,
    /// Only jobs of these classes; those the handler knows, when absent.
    pub classes: Option<Vec<String>>,
    /// Jobs at a time.
    pub threads: u32,
    /// How many jobs it claims beyond those; as many as start within 20 ms, 500 at most, when absent.
    pub prefetch: Option<u32>,
    /// The pause after a claim that found less than it asked for.
    pub polling_interval: Duration,
    /// Pass over rows that others hold.
    pub skip_locked: bool,
    /// How often and when a job that asks for it runs again.
    pub retry: Policy,
    /// How long a run may take.
    pub job_timeout: Option<Duration>,
    /// How many deaths of a worker a job survives; 0 fails it at once.
    pub max_interruptions: u32,
    /// How long a stopping worker lets jobs finish.
    pub drain_timeout: Duration,
    /// Limits that it declares in the database before it claims, by group.
    pub limits: Vec<(String, Limit)>,
    /// What runs at points of its life.
    pub hooks: Hooks,
}

/// How many deaths of a worker a job survives under `deadWorkerPolicy: Retry`.
const MAX_INTERRUPTIONS: u32 = 3;

impl Default for WorkerConfig {
    fn default() -> Self {
        WorkerConfig::from(&QueueWorkerSpec::default())
    }
}

impl From<&QueueWorkerSpec> for WorkerConfig {
    fn from(spec: &QueueWorkerSpec) -> Self {
        WorkerConfig {
            queues: spec.queues.as_slice().iter().map(selector).collect(),
            order: spec.queue_order,
            classes: spec.classes.clone(),
            threads: spec.threads.max(1) as u32,
            prefetch: spec.prefetch.map(|prefetch| prefetch.max(0) as u32),
            polling_interval: spec.polling_interval.as_std(),
            skip_locked: spec.skip_locked,
            retry: policy(&spec.retry),
            job_timeout: spec.job_timeout.map(|timeout| timeout.as_std()),
            max_interruptions: match spec.dead_worker_policy {
                DeadWorkerPolicy::Retry => MAX_INTERRUPTIONS,
                DeadWorkerPolicy::Fail => 0,
            },
            drain_timeout: spec.drain_timeout.as_std(),
            limits: spec
                .concurrency_limits
                .iter()
                .map(|limit| (limit.group().to_owned(), self::limit(limit)))
                .collect(),
            hooks: (&spec.hooks).into(),
        }
    }
}

fn limit(limit: &kinds::ConcurrencyLimit) -> Limit {
    Limit {
        to: limit.to.max(1) as u32,
        duration: limit.duration.as_std(),
        on_conflict: match limit.on_conflict {
            kinds::OnConflict::Block => OnConflict::Block,
            kinds::OnConflict::Discard => OnConflict::Discard,
        },
    }
}

fn selector(selector: &QueueSelector) -> Selector {
    match selector {
        QueueSelector::Include(QueuePattern::All) => Selector::All,
        QueueSelector::Include(QueuePattern::Exact(name)) => Selector::Exact(name.to_string()),
        QueueSelector::Include(QueuePattern::Prefix(prefix)) => Selector::Prefix(prefix.to_string()),
        QueueSelector::Exclude(QueuePattern::Exact(name)) => Selector::Exclude(name.to_string()),
        QueueSelector::Exclude(QueuePattern::Prefix(prefix)) => Selector::ExcludePrefix(prefix.to_string()),
        QueueSelector::Exclude(QueuePattern::All) => Selector::ExcludePrefix(String::new()),
    }
}

fn policy(retry: &kinds::Retry) -> Policy {
    let backoff = |b: kinds::Backoff| Backoff::new(b.initial.as_std(), b.factor, b.max.as_std());
    let classes = retry.classes.keys().map(|class| {
        let own = retry.policy(class);
        (class.clone(), ClassPolicy { attempts: Some(own.attempts.max(1) as u32), backoff: Some(backoff(own.backoff)) })
    });
    Policy { attempts: retry.attempts.max(1) as u32, backoff: backoff(retry.backoff), classes: classes.collect() }
}

impl WorkerConfig {
    /// As Rails' pages show it.
    pub(super) fn metadata(&self) -> serde_json::Value {
        let queues: Vec<String> = self.queues.iter().map(ToString::to_string).collect();
        json!({
            "polling_interval": self.polling_interval.as_secs_f64(),
            "queues": queues.join(","),
            "thread_pool_size": self.threads,
        })
    }
}

/// What a dispatcher does.
#[derive(Debug, Clone)]
pub struct DispatcherConfig {
    /// The pause after a round that found nothing.
    pub polling_interval: Duration,
    /// Due jobs moved at a time.
    pub batch_size: u32,
    /// How often limits are swept; absent: not by this dispatcher.
    pub limits_interval: Option<Duration>,
    /// The scheduler of recurring tasks that runs beside it; absent: none does.
    pub scheduler: Option<SchedulerConfig>,
    /// What all processes of the database share; written before anything starts.
    pub settings: Settings,
    /// What runs at points of its life.
    pub hooks: Hooks,
}

/// What a scheduler does.
#[derive(Debug, Clone, Default)]
pub struct SchedulerConfig {
    /// Also run the tasks that a Rails application makes while it runs.
    pub dynamic_tasks: bool,
    /// What runs at points of its life.
    pub hooks: Hooks,
}

impl From<&kinds::Scheduler> for SchedulerConfig {
    fn from(spec: &kinds::Scheduler) -> Self {
        SchedulerConfig { dynamic_tasks: spec.dynamic_tasks, hooks: (&spec.hooks).into() }
    }
}

/// Solid Queue sweeps every ten minutes; sweeping here is a few cheap queries when nothing is limited, and is what
/// frees a slot whose holder vanished.
const LONGEST_SWEEP_INTERVAL: Duration = Duration::from_secs(5);

impl Default for DispatcherConfig {
    fn default() -> Self {
        DispatcherConfig::from(&DispatcherSpec::default())
    }
}

impl From<&DispatcherSpec> for DispatcherConfig {
    fn from(spec: &DispatcherSpec) -> Self {
        let maintenance = &spec.concurrency_maintenance;
        DispatcherConfig {
            polling_interval: spec.polling_interval.as_std(),
            batch_size: spec.batch_size.max(1) as u32,
            limits_interval: maintenance.enabled.then(|| maintenance.interval.as_std().min(LONGEST_SWEEP_INTERVAL)),
            scheduler: spec.scheduler.enabled.then(|| SchedulerConfig::from(&spec.scheduler)),
            settings: Settings {
                heartbeat_interval: spec.processes.heartbeat_interval.as_std(),
                alive_threshold: spec.processes.alive_threshold.as_std(),
                preserve_finished_jobs: spec.finished_jobs.preserve,
                clear_finished_after: Some(spec.finished_jobs.clear_after.as_std()),
                keep_at_most: spec.finished_jobs.keep_at_most.map(|keep| keep.max(0) as u64),
            },
            hooks: (&spec.hooks).into(),
        }
    }
}

impl DispatcherConfig {
    /// As Rails' pages show it.
    pub(super) fn metadata(&self) -> serde_json::Value {
        let mut metadata = json!({
            "polling_interval": self.polling_interval.as_secs_f64(),
            "batch_size": self.batch_size,
        });
        if let Some(interval) = self.limits_interval {
            metadata["concurrency_maintenance_interval"] = json!(interval.as_secs());
        }
        metadata
    }
}
