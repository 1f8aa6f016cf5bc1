//! What commands print: JSON for programs, tables for people, notes on stderr.
//!
//! Whoever reads may stop reading (`| head`): that ends a command, and is no error.

mod progress;
mod table;
mod text;
mod time;

pub(super) use progress::Progress;
pub(super) use table::{Align, Table};
pub(super) use text::{clean, count, one_line};
pub(super) use time::{age, when, when_briefly};

use super::exit::Exit;
use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};

/// Prints one JSON document: on one line, or indented where a person reads it.
pub(super) fn json(value: &impl Serialize) -> Result<(), Exit> {
    let mut out = std::io::stdout().lock();
    let text = match out.is_terminal() {
        true => serde_json::to_string_pretty(value),
        false => serde_json::to_string(value),
    };
    let text = text.map_err(|error| Exit::Refused(format!("the result can't be written as JSON: {error}")))?;
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Prints a line.
pub(super) fn line(text: impl std::fmt::Display) -> Result<(), Exit> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Tells people something that isn't the result, on stderr. Unlike `eprintln!` it doesn't mind that nobody reads.
pub(super) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
