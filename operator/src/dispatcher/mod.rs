//! `Dispatcher`: a Deployment of dispatchers and what protects it.
//!
//! `observe` looks at the database and asks for its tables, `validate` is the kind's own plus what only a cluster needs, `build` says
//! what is particular about a dispatcher's pods ([`crate::engine`] makes the objects), `status` tells how many dispatchers there are and
//! what is in the way.

mod build;
mod observe;
mod reconcile;
mod status;
mod validate;

pub(crate) use reconcile::run;
