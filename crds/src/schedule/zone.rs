//! Time zones as schedules name them.

use std::ops::Range;

use jiff::tz::{Offset, TimeZone};

use super::error::ScheduleError;
use crate::nearest::nearest;

/// A zone and the name under which it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) rules: TimeZone,
}

/// The zone of this name: as IANA writes it, or `+09:00`.
pub(super) fn named(name: &str, place: Range<usize>) -> Result<Zone, ScheduleError> {
    if name == "Z" {
        return Ok(Zone { name: "UTC".to_owned(), rules: TimeZone::UTC });
    }
    if name.starts_with(['+', '-']) {
        return offset(name, place);
    }
    if let Ok(rules) = TimeZone::get(name)
        && rules.iana_name() == Some(name)
    {
        return Ok(Zone { name: name.to_owned(), rules });
    }
    let known: Vec<_> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
    let city = known.iter().find(|zone| zone.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(name)));
    let error = ScheduleError::new(place, format!("`{name}` is not a time zone"));
    Err(match city.map(String::as_str).or_else(|| nearest(name, known.iter().map(String::as_str))) {
        Some(zone) => error.hint(format!("did you mean {zone}?")),
        None => error.hint("say it as in Europe/Berlin or UTC"),
    })
}

/// Whole quarters of an hour, less than twelve hours, as fugit reads them.
fn offset(name: &str, place: Range<usize>) -> Result<Zone, ScheduleError> {
    let digits: String = name[1..].chars().filter(|c| *c != ':').collect();
    let form = name[1..].split(':').map(str::len).collect::<Vec<_>>();
    let (hours, minutes) = match digits.len() {
        4 if form == [4] || form == [2, 2] => (digits[..2].parse::<i32>(), digits[2..].parse::<i32>()),
        _ => return Err(ScheduleError::new(place, format!("`{name}` is not an offset")).hint("say it as in +09:00")),
    };
    let (Ok(hours), Ok(minutes @ (0 | 15 | 30 | 45))) = (hours, minutes) else {
        return Err(ScheduleError::new(place, format!("`{name}` is not an offset")).hint("say it as in +09:00"));
    };
    if hours > 11 {
        return Err(
            ScheduleError::new(place, "offsets go up to 11 hours").hint("name the zone, as in Pacific/Auckland")
        );
    }
    let sign = if name.starts_with('-') { -1 } else { 1 };
    let rules = Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).map(TimeZone::fixed);
    let rules = rules.map_err(|error| ScheduleError::new(place, error.to_string()))?;
    Ok(Zone { name: name.to_owned(), rules })
}
