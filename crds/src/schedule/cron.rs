//! A compiled cron: which seconds, minutes, hours and days match, and how it is written.
//!
//! It is written as fugit writes it, with lists in full, since Rails reads it from the database.

use std::fmt;

use jiff::civil::{Date, DateTime, Time, Weekday};

/// The values of a field that match, a bit each; `None` for `*`.
pub(super) type Values = Option<u64>;

/// What a cron matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cron {
    pub(super) seconds: Values,
    pub(super) minutes: Values,
    pub(super) hours: Values,
    /// 1 to 31, and from the end of the month: bit 32 + n for day -n.
    pub(super) days: Values,
    pub(super) months: Values,
    /// As [`sorted`].
    pub(super) weekdays: Option<Vec<WeekdayTerm>>,
    /// `&`: day of month and day of week have to match both; by default either will do. Only with weekdays.
    pub(super) both_days: bool,
}

/// One entry in the field of weekdays; 0 is Sunday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WeekdayTerm {
    Every(u8),
    /// `5#-1`: the n-th of the month, from its end when negative.
    Nth(u8, i8),
    /// `1%2+1`: the weeks whose number has this rest, counted from Monday 2018-12-31.
    Weeks(u8, u16, u16),
}

/// By day, plain ones first, without repetitions, as fugit lists them.
pub(super) fn sorted(mut terms: Vec<WeekdayTerm>) -> Vec<WeekdayTerm> {
    terms.sort_unstable_by_key(|term| match *term {
        WeekdayTerm::Every(day) | WeekdayTerm::Nth(day, _) | WeekdayTerm::Weeks(day, ..) => (day, *term),
    });
    terms.dedup();
    terms
}

/// Where `%` counts weeks from, as fugit does.
const FIRST_MONDAY: Date = jiff::civil::date(2018, 12, 31);

/// How far ahead a match is looked for: 400 years would be certain, and no one waits for them.
const MAX_YEARS: i16 = 60;

/// Bit of the day `day`, which may count from the end.
pub(super) fn day_bit(day: i64) -> u64 {
    1 << if day < 0 { 32 - day } else { day }
}

fn matches(values: Values, value: i8) -> bool {
    values.is_none_or(|bits| bits >> value & 1 == 1)
}

/// The first match at or after `value`.
fn from(values: Values, value: i8, max: i8) -> Option<i8> {
    (value..=max).find(|value| matches(values, *value))
}

impl WeekdayTerm {
    fn matches(self, date: Date) -> bool {
        let is = |day: u8| Weekday::to_sunday_zero_offset(date.weekday()) == day as i8;
        match self {
            Self::Every(day) => is(day),
            Self::Nth(day, nth) if nth > 0 => is(day) && (date.day() - 1) / 7 + 1 == nth,
            Self::Nth(day, nth) => is(day) && -((date.days_in_month() - date.day()) / 7 + 1) == nth,
            Self::Weeks(day, every, rest) => {
                let days = FIRST_MONDAY.until(date).map_or(0, |span| span.get_days());
                is(day) && days.div_euclid(7).rem_euclid(i32::from(every)) == i32::from(rest % every)
            }
        }
    }
}

