//! The field of weekdays: days, `5#-1` for the last Friday of the month, `1%2` for every second Monday.

use std::ops::Range;

use super::super::cron::{WeekdayTerm, sorted};
use super::super::error::ScheduleError;
use super::field::{WEEKDAY, elements};

pub(super) fn weekday_terms(text: &str, place: Range<usize>) -> Result<Option<Vec<WeekdayTerm>>, ScheduleError> {
    let (mut terms, mut all) = (Vec::new(), false);
    for element in elements(text, place.clone())? {
        let word = &text[element.clone()];
        let Some(mark) = word.find(['#', '%']) else {
            match WEEKDAY.expand(text, element)? {
                None => all = true,
                Some(days) => terms.extend(days.iter().map(|day| WeekdayTerm::Every((day % 7) as u8))),
            }
            continue;
        };
        let day = (WEEKDAY.value(&word[..mark], element.start..element.start + mark)? % 7) as u8;
        let (rest, at) = (&word[mark + 1..], element.start + mark + 1..element.end);
        terms.push(if word[mark..].starts_with('#') { nth(day, rest, at)? } else { weeks(day, rest, at)? });
    }
    let mixed = |day: u8| {
        terms.iter().any(|term| matches!(term, WeekdayTerm::Nth(d, _) if *d == day))
            && terms.iter().any(|term| matches!(term, WeekdayTerm::Weeks(d, ..) if *d == day))
    };
    if (0..7).any(mixed) {
        return Err(ScheduleError::new(place, "has `#` and `%` for one day of the week").hint("make it two tasks"));
    }
    Ok((!all).then(|| sorted(terms)))
}

fn nth(day: u8, nth: &str, place: Range<usize>) -> Result<WeekdayTerm, ScheduleError> {
    if matches!(nth.to_ascii_lowercase().as_str(), "l" | "last") {
        return Ok(WeekdayTerm::Nth(day, -1));
    }
    match nth.parse() {
        Ok(number @ (1..=5 | -5..=-1)) if !nth.starts_with('+') => Ok(WeekdayTerm::Nth(day, number)),
        _ => Err(ScheduleError::new(place, format!("`#{nth}`: say #1 to #5, or #-1 for the last of the month"))),
    }
}

fn weeks(day: u8, weeks: &str, place: Range<usize>) -> Result<WeekdayTerm, ScheduleError> {
    let (every, rest) = weeks.split_once('+').unwrap_or((weeks, "0"));
    match (every.parse::<u16>(), rest.parse::<u16>()) {
        (Ok(every @ 1..=520), Ok(rest)) => Ok(WeekdayTerm::Weeks(day, every, rest)),
        _ => Err(ScheduleError::new(place, format!("`%{weeks}`: say %2 for every second week, %2+1 for the others"))),
    }
}
