//! What a concurrency limit counts by: `args[0].account_id`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::key_parser::{self, KeyExpressionError, Part, Step};
use super::{MAX_NAME_CHARS, Text, serde_as_text};

/// An expression that makes a limit's key of a job's arguments.
///
/// `args[0]` is the first argument, `args[0].account_id` a field of it, `args[1].ids[0]` the first of a list in it, `'eu'` a
/// constant; several are joined by `/`. Arguments are the plain JSON that a handler is given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyExpression {
    text: String,
    parts: Vec<Part>,
}

/// Why a job's arguments make no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The value is a list or an object.
    #[error("the limit's key {expression} is {found} in this job; it must be a text, a number or true or false")]
    NotScalar {
        /// The whole expression.
        expression: String,
        /// What was found.
        found: &'static str,
    },
    /// The key does not fit its column.
    #[error("the limit's key {expression} makes a text of {chars} characters; the database holds {MAX_NAME_CHARS}")]
    TooLong {
        /// The whole expression.
        expression: String,
        /// How many characters it makes.
        chars: usize,
    },
    /// PostgreSQL can't store it.
    #[error("the limit's key {expression} makes a text with a NUL character, which the database can't hold")]
    Nul {
        /// The whole expression.
        expression: String,
    },
}

impl KeyExpression {
    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The key for a job with these arguments, without the limit's group. `None` when an argument is null or missing: as in
    /// Solid Queue, such a job is not limited.
    ///
    /// A record that Rails passed (`{"_aj_globalid": "gid://app/Account/7"}`) counts as `Account/7`, which is what Solid Queue
    /// makes of it, so that both sides count together.
    ///
    /// # Errors
    /// When the arguments make nothing that can be a key. The job has a mistake, or the limit was meant for another class.
    pub fn evaluate(&self, args: &[Value]) -> Result<Option<String>, KeyError> {
        let mut key = String::new();
        for (position, part) in self.parts.iter().enumerate() {
            let Some(text) = self.part(part, args)? else { return Ok(None) };
            if position > 0 {
                key.push('/');
            }
            key.push_str(&text);
        }
        self.checked(key).map(Some)
    }

    fn part(&self, part: &Part, args: &[Value]) -> Result<Option<String>, KeyError> {
        let (index, steps) = match part {
            Part::Constant(text) => return Ok(Some(text.clone())),
            Part::Argument { index, steps } => (*index, steps),
        };
        let value = steps.iter().try_fold(args.get(index), |value, step| {
            Some(match step {
                Step::Field(name) => value?.get(name),
                Step::Index(index) => value?.get(index),
            })
        });
        let found = match value.flatten() {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => return Ok(Some(text.clone())),
            Some(Value::Number(number)) => return Ok(Some(number.to_string())),
            Some(Value::Bool(flag)) => return Ok(Some(flag.to_string())),
            Some(Value::Array(_)) => "a list",
            Some(Value::Object(object)) => match object.get("_aj_globalid").and_then(Value::as_str).and_then(record) {
                Some(record) => return Ok(Some(record)),
                None => "an object",
            },
        };
        Err(KeyError::NotScalar { expression: self.text.clone(), found })
    }

    /// `key` if the database can hold it, which also goes for the group in front.
    pub(crate) fn checked(&self, key: String) -> Result<String, KeyError> {
        let chars = key.chars().count();
        if chars > MAX_NAME_CHARS {
            return Err(KeyError::TooLong { expression: self.text.clone(), chars });
        }
        if key.contains('\0') {
            return Err(KeyError::Nul { expression: self.text.clone() });
        }
        Ok(key)
    }
}

/// `Account/7` of `gid://app/Account/7`.
fn record(global_id: &str) -> Option<String> {
    let (_app, record) = global_id.strip_prefix("gid://")?.split_once('/')?;
    Some(record.to_owned())
}

impl fmt::Display for KeyExpression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl FromStr for KeyExpression {
    type Err = KeyExpressionError;

    fn from_str(written: &str) -> Result<Self, KeyExpressionError> {
        let text = written.trim();
        Ok(Self { text: text.to_owned(), parts: key_parser::parse(text)? })
    }
}

impl Text for KeyExpression {
    const EXPECTED: &'static str = "a key such as args[0] or args[0].id";

    fn instead_of_number(number: &str) -> Option<String> {
        Some(format!(
            "{number} is not a key: the argument at that position is args[{number}], a constant is \"'{number}'\""
        ))
    }
}

serde_as_text!(KeyExpression);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(expression: &str, args: Value) -> Result<Option<String>, KeyError> {
        let args = args.as_array().cloned().unwrap_or_default();
        expression.parse::<KeyExpression>().expect(expression).evaluate(&args)
    }

    #[test]
    fn keys_are_made_of_arguments() {
        let args = json!([42, {"account": {"id": "a/b"}, "ids": [7, 1.5], "live": true}]);
        for (expression, expected) in [
            ("args[0]", "42"),
            ("args[1].account.id", "a/b"),
            ("args[1].ids[1]", "1.5"),
            ("args[1].live", "true"),
            ("'eu'/args[0]/args[1].ids[0]", "eu/42/7"),
            ("'static'", "static"),
        ] {
            assert_eq!(key(expression, args.clone()), Ok(Some(expected.to_owned())), "{expression}");
        }
    }

    #[test]
    fn a_job_without_the_argument_is_not_limited() {
        for args in [json!([]), json!([null]), json!([{}]), json!([{"id": null}]), json!(["text"])] {
            assert_eq!(key("args[0].id", args.clone()), Ok(None), "{args}");
            assert_eq!(key("'eu'/args[0].id", args.clone()), Ok(None), "{args}");
        }
    }

    #[test]
    fn a_record_of_rails_counts_as_solid_queue_counts_it() {
        let args = json!([{"_aj_globalid": "gid://shop/Shop::Account/7"}]);
        assert_eq!(key("args[0]", args), Ok(Some("Shop::Account/7".to_owned())));
    }

    #[test]
    fn what_can_not_be_a_key_says_why() {
        for (args, expected) in [
            (json!([[1]]), "is a list in this job"),
            (json!([{"id": 1}]), "is an object in this job"),
            (json!(["x".repeat(256)]), "a text of 256 characters"),
            (json!(["a\0"]), "NUL"),
        ] {
            let error = key("args[0]", args.clone()).expect_err("refused").to_string();
            assert!(error.contains(expected), "{args}: {error}");
        }
    }
}
