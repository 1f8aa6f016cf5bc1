//! `RecurringTask`: a CronSchedule, and the row of that in the queue database.
//!
//! `validate` is the kind's own plus what only a cluster needs, `build` compiles the CronSchedule, `reconcile` applies it and puts its row
//! ([`crate::cron_schedule`]), `status` tells when it runs and what is in the way. `finalize` takes the row away when the task goes,
//! `clear` when it moves to another database: both let go after a while of a database that isn't there any more.
//!
//! The CronSchedule says in which database the row is. It is written before the row is put there, and changed to another database only once
//! the row is gone from the first: so whatever happens in between, nothing is forgotten.

mod build;
mod clear;
mod finalize;
mod reconcile;
mod status;
mod validate;

pub(crate) use reconcile::run;
