//! The table of `docs/reference/bad-input.md`: what is typed wrong or has gone wrong, what is said, how it ends, what remains.

mod commands;
mod database;
mod http;
mod server;
mod typed;
mod values;
