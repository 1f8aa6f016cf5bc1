//! What a worker and a dispatcher do, in the engine's own terms.

use super::hooks::Hooks;
use crate::execute::Handler;
use crate::execute::retry::{Backoff, ClassPolicy, Policy};
use crate::health::Health;
use gritstone_crds::kinds::{self, DeadWorkerPolicy};
use gritstone_crds::{DispatcherSpec, KeyExpression, QueuePattern, QueueSelector, QueueWorkerSpec, text};
use gritstone_store::{
    COMMANDS_QUEUE, ClassDefaults, ClassLimit, KeyPart, KeyStep, Limit, LimitKey, OnConflict, SHELL_CLASS, Selector,
    Settings,
};
use serde_json::json;
use std::collections::BTreeMap;
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
    /// What it is called in what it declares: its manifest's namespace and name. Two workers of one name declare the same.
    pub name: String,
    /// Limits that it declares in the database before it claims, by group.
    pub limits: Vec<(String, Limit)>,
    /// Defaults of classes that it declares in the database, for whoever enqueues.
    pub class_defaults: Vec<ClassDefaults>,
    /// What runs at points of its life.
    pub hooks: Hooks,
    /// Whom it tells that it turns, and what it does.
    pub health: Health,
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
            name: String::new(),
            class_defaults: class_defaults(spec),
            hooks: (&spec.hooks).into(),
            health: Health::default(),
        }
    }
}

/// What a manifest says of classes in two places, in one.
fn class_defaults(spec: &QueueWorkerSpec) -> Vec<ClassDefaults> {
    let mut classes: BTreeMap<&str, ClassDefaults> = BTreeMap::new();
    for entry in &spec.class_defaults {
        let defaults = ClassDefaults {
            queue: entry.queue.as_ref().map(ToString::to_string),
            priority: entry.priority,
            attempts: entry.attempts.map(|attempts| attempts.max(1).unsigned_abs()),
            ..ClassDefaults::new(&entry.class)
        };
        classes.insert(&entry.class, defaults);
    }
    for limit in &spec.concurrency_limits {
        let defaults = classes.entry(&limit.class).or_insert_with(|| ClassDefaults::new(&limit.class));
        defaults.limit = Some(ClassLimit { group: limit.group().to_owned(), key: limit.key.as_ref().map(limit_key) });
    }
    classes.into_values().collect()
}

fn limit_key(key: &KeyExpression) -> LimitKey {
    let step = |step: &text::KeyStep| match step {
        text::KeyStep::Field(name) => KeyStep::Field(name.clone()),
        text::KeyStep::Index(index) => KeyStep::Index(*index),
    };
    let part = |part: &text::KeyPart| match part {
        text::KeyPart::Constant(text) => KeyPart::Constant(text.clone()),
        text::KeyPart::Argument { index, steps } => {
            KeyPart::Argument(std::iter::once(KeyStep::Index(*index)).chain(steps.iter().map(step)).collect())
        }
    };
    LimitKey::new(key.parts().iter().map(part).collect())
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
    let crashes = retry.crashes.map(|crashes| crashes.max(1) as u32);
    Policy {
        attempts: retry.attempts.max(1) as u32,
        crashes,
        backoff: backoff(retry.backoff),
        classes: classes.collect(),
    }
}

impl WorkerConfig {
    /// With what follows from its handler: the classes that it has, and `Command` if and only if it runs them; then also their queue, after
    /// all others, unless the list has it or rules it out.
    pub(super) fn adapted_to(mut self, handler: &dyn Handler) -> Self {
        let commands = handler.runs_commands();
        self.classes = self.classes.or_else(|| handler.classes());
        if let Some(classes) = &mut self.classes {
            classes.retain(|class| class != SHELL_CLASS);
            classes.extend(commands.then(|| SHELL_CLASS.to_owned()));
        }
        let ruled_out = self.queues.iter().any(|selector| selector.excludes(COMMANDS_QUEUE));
        if commands && !ruled_out && !Selector::any_serves(&self.queues, COMMANDS_QUEUE, true) {
            self.queues.push(Selector::Exact(COMMANDS_QUEUE.into()));
        }
        self
    }

