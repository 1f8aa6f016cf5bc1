//! The table of `docs/reference/bad-input.md`: what is typed wrong or has gone wrong, what is said, how it ends, what remains.

mod commands;
mod database;
mod handlers;
mod http;
mod rows;
mod server;
mod started;
mod typed;
mod values;
