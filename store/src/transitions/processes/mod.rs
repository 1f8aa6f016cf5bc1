//! Processes: who is there (`registry`), what tells them apart (`incarnation`, `pods`), who is dead and what becomes of the jobs of the
//! dead (`burial`), and how it all looks to people (`view`).

mod burial;
mod incarnation;
mod pods;
mod registry;
mod view;

pub use burial::{Buried, Death};
pub use incarnation::{Anonymous, Incarnation};
pub use pods::{Pod, PodProcess};
pub use registry::{Counters, Identity, NewProcess, Registered};
pub use view::ProcessView;
