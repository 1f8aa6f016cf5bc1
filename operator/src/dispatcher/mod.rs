//! `Dispatcher`: a Deployment of dispatchers and what protects it.
//!
//! `validate` is the kind's own plus what only a cluster needs, `build` says what is particular about a dispatcher's pods
//! ([`crate::engine`] makes the objects), `status` tells how many dispatchers there are and what is in the way.

mod build;
mod reconcile;
mod status;
mod validate;

pub(crate) use reconcile::run;
