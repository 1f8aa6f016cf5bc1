//! The operator: what manifests ask for, kept true on Kubernetes.
//!
//! A folder for each kind, each with the same five steps: `observe` reads what there is (client), `validate` says what is wrong with
//! what is asked for (pure, the same function as everywhere), `build` makes objects of it (pure, can't fail), `apply` writes those
//! that differ (client, server-side apply), `status` says how it went (pure) and is written when it changed.
//!
//! `database` keeps an eye on the queue databases that manifests name.
//! `engine` is the pods that workers and dispatchers have alike, `control` what looking after an object is made of whichever its kind.
//! [`autoscale`] decides how many workers there should be, `scaler` asks it and makes it so; `pods` watches the pods. `death` gives on
//! the jobs of workers whose container ended, `owned` knows the objects that ours are made of, `stale` which reads are older than our
//! writes, `bell` which objects are to be looked at again, [`Scope`] where objects are. `conditions` and `events`, which `recorder` publishes,
//! tell people, `backoff` waits after an error, [`run`] runs it all until it is told to stop.
//!
//! Around that: [`leader`] lets one of several replicas work, [`health`] and [`metrics`] are what [`pages`] serves, [`logging`] the log,
//! [`Arguments`] the command line, [`Pull`] how the image of the pods is pulled.

mod apply;
mod arguments;
pub mod autoscale;
mod backoff;
mod bell;
mod cluster_id;
mod conditions;
mod context;
mod control;
mod cron_schedule;
mod database;
mod death;
mod dispatcher;
mod engine;
mod events;
pub mod health;
mod instruments;
pub mod leader;
pub mod logging;
pub mod metrics;
mod owned;
pub mod pages;
mod pods;
mod pull;
mod queue_worker;
mod recorder;
mod recurring_task;
mod run;
mod scaler;
mod scope;
mod stale;

pub use arguments::Arguments;
pub use cluster_id::cluster_id;
pub use context::Settings;
pub use instruments::Instruments;
pub use pull::{Pull, PullPolicy};
pub use run::run;
pub use scope::Scope;

/// The field manager of everything but the number of workers of a scaled QueueWorker.
pub const FIELD_MANAGER: &str = "gritstone-operator";

/// The label that says who manages an object: [`FIELD_MANAGER`] on all that is ours, pods included.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
