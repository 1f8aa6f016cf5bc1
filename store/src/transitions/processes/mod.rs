//! Processes: who is there (`registry`), who is dead and what becomes of the jobs of the dead (`burial`), and how it all
//! looks to people (`view`).

mod burial;
mod registry;
mod view;

pub use burial::{Buried, Death};
pub use registry::{Counters, Identity, NewProcess, Registered};
pub use view::ProcessView;
