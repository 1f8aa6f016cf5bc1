//! The one cron that says what was said, or why there is none.

use std::ops::Range;

use super::super::cron::{Cron, Values, WeekdayTerm, day_bit, sorted};
use super::super::error::ScheduleError;
use super::super::zone::Zone;
use super::clauses::{Interval, Said};
use super::words::Unit;

type Compiled = Result<(Cron, Option<Zone>), ScheduleError>;

/// Every `step`-th value from `start`.
fn steps(start: i64, max: i64, step: i64) -> Values {
    let bits =
        (start..=max).step_by(usize::try_from(step.max(1)).unwrap_or(1)).fold(0, |bits, value| bits | day_bit(value));
    Some(bits)
}

fn bits(values: impl IntoIterator<Item = i64>) -> u64 {
    values.into_iter().fold(0, |bits, value| bits | day_bit(value))
}

impl Interval {
    /// The values it stands for in its field; `None` for all.
    fn values(&self) -> Result<Values, ScheduleError> {
        let (min, max, length, unit) = match self.unit {
            Unit::Second => (0, 59, 60, "s"),
            Unit::Minute => (0, 59, 60, "m"),
            Unit::Hour => (0, 23, 24, "h"),
            Unit::Day => (1, 31, 31, "d"),
            Unit::Month => (1, 12, 12, ""),
            Unit::Week | Unit::Year | Unit::Quarter => {
                return match self.count {
                    1 => Ok(None),
                    _ => Err(self.refuse("no cron says that").hint("say `0 0 * * mon%2` for every second Monday")),
                };
            }
        };
        let start = self.start.unwrap_or(min);
        if self.count < 1 || !(min..=max).contains(&start) {
            return Err(self.refuse("is out of range"));
        }
        // Of a month's days no count comes out even, and people know that it starts again on the 1st.
        let even = if self.unit == Unit::Day { self.count <= 15 } else { length % self.count == 0 };
        if !even {
            let error = self.refuse(match self.unit {
                Unit::Month => "no cron counts that across the end of a year",
                Unit::Day => "no cron counts that across the end of a month",
                _ => "no cron counts that across the end of the hour or day",
            });
            return Err(match unit {
                "" => error.hint("name the months, as in `0 0 1 1,6,11 *`"),
                unit => error.hint(format!("say {{every: {}{unit}}}", self.count)),
            });
        }
        Ok(if self.count == 1 && start == min { None } else { steps(start, max, self.count) })
    }

    fn refuse(&self, message: &str) -> ScheduleError {
        ScheduleError::new(self.place.clone(), message)
    }
}

/// Minutes and hours.
struct Clock {
    minutes: Values,
    hours: Values,
}

pub(super) fn compile(said: Said) -> Compiled {
    let whole = 0..said.end;
    let (fast, slow): (Vec<_>, Vec<_>) = said.intervals.iter().partition(|every| every.unit.is_below_a_day());
    if fast.len() > 1 || said.every_days > 1 {
        return Err(ScheduleError::new(whole, "says \"every\" more than once").hint("make it a task each"));
    }
    let has_no_day = said.days == 0 && said.weekdays.is_empty() && said.weekdays_by_name.is_empty();
    if let (Some(often), Some(seldom)) = (fast.first(), slow.first())
        && matches!(seldom.unit, Unit::Month | Unit::Quarter | Unit::Year)
        && has_no_day
    {
        // It could be the whole month, its first day, or a moment of it.
        return Err(ScheduleError::new(often.place.start.min(seldom.place.start)..said.end, "says how often twice")
            .hint("leave one out, or name the day, as in \"every 15 minutes on the 1st\""));
    }
    let mut cron = Cron { seconds: Some(1), ..Cron::default() };
    let every_second = fast.first().filter(|every| every.unit == Unit::Second);
    if let Some(every) = every_second {
        cron.seconds = every.values()?;
    }
    if !said.seconds.is_empty() {
        in_range(&said.seconds, 59, &whole)?;
        if every_second.is_some() {
            return Err(ScheduleError::new(whole, "says the seconds twice"));
        }
        cron.seconds = Some(bits(said.seconds.iter().copied()));
    }
    days(&said, slow.first().copied(), &mut cron)?;
    let nothing_of_days = cron.days.is_none() && cron.weekdays.is_none() && cron.months.is_none() && slow.is_empty();
    let clock = clock(&said, fast.first().copied(), nothing_of_days)?;
    (cron.minutes, cron.hours) = (clock.minutes, clock.hours);
    let weekly_or_daily = cron.days.is_some() && cron.weekdays.is_some();
    if weekly_or_daily && !said.either_day {
        return Err(ScheduleError::new(whole, "names days of the month and of the week")
            .hint("say it as cron: `0 0 13 * 5` runs on either, `0 0 13 * 5&` on Fridays the 13th"));
    }
    if !cron.drop_impossible_days() {
        return Err(ScheduleError::new(whole, "none of these months has such a day, so it would never run"));
    }
    Ok((cron, said.zone))
}

