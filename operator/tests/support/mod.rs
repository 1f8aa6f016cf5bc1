//! What tests of the operator stand on: an API server of a test binary's own; in it for each test a namespace ([`Ground`]); and, but for the
//! tests of the program itself, an operator inside the test's process that looks after that namespace alone ([`Rig`]).

#![allow(dead_code, unused_imports, reason = "each binary uses some of it")]

mod conditions;
mod ground;
pub mod player;
mod queue;
mod rig;

pub use conditions::{condition, managers, says};
pub use gritstone_tests::rig::PATIENCE;
pub use ground::{Ground, ready_status, start_cluster, until};
pub use queue::Queue;
pub use rig::Rig;
