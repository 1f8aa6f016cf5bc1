//! A text as words, each with its place.

use std::ops::Range;

use super::super::error::ScheduleError;
use super::super::zone::{self, Zone};
use crate::nearest::nearest;

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// What a word means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Every,
    From,
    Starting,
    At,
    On,
    In,
    To,
    And,
    The,
    Of,
    Last,
    Half,
    Past,
    /// `daily`, `hourly`.
    Each(Unit),
    Unit(Unit),
    Weekday(u8),
    /// `weekday`, `weekend`: several days at once.
    Weekdays(&'static [u8]),
    Month(u8),
    Ordinal(i64),
    /// Digits, and how many there are.
    Number(i64, usize),
    /// `nine`, `noon`, `midnight`.
    Named(i64),
    Noon,
    Midnight,
    Am,
    Pm,
    /// `o'clock`, `hundred`.
    Clock,
    Dark,
    Comma,
    Colon,
    Dash,
    Zone(Zone),
}

/// A word and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) word: Word,
    pub(super) place: Range<usize>,
}

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
fn known(word: &str) -> Option<Word> {
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

/// The words of a text.
pub(super) fn split(text: &str) -> Result<Vec<Token>, ScheduleError> {
    let mut tokens = Vec::new();
    let mut start = 0;
    for part in text.split_inclusive(|c: char| c.is_ascii_whitespace() || c == ',') {
        let chunk = part.trim_end_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        if !chunk.is_empty() {
            chunk_tokens(chunk, start, &mut tokens)?;
        }
        if part.ends_with(',') {
            tokens.push(Token { word: Word::Comma, place: start + part.len() - 1..start + part.len() });
        }
        start += part.len();
    }
    Ok(tokens)
}

fn chunk_tokens(chunk: &str, start: usize, tokens: &mut Vec<Token>) -> Result<(), ScheduleError> {
    let place = start..start + chunk.len();
    if let Some(word) = known(chunk) {
        tokens.push(Token { word, place });
        return Ok(());
    }
    let signed =
        chunk.starts_with(['+', '-']) && chunk[1..].starts_with(|c: char| c.is_ascii_digit()) && chunk.len() > 3;
    let named = chunk.starts_with(|c: char| c.is_ascii_uppercase());
    let range_of_days = chunk.split(['-', ':']).all(|part| known(part).is_some());
    if signed || named && !range_of_days && (chunk.contains('/') || zone::named(chunk, 0..0).is_ok()) {
        tokens.push(Token { word: Word::Zone(zone::named(chunk, place.clone())?), place });
        return Ok(());
    }
    let mut rest = chunk;
    while let Some(first) = rest.chars().next() {
        let at = place.end - rest.len();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters =
            rest.chars().take_while(|c| c.is_alphabetic() || matches!(c, '\'' | '.')).map(char::len_utf8).sum();
        let (word, length) = match first {
            '-' => (Word::Dash, 1),
            ':' => (Word::Colon, 1),
            _ if digits > 0 => {
                let suffix = rest.get(digits..digits + 2).map(str::to_ascii_lowercase);
                let number = rest[..digits].parse().unwrap_or(i64::MAX);
                match suffix.as_deref() {
                    Some("st" | "nd" | "rd" | "th") => (Word::Ordinal(number), digits + 2),
                    _ => (Word::Number(number, digits), digits),
                }
            }
            _ if letters > 0 => {
                let plain = rest[..letters].replace('.', "");
                match known(&plain) {
                    Some(word) => (word, letters),
                    None => return Err(unknown(&rest[..letters], at)),
                }
            }
            _ => return Err(unknown(&rest[..first.len_utf8()], at)),
        };
        tokens.push(Token { word, place: at..at + length });
        rest = &rest[length..];
    }
    Ok(())
}

fn unknown(word: &str, at: usize) -> ScheduleError {
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
