//! Moments between us and the databases: UTC, microseconds, in the format that Rails writes.
//!
//! The queue's columns have no time zone. PostgreSQL and MySQL hand over a date and a time; SQLite keeps text,
//! `2026-11-21 22:20:46.128083`, and **no fraction at all when it is zero**, which matters since texts are compared.

use crate::error::Error;
use chrono::{Datelike as _, NaiveDate, NaiveDateTime, Timelike as _};
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

/// For PostgreSQL and MySQL. Sub-microseconds are cut, as the columns would.
pub(crate) fn to_naive(time: Timestamp) -> NaiveDateTime {
    let civil = TimeZone::UTC.to_datetime(time);
    NaiveDate::from_ymd_opt(civil.year().into(), civil.month() as u32, civil.day() as u32)
        .and_then(|date| {
            date.and_hms_micro_opt(
                civil.hour() as u32,
                civil.minute() as u32,
                civil.second() as u32,
                civil.subsec_nanosecond() as u32 / 1_000,
            )
        })
        .unwrap_or(NaiveDateTime::MAX)
}

/// A moment that a column holds; what jiff can't represent (year 10000 and later) becomes its last moment.
pub(crate) fn from_naive(time: NaiveDateTime) -> Timestamp {
    let civil = civil::DateTime::new(
        i16::try_from(time.year()).unwrap_or(i16::MAX),
        time.month() as i8,
        time.day() as i8,
        time.hour() as i8,
        time.minute() as i8,
        time.second() as i8,
        // chrono keeps a leap second as a nanosecond over a thousand million.
        (time.nanosecond() % 1_000_000_000) as i32,
    );
    civil.and_then(|c| TimeZone::UTC.to_timestamp(c)).unwrap_or(Timestamp::MAX)
}

/// As Rails writes a moment into SQLite.
pub(crate) fn to_sqlite(time: Timestamp) -> String {
    let civil = TimeZone::UTC.to_datetime(time);
    let (date, clock) = (civil.date(), civil.time());
    let micros = clock.subsec_nanosecond() / 1_000;
    let head = format!("{date} {:02}:{:02}:{:02}", clock.hour(), clock.minute(), clock.second());
    if micros == 0 { head } else { format!("{head}.{micros:06}") }
}

/// Reads a moment out of SQLite: what Rails writes, and what people write by hand (`T`, `Z`, fewer digits).
pub(crate) fn from_sqlite(text: &str) -> Result<Timestamp, Error> {
    let civil: Result<civil::DateTime, _> = text.trim_end_matches('Z').trim_end_matches(" UTC").parse();
    civil
        .and_then(|c| TimeZone::UTC.to_timestamp(c))
        .map_err(|e| Error::Other(format!("{text:?} is not a time as Rails writes it: {e}")))
}

/// `time` plus so many microseconds, at the ends of the calendar the end.
pub(crate) fn plus_micros(time: Timestamp, micros: i64) -> Timestamp {
    let end = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    time.checked_add(SignedDuration::from_micros(micros)).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sqlite_text_is_what_rails_writes() {
        let time: Timestamp = "2026-11-21T22:20:46.128083974Z".parse().unwrap();
        assert_eq!(to_sqlite(time), "2026-11-21 22:20:46.128083");
        let whole: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(to_sqlite(whole), "2030-01-01 00:00:00");
        assert_eq!(from_sqlite("2030-01-01 00:00:00").unwrap(), whole);
    }

    #[test]
    fn text_that_is_no_time_is_an_error_that_shows_it() {
        assert!(from_sqlite("yesterday").unwrap_err().to_string().contains("yesterday"));
    }

    proptest! {
        #[test]
        fn moments_survive_both_formats(micros in -62_000_000_000_000_000i64..253_000_000_000_000_000) {
            let time = Timestamp::from_microsecond(micros).unwrap();
            prop_assert_eq!(from_naive(to_naive(time)), time);
            prop_assert_eq!(from_sqlite(&to_sqlite(time)).unwrap(), time);
        }
    }
}
