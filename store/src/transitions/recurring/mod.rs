//! Recurring tasks: who has which, when each runs, and that each run enqueues one job.
//!
//! A task whose schedule is a cron is a row of `solid_queue_recurring_tasks`, as Rails writes its own, together with a row of
//! `gritstone_schedule` that says whose it is and how far its runs have come. A task with an interval is that second row alone. A row of
//! Rails without a companion is Rails' business: nothing here changes, removes or runs it.
//!
//! `edit` puts and removes tasks (`only` for owners that have one each), `rest` suspends them, `look` reads them, `news` tells that one
//! was edited or has run, `run` enqueues their jobs. Every edit counts one number up, under that number's lock ([`ScheduleMark`]), so
//! that a scheduler sees by one small query whether anything has changed. When a task runs is not decided here: no cron is read in this
//! crate. What is decided here is that a run happens once: it compares and sets the task's `run_after` in the transaction that enqueues,
//! whatever became of earlier jobs.

mod edit;
mod look;
mod news;
mod only;
mod rails;
mod rest;
mod run;
mod task;

pub use edit::{PutTask, ReplacedTasks, TakenKey};
pub use look::{ScheduleMark, TaskRun, TaskStanding, TaskView};
pub use news::ScheduleNews;
pub use rails::RAILS;
pub use run::{DueTask, RanTask};
pub use task::{MissedRuns, NewTask, TaskSchedule};
