//! What the tests that cross crates stand on: real database servers, thrown away afterwards.
//!
//! ```no_run
//! # async fn a_test() -> Result<(), gritstone_tests::servers::ServerError> {
//! use gritstone_tests::servers::{Server, TestDatabase};
//!
//! let database = TestDatabase::create(Server::Postgres).await?;
//! println!("mine alone, gone when dropped: {}", database.url);
//! # Ok(())
//! # }
//! ```

pub mod cluster;
pub mod jobs;
pub mod rig;
pub mod servers;
