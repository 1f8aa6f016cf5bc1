//! `CronSchedule`: what a RecurringTask comes to, and its row in the queue database.
//!
//! `task` makes the row of the spec, under the name of an `owner`, of which a database knows whose its tasks are. `line` is one connection
//! to a database, over which rows are put, removed and read (`row`). `schedules` remembers how the rows stood and keeps looking whether
//! they still do. `status` says of a row when it runs next and what became of the last run.
//!
//! Nothing here is a controller of its own: [`crate::recurring_task`] writes both the object and the row, so that the two can't be at odds
//! about which of them is right.

mod line;
mod owner;
mod row;
mod schedules;
mod status;
mod task;

pub(crate) use owner::Owner;
pub(crate) use row::Row;
pub(crate) use schedules::{Schedules, Stand};
pub(crate) use status::{missed_run, next_look, status};
pub(crate) use task::new_task;
