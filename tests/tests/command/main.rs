//! The `gritstone` command as people and scripts use it: what it prints, how it ends, what it leaves behind.
//!
//! A file per subcommand, each case in a folder and on a database of its own ([`support`]). `bad_input` is the table of
//! `docs/reference/bad-input.md`, row by row; `reference` holds `docs/reference/command.md` to what the command itself says.

mod bad_input;
mod batches;
mod check;
mod classes;
mod clear;
mod completions;
mod enqueue;
mod envelopes;
mod install;
mod jobs;
mod limits;
mod migrate;
mod output;
mod processes;
mod queues;
mod rails_files;
mod recurring;
mod reference;
mod schedule;
mod servers;
mod start;
mod support;
