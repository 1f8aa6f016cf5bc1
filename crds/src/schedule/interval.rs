//! Intervals as they are typed: `{every: 90m, offset: 5m}`, on one line as a manifest has them.

use std::ops::Range;
use std::str::FromStr;

use super::error::ScheduleError;
use crate::check::Violations;
use crate::kinds::{Interval, Schedule};
use crate::nearest::nearest;
use crate::path::Path;
use crate::text::Duration;

const FIELDS: [&str; 2] = ["every", "offset"];

impl FromStr for Schedule {
    type Err = ScheduleError;

    /// A schedule from a command line: an interval in braces, as YAML or JSON; anything else is a text, not looked at yet.
    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let Some(inside) = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            return Ok(Self::Text(text.to_owned()));
        };
        let (mut every, mut offset) = (None, Duration::ZERO);
        for field in inside.split(',') {
            let place = place(text, field.trim());
            let refuse = |message: String| Err(ScheduleError::new(place.clone(), message));
            let Some((name, value)) = field.split_once(':') else {
                return refuse("an interval is said as in {every: 90m, offset: 5m}".to_owned());
            };
            let value = match unquoted(value).parse::<Duration>() {
                Ok(value) => value,
                Err(error) => return refuse(error.to_string()),
            };
            match unquoted(name) {
                "every" => every = Some(value),
                "offset" => offset = value,
                other => {
                    let error = ScheduleError::new(place, format!("unknown field `{other}`"));
                    return Err(match nearest(other, FIELDS) {
                        Some(name) => error.hint(format!("did you mean {name}?")),
                        None => error.hint("say every or offset"),
                    });
                }
            }
        }
        let whole = place(text, text.trim());
        let every = every.ok_or_else(|| ScheduleError::new(whole.clone(), "the field every is missing"))?;
        let interval = Interval { every, offset };
        let mut found = Violations::default();
        interval.check(&Path::root(), &mut found);
        match found.into_vec().first() {
            Some(violation) => Err(ScheduleError::new(whole, violation.to_string())),
            None => Ok(Self::Interval(interval)),
        }
    }
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}

/// Where `part`, a slice of `text`, stands in it.
fn place(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_read_as_manifests_and_json_write_it() {
        let interval = Interval { every: Duration::from_mins(90), offset: Duration::from_mins(5) };
        for text in ["{every: 90m, offset: 5m}", " {\"offset\":\"5m\",\"every\":\"1h30m\"} "] {
            assert_eq!(text.parse(), Ok(Schedule::Interval(interval)), "{text}");
        }
        assert_eq!("every day".parse(), Ok(Schedule::Text("every day".to_owned())));
    }

    #[test]
    fn what_is_wrong_with_an_interval_is_marked() {
        for (text, marked, said) in [
            ("{evry: 5m}", "evry: 5m", "did you mean every?"),
            ("{every: 5}", "every: 5", "has no unit"),
            ("{offset: 5m}", "{offset: 5m}", "every is missing"),
            ("{every: 5m, offset: 5m}", "{every: 5m, offset: 5m}", "offset: 5m is not less than every"),
            ("{every 5m}", "every 5m", "said as in"),
            ("{}", "", "said as in"),
        ] {
            let error = text.parse::<Schedule>().expect_err(text);
            assert_eq!(&text[error.place.clone()], marked, "{text}");
            assert!(error.to_string().contains(said), "{text}: {error}");
        }
    }
}
