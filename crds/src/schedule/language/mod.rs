//! Words: `every weekday at 9am in Europe/Paris`.
//!
//! [`words`] tells words and their places with the [`dictionary`], [`clauses`] what is said with them, [`compile`] which one cron says the same.

mod clauses;
mod compile;
mod dictionary;
mod words;

use super::cron::Cron;
use super::error::ScheduleError;
use super::zone::Zone;

/// A text in words as a cron, and the zone it names.
pub(super) fn parse(text: &str) -> Result<(Cron, Option<Zone>), ScheduleError> {
    compile::compile(clauses::read(&words::split(text)?, text.len())?)
}
