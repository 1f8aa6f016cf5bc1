//! What a text says, clause by clause, before it is asked whether one cron can say it.

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
    /// How many clauses begin with `every`.
    pub(super) every: usize,
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
        self.said.every += 1;
        let first = self.at;
        if self.ordinals_follow() {
            return self.ordinals();
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
        self.said.intervals.push(Interval { count, unit, start, place });
        Ok(())
    }

    /// Whether ordinals come next, and not the unit `second`.
    fn ordinals_follow(&self) -> bool {
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
    fn ordinals(&mut self) -> Result<(), ScheduleError> {
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

    fn weekdays(&mut self) -> Result<(), ScheduleError> {
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
    fn months(&mut self) -> Result<(), ScheduleError> {
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

    fn numbers(&mut self) -> Result<Vec<i64>, ScheduleError> {
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

    fn hours_to(&mut self, from: (i64, i64), first: usize) -> Result<(), ScheduleError> {
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

    fn times(&mut self) -> Result<(), ScheduleError> {
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
    fn time(&mut self) -> Result<(i64, i64), ScheduleError> {
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
