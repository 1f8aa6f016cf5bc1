//! Days, as clauses name them: of the week, of the month, months.

use super::super::super::cron::{WeekdayTerm, day_bit};
use super::super::super::error::ScheduleError;
use super::super::words::{Unit, Word};
use super::Reader;

impl Reader<'_> {
    /// Whether ordinals come next, and not the unit `second`.
    pub(super) fn ordinals_follow(&self) -> bool {
        match self.peek(0) {
            Some(Word::Ordinal(_) | Word::Last) => true,
            Some(Word::Unit(Unit::Second)) => {
                matches!(self.peek(1), Some(Word::Of | Word::Weekday(_)))
                    || matches!(
                        (self.peek(1), self.peek(2)),
                        (Some(Word::And | Word::Comma), Some(Word::Ordinal(_) | Word::Last))
                    )
            }
            _ => false,
        }
    }

    fn ordinal(&mut self) -> Result<i64, ScheduleError> {
        let number = match self.peek(0) {
            Some(Word::Ordinal(number @ 1..=31)) => *number,
            Some(Word::Unit(Unit::Second)) => 2,
            Some(Word::Last) => -1,
            _ => return self.expected("a day of the month, 1st to 31st"),
        };
        self.at += 1;
        Ok(number)
    }

    /// `1st and 15th of the month`, `25th to the last`, `first monday of the month`, `last day`.
    pub(super) fn ordinals(&mut self) -> Result<(), ScheduleError> {
        let is = |word: &Word| matches!(word, Word::Ordinal(_) | Word::Last | Word::Unit(Unit::Second));
        let first = self.at;
        let mut numbers = vec![self.ordinal()?];
        if self.eat(&Word::To) || self.eat(&Word::Dash) {
            self.eat(&Word::The);
            let (from, to) = (numbers[0], self.ordinal()?);
            if from < 0 {
                return Err(ScheduleError::new(self.since(first), "a range can't begin with the last day"));
            }
            let to = if to < 0 { 31 } else { to };
            numbers = (0..=(to - from).rem_euclid(31)).map(|day| (from - 1 + day) % 31 + 1).collect();
        }
        while self.another(is) {
            numbers.push(self.ordinal()?);
        }
        if let Some(Word::Weekday(day)) = self.peek(0).cloned() {
            self.at += 1;
            let Some(nth) =
                numbers.iter().map(|n| i8::try_from(*n).ok().filter(|n| *n <= 5)).collect::<Option<Vec<_>>>()
            else {
                return Err(ScheduleError::new(self.since(first), "a month has at most five of a weekday"));
            };
            let of_month = self.of_the_month();
            let monthly = self.said.intervals.iter().any(|every| every.unit == Unit::Month);
            if !of_month && !monthly {
                return Err(ScheduleError::new(self.since(first), "of what?").hint("say \"of the month\" after it"));
            }
            self.said.weekdays.extend(nth.into_iter().map(|nth| WeekdayTerm::Nth(day, nth)));
            return Ok(());
        }
        self.eat(&Word::Unit(Unit::Day));
        self.of_the_month();
        numbers.iter().for_each(|day| self.said.days |= day_bit(*day));
        Ok(())
    }

    fn of_the_month(&mut self) -> bool {
        let found = self.peek(0) == Some(&Word::Of)
            && matches!(self.peek(1), Some(Word::The | Word::Every))
            && self.peek(2) == Some(&Word::Unit(Unit::Month));
        self.at += if found { 3 } else { 0 };
        found
    }

    fn weekday(&mut self) -> Result<u8, ScheduleError> {
        let Some(Word::Weekday(day)) = self.peek(0) else { return self.expected("a day of the week") };
        let day = *day;
        self.at += 1;
        Ok(day)
    }

    pub(super) fn weekdays(&mut self) -> Result<(), ScheduleError> {
        loop {
            let from = self.weekday()?;
            let to = if self.eat(&Word::Dash) || self.eat(&Word::To) { self.weekday()? } else { from };
            let length = (to + 7 - from) % 7;
            self.said.weekdays.extend((0..=length).map(|day| WeekdayTerm::Every((from + day) % 7)));
            if !self.another(|word| matches!(word, Word::Weekday(_))) {
                return Ok(());
            }
        }
    }

    /// `january`, `march and june`, `january 1st`.
    pub(super) fn months(&mut self) -> Result<(), ScheduleError> {
        loop {
            let Some(Word::Month(month)) = self.peek(0) else { return self.expected("a month") };
            self.said.months |= 1 << month;
            self.at += 1;
            if !self.another(|word| matches!(word, Word::Month(_))) {
                break;
            }
        }
        match self.ordinals_follow() {
            true => self.ordinals(),
            false => Ok(()),
        }
    }
}
