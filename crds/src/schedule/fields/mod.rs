//! Reads cron: five or six fields, `@daily` and its like, a time zone at the end.
//!
//! The syntax is fugit's, extra commas included. What fugit reads as something else than it says is refused: an hour 24, a step
//! that is longer than the field (`*/90` would be `0`), days "until the third last" (`15--3`).

mod field;
mod weekdays;

use std::ops::Range;

use super::cron::Cron;
use super::error::ScheduleError;
use super::zone::{self, Zone};
use crate::nearest::nearest;
use field::{DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAYS};
use weekdays::weekday_terms;

const SPECIALS: [(&str, &str); 8] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@noon", "0 12 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Whether a text is meant as cron: what follows has to be read as cron, and no words.
pub(super) fn looks_like_cron(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with(['@', '*', '/', '~', ',']) || {
        let words: Vec<_> = text.split_whitespace().collect();
        let first_is_field = words.first().is_some_and(|word| {
            word.starts_with(|c: char| c.is_ascii_digit())
                && word.chars().all(|c| c.is_ascii_digit() || "*/,-~".contains(c))
        });
        first_is_field && words.len() >= 4 && !words[1].starts_with(|c: char| c.is_ascii_alphabetic())
    }
}

/// A cron and the zone it names.
pub(super) fn parse(text: &str) -> Result<(Cron, Option<Zone>), ScheduleError> {
    let words = split(text);
    if let Some(first) = words.first().filter(|first| text[(*first).clone()].starts_with('@')) {
        return special(text, first.clone(), &words[1..]);
    }
    let is_zone = |word: &Range<usize>| {
        let text = &text[word.clone()];
        let signed =
            text.starts_with(['+', '-']) && text[1..].starts_with(|c: char| c.is_ascii_digit()) && text.len() > 3;
        let names_day = || WEEKDAYS.iter().any(|day| text.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(day)));
        signed
            || text.starts_with(|c: char| c.is_ascii_uppercase()) && (text.contains('/') || !names_day()) && text != "L"
    };
    let (fields, zone) = match words.split_last() {
        Some((last, fields)) if fields.len() >= 5 && is_zone(last) => {
            (fields, Some(zone::named(&text[last.clone()], last.clone())?))
        }
        _ => (&words[..], None),
    };
    if !(5..=6).contains(&fields.len()) {
        let place = fields.get(6..).and_then(|rest| rest.first().cloned()).unwrap_or(text.len()..text.len());
        let count = fields.len();
        return Err(ScheduleError::new(place, format!("a cron has 5 fields or 6, not {count}"))
            .hint("say [second] minute hour day month weekday [time zone]"));
    }
    Ok((cron(text, fields)?, zone))
}

fn special(text: &str, first: Range<usize>, rest: &[Range<usize>]) -> Result<(Cron, Option<Zone>), ScheduleError> {
    let name = &text[first.clone()];
    let Some((_, cron)) = SPECIALS.iter().find(|(special, _)| *special == name) else {
        let error = ScheduleError::new(first, format!("`{name}` is not known"));
        let every = (name == "@every").then(|| rest.first().map_or("5m", |every| &text[every.clone()]));
        return Err(match (every, nearest(name, SPECIALS.iter().map(|(special, _)| *special))) {
            (Some(every), _) => error.hint(format!("say {{every: {every}}}")),
            (None, Some(special)) => error.hint(format!("did you mean {special}?")),
            (None, None) => error,
        });
    };
    let zone = match rest {
        [] => None,
        [zone] => Some(zone::named(&text[zone.clone()], zone.clone())?),
        [_, more, ..] => return Err(ScheduleError::new(more.clone(), "nothing can follow the time zone")),
    };
    Ok((parse(cron)?.0, zone))
}

/// Words by white space; space around commas belongs to a field.
fn split(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut start = None;
    for (position, c) in text.char_indices() {
        if c.is_ascii_whitespace() {
            if let Some(start) = start.take() {
                words.push(start..position);
            }
        } else if start.is_none() {
            let joins = c == ',' && words.len() > 1;
            start = Some(if joins { words.pop().map_or(position, |word| word.start) } else { position });
        }
    }
    if let Some(start) = start {
        words.push(start..text.len());
    }
    words
}

fn cron(text: &str, fields: &[Range<usize>]) -> Result<Cron, ScheduleError> {
    let (seconds, fields) = match fields {
        [seconds, rest @ ..] if fields.len() == 6 => (SECOND.values(text, seconds.clone())?, rest),
        _ => (Some(1), fields),
    };
    let both = |field: &Range<usize>| match text[field.clone()].strip_suffix('&') {
        Some(_) => (field.start..field.end - 1, true),
        None => (field.clone(), false),
    };
    let ((days, both_days), (weekdays, both_weekdays)) = (both(&fields[2]), both(&fields[4]));
    let weekdays = weekday_terms(text, weekdays)?;
    let mut cron = Cron {
        seconds,
        minutes: MINUTE.values(text, fields[0].clone())?,
        hours: HOUR.values(text, fields[1].clone())?,
        days: DAY.values(text, days)?,
        months: MONTH.values(text, fields[3].clone())?,
        both_days: weekdays.is_some() && (both_days || both_weekdays),
        weekdays,
    };
    if !cron.drop_impossible_days() {
        let place = fields[2].clone();
        return Err(if cron.weekdays.is_some() && !cron.both_days {
            ScheduleError::new(place, "none of these months has such a day, so only the days of the week would count")
                .hint("say so with * in its place")
        } else {
            ScheduleError::new(place, "none of these months has such a day, so it would never run")
        });
    }
    Ok(cron)
}
