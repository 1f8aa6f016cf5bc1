//! The queue databases that manifests name: found through their Secrets, looked at, and told about.
//!
//! A manifest names a key of a Secret in its own namespace; that Secret is read and no other ([`secret`]), every ten seconds as long as
//! somebody needs it, since watching would be a right to all of them. Its value becomes an address (`address`), which may not name
//! `files` of other namespaces: all objects whose addresses lead to the same `place`, in whatever namespace they are, share one
//! [`Database`](keeper::Database), which is a small pool and one task that keeps looking (`keeper`) and says how it stands
//! ([`DatabaseFault`], or reachable). It goes when the last one that needs it does. `known` keeps the accounts of that.
//!
//! [`Databases`] does the reading and opening, once for the whole operator. A reconciler calls [`look`](Databases::look) for its object,
//! puts [`condition`] of what it gets into the status, asks [`store`](Databases::store) for the database itself, calls
//! [`forget`](Databases::forget) when the object goes, and is called again, by the object's bell, when something is otherwise.
//!
//! While a QueueWorker scales by load, the keeper also looks at the queue once a second, for all of them that are served by it at
//! once: what waits (`look`) is shared out among them (`share`) by what each claims ([`Demand`]). Who decides gets that as [`Looks`].
//!
//! Nothing here waits for a database but its own keeper: one that hangs is nobody else's trouble.

mod address;
mod condition;
mod demand;
mod fault;
mod files;
mod keeper;
mod known;
mod look;
mod place;
mod registry;
mod secret;
mod share;
mod user;

pub(crate) use condition::condition;
pub(crate) use demand::Demand;
pub(crate) use fault::DatabaseFault;
pub(crate) use keeper::Looks;
pub(crate) use known::Standing;
pub(crate) use look::{Look, START_UP};
pub(crate) use registry::Databases;
pub(crate) use share::Share;
pub(crate) use user::User;
