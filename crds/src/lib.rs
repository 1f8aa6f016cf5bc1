//! The kinds of Gritstone (`gritstone.dev/v1alpha1`): what a manifest may say, and whether it makes sense.
//!
//! Data passes through this crate once, from text to something the engine and the operator can rely on:
//!
//! 1. [`read_path`] and [`read_manifests`] read YAML or JSON into a [`Manifest`] each, or into every [`Problem`] they find, with
//!    its line ([`manifest`]).
//! 2. The [`kinds`] are plain types with Solid Queue's defaults. Values written as text ([`text`]: durations, queues, keys) are
//!    parsed while reading, so that inside no one checks them again.
//!    [`solid_queue`] makes the same of Rails' own files.
//! 3. `validate()` on each kind says what its types can't: a pure function that the `gritstone check` command, local mode and the
//!    operator share. [`read_manifests`] has called it already.

mod check;
pub mod kinds;
pub mod manifest;
mod nearest;
mod path;
pub mod schedule;
#[cfg(feature = "kube")]
pub mod schema;
pub mod solid_queue;
pub mod text;

pub use check::Violation;
pub use kinds::{CronScheduleSpec, DispatcherSpec, Kind, QueueWorkerSpec, RecurringTaskSpec, Spec};
pub use manifest::{Manifest, Metadata, Problem, Source, duplicate_task_keys, read_manifests, read_path};
pub use nearest::nearest;
pub use path::{Path, Segment};
pub use schedule::{ScheduleError, Timetable};
pub use text::{Duration, KeyExpression, Memory, QueueName, QueuePattern, QueueSelector, QueueSelectors};

/// The API group of every kind, also the prefix of our labels and annotations.
pub const GROUP: &str = "gritstone.dev";
/// The version of the kinds in this crate.
pub const VERSION: &str = "v1alpha1";
/// What a manifest of ours has as `apiVersion`.
pub const API_VERSION: &str = "gritstone.dev/v1alpha1";
