//! The values that stand for the `?` of a statement.

use jiff::Timestamp;
use std::borrow::Cow;
use std::time::Duration;

/// A value bound to a statement.
#[derive(Debug, Clone)]
pub(crate) enum Value<'v> {
    Int(Option<i64>),
    Text(Option<Cow<'v, str>>),
    Bool(bool),
    /// A moment, in UTC, kept to the microsecond.
    Time(Option<Timestamp>),
    /// The database's own present time, plus so many microseconds (which may be negative).
    Now(i64),
    /// For `x in ?`: any of these numbers.
    Ints(Cow<'v, [i64]>),
    /// For `x in ?`: any of these texts.
    Texts(Vec<Cow<'v, str>>),
}

impl Value<'_> {
    /// The present time.
    pub(crate) const NOW: Value<'static> = Value::Now(0);

    /// The present time plus `later`.
    pub(crate) fn now_plus(later: Duration) -> Value<'static> {
        Value::Now(micros(later))
    }

    /// The present time minus `earlier`.
    pub(crate) fn now_minus(earlier: Duration) -> Value<'static> {
        Value::Now(-micros(earlier))
    }
}

/// Microseconds, at most about three thousand years, so that no database overflows when adding them to its clock.
pub(crate) fn micros(duration: Duration) -> i64 {
    const LIMIT: i64 = 3_000 * 365 * 86_400 * 1_000_000;
    i64::try_from(duration.as_micros()).unwrap_or(LIMIT).min(LIMIT)
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(Some(value))
    }
}

impl From<i32> for Value<'_> {
    fn from(value: i32) -> Self {
        Value::Int(Some(value.into()))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Value::Int(value)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(value: &'v str) -> Self {
        Value::Text(Some(Cow::Borrowed(value)))
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(value: &'v String) -> Self {
        Value::Text(Some(Cow::Borrowed(value)))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Value::Text(Some(Cow::Owned(value)))
    }
}

impl<'v> From<Option<&'v str>> for Value<'v> {
    fn from(value: Option<&'v str>) -> Self {
        Value::Text(value.map(Cow::Borrowed))
    }
}

impl<'v> From<&'v Option<String>> for Value<'v> {
    fn from(value: &'v Option<String>) -> Self {
        Value::Text(value.as_deref().map(Cow::Borrowed))
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(value: Timestamp) -> Self {
        Value::Time(Some(value))
    }
}

impl From<Option<Timestamp>> for Value<'_> {
    fn from(value: Option<Timestamp>) -> Self {
        Value::Time(value)
    }
}

impl<'v> From<&'v [i64]> for Value<'v> {
    fn from(value: &'v [i64]) -> Self {
        Value::Ints(Cow::Borrowed(value))
    }
}

impl<'v> From<&'v Vec<i64>> for Value<'v> {
    fn from(value: &'v Vec<i64>) -> Self {
        Value::Ints(Cow::Borrowed(value))
    }
}

impl<'v> From<&'v [String]> for Value<'v> {
    fn from(value: &'v [String]) -> Self {
        Value::Texts(value.iter().map(|t| Cow::Borrowed(t.as_str())).collect())
    }
}

impl<'v> From<&'v Vec<String>> for Value<'v> {
    fn from(value: &'v Vec<String>) -> Self {
        value.as_slice().into()
    }
}

/// An array of [`Value`]s from things that are, or turn into, values.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::sql::Value::from($value)),*] };
}
pub(crate) use values;
