//! Jobs as they go into the store ([`NewJob`]) and come out of it ([`ClaimedJob`]), and how their runs end.

mod error;
mod new;
mod run;

pub use error::JobError;
pub(crate) use new::check_name;
pub use new::{DEFAULT_QUEUE, Due, EnqueueError, Enqueued, Limit, MAX_NAME, NewJob, OnConflict, Placed, UseLimit};
pub use run::{ClaimedJob, Finish, Verdict};
