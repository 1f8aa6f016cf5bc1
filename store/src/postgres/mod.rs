//! What PostgreSQL does in a single statement where the shared scripts take several: the hot path.
//!
//! A single data-modifying statement needs no `BEGIN`, one round trip, and can't be left open by a caller that goes away.
//! Figures beside the statements were measured as `benches/README.md` says.

pub(crate) mod claim;
pub(crate) mod enqueue;
pub(crate) mod finish;