impl Cron {
    fn matches_date(&self, date: Date) -> bool {
        let by_month = self.days.is_none_or(|bits| {
            let from_end = i64::from(date.day()) - i64::from(date.days_in_month()) - 1;
            bits & (day_bit(i64::from(date.day())) | day_bit(from_end)) != 0
        });
        let by_week = self.weekdays.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(date)));
        match self.days.is_some() && self.weekdays.is_some() && !self.both_days {
            true => by_month || by_week,
            false => by_month && by_week,
        }
    }

    /// The first time at or after `time` that matches.
    fn time_from(&self, time: Time) -> Option<Time> {
        let (mut hour, mut minute, mut second) = (time.hour(), time.minute(), time.second());
        loop {
            let found = from(self.hours, hour, 23)?;
            if found > hour {
                (hour, minute, second) = (found, 0, 0);
            }
            let Some(found) = from(self.minutes, minute, 59) else {
                (hour, minute, second) = (hour + 1, 0, 0);
                continue;
            };
            if found > minute {
                (minute, second) = (found, 0);
            }
            match from(self.seconds, second, 59) {
                Some(second) => return Some(Time::constant(hour, minute, second, 0)),
                None => (minute, second) = (minute + 1, 0),
            }
        }
    }

    /// The first local time at or after `start`, a whole second, that matches.
    pub(super) fn from(&self, start: DateTime) -> Option<DateTime> {
        let (mut date, mut time) = (start.date(), start.time());
        let last_year = date.year().saturating_add(MAX_YEARS);
        while date.year() <= last_year {
            if !matches(self.months, date.month()) {
                (date, time) = (date.last_of_month().tomorrow().ok()?, Time::midnight());
                continue;
            }
            if self.matches_date(date)
                && let Some(time) = self.time_from(time)
            {
                return Some(date.to_datetime(time));
            }
            (date, time) = (date.tomorrow().ok()?, Time::midnight());
        }
        None
    }

    /// Whether it names one time of the day, rather than several or every so many minutes.
    pub(super) fn has_one_time(&self) -> bool {
        [self.seconds, self.minutes, self.hours].iter().all(|values| values.is_some_and(|bits| bits.count_ones() == 1))
    }

    /// Leaves out days that none of the months has, and months that have none of the days, unless their weekdays count. Whether any day
    /// is left.
    pub(super) fn drop_impossible_days(&mut self) -> bool {
        let (Some(months), Some(days)) = (self.months, self.days) else { return true };
        let (mut kept_months, mut kept_days) = (0, 0);
        for month in (1..=12).filter(|month| months >> month & 1 == 1) {
            let longest = match month {
                2 => 29,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let possible = days & !(((1_u64 << 32) - 1) & !((1_u64 << (longest + 1)) - 1));
            if possible != 0 {
                kept_months |= 1 << month;
                kept_days |= possible;
            }
        }
        self.days = Some(kept_days);
        if self.weekdays.is_none() || self.both_days {
            self.months = Some(kept_months);
        }
        kept_months != 0
    }
}

/// `*`, or the days in order, those from the end of the month first.
struct Days(Values);

impl fmt::Display for Days {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bits) = self.0 else { return out.write_str("*") };
        let mut separator = "";
        for day in (-31..=31).filter(|day| *day != 0 && bits & day_bit(*day) != 0) {
            write!(out, "{separator}{day}")?;
            separator = ",";
        }
        Ok(())
    }
}

/// `*`, or the values in order.
struct Clock(Values);

impl fmt::Display for Clock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bits) = self.0 else { return out.write_str("*") };
        let mut separator = "";
        for value in (0..60).filter(|value| bits >> value & 1 == 1) {
            write!(out, "{separator}{value}")?;
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Display for WeekdayTerm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(day) => write!(out, "{day}"),
            Self::Nth(day, nth) => write!(out, "{day}#{nth}"),
            Self::Weeks(day, every, 0) => write!(out, "{day}%{every}"),
            Self::Weeks(day, every, rest) => write!(out, "{day}%{every}+{rest}"),
        }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.seconds != Some(1) {
            write!(out, "{} ", Clock(self.seconds))?;
        }
        write!(out, "{} {} {} {} ", Clock(self.minutes), Clock(self.hours), Days(self.days), Clock(self.months))?;
        match &self.weekdays {
            None => out.write_str("*")?,
            Some(terms) => {
                for (position, term) in terms.iter().enumerate() {
                    write!(out, "{}{term}", if position == 0 { "" } else { "," })?;
                }
            }
        }
        out.write_str(if self.both_days { "&" } else { "" })
    }
}