fn in_range(numbers: &[i64], max: i64, place: &Range<usize>) -> Result<(), ScheduleError> {
    match numbers.iter().find(|number| !(0..=max).contains(*number)) {
        Some(number) => Err(ScheduleError::new(place.clone(), format!("{number} is out of range: choose 0 to {max}"))),
        None => Ok(()),
    }
}

fn days(said: &Said, every: Option<&Interval>, cron: &mut Cron) -> Result<(), ScheduleError> {
    let contradicts = |message: &str| Err(ScheduleError::new(0..said.end, message.to_owned()));
    cron.days = (said.days != 0).then_some(said.days);
    cron.months = (said.months != 0).then_some(said.months);
    let mut weekdays = said.weekdays.clone();
    if !said.weekdays_by_name.is_empty() && weekdays.is_empty() {
        weekdays = said.weekdays_by_name.iter().map(|day| WeekdayTerm::Every(*day)).collect();
    }
    cron.weekdays = (!weekdays.is_empty()).then(|| sorted(weekdays));
    let nth = said.weekdays.iter().any(|term| matches!(term, WeekdayTerm::Nth(..)));
    if let Some(every) = every {
        let values = every.values()?;
        match every.unit {
            Unit::Day if values.is_some() && (cron.days.is_some() || cron.weekdays.is_some()) => {
                return contradicts("says the days twice");
            }
            Unit::Day => cron.days = cron.days.or(values),
            Unit::Week if cron.days.is_some() => return contradicts("a day of the month doesn't come every week"),
            Unit::Week if cron.weekdays.is_none() => cron.weekdays = Some(vec![WeekdayTerm::Every(0)]),
            Unit::Month | Unit::Quarter if cron.weekdays.is_some() && !nth => {
                return Err(ScheduleError::new(0..said.end, "a day of the week comes more than once a month")
                    .hint("say \"every monday\", or \"every first monday of the month\""));
            }
            Unit::Month => cron.months = cron.months.or(values),
            Unit::Quarter => cron.months = steps(1, 12, 3),
            Unit::Year if cron.weekdays.is_some() || cron.days.is_some() && cron.months.is_none() => {
                return contradicts("a day of the year needs its month, as in \"january 15th\"");
            }
            Unit::Year => {
                cron.months = cron.months.or(Some(1 << 1));
            }
            _ => {}
        }
        if matches!(every.unit, Unit::Month | Unit::Quarter | Unit::Year) && cron.weekdays.is_none() {
            cron.days = cron.days.or(Some(1 << 1));
        }
    } else if cron.months.is_some() && cron.weekdays.is_none() {
        cron.days = cron.days.or(Some(1 << 1));
    }
    Ok(())
}

