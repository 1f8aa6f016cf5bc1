//! What the operator says of each kind, for people and for other programs.
//!
//! Only a cluster's objects have a status; files have none, and what stands there is not read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a QueueWorker's workers are at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct QueueWorkerStatus {
    /// The generation of the object that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many workers there are, starting and stopping ones included.
    pub replicas: i32,
    /// How many of them are ready.
    pub ready_replicas: i32,
    /// Which pods they are, as a label selector in text, for the scale subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The last change of their number that the operator made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scaling: Option<LastScaling>,
    /// What `maxDatabaseConnections` has room for, if it is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_budget: Option<ConnectionBudget>,
    /// What holds, and since when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::unique_by("type", 16)))]
    pub conditions: Vec<Condition>,
}

/// A change of the number of workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LastScaling {
    /// When.
    #[cfg_attr(feature = "kube", schemars(schema_with = "crate::schema::time"))]
    pub time: Timestamp,
    /// How many there were to be before.
    pub from: i32,
    /// How many since.
    pub to: i32,
    /// Why, in words.
    pub reason: String,
}

/// How many workers a number of database connections is enough for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConnectionBudget {
    /// The most connections, as `maxDatabaseConnections` says.
    pub connections: i32,
    /// How many one worker holds at most.
    pub per_worker: i32,
    /// How many workers there may be at a time, those of a rollout and stopping ones included.
    pub workers: i32,
}

/// What a Dispatcher's processes are at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct DispatcherStatus {
    /// The generation of the object that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many dispatchers there are, starting and stopping ones included.
    pub replicas: i32,
    /// How many of them are ready.
    pub ready_replicas: i32,
    /// What holds, and since when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::unique_by("type", 16)))]
    pub conditions: Vec<Condition>,
}

/// When a RecurringTask runs, and what became of its last run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RecurringTaskStatus {
    /// The generation of the object that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The task's name in the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it is due next. Absent while it rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(schema_with = "crate::schema::time"))]
    pub next_run_time: Option<Timestamp>,
    /// When it was due last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(schema_with = "crate::schema::time"))]
    pub last_run_time: Option<Timestamp>,
    /// What became of that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_outcome: Option<RunOutcome>,
    /// What holds, and since when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::unique_by("type", 16)))]
    pub conditions: Vec<Condition>,
}

/// When a CronSchedule runs, and what became of its last run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CronScheduleStatus {
    /// The generation of the object that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When it is due next. Absent while it rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(schema_with = "crate::schema::time"))]
    pub next_run_time: Option<Timestamp>,
    /// When it was due last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(schema_with = "crate::schema::time"))]
    pub last_run_time: Option<Timestamp>,
    /// The id, in the database, of the job that this run enqueued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_job_id: Option<String>,
    /// What became of that job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_outcome: Option<RunOutcome>,
    /// What holds, and since when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::unique_by("type", 16)))]
    pub conditions: Vec<Condition>,
}

/// What became of the job of a run: `Enqueued` until it has ended, then `Finished` or `Failed`; `Gone` when it was discarded, or cleared
/// before anyone looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum RunOutcome {
    /// It is enqueued and has not ended yet.
    Enqueued,
    /// It finished.
    Finished,
    /// It failed.
    Failed,
    /// It is gone: discarded, or cleared before anyone looked.
    Gone,
}

/// Something that holds of an object or doesn't, as Kubernetes has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What: `Ready`, for example.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 316)))]
    pub r#type: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// The generation of the object that this was said of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Since when it holds or doesn't.
    #[cfg_attr(feature = "kube", schemars(schema_with = "crate::schema::time"))]
    pub last_transition_time: Timestamp,
    /// Why, in one word for programs.
    #[cfg_attr(feature = "kube", schemars(length(min = 1, max = 1024)))]
    pub reason: String,
    /// Why, and what to do about it, in words for people.
    #[cfg_attr(feature = "kube", schemars(length(max = 32768)))]
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It doesn't.
    False,
    /// Nobody can tell now.
    Unknown,
}
