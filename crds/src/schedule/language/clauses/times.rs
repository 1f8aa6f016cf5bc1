//! Times of the day, as clauses name them: `9`, `9:30 pm`, `from 9 to 17`, `minute 5`.

use super::super::super::error::ScheduleError;
use super::super::words::{Unit, Word};
use super::Reader;

impl Reader<'_> {
    pub(super) fn numbers(&mut self) -> Result<Vec<i64>, ScheduleError> {
        let mut numbers = Vec::new();
        loop {
            self.eat(&Word::Unit(Unit::Minute));
            let Some(Word::Number(number, _)) = self.peek(0) else { return self.expected("a number") };
            numbers.push(*number);
            self.at += 1;
            let ahead = self.at;
            let minute = self.another(|word| matches!(word, Word::Unit(Unit::Minute)));
            if minute && matches!(self.peek(1), Some(Word::Number(..))) {
                continue;
            }
            self.at = ahead;
            if !self.another(|word| matches!(word, Word::Number(..))) {
                return Ok(numbers);
            }
        }
    }

    pub(super) fn hours_to(&mut self, from: (i64, i64), first: usize) -> Result<(), ScheduleError> {
        if !(self.eat(&Word::To) || self.eat(&Word::Dash) || self.eat(&Word::And)) {
            return self.expected("\"to\"");
        }
        let to = self.time()?;
        let place = self.since(first);
        if from.1 != to.1 {
            return Err(ScheduleError::new(place, "both ends have to be at the same minute of their hour"));
        }
        self.said.hour_ranges.push((from.0, to.0, from.1, place));
        Ok(())
    }

    pub(super) fn times(&mut self) -> Result<(), ScheduleError> {
        let is = |word: &Word| {
            matches!(word, Word::Number(..) | Word::Named(_) | Word::Noon | Word::Midnight | Word::Unit(_))
        };
        loop {
            let first = self.at;
            let past = match (self.peek(0), self.peek(1), self.peek(2)) {
                (Some(Word::Number(..)), Some(Word::Past), _) => 2,
                (Some(Word::Number(..)), Some(Word::Unit(Unit::Minute)), Some(Word::Past)) => 3,
                _ => 0,
            };
            match self.peek(0).cloned() {
                Some(Word::Number(minute, _)) if past > 0 => {
                    self.at += past;
                    if self.eat(&Word::The) && !self.eat(&Word::Unit(Unit::Hour)) {
                        return self.expected("\"hour\"");
                    }
                    self.said.minutes.push(minute);
                }
                Some(Word::Unit(unit @ (Unit::Second | Unit::Minute | Unit::Hour))) => {
                    self.at += 1;
                    let numbers = self.numbers()?;
                    match unit {
                        Unit::Second => self.said.seconds.extend(numbers),
                        Unit::Minute => self.said.minutes.extend(numbers),
                        _ => self.said.hours.extend(numbers),
                    }
                }
                _ => {
                    let time = self.time()?;
                    if matches!(self.peek(0), Some(Word::To | Word::Dash)) {
                        self.hours_to(time, first)?;
                    } else {
                        self.said.times.push((time.0, time.1, self.since(first)));
                    }
                }
            }
            if !self.another(is) {
                return Ok(());
            }
        }
    }

    /// `9`, `9:30 pm`, `five thirty`, `noon`: hour and minute.
    pub(super) fn time(&mut self) -> Result<(i64, i64), ScheduleError> {
        let first = self.at;
        let (hour, mut minute, named) = match self.peek(0).cloned() {
            Some(Word::Number(hour, 1..=2)) => {
                self.at += 1;
                (hour, 0, false)
            }
            Some(Word::Named(hour)) => {
                self.at += 1;
                self.eat(&Word::Dark);
                (hour, 0, true)
            }
            Some(Word::Noon) => {
                self.at += 1;
                (12, 0, true)
            }
            Some(Word::Midnight) => {
                self.at += 1;
                (0, 0, true)
            }
            _ => return self.expected("a time such as 9am or 16:30"),
        };
        if let (true, Some(Word::Named(number))) = (named, self.peek(0)) {
            minute = *number;
            self.at += 1;
        } else if !named && self.eat(&Word::Colon) {
            let Some(Word::Number(number, 2)) = self.peek(0) else { return self.expected("two digits of minutes") };
            minute = *number;
            self.at += 1;
        }
        self.eat(&Word::Clock);
        let half = self.peek(0).cloned();
        if matches!(half, Some(Word::Am | Word::Pm | Word::Noon | Word::Midnight)) {
            self.at += 1;
        }
        let place = self.since(first);
        let wrong = |message: &str| Err(ScheduleError::new(place.clone(), message));
        let hour = match half {
            Some(Word::Am) if hour == 12 => 0,
            Some(Word::Pm) if hour < 12 => hour + 12,
            Some(Word::Am) if hour > 12 => return wrong("is not in the morning"),
            Some(Word::Noon) if hour != 12 => return wrong("noon is 12"),
            Some(Word::Midnight) if hour == 12 || hour == 0 => 0,
            Some(Word::Midnight) => return wrong("midnight is 12am"),
            _ => hour,
        };
        if !(0..=24).contains(&hour) || !(0..60).contains(&minute) || hour == 24 && minute > 0 {
            return wrong("is not a time of the day: they go from 00:00 to 23:59");
        }
        Ok((hour, minute))
    }
}
