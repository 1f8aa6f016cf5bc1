//! Jobs as they go into the store ([`NewJob`]) and come out of it ([`ClaimedJob`]), and how their runs end.

mod class;
mod error;
mod limit_key;
mod new;
mod run;

pub use class::{ClassDefaults, ClassLimit, JobClass};
pub use error::JobError;
pub use limit_key::{KeyPart, KeyStep, LimitKey};
pub(crate) use new::check_name;
pub use new::{
    DEFAULT_QUEUE, Due, EnqueueError, Enqueued, Limit, MAX_NAME, MAX_NESTING, NewJob, OnConflict, Placed, SHELL_CLASS,
    UseLimit,
};
pub use run::{ClaimedJob, Finish, Verdict};
