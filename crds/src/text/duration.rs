//! `100ms`, `1s`, `1h30m`, `1d`: how long something takes.

use std::fmt;
use std::str::FromStr;
use std::time;

use super::{Text, serde_as_text};

/// A length of time in whole milliseconds, written as Kubernetes writes it (`1h30m`), with `d` for 24 hours besides.
///
/// Whole numbers with a unit each, the units falling: `d`, `h`, `m`, `s`, `ms`. At most ten years, so sums of a few never overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(u64);

/// The units, falling, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// What people also write for them, and which of them that is.
const OTHER_NAMES: [(&str, &str); 17] = [
    ("day", "d"),
    ("days", "d"),
    ("hr", "h"),
    ("hrs", "h"),
    ("hour", "h"),
    ("hours", "h"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("msec", "ms"),
    ("millisecond", "ms"),
    ("milliseconds", "ms"),
];

/// Why a text is not a [`Duration`], and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// There is nothing to read.
    #[error("a duration is missing: say 100ms, 30s, 5m, 1h30m or 1d")]
    Empty,
    /// A number stands alone.
    #[error("`{0}` has no unit: say {0}ms or {0}s")]
    NoUnit(String),
    /// A sign in front.
    #[error("`{0}` has a sign: a duration is never negative, and is written without `+`")]
    Sign(String),
    /// A number with a decimal point.
    #[error("`{0}` has a decimal point: use whole numbers of smaller units, such as 1h30m or 1500ms")]
    Fraction(String),
    /// A unit that isn't one, with the one that was probably meant.
    #[error("`{text}`: `{unit}` is not a unit{}; the units are d, h, m, s, ms", meant.map(|m| format!(", did you mean `{m}`?")).unwrap_or_default())]
    Unit {
        /// The whole text.
        text: String,
        /// What stands where a unit should.
        unit: String,
        /// The unit it looks like.
        meant: Option<&'static str>,
    },
    /// A unit twice, or a larger one after a smaller one.
    #[error("`{0}` has its units out of order: each once, the largest first, as in 1d2h30m")]
    Order(String),
    /// More than [`Duration::MAX`].
    #[error("`{0}` is longer than ten years (3650d)")]
    TooLong(String),
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Ten years of 365 days.
    pub const MAX: Self = Self(3_650 * UNITS[0].1);

    /// So many milliseconds, or [`Duration::MAX`] if that is less.
    pub const fn from_millis(millis: u64) -> Self {
        if millis > Self::MAX.0 { Self::MAX } else { Self(millis) }
    }

    /// So many seconds, or [`Duration::MAX`] if that is less.
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_millis(secs.saturating_mul(1_000))
    }

    /// So many minutes, or [`Duration::MAX`] if that is less.
    pub const fn from_mins(mins: u64) -> Self {
        Self::from_secs(mins.saturating_mul(60))
    }

    /// The whole of it in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The same as the standard library has it.
    pub const fn as_std(self) -> time::Duration {
        time::Duration::from_millis(self.0)
    }
}

impl From<Duration> for time::Duration {
    fn from(duration: Duration) -> Self {
        duration.as_std()
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return out.write_str("0s");
        }
        let mut left = self.0;
        for (unit, millis) in UNITS {
            if left >= millis {
                write!(out, "{}{unit}", left / millis)?;
                left %= millis;
            }
        }
        Ok(())
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(written: &str) -> Result<Self, DurationError> {
        let text = written.trim();
        let whole = || text.to_owned();
        if text.is_empty() {
            return Err(DurationError::Empty);
        }
        if text.starts_with(['-', '+']) {
            return Err(DurationError::Sign(whole()));
        }
        let (mut total, mut next_unit, mut rest) = (0_u64, 0, text);
        while !rest.is_empty() {
            let (digits, after) = split_at(rest, |c| !c.is_ascii_digit());
            if after.is_empty() && next_unit == 0 && !digits.is_empty() {
                return Err(DurationError::NoUnit(whole()));
            }
            if after.starts_with(['.', ',']) {
                return Err(DurationError::Fraction(whole()));
            }
            let (unit, after) = split_at(after, |c| c.is_ascii_digit() || matches!(c, '.' | ','));
            let position = UNITS.iter().position(|(name, _)| *name == unit);
            let Some(position) = position.filter(|_| !digits.is_empty()) else {
                return Err(DurationError::Unit { text: whole(), unit: unit.to_owned(), meant: meant(unit) });
            };
            if position < next_unit {
                return Err(DurationError::Order(whole()));
            }
            let amount = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(UNITS[position].1));
            total = amount
                .and_then(|amount| total.checked_add(amount))
                .filter(|total| *total <= Self::MAX.0)
                .ok_or_else(|| DurationError::TooLong(whole()))?;
            next_unit = position + 1;
            rest = after;
        }
        Ok(Self(total))
    }
}

fn split_at(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

fn meant(unit: &str) -> Option<&'static str> {
    let unit = unit.trim().to_lowercase();
    let own = UNITS.iter().map(|(name, _)| (*name, *name));
    own.chain(OTHER_NAMES).find(|(name, _)| *name == unit).map(|(_, meant)| meant)
}

impl Text for Duration {
    const EXPECTED: &'static str = "a duration such as 100ms, 30s, 5m or 1h30m";

    fn instead_of_number(number: &str) -> Option<String> {
        Some(match number.parse::<u64>() {
            Ok(_) => DurationError::NoUnit(number.to_owned()).to_string(),
            Err(_) => format!("`{number}` is not a duration: say 100ms, 30s, 5m or 1h30m"),
        })
    }
}

serde_as_text!(Duration);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(text: &str) -> u64 {
        text.parse::<Duration>().unwrap_or_else(|error| panic!("{text}: {error}")).as_millis()
    }

    fn problem(text: &str) -> String {
        text.parse::<Duration>().expect_err(text).to_string()
    }

    #[test]
    fn durations_are_read() {
        for (text, expected) in [
            ("100ms", 100),
            ("1s", 1_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("90m", 5_400_000),
            ("0s", 0),
            ("007s", 7_000),
            (" 5m ", 300_000),
            ("3650d", Duration::MAX.as_millis()),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_told_what_to_say() {
        for (text, expected) in [
            ("", "a duration is missing"),
            ("100", "`100` has no unit: say 100ms or 100s"),
            ("-5m", "`-5m` has a sign"),
            ("1.5h", "`1.5h` has a decimal point"),
            ("5min", "did you mean `m`?"),
            ("5M", "did you mean `m`?"),
            ("5 minutes", "did you mean `m`?"),
            ("1w", "`w` is not a unit; the units are"),
            ("5m30", "`` is not a unit"),
            ("m", "`m` is not a unit"),
            ("30m1h", "out of order"),
            ("1m1m", "out of order"),
            ("3651d", "longer than ten years"),
            ("99999999999999999999s", "longer than ten years"),
            ("٣s", "is not a unit"),
            ("5m\0", "is not a unit"),
        ] {
            assert!(problem(text).contains(expected), "{text}: {}", problem(text));
        }
    }

    #[test]
    fn a_bare_number_in_json_is_told_to_take_a_unit() {
        let error = serde_json::from_value::<Duration>(serde_json::json!(100)).expect_err("a number");
        assert!(error.to_string().contains("100ms, 30s"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0..=Duration::MAX.as_millis()) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(duration.to_string().parse::<Duration>(), Ok(duration));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,12}|[0-9dhms.]{0,12}") {
            if let Ok(duration) = text.parse::<Duration>() {
                prop_assert!(duration <= Duration::MAX);
            }
        }
    }
}
