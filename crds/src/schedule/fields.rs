//! Reads cron: five or six fields, `@daily` and its like, a time zone at the end.
//!
//! The syntax is fugit's, extra commas included. What fugit reads as something else than it says is refused: an hour 24, a step
//! that is longer than the field (`*/90` would be `0`), days "until the third last" (`15--3`).

use std::ops::Range;

use super::cron::{Cron, Values, WeekdayTerm, day_bit};
use super::error::ScheduleError;
use super::zone::{self, Zone};
use crate::nearest::nearest;

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

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field: its name in messages, bounds, names of values.
struct Field {
    name: &'static str,
    unit: &'static str,
    min: i64,
    max: i64,
    names: &'static [&'static str],
}

const SECOND: Field = Field { name: "seconds", unit: "s", min: 0, max: 59, names: &[] };
const MINUTE: Field = Field { name: "minutes", unit: "m", min: 0, max: 59, names: &[] };
const HOUR: Field = Field { name: "hours", unit: "h", min: 0, max: 23, names: &[] };
const DAY: Field = Field { name: "days of the month", unit: "d", min: 1, max: 31, names: &[] };
const MONTH: Field = Field { name: "months", unit: "", min: 1, max: 12, names: &MONTHS };
const WEEKDAY: Field = Field { name: "days of the week", unit: "d", min: 0, max: 7, names: &WEEKDAYS };

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
    let mut cron = Cron {
        seconds,
        minutes: MINUTE.values(text, fields[0].clone())?,
        hours: HOUR.values(text, fields[1].clone())?,
        days: DAY.values(text, days)?,
        months: MONTH.values(text, fields[3].clone())?,
        weekdays: weekday_terms(text, weekdays)?,
        both_days: both_days || both_weekdays,
    };
    if !cron.drop_impossible_days() {
        return Err(ScheduleError::new(
            fields[2].clone(),
            "none of these months has such a day, so it would never run",
        ));
    }
    Ok(cron)
}

/// The elements of a list, extra commas left out.
fn elements(text: &str, field: Range<usize>) -> Result<Vec<Range<usize>>, ScheduleError> {
    let mut found = Vec::new();
    let mut start = field.start;
    for part in text[field.clone()].split(',') {
        let trimmed = part.trim();
        if !trimmed.is_empty() {
            let at = start + (part.len() - part.trim_start().len());
            found.push(at..at + trimmed.len());
        }
        start += part.len() + 1;
    }
    match found.is_empty() {
        true => Err(ScheduleError::new(field, "is an empty list")),
        false => Ok(found),
    }
}

/// One element, taken apart.
struct Element {
    from: Option<i64>,
    to: Option<i64>,
    /// `~`: any one value of the range.
    random: bool,
    step: Option<i64>,
}

impl Field {
    fn values(&self, text: &str, place: Range<usize>) -> Result<Values, ScheduleError> {
        let (mut bits, mut all) = (0, false);
        for element in elements(text, place)? {
            match self.expand(text, element)? {
                None => all = true,
                Some(values) => values.iter().for_each(|value| bits |= day_bit(*value)),
            }
        }
        Ok((!all).then_some(bits))
    }

    /// The values of an element in the order in which it counts them; `None` for all.
    fn expand(&self, text: &str, place: Range<usize>) -> Result<Option<Vec<i64>>, ScheduleError> {
        let element = self.element(text, place.clone())?;
        let (min, max) = (self.min, if self.max == 7 { 6 } else { self.max });
        let (mut from, mut to) = (element.from, element.to);
        if element.random {
            let (low, high) = (from.unwrap_or(min), to.unwrap_or(max));
            let length = element.step.unwrap_or_else(|| (high - low).rem_euclid(max - min + 1) + 1);
            let drawn = low + (hash(text) % length.unsigned_abs().max(1)) as i64;
            let drawn = if drawn > max { drawn - (max - min + 1) } else { drawn };
            (from, to) = (Some(drawn), if element.step.is_some() { Some(high) } else { None });
        }
        let (from, to) = match (from, to, element.step) {
            (None, None, None) => return Ok(None),
            (Some(from), None, None) => return Ok(Some(vec![from])),
            // As fugit has it: among weekdays a step without an end stays where it starts.
            (Some(from), None, Some(_)) if self.max == 7 => return Ok(Some(vec![from])),
            (from, to, _) => (from.unwrap_or(min), to.unwrap_or(max)),
        };
        let step = element.step.unwrap_or(1);
        let to = if from > 0 && to == -1 { max } else { to };
        if (from < 0) != (to < 0) {
            return Err(ScheduleError::new(place, "counts from the beginning of the month and from its end")
                .hint("only `-L` can end such a range, as in 15-L"));
        }
        if self.max != 7 && (from, to, step) == (min, max, 1) {
            return Ok(None);
        }
        let (low, high) = if from < 0 { (-max, -1) } else { (min, max) };
        let length = (to - from).rem_euclid(high - low + 1) + if (from, to) == (0, 7) { 7 } else { 0 };
        let value = |index: i64| low + (from - low + index).rem_euclid(high - low + 1);
        Ok(Some((0..=length).step_by(usize::try_from(step).unwrap_or(1)).map(value).collect()))
    }

