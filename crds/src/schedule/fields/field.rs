//! One field of a cron: lists, ranges, steps, names, `~`.

use std::ops::Range;

use super::super::cron::{Values, day_bit};
use super::super::error::ScheduleError;
use crate::nearest::nearest;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
pub(super) const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field: its name in messages, bounds, names of values.
pub(super) struct Field {
    name: &'static str,
    unit: &'static str,
    min: i64,
    max: i64,
    names: &'static [&'static str],
}

pub(super) const SECOND: Field = Field { name: "seconds", unit: "s", min: 0, max: 59, names: &[] };
pub(super) const MINUTE: Field = Field { name: "minutes", unit: "m", min: 0, max: 59, names: &[] };
pub(super) const HOUR: Field = Field { name: "hours", unit: "h", min: 0, max: 23, names: &[] };
pub(super) const DAY: Field = Field { name: "days of the month", unit: "d", min: 1, max: 31, names: &[] };
pub(super) const MONTH: Field = Field { name: "months", unit: "", min: 1, max: 12, names: &MONTHS };
pub(super) const WEEKDAY: Field = Field { name: "days of the week", unit: "d", min: 0, max: 7, names: &WEEKDAYS };

/// The elements of a list, extra commas left out.
pub(super) fn elements(text: &str, field: Range<usize>) -> Result<Vec<Range<usize>>, ScheduleError> {
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
    pub(super) fn values(&self, text: &str, place: Range<usize>) -> Result<Values, ScheduleError> {
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
    pub(super) fn expand(&self, text: &str, place: Range<usize>) -> Result<Option<Vec<i64>>, ScheduleError> {
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
        let length = (to - from).rem_euclid(high - low + 1) + if self.max == 7 && (from, to) == (0, 7) { 7 } else { 0 };
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

    pub(super) fn value(&self, word: &str, place: Range<usize>) -> Result<i64, ScheduleError> {
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

/// FNV-1a: what `~` draws is the same wherever the text is read, so that all schedulers agree.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
