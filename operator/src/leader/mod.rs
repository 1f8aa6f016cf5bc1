//! One of several operators works, the others stand by: whoever holds a Lease.
//!
//! `record` decides, from what was seen of the Lease and when, whose it is (pure); `lease` reads and writes it; `fence` lets no call
//! to the API server out once the term is over; [`campaign`] waits for the Lease, renews it, and gives it back.
//!
//! Clocks of machines aren't compared: a standby counts from when it saw the holder's last renewal, and the holder from before it sent
//! it, so the holder's term always ends first. A holder that can't renew stops its controllers with time to spare, and if they
//! don't stop the process ends.

mod campaign;
mod fence;
mod lease;
mod record;

pub use campaign::{Candidate, Term, campaign};
pub use fence::{Fence, FenceLayer};