    fn element(&self, text: &str, place: Range<usize>) -> Result<Element, ScheduleError> {
        let whole = &text[place.clone()];
        let (range, step) = match whole.split_once('/') {
            None => (whole, None),
            Some((range, step)) => (range, Some(self.step(step, place.end - step.len()..place.end)?)),
        };
        let mut element = Element { from: None, to: None, random: false, step };
        if range == "*" || range.is_empty() && step.is_some() {
            return Ok(element);
        }
        let at = |part: &str| {
            let start = place.start + (part.as_ptr() as usize - whole.as_ptr() as usize);
            start..start + part.len()
        };
        if let Some((from, to)) = range.split_once('~') {
            element.random = true;
            let end = |part: &str| (!part.is_empty()).then(|| self.value(part, at(part))).transpose();
            (element.from, element.to) = (end(from)?, end(to)?);
            return Ok(element);
        }
        let sign = usize::from(range.starts_with('-'));
        match range[sign..].find('-').map(|dash| dash + sign) {
            None => element.from = Some(self.value(range, at(range))?),
            Some(dash) => {
                let (from, to) = (&range[..dash], &range[dash + 1..]);
                (element.from, element.to) = (Some(self.value(from, at(from))?), Some(self.value(to, at(to))?));
            }
        }
        Ok(element)
    }

    fn step(&self, step: &str, place: Range<usize>) -> Result<i64, ScheduleError> {
        let longest = self.max - self.min + 1;
        match step.parse::<i64>() {
            Ok(0) => Err(ScheduleError::new(place, "a step is at least 1")),
            Ok(number) if number > longest && !self.unit.is_empty() => {
                Err(ScheduleError::new(place, format!("a step of {number} is longer than the field of {}", self.name))
                    .hint(format!("say {{every: {number}{}}}", self.unit)))
            }
            Ok(number) if number <= longest && step.bytes().all(|b| b.is_ascii_digit()) => Ok(number),
            _ => Err(ScheduleError::new(place, format!("`{step}` is not a step among {}", self.name))),
        }
    }

    fn value(&self, word: &str, place: Range<usize>) -> Result<i64, ScheduleError> {
        let lower = word.to_ascii_lowercase();
        if let Some(position) = self.names.iter().position(|name| *name == lower) {
            return Ok(position as i64 + self.min);
        }
        if self.max == 31 && matches!(lower.as_str(), "l" | "last") {
            return Ok(-1);
        }
        let digits = if self.max == 31 { word.strip_prefix('-').unwrap_or(word) } else { word };
        let number = match digits.len() {
            1 | 2 if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<i64>().ok(),
            _ => None,
        };
        match number {
            Some(number) if (self.min..=self.max).contains(&number) => {
                Ok(if digits == word { number } else { -number })
            }
            Some(24) if self.max == 23 => Err(ScheduleError::new(place, "hours go from 0 to 23").hint("midnight is 0")),
            Some(_) => {
                Err(ScheduleError::new(place, format!("`{word}`: {} go from {} to {}", self.name, self.min, self.max)))
            }
            None => {
                let error = ScheduleError::new(place, format!("`{word}` is not among the {}", self.name));
                Err(match nearest(word, self.names.iter().copied()) {
                    Some(name) => error.hint(format!("did you mean {name}?")),
                    None => error.hint(format!("they go from {} to {}", self.min, self.max)),
                })
            }
        }
    }
}

fn weekday_terms(text: &str, place: Range<usize>) -> Result<Option<Vec<WeekdayTerm>>, ScheduleError> {
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
    terms.sort_unstable();
    terms.dedup();
    let mixed = |day: u8| {
        terms.iter().any(|term| matches!(term, WeekdayTerm::Nth(d, _) if *d == day))
            && terms.iter().any(|term| matches!(term, WeekdayTerm::Weeks(d, ..) if *d == day))
    };
    if (0..7).any(mixed) {
        return Err(ScheduleError::new(place, "has `#` and `%` for one day of the week").hint("make it two tasks"));
    }
    Ok((!all).then_some(terms))
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

/// FNV-1a: what `~` draws is the same wherever the text is read, so that all schedulers agree.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
