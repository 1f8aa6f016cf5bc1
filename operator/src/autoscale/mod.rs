//! How many workers a QueueWorker needs: pure decisions out of what was seen in the queue database.
//!
//! Data passes through once for each look at the database. An [`Observation`] goes into the [`Decider`] of its QueueWorker; its
//! rates of arrival and run times are smoothed (`rates`), [`Aims`] and rates say how many workers would be enough now (`need`), and
//! from what was enough lately follows how many there should be, within bounds and the connection budget ([`Budget`]). The
//! [`Decision`] says why in words that a person reads in an Event.
//!
//! Nothing here knows a clock, a database or a cluster: times are durations since an origin of the caller's, of a clock that never
//! goes back.

mod budget;
mod decider;
mod decision;
mod need;
mod observation;
mod rates;
mod window;

pub use budget::Budget;
pub use decider::{Aims, Decider};
pub use decision::{Decision, Reason};
pub use observation::Observation;
