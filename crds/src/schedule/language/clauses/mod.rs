//! What a text says, clause by clause, before it is asked whether one cron can say it.
//!
//! [`days`] and [`times`] read what follows the word that a clause begins with.

mod days;
mod times;

use std::ops::Range;

use super::super::cron::{WeekdayTerm, day_bit};
use super::super::error::ScheduleError;
use super::super::zone::Zone;
use super::words::{Token, Unit, Word};

/// `every 15 minutes starting at minute 5`.
#[derive(Clone, Debug)]
pub(super) struct Interval {
    pub(super) count: i64,
    pub(super) unit: Unit,
    pub(super) start: Option<i64>,
    pub(super) place: Range<usize>,
}

/// Everything that was said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) intervals: Vec<Interval>,
    /// How many clauses with `every` are about days: `every day`, `every monday`. Those about the clock are intervals.
    pub(super) every_days: usize,
    /// `every weekday`, which a named day narrows down.
    pub(super) weekdays_by_name: Vec<u8>,
    pub(super) weekdays: Vec<WeekdayTerm>,
    pub(super) days: u64,
    pub(super) months: u64,
    /// `on monday and the 15th`: either, and said so.
    pub(super) either_day: bool,
    pub(super) times: Vec<(i64, i64, Range<usize>)>,
    pub(super) hour_ranges: Vec<(i64, i64, i64, Range<usize>)>,
    pub(super) minutes: Vec<i64>,
    pub(super) seconds: Vec<i64>,
    pub(super) hours: Vec<i64>,
    pub(super) on_the_hour: bool,
    pub(super) on_the_minute: bool,
    pub(super) zone: Option<Zone>,
    pub(super) end: usize,
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    said: Said,
}

