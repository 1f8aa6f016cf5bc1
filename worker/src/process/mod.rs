//! The processes of the engine: worker, dispatcher, supervisor, and what they are made of.
//!
//! A [`Worker`] claims jobs (`claiming`, by the `plan` of its queues, past jobs that are `foreign` to it), has a handler run them (`running`, in its `slots`, a few
//! of them claimed ahead at the jobs' `pace`) and writes how they ended (`finishing`). A [`Dispatcher`] makes due jobs ready and mends what others left behind (`maintenance`). A
//! [`Scheduler`], which runs beside it, enqueues the jobs of recurring tasks when its `agenda` says so; `tasks` are those of manifests. Each is
//! listed (`registration`), says that it lives (`heart`), and stops when told to ([`Stop`]). The [`Supervisor`] keeps several of
//! them going. Everything talks to the database through a `link`, which waits out its absence.

mod agenda;
mod claiming;
mod config;
mod dispatcher;
mod finishing;
mod foreign;
mod heart;
mod hooks;
mod identity;
mod link;
mod maintenance;
mod notices;
mod pace;
mod plan;
mod registration;
mod running;
mod scheduler;
mod slots;
mod stop;
mod supervisor;
mod tasks;
mod worker;

pub(crate) use agenda::next_run_of;
pub use config::{DispatcherConfig, QueueOrder, SchedulerConfig, WorkerConfig};
pub use dispatcher::Dispatcher;
pub use hooks::{EngineError, FailedJob, HookError, HookResult, Hooks, ProcessInfo, RunError};
pub use identity::host_identity;
pub use scheduler::Scheduler;
pub use stop::Stop;
pub use supervisor::{ChildCommand, Pidfile, PidfileError, Supervisor, SupervisorConfig};
pub(crate) use supervisor::{follow_parent, supervisor_id, write_settings};
pub use tasks::{rails_task, recurring_task};
pub use worker::Worker;