fn clock(said: &Said, every: Option<&Interval>, nothing_of_days: bool) -> Result<Clock, ScheduleError> {
    let whole = 0..said.end;
    let refuse = |message: &str| Err(ScheduleError::new(whole.clone(), message.to_owned()));
    in_range(&said.minutes, 59, &whole)?;
    in_range(&said.hours, 23, &whole)?;
    let minutes_said = (!said.minutes.is_empty()).then(|| bits(said.minutes.iter().copied()));
    let mut times: Vec<_> = said.times.iter().map(|(hour, minute, place)| (*hour, *minute, place.clone())).collect();
    times.extend(said.hours.iter().map(|hour| (*hour, 0, whole.clone())));
    for (hour, _, place) in &mut times {
        if *hour == 24 {
            if said.days != 0 || !said.weekdays.is_empty() || !said.weekdays_by_name.is_empty() {
                return Err(ScheduleError::new(place.clone(), "24:00 is 00:00 of the day after").hint("name that day"));
            }
            *hour = 0;
        }
    }
    let within_minutes =
        every.is_some_and(|every| every.unit != Unit::Hour) || minutes_said.is_some() || said.on_the_minute;
    let minutes_by_interval = match every {
        Some(every) if every.unit == Unit::Minute => {
            if minutes_said.is_some() || said.on_the_hour {
                return refuse("says the minutes twice");
            }
            Some(every.values()?)
        }
        Some(every) if every.unit == Unit::Second && minutes_said.is_none() && times.is_empty() => Some(None),
        _ if said.on_the_minute => Some(None),
        _ => None,
    };
    let hours_by_interval = match every {
        Some(every) if every.unit == Unit::Hour => Some((every.values()?, every)),
        _ => None,
    };
    if !said.hour_ranges.is_empty() {
        if !times.is_empty() {
            return refuse("has hours from and to, and times");
        }
        return ranges(
            said,
            hours_by_interval.map(|(_, every)| every),
            minutes_by_interval.or(minutes_said.map(Some)),
            within_minutes,
        );
    }
    if let Some((hours, every)) = hours_by_interval {
        if !times.is_empty() {
            return Err(ScheduleError::new(times[0].2.clone(), "is one time, and it is to run each hour")
                .hint("say \"every hour at minute 5\", or \"every day at 5:00\""));
        }
        if said.on_the_minute {
            return Err(ScheduleError::new(every.place.clone(), "every hour, and every minute"));
        }
        return Ok(Clock { minutes: minutes_said.or(Some(1)), hours });
    }
    if times.is_empty() {
        let daily = Clock { minutes: Some(1), hours: Some(1) };
        return Ok(match (minutes_by_interval, minutes_said) {
            (Some(minutes), _) => Clock { minutes, hours: None },
            (None, Some(minutes)) => Clock { minutes: Some(minutes), hours: None },
            (None, None) if said.on_the_hour => Clock { minutes: Some(1), hours: None },
            (None, None) if nothing_of_days && !said.seconds.is_empty() => Clock { minutes: None, hours: None },
            (None, None) if nothing_of_days && said.intervals.is_empty() => return refuse("says no time"),
            (None, None) => daily,
        });
    }
    let hours = bits(times.iter().map(|(hour, ..)| *hour));
    let minutes = bits(times.iter().map(|(_, minute, _)| *minute));
    if let Some(by_interval) = minutes_by_interval.or(minutes_said.map(Some)) {
        return match minutes == 1 {
            true => Ok(Clock { minutes: by_interval, hours: Some(hours) }),
            false => refuse("says the minutes twice"),
        };
    }
    let every_pair = times.iter().all(|(hour, ..)| {
        bits(times.iter().filter(|(other, ..)| other == hour).map(|(_, minute, _)| *minute)) == minutes
    });
    match every_pair {
        true => Ok(Clock { minutes: Some(minutes), hours: Some(hours) }),
        false => {
            Err(ScheduleError::new(times[0].2.start..times[times.len() - 1].2.end, "no one cron has just these times")
                .hint("make it a task each"))
        }
    }
}

/// `from 9 to 17`: with the hour 17 when it runs once an hour, until 17:00 when more often, as fugit has it.
fn ranges(said: &Said, every: Option<&Interval>, minutes: Option<Values>, until: bool) -> Result<Clock, ScheduleError> {
    let step = every.map_or(1, |every| every.count);
    let minute = said.hour_ranges[0].2;
    let mut hours = 0;
    for (from, to, at, place) in &said.hour_ranges {
        if *at != minute || until && *at != 0 {
            return Err(ScheduleError::new(place.clone(), "has to begin and end on the hour"));
        }
        let length = (to - from).rem_euclid(24) + if to - from == 24 { 24 } else { 0 } - i64::from(until);
        if length < 0 {
            return Err(ScheduleError::new(place.clone(), "begins where it ends"));
        }
        hours |= bits((0..=length).step_by(usize::try_from(step).unwrap_or(1)).map(|hour| (from + hour) % 24));
    }
    Ok(Clock { minutes: minutes.unwrap_or(Some(1 << minute)), hours: Some(hours) })
}
