//! A rig for tests of whole processes: the real command, real children, signals, and a ledger that outlives them all.
//!
//! A [`Site`] is a database, a folder with manifests, and the [`Running`] commands started on it. Its jobs are run by a
//! handler that writes each step into the [`Ledger`], which tells afterwards what ran, how often, and whether two runs
//! of one job overlapped. [`Sql`] looks into the database past the store, and [`processes`] into the kernel. Tests wait
//! with [`until`]: for a condition, never for time.

mod ledger;
mod manifests;
pub mod processes;
mod program;
mod running;
mod site;
mod sql;
mod waiting;

pub use ledger::{Ledger, Run};
pub use manifests::Crew;
pub use nix::sys::signal::Signal;
pub use program::{built, gritstone};
pub use running::Running;
pub use site::Site;
pub use sql::Sql;
pub use waiting::{PATIENCE, until, until_shown, until_within};
