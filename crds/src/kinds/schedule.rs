//! When a recurring task runs: words, cron, or every so long.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::check::Violations;
use crate::path::Path;
use crate::schedule::Timetable;
use crate::text::Duration;

/// When a recurring task runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Schedule {
    /// `every weekday at 9am`, `0 9 * * 1-5`: fugit's language or cron, at most 255 characters. Kept as it was written.
    Text(String),
    /// `{every: 90m, offset: 5m}`: what no cron can say.
    Interval(Interval),
}

/// Every so long, counted from 1970-01-01T00:00:00Z plus `offset`, so that all schedulers agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema), schemars(transform = crate::schema::interval))]
#[serde(rename_all = "camelCase")]
pub struct Interval {
    /// The time from one run to the next, 1s to 365d. Required.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("1s", "365d")))]
    pub every: Duration,
    /// How much later than the whole multiples, less than `every`. Default 0s.
    #[serde(default)]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("0s", "365d")))]
    pub offset: Duration,
}

const INTERVAL_FIELDS: &[&str] = &["every", "offset"];

impl Schedule {
    pub(super) fn check(&self, at: &Path, found: &mut Violations) {
        match self {
            Self::Text(text) => check_text(text, at.clone(), found),
            Self::Interval(interval) => interval.check(at, found),
        }
    }
}

/// A text that no timetable can be made of. The zone beside it is checked apart.
pub(super) fn check_text(text: &str, at: Path, found: &mut Violations) {
    let Err(error) = Timetable::parse(text, "UTC") else { return };
    let place = text.get(error.place.clone()).filter(|place| !place.trim().is_empty() && *place != text.trim());
    found.add(
        at,
        match place {
            Some(place) if !error.message.contains(place) => format!("at `{}`: {error}", place.trim()),
            _ => error.to_string(),
        },
    );
}

impl Interval {
    pub(crate) fn check(self, at: &Path, found: &mut Violations) {
        let range = Duration::from_secs(1)..=Duration::from_mins(365 * 24 * 60);
        found.duration(at.field("every"), self.every, range);
        if self.offset >= self.every {
            found.add(at.field("offset"), format!("{} is not less than every, {}", self.offset, self.every));
        }
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrInterval)
    }
}

struct TextOrInterval;

impl<'de> Visitor<'de> for TextOrInterval {
    type Value = Schedule;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a schedule such as \"every day at 9am\" or {every: 90m}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Schedule, E> {
        Ok(Schedule::Text(text.to_owned()))
    }

    /// Field by field: a schema can't describe text-or-object, so nothing in front of this has refused unknown fields.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Schedule, A::Error> {
        let (mut every, mut offset) = (None, Duration::ZERO);
        while let Some(field) = map.next_key::<String>()? {
            match field.as_str() {
                "every" => every = Some(map.next_value()?),
                "offset" => offset = map.next_value()?,
                other => return Err(de::Error::unknown_field(other, INTERVAL_FIELDS)),
            }
        }
        let every = every.ok_or_else(|| de::Error::missing_field("every"))?;
        Ok(Schedule::Interval(Interval { every, offset }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schedule_is_text_or_an_interval() {
        for value in [json!("every day at 9am"), json!({"every": "1h30m", "offset": "5m"})] {
            let schedule: Schedule = serde_json::from_value(value.clone()).expect("a schedule");
            assert_eq!(serde_json::to_value(&schedule).expect("json"), value);
        }
        for (value, expected) in [
            (json!(5), "a schedule such as"),
            (json!({"evry": "1h"}), "unknown field `evry`"),
            (json!({"offset": "1h"}), "missing field `every`"),
        ] {
            let error = serde_json::from_value::<Schedule>(value).expect_err("refused").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
