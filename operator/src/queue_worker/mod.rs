//! `QueueWorker`: a Deployment of workers and what protects it.
//!
//! `observe` looks for the database's Secret, `validate` is the kind's own plus what only a cluster needs, `build` makes the
//! Deployment (`pod`, `merge`) and the disruption budget, `status` tells how many workers there are and what is in the way.

mod build;
mod merge;
mod observe;
mod pod;
mod reconcile;
mod status;
mod validate;

pub(crate) use reconcile::run;
