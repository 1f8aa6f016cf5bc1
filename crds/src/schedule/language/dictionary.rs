//! Every word of the language, in English.

use super::super::error::ScheduleError;
use super::words::{Unit, Word};
use crate::nearest::nearest;

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const NUMBERS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 4] = ["twenty", "thirty", "forty", "fifty"];
const ORDINALS: [&str; 20] = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
];
const WORDS: [(&str, Word); 57] = [
    ("every", Word::Every),
    ("each", Word::Every),
    ("from", Word::From),
    ("between", Word::From),
    ("starting", Word::Starting),
    ("at", Word::At),
    ("on", Word::On),
    ("in", Word::In),
    ("to", Word::To),
    ("through", Word::To),
    ("until", Word::To),
    ("and", Word::And),
    ("or", Word::And),
    ("the", Word::The),
    ("of", Word::Of),
    ("last", Word::Last),
    ("half", Word::Half),
    ("past", Word::Past),
    ("second", Word::Unit(Unit::Second)),
    ("seconds", Word::Unit(Unit::Second)),
    ("sec", Word::Unit(Unit::Second)),
    ("secs", Word::Unit(Unit::Second)),
    ("minute", Word::Unit(Unit::Minute)),
    ("minutes", Word::Unit(Unit::Minute)),
    ("min", Word::Unit(Unit::Minute)),
    ("mins", Word::Unit(Unit::Minute)),
    ("hour", Word::Unit(Unit::Hour)),
    ("hours", Word::Unit(Unit::Hour)),
    ("hou", Word::Unit(Unit::Hour)),
    ("hrs", Word::Unit(Unit::Hour)),
    ("day", Word::Unit(Unit::Day)),
    ("days", Word::Unit(Unit::Day)),
    ("week", Word::Unit(Unit::Week)),
    ("month", Word::Unit(Unit::Month)),
    ("months", Word::Unit(Unit::Month)),
    ("quarter", Word::Unit(Unit::Quarter)),
    ("year", Word::Unit(Unit::Year)),
    ("hourly", Word::Each(Unit::Hour)),
    ("daily", Word::Each(Unit::Day)),
    ("everyday", Word::Each(Unit::Day)),
    ("weekly", Word::Each(Unit::Week)),
    ("monthly", Word::Each(Unit::Month)),
    ("quarterly", Word::Each(Unit::Quarter)),
    ("yearly", Word::Each(Unit::Year)),
    ("annually", Word::Each(Unit::Year)),
    ("weekday", Word::Weekdays(&[1, 2, 3, 4, 5])),
    ("weekdays", Word::Weekdays(&[1, 2, 3, 4, 5])),
    ("weekend", Word::Weekdays(&[0, 6])),
    ("weekends", Word::Weekdays(&[0, 6])),
    ("noon", Word::Noon),
    ("midday", Word::Noon),
    ("midnight", Word::Midnight),
    ("am", Word::Am),
    ("pm", Word::Pm),
    ("hundred", Word::Clock),
    ("dark", Word::Dark),
    ("oh", Word::Named(0)),
];

/// The word of this name, in any case, apart from `m` and `M`.
pub(super) fn known(word: &str) -> Option<Word> {
    match word {
        "s" => return Some(Word::Unit(Unit::Second)),
        "m" => return Some(Word::Unit(Unit::Minute)),
        "h" => return Some(Word::Unit(Unit::Hour)),
        "d" => return Some(Word::Unit(Unit::Day)),
        "M" => return Some(Word::Unit(Unit::Month)),
        _ => {}
    }
    let lower = word.to_ascii_lowercase();
    let word = lower.as_str();
    if let Some((_, known)) = WORDS.iter().find(|(name, _)| *name == word) {
        return Some(known.clone());
    }
    let position = |names: &[&str], word: &str| names.iter().position(|name| *name == word);
    let short = |names: &[&str]| names.iter().position(|name| *name == word || name[..3] == *word);
    let singular = word.strip_suffix('s').unwrap_or(word);
    if let Some(day) = short(&WEEKDAYS).or_else(|| position(&WEEKDAYS, singular)) {
        return Some(Word::Weekday(day as u8));
    }
    match word {
        "tues" => return Some(Word::Weekday(2)),
        "thurs" | "thur" => return Some(Word::Weekday(4)),
        "o'clock" => return Some(Word::Clock),
        _ => {}
    }
    if let Some(month) = short(&MONTHS) {
        return Some(Word::Month(month as u8 + 1));
    }
    if let Some(number) = position(&NUMBERS, word) {
        return Some(Word::Named(number as i64));
    }
    if let Some(number) = position(&ORDINALS, word) {
        return Some(Word::Ordinal(number as i64 + 1));
    }
    if word == "thirtieth" {
        return Some(Word::Ordinal(30));
    }
    let (tens, units) = word.split_once('-').unwrap_or((word, "zero"));
    let tens = (position(&TENS, tens)? as i64 + 2) * 10;
    match (position(&NUMBERS[..10], units), position(&ORDINALS[..9], units)) {
        (Some(units), _) => Some(Word::Named(tens + units as i64)),
        (_, Some(units)) => Some(Word::Ordinal(tens + units as i64 + 1)),
        _ => None,
    }
}

/// The error for a word that isn't here, with what was probably meant.
pub(super) fn unknown(word: &str, at: usize) -> ScheduleError {
    let error = ScheduleError::new(at..at + word.len(), format!("`{word}` is not a word of schedules"));
    let hint = match word.to_ascii_lowercase().as_str() {
        "once" => "say \"every day\", \"every week\"".to_owned(),
        "twice" => "say \"every 12 hours\", or name the times".to_owned(),
        "weeks" | "fortnight" => "say `0 0 * * mon%2` for every second Monday, or {every: 14d}".to_owned(),
        "years" => "say which year's days no cron can".to_owned(),
        "other" => "say \"every 2 days\", or `0 0 * * mon%2` for every second Monday".to_owned(),
        "tomorrow" | "today" | "now" => "a schedule says how often, as in \"every day at 9am\"".to_owned(),
        _ => {
            let names =
                WORDS.iter().map(|(name, _)| *name).chain(WEEKDAYS).chain(MONTHS).chain(NUMBERS).chain(ORDINALS);
            match nearest(word, names) {
                Some(name) => format!("did you mean {name}?"),
                None => return error,
            }
        }
    };
    error.hint(hint)
}
