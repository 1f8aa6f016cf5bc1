//! The schedule language: fugit's words and cron as Solid Queue takes them, and `{every, offset}`.
//!
//! A text becomes a [`Timetable`] in two steps: `fields` reads cron and `language` reads words, both into one `cron::Cron`,
//! which `next` then asks for times in a zone. Where fugit accepts a text, the cron is what fugit prints; where fugit would
//! silently do something else than the text says, the text is refused with a hint.

mod cron;
mod error;
mod fields;
mod interval;
mod language;
mod next;
#[cfg(test)]
mod tests;
mod zone;

use jiff::{Timestamp, Zoned};

pub use error::ScheduleError;

use crate::kinds::{Interval, Schedule};
use zone::Zone;

/// Whether a schedule can have this time zone: a name as IANA writes it, or an offset such as `+09:00`.
///
/// # Errors
/// When there is no such zone, with the nearest name that there is.
pub fn check_time_zone(name: &str) -> Result<(), ScheduleError> {
    zone::named(name, 0..name.len()).map(|_| ())
}

/// As much text as fugit reads.
const MAX_CHARS: usize = 256;

/// When something runs: a cron in a time zone, or every so long.
#[derive(Clone, Debug, PartialEq)]
pub struct Timetable {
    rule: Rule,
    zone: Zone,
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Cron { cron: cron::Cron, text: String },
    Every(Interval),
}

impl Timetable {
    /// Reads words such as `every weekday at 9am`, or cron. A zone in the text wins over `default_time_zone`.
    ///
    /// # Errors
    /// When the text is neither, says what no one cron can, or names an unknown zone.
    pub fn parse(text: &str, default_time_zone: &str) -> Result<Self, ScheduleError> {
        if text.trim().is_empty() {
            return Err(ScheduleError::new(0..text.len(), "the schedule is empty").hint("say \"every day at 9am\""));
        }
        if text.chars().count() > MAX_CHARS {
            return Err(ScheduleError::new(
                0..text.len(),
                format!("the schedule has more than {MAX_CHARS} characters"),
            ));
        }
        let (cron, named) = match fields::looks_like_cron(text) {
            true => fields::parse(text)?,
            false => language::parse(text)?,
        };
        let text = match &named {
            Some(zone) => format!("{cron} {}", zone.name),
            None => cron.to_string(),
        };
        let zone = named.map_or_else(|| zone::named(default_time_zone, 0..0), Ok)?;
        Ok(Self { rule: Rule::Cron { cron, text }, zone })
    }

    /// The timetable of a manifest's `schedule` and `timeZone`.
    ///
    /// # Errors
    /// As [`Timetable::parse`].
    pub fn of(schedule: &Schedule, time_zone: &str) -> Result<Self, ScheduleError> {
        match schedule {
            Schedule::Text(text) => Self::parse(text, time_zone),
            Schedule::Interval(interval) => {
                Ok(Self { rule: Rule::Every(*interval), zone: zone::named(time_zone, 0..0)? })
            }
        }
    }

    /// The first run after `now`. `None` when it never runs (or not for decades).
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Cron { cron, .. } => next::next_after(cron, &self.zone.rules, now),
            Rule::Every(interval) => {
                let every = i128::try_from(interval.every.as_std().as_nanos()).ok().filter(|every| *every > 0)?;
                let offset = i128::try_from(interval.offset.as_std().as_nanos()).ok()?;
                let runs = (now.as_nanosecond() - offset).div_euclid(every) + 1;
                Timestamp::from_nanosecond(runs * every + offset).ok()
            }
        }
    }

    /// The cron as fugit prints it, with the zone that the text named. `None` for `{every, offset}`.
    pub fn cron(&self) -> Option<&str> {
        match &self.rule {
            Rule::Cron { text, .. } => Some(text),
            Rule::Every(_) => None,
        }
    }

    /// A moment in the local time of that zone.
    pub fn local(&self, time: Timestamp) -> Zoned {
        time.to_zoned(self.zone.rules.clone())
    }

    /// The zone in which it is meant: the text's, else the default.
    pub fn time_zone(&self) -> &str {
        &self.zone.name
    }
}
