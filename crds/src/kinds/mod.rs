//! The four kinds, a file each, and the parts they are made of.
//!
//! Plain serde types: `camelCase` as in Kubernetes, signed numbers (unsigned ones have no format in a schema), defaults by
//! `Default`, what has no default an `Option`. They do not refuse unknown fields by themselves, since an operator must be able to
//! read objects that a newer version has stored; [`crate::read_manifests`] refuses them for the people who write files.
//! With the feature `kube` they know their schema, and each spec is an object of Kubernetes': [`QueueWorkerSpec`] is that of a
//! `QueueWorker`.
//!
//! Each spec has `validate()`, which says what is wrong beyond the types, in the words of [`crate::Violation`].

#![allow(clippy::duplicated_attributes, reason = "two columns that kubectl prints may have the same type")]

mod autoscaling;
mod cron_schedule;
mod database;
mod dispatcher;
mod handler;
mod hooks;
mod http_handler;
mod job;
mod limits;
mod queue_worker;
mod recurring_task;
mod retry;
mod schedule;
mod status;

use std::fmt;

use serde::Serialize;

pub use autoscaling::Autoscaling;
pub use cron_schedule::CronScheduleSpec;
pub use database::{Database, SecretKeyRef};
pub use dispatcher::{ConcurrencyMaintenance, DispatcherSpec, FinishedJobs, Processes, Scheduler};
pub use handler::{CommandHandler, Handler, HandlerKind, ProcessHandler, RecycleAfter};
pub use hooks::{Hook, Hooks, ProcessHooks};
pub use http_handler::{HttpCallback, HttpHandler};
pub use job::{ClassDefault, JobTemplate, MissedRuns, MissedRunsPolicy};
pub use limits::{ConcurrencyLimit, OnConflict};
pub use queue_worker::{DeadWorkerPolicy, QueueOrder, QueueWorkerSpec};
pub use recurring_task::{RecurringTaskSpec, TaskRun};
pub use retry::{Backoff, BackoffOverride, Retry, RetryOverride, RetryPolicy};
pub use schedule::{Interval, Schedule};
pub use status::{
    Condition, ConditionStatus, ConnectionBudget, CronScheduleStatus, DispatcherStatus, LastScaling, QueueWorkerStatus,
    RecurringTaskStatus, RunOutcome,
};
#[cfg(feature = "kube")]
pub use {
    cron_schedule::CronSchedule, dispatcher::Dispatcher, queue_worker::QueueWorker, recurring_task::RecurringTask,
};

use crate::check::Violation;

/// One of the four kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Claims jobs and hands them to handlers.
    QueueWorker,
    /// Makes due jobs ready, keeps limits, batches and retention; runs the scheduler.
    Dispatcher,
    /// A job enqueued by the clock.
    RecurringTask,
    /// The compiled form of a [`Kind::RecurringTask`], written by the operator alone.
    CronSchedule,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::QueueWorker, Self::Dispatcher, Self::RecurringTask, Self::CronSchedule];

    /// The name that a manifest's `kind` has.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueWorker => "QueueWorker",
            Self::Dispatcher => "Dispatcher",
            Self::RecurringTask => "RecurringTask",
            Self::CronSchedule => "CronSchedule",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The spec of a manifest, whichever kind it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Spec {
    /// See [`Kind::QueueWorker`].
    QueueWorker(Box<QueueWorkerSpec>),
    /// See [`Kind::Dispatcher`].
    Dispatcher(DispatcherSpec),
    /// See [`Kind::RecurringTask`].
    RecurringTask(RecurringTaskSpec),
    /// See [`Kind::CronSchedule`].
    CronSchedule(CronScheduleSpec),
}

impl Spec {
    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::QueueWorker(_) => Kind::QueueWorker,
            Self::Dispatcher(_) => Kind::Dispatcher,
            Self::RecurringTask(_) => Kind::RecurringTask,
            Self::CronSchedule(_) => Kind::CronSchedule,
        }
    }

    /// Everything that makes no sense in it.
    pub fn validate(&self) -> Vec<Violation> {
        match self {
            Self::QueueWorker(spec) => spec.validate(),
            Self::Dispatcher(spec) => spec.validate(),
            Self::RecurringTask(spec) => spec.validate(),
            Self::CronSchedule(spec) => spec.validate(),
        }
    }
}