    /// As Rails' pages show it; also what tells whether a job is served by anyone. More classes than a column of MySQL holds are left out.
    pub(super) fn metadata(&self, commands: bool) -> serde_json::Value {
        const MOST_BYTES: usize = 32 * 1024;
        let queues: Vec<String> = self.queues.iter().map(ToString::to_string).collect();
        let mut metadata = json!({
            "polling_interval": self.polling_interval.as_secs_f64(),
            "queues": queues.join(","),
            "thread_pool_size": self.threads,
        });
        if let Some(classes) = &self.classes
            && classes.iter().map(String::len).sum::<usize>() <= MOST_BYTES
        {
            metadata["classes"] = json!(classes);
        }
        if commands {
            metadata["allow_commands"] = json!(true);
        }
        metadata
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
    /// Whom it, and its scheduler, tell that they turn, and what they do.
    pub health: Health,
}

/// What a scheduler does.
#[derive(Debug, Clone, Default)]
pub struct SchedulerConfig {
    /// Also run the tasks that a Rails application makes while it runs.
    pub dynamic_tasks: bool,
    /// What runs at points of its life.
    pub hooks: Hooks,
    /// Whom it tells that it turns, and what it does; beside a dispatcher, the dispatcher's.
    pub health: Health,
}

impl From<&kinds::Scheduler> for SchedulerConfig {
    fn from(spec: &kinds::Scheduler) -> Self {
        SchedulerConfig { dynamic_tasks: spec.dynamic_tasks, hooks: (&spec.hooks).into(), health: Health::default() }
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
            health: Health::default(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::commands::WithCommands;
    use crate::execute::native::{JobContext, Native};
    use std::sync::Arc;

    fn native() -> Native {
        Native::new().on("Greet", |(): (), _: JobContext| async { Ok::<_, std::convert::Infallible>(()) })
    }

    fn queues(list: &[&str], handler: &dyn Handler) -> String {
        let queues = list.iter().map(|text| Selector::from(*text)).collect();
        let config = WorkerConfig { queues, ..WorkerConfig::default() }.adapted_to(handler);
        config.metadata(handler.runs_commands())["queues"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_worker_that_runs_commands_serves_their_queue_last() {
        let with = WithCommands::beside(Arc::new(native()));
        assert_eq!(queues(&["mail", "urgent"], &with), "mail,urgent,gritstone_commands");
        assert_eq!(queues(&["*"], &with), "*");
        assert_eq!(queues(&["gritstone_commands", "mail"], &with), "gritstone_commands,mail");
        assert_eq!(queues(&["mail", "!gritstone*"], &with), "mail,!gritstone*");
        assert_eq!(queues(&["mail"], &native()), "mail");
    }

    #[test]
    fn the_class_of_commands_is_claimed_by_those_alone_that_run_them() {
        let classes = |own: Option<&[&str]>, handler: &dyn Handler| {
            let classes = own.map(|own| own.iter().map(ToString::to_string).collect());
            WorkerConfig { classes, ..WorkerConfig::default() }.adapted_to(handler).classes.unwrap()
        };
        let with = WithCommands::beside(Arc::new(native()));
        assert_eq!(classes(None, &with), ["Greet", "Command"]);
        assert_eq!(classes(Some(&["A"]), &with), ["A", "Command"]);
        assert_eq!(classes(None, &native()), ["Greet"]);
        assert_eq!(classes(Some(&["A", "Command"]), &native()), ["A"]);
        assert_eq!(classes(None, &WithCommands::only()), ["Command"]);
    }

    #[test]
    fn what_a_manifest_says_of_a_class_is_one() {
        let spec: QueueWorkerSpec = serde_json::from_value(json!({
            "handler": {"command": {"command": ["true"]}},
            "classDefaults": [{"class": "Sync", "queue": "slow", "priority": 7}, {"class": "Mail", "attempts": 3}],
            "concurrencyLimits": [
                {"class": "Sync", "key": "'eu'/args[0].account_id", "group": "accounts"},
                {"class": "Report"},
            ],
        }))
        .unwrap();
        let config = WorkerConfig::from(&spec);
        let key = serde_json::from_value(json!(["eu", [0, "account_id"]])).unwrap();
        let expected = [
            ClassDefaults::new("Mail").attempts(3),
            ClassDefaults::new("Report").limited("Report", None),
            ClassDefaults::new("Sync").on("slow").priority(7).limited("accounts", Some(key)),
        ];
        assert_eq!(config.class_defaults, expected);
        let groups: Vec<&str> = config.limits.iter().map(|(group, _)| group.as_str()).collect();
        assert_eq!(groups, ["accounts", "Report"]);
    }

    #[test]
    fn a_key_that_is_kept_reads_as_it_was_written() {
        for text in ["args[0]", "args[1].ids[0]", "'eu'/args[0].account_id"] {
            assert_eq!(limit_key(&text.parse().unwrap()).to_string(), text);
        }
    }

    #[test]
    fn classes_that_fit_no_column_are_not_listed() {
        let config = |count| WorkerConfig { classes: Some(vec!["x".repeat(255); count]), ..WorkerConfig::default() };
        assert!(config(100).metadata(false)["classes"].is_array());
        assert!(config(500).metadata(false)["classes"].is_null());
    }
}
