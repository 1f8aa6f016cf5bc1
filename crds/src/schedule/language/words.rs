//! A text as words, each with its place.

use std::ops::Range;

use super::super::error::ScheduleError;
use super::super::zone::{self, Zone};
use super::dictionary::{known, unknown};

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

impl Unit {
    pub(super) fn is_below_a_day(self) -> bool {
        matches!(self, Self::Second | Self::Minute | Self::Hour)
    }
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
