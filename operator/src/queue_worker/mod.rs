//! `QueueWorker`: a Deployment of workers and what protects it.
//!
//! `observe` looks for the database's Secret, `validate` is the kind's own plus what only a cluster needs, `build` says what is
//! particular about a worker's pods ([`crate::engine`] makes the objects), `status` tells how many workers there are and what is in
//! the way.

mod build;
mod observe;
mod reconcile;
mod scale;
mod status;
mod validate;

pub(crate) use reconcile::run;