pub(super) fn read(tokens: &[Token], end: usize) -> Result<Said, ScheduleError> {
    let mut reader = Reader { tokens, at: 0, said: Said { end, ..Said::default() } };
    while reader.at < tokens.len() {
        reader.clause()?;
        while reader.eat(&Word::Comma) {}
    }
    Ok(reader.said)
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<&Word> {
        self.tokens.get(self.at + ahead).map(|token| &token.word)
    }

    fn eat(&mut self, word: &Word) -> bool {
        let found = self.peek(0) == Some(word);
        self.at += usize::from(found);
        found
    }

    fn place(&self) -> Range<usize> {
        self.tokens.get(self.at).map_or(self.said.end..self.said.end, |token| token.place.clone())
    }

    fn since(&self, first: usize) -> Range<usize> {
        let start = self.tokens.get(first).map_or(self.said.end, |token| token.place.start);
        let end = self.at.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(start, |token| token.place.end);
        start..end.max(start)
    }

    fn expected<T>(&self, what: &str) -> Result<T, ScheduleError> {
        let message = match self.tokens.get(self.at) {
            Some(_) => format!("expected {what} here"),
            None => format!("{what} is missing at the end"),
        };
        Err(ScheduleError::new(self.place(), message))
    }

    /// Goes on in a list if another of its kind follows.
    fn another(&mut self, is: impl Fn(&Word) -> bool) -> bool {
        let mut ahead = 0;
        while matches!(self.peek(ahead), Some(Word::Comma)) {
            ahead += 1;
        }
        if matches!(self.peek(ahead), Some(Word::And)) {
            ahead += 1;
        }
        if ahead > 0 && self.peek(ahead) == Some(&Word::The) && self.peek(ahead + 1).is_some_and(&is) {
            ahead += 1;
        }
        let follows = ahead > 0 && self.peek(ahead).is_some_and(is);
        self.at += if follows { ahead } else { 0 };
        follows
    }

    fn clause(&mut self) -> Result<(), ScheduleError> {
        match self.peek(0) {
            Some(Word::Every) => {
                self.at += 1;
                self.every()
            }
            Some(Word::Each(unit)) => {
                let unit = *unit;
                self.at += 1;
                self.interval(1, unit, self.at - 1)
            }
            Some(Word::From) => {
                self.at += 1;
                self.range()
            }
            Some(Word::At) => {
                self.at += 1;
                self.times()
            }
            Some(Word::On | Word::In) => {
                self.at += 1;
                match self.peek(0) {
                    Some(Word::Zone(_)) => self.zone(),
                    _ => self.on(),
                }
            }
            Some(Word::Zone(_)) => self.zone(),
            Some(Word::Weekday(_) | Word::Weekdays(_) | Word::Ordinal(_) | Word::The | Word::Last | Word::Month(_)) => {
                self.on()
            }
            Some(Word::Number(..) | Word::Named(_) | Word::Noon | Word::Midnight) => {
                if self.tokens.len() == 2 && matches!(self.peek(1), Some(Word::Unit(_))) {
                    return Err(ScheduleError::new(self.place(), "a length of time is no schedule yet")
                        .hint("put \"every\" in front"));
                }
                self.times()
            }
            Some(Word::And) if !self.said.weekdays_by_name.is_empty() => {
                Err(ScheduleError::new(self.place(), "\"weekday\" and \"weekend\" can't be added to")
                    .hint("name the days, as in \"every monday, tuesday and saturday\" or \"from monday to saturday\""))
            }
            _ => self.expected("\"every\", \"at\", \"on\", \"from\" or a time zone"),
        }
    }

    fn zone(&mut self) -> Result<(), ScheduleError> {
        let place = self.place();
        if let Some(Word::Zone(zone)) = self.peek(0).cloned() {
            if self.said.zone.replace(zone).is_some() {
                return Err(ScheduleError::new(place, "a second time zone"));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn every(&mut self) -> Result<(), ScheduleError> {
        let first = self.at;
        if self.ordinals_follow() {
            self.said.every_days += 1;
            return self.ordinals();
        }
        match self.peek(0) {
            Some(Word::Weekdays(_) | Word::Month(_)) => self.said.every_days += 1,
            // `every monday every tuesday` is as good as `every monday and tuesday`.
            Some(Word::Weekday(_)) => self.said.every_days += usize::from(self.said.weekdays.is_empty()),
            _ => {}
        }
        match self.peek(0).cloned() {
            Some(Word::Weekdays(days)) => {
                self.at += 1;
                self.said.weekdays_by_name = days.to_vec();
                Ok(())
            }
            Some(Word::Weekday(_)) => self.weekdays(),
            Some(Word::Month(_)) => self.months(),
            Some(Word::Half) => {
                self.at += 1;
                match self.eat(&Word::Unit(Unit::Hour)) {
                    true => self.interval(30, Unit::Minute, first),
                    false => self.expected("\"hour\""),
                }
            }
            Some(Word::Unit(Unit::Quarter)) if matches!(self.peek(1), Some(Word::Unit(Unit::Hour) | Word::Of)) => {
                while matches!(self.peek(0), Some(Word::Unit(Unit::Quarter | Unit::Hour) | Word::Of)) {
                    self.at += 1;
                }
                self.interval(15, Unit::Minute, first)
            }
            Some(Word::Number(count, _) | Word::Named(count)) => {
                self.at += 1;
                let Some(Word::Unit(unit)) = self.peek(0).cloned() else {
                    return self.expected("a unit such as minutes");
                };
                self.at += 1;
                self.interval(count, unit, first)
            }
            Some(Word::Unit(unit)) => {
                self.at += 1;
                self.interval(1, unit, first)
            }
            _ => self.expected("a unit, a day or a number of them"),
        }
    }

    fn interval(&mut self, count: i64, unit: Unit, first: usize) -> Result<(), ScheduleError> {
        let starts = match (self.peek(0), self.peek(1), self.peek(2)) {
            (Some(Word::Starting), Some(Word::At), _) => 2,
            (Some(Word::From), Some(Word::Unit(_)), Some(Word::Number(..))) => 1,
            _ => 0,
        };
        self.at += starts;
        let mut start = None;
        if starts > 0 {
            if self.peek(0) != Some(&Word::Unit(unit)) {
                return self.expected("the same unit as after \"every\"");
            }
            self.at += 1;
            let Some(Word::Number(number, _)) = self.peek(0) else { return self.expected("a number") };
            start = Some(*number);
            self.at += 1;
        }
        let place = self.since(first);
        self.said.every_days += usize::from(!unit.is_below_a_day());
        self.said.intervals.push(Interval { count, unit, start, place });
        Ok(())
    }

    fn on(&mut self) -> Result<(), ScheduleError> {
        let (had_days, had_weekdays) = (self.said.days != 0, !self.said.weekdays.is_empty());
        loop {
            let the = self.eat(&Word::The);
            match self.peek(0).cloned() {
                Some(Word::Unit(Unit::Hour)) if the => {
                    self.at += 1;
                    self.said.on_the_hour = true;
                }
                Some(Word::Unit(Unit::Minute)) if the => {
                    self.at += 1;
                    self.said.on_the_minute = true;
                }
                _ if self.ordinals_follow() || the => self.ordinals()?,
                Some(Word::Weekday(_)) => self.weekdays()?,
                Some(Word::Weekdays(days)) => {
                    self.at += 1;
                    self.said.weekdays.extend(days.iter().map(|day| WeekdayTerm::Every(*day)));
                }
                Some(Word::Month(_)) => self.months()?,
                Some(Word::Unit(Unit::Day)) => {
                    self.at += 1;
                    let place = self.place();
                    for day in self.numbers()? {
                        if !(1..=31).contains(&day) {
                            return Err(ScheduleError::new(place, format!("a month has no day {day}")));
                        }
                        self.said.days |= day_bit(day);
                    }
                }
                Some(Word::Unit(Unit::Minute)) => {
                    self.at += 1;
                    let numbers = self.numbers()?;
                    self.said.minutes.extend(numbers);
                }
                _ => return self.expected("a day or a time zone"),
            }
            let is = |word: &Word| {
                matches!(
                    word,
                    Word::The
                        | Word::Weekday(_)
                        | Word::Weekdays(_)
                        | Word::Unit(_)
                        | Word::Month(_)
                        | Word::Ordinal(_)
                        | Word::Last
                )
            };
            if !(self.peek(0) == Some(&Word::And) && self.peek(1).is_some_and(is)) {
                break;
            }
            self.at += 1;
        }
        self.said.either_day = !had_days && !had_weekdays && self.said.days != 0 && !self.said.weekdays.is_empty();
        Ok(())
    }

    fn range(&mut self) -> Result<(), ScheduleError> {
        loop {
            self.eat(&Word::The);
            match self.peek(0) {
                Some(Word::Weekday(_)) => self.weekdays()?,
                Some(Word::Ordinal(_) | Word::Last) => self.ordinals()?,
                _ => {
                    let first = self.at;
                    let from = self.time()?;
                    self.hours_to(from, first)?;
                }
            }
            let is = |word: &Word| {
                matches!(word, Word::Number(..) | Word::Named(_) | Word::Noon | Word::Midnight | Word::Weekday(_))
            };
            if !self.another(is) {
                return Ok(());
            }
        }
    }
}
