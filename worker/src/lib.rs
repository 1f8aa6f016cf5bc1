//! The engine of Gritstone: background jobs out of the SQL database you already have.
//!
//! [`execute`] runs a job, [`process`] claims jobs and keeps processes going; together with `gritstone-store` they are what the
//! `gritstone` command is made of, and what a Rust program embeds. [`cli`] is that command.

pub mod active_job;
pub mod cli;
pub mod execute;
pub mod health;
pub mod init;
pub mod process;

pub use gritstone_store as store;
