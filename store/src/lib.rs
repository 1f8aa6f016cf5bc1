//! Jobs, their states, and every SQL statement of Gritstone.
//!
//! A [`Store`] is a queue database on PostgreSQL, MySQL, MariaDB or SQLite. It gives [`Session`]s, and on a session runs each state
//! change of a job: one method, one transaction. What is written is Solid Queue's tables, so that Rails applications share
//! the database, and `gritstone_*` tables for what those have no column for.

mod clock;
mod envelope;
mod error;
mod job;
mod migrate;
mod notify;
mod postgres;
mod session;
mod sql;
mod store;
mod transitions;
mod url;

pub use envelope::{Envelope, EnvelopeError};
pub use error::Error;
pub use job::{
    ClaimedJob, ClassDefaults, ClassLimit, DEFAULT_QUEUE, Due, EnqueueError, Enqueued, Finish, JobClass, JobError,
    KeyPart, KeyStep, Limit, LimitKey, MAX_NAME, MAX_NESTING, NewJob, OnConflict, Placed, SHELL_CLASS, UseLimit,
    Verdict,
};
pub use migrate::{Action, MigrateOptions, SCHEMA_VERSION, Step};
pub use notify::{CHANNEL, News, Wakeups};
pub use session::{Caller, Session};
pub use store::{Store, StoreOptions};
pub use transitions::*;
pub use url::{DatabaseUrl, UrlError};
