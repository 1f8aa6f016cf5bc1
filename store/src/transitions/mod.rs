//! One method a state change, each atomic, all on [`Session`](crate::Session).
//!
//! A transition is a script of a few statements, written once for all databases. Where PostgreSQL
//! can do the same in a single statement and it is worth it, that statement is in `postgres/` and the transition begins by handing over
//! to it. Locks are taken in one order everywhere: process, claimed, job, semaphores by key, blocked.

mod backlog;
mod batches;
mod claim;
mod classes;
mod clear;
mod discard;
mod dispatch;
mod enqueue;
mod finish;
mod jobs;
mod limits;
pub(crate) mod prepare;
mod processes;
mod queues;
mod ready_rows;
mod recurring;
mod release;
mod retry;
mod schedule;
mod selector;
mod settings;
mod unserved;

pub use backlog::{ClassBacklog, QueueBacklog, WorkerLoad};
pub use batches::{BatchCallbacks, BatchRef, BatchState, NewBatch};
pub use claim::{Ahead, Claim, Claimed, Commands, Mark, Selection};
pub(crate) use classes::KnownClasses;
pub use classes::{DeclaredClass, RedeclaredClasses};
pub use clear::ClearOptions;
pub use discard::Discarded;
pub use enqueue::WakeAfterCommit;
pub use finish::Settled;
pub(crate) use finish::Won;
pub use jobs::{JobFilter, JobPage, JobState, JobView, is_row_id};
pub use limits::{DeclaredBy, DeclaredLimit, LimitState, Overclaimed, SweptLimits, UnsetLimit};
pub use processes::{
    Anonymous, Buried, Counters, Death, Identity, Incarnation, NewProcess, Pod, PodProcess, ProcessView, Registered,
};
pub use queues::QueueState;
pub use ready_rows::{ReadyRow, ReadyRows};
pub use recurring::{
    DueTask, MissedRuns, NewTask, PutTask, RAILS, RanTask, ReplacedTasks, ScheduleMark, ScheduleNews, TakenKey,
    TaskRun, TaskSchedule, TaskStanding, TaskView,
};
pub use retry::Retried;
pub use schedule::Dispatched;
pub use selector::{COMMANDS_QUEUE, RAILS_COMMANDS, Selector};
pub use settings::Settings;
pub use unserved::{UnservedJobs, UnservedReason};
