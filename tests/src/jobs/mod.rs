//! Jobs, and those who do things to them: shorthand for both, crashes at any point, and an [`Actor`] that does anything
//! at any time, inside a test or as a process of its own (`mixed-load`).

mod actor;
mod crash;
mod short;

pub use actor::Actor;
pub use crash::polled;
pub use short::{claim_any, claim_from, done, fail, job, limit, new_process, retry};
