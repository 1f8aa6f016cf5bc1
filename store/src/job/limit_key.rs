//! What tells jobs of a class apart for their limit, as a function of their arguments.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// An expression that makes the key of a limit out of a job's arguments: `'eu'/args[0].account_id`.
///
/// It is data, so that whoever enqueues can apply what somebody else declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LimitKey(Vec<KeyPart>);

/// A part of a key; parts are joined by `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeyPart {
    /// The same for every job.
    Constant(String),
    /// The way to a value, from the list of arguments.
    Argument(Vec<KeyStep>),
    /// What a newer program may mean something by. Jobs of the class are refused: unlimited they would be worse off.
    Unknown(Value),
}

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeyStep {
    /// Into a list, counted from 0.
    Index(usize),
    /// Into an object.
    Field(String),
}

impl LimitKey {
    /// A key of these parts.
    pub fn new(parts: Vec<KeyPart>) -> Self {
        LimitKey(parts)
    }

    /// The argument at this position.
    pub fn argument(index: usize) -> Self {
        LimitKey(vec![KeyPart::Argument(vec![KeyStep::Index(index)])])
    }

    /// The key for a job with these arguments, without the limit's group. `None` when one is null or missing: as in Solid Queue, such a
    /// job is not limited.
    ///
    /// A record that Rails passed (`{"_aj_globalid": "gid://app/Account/7"}`) counts as `Account/7`, which is what Solid Queue makes of
    /// it, so that both sides count together.
    ///
    /// # Errors
    /// When an argument is a list or an object; why. The job has a mistake, or the limit was meant for another class. Also when the key has a
    /// part that this program doesn't know.
    pub(crate) fn of(&self, arguments: &[Value]) -> Result<Option<String>, String> {
        let mut key = Vec::with_capacity(self.0.len());
        for part in &self.0 {
            let text = match part {
                KeyPart::Constant(text) => Some(text.clone()),
                KeyPart::Argument(steps) => self.scalar(find(arguments, steps))?,
                KeyPart::Unknown(part) => {
                    return Err(format!(
                        "the key of its class's limit has a part that this program can't read, {part}: use a newer gritstone, or \
                         declare the class again"
                    ));
                }
            };
            let Some(text) = text else { return Ok(None) };
            key.push(text);
        }
        Ok(Some(key.join("/")))
    }

    fn scalar(&self, value: Option<&Value>) -> Result<Option<String>, String> {
        let found = match value {
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
        Err(format!(
            "the key of its class's limit, {self}, is {found} in this job; it must be a text, a number or true or false"
        ))
    }
}

fn find<'a>(arguments: &'a [Value], steps: &[KeyStep]) -> Option<&'a Value> {
    let (first, rest) = steps.split_first()?;
    let KeyStep::Index(index) = first else { return None };
    rest.iter().try_fold(arguments.get(*index)?, |value, step| match step {
        KeyStep::Index(index) => value.get(index),
        KeyStep::Field(name) => value.get(name),
    })
}

/// `Account/7` of `gid://app/Account/7`.
fn record(global_id: &str) -> Option<String> {
    let (_app, record) = global_id.strip_prefix("gid://")?.split_once('/')?;
    Some(record.to_owned())
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, part) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("/")?;
            }
            match part {
                KeyPart::Constant(text) => write!(f, "'{text}'")?,
                KeyPart::Unknown(part) => write!(f, "{part}?")?,
                KeyPart::Argument(steps) => {
                    f.write_str("args")?;
                    for step in steps {
                        match step {
                            KeyStep::Index(index) => write!(f, "[{index}]")?,
                            KeyStep::Field(name) => write!(f, ".{name}")?,
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As it is kept in the database: `["eu", [0, "id"]]`.
    fn key(parts: Value) -> LimitKey {
        serde_json::from_value(parts).unwrap()
    }

    fn of(parts: Value, arguments: Value) -> Result<Option<String>, String> {
        key(parts).of(arguments.as_array().unwrap())
    }

    #[test]
    fn keys_are_made_of_arguments() {
        let arguments = json!([42, {"account": {"id": "a/b"}, "ids": [7, 1.5], "live": true}]);
        for (parts, expected) in [
            (json!([[0]]), "42"),
            (json!([[1, "account", "id"]]), "a/b"),
            (json!([[1, "ids", 1]]), "1.5"),
            (json!([[1, "live"]]), "true"),
            (json!(["eu", [0], [1, "ids", 0]]), "eu/42/7"),
            (json!(["static"]), "static"),
        ] {
            assert_eq!(of(parts.clone(), arguments.clone()), Ok(Some(expected.to_owned())), "{parts}");
        }
    }

    #[test]
    fn a_job_without_the_argument_is_not_limited() {
        for arguments in [json!([]), json!([null]), json!([{}]), json!([{"id": null}]), json!(["text"])] {
            assert_eq!(of(json!([[0, "id"]]), arguments.clone()), Ok(None), "{arguments}");
            assert_eq!(of(json!(["eu", [0, "id"]]), arguments.clone()), Ok(None), "{arguments}");
        }
    }

    #[test]
    fn a_record_of_rails_counts_as_solid_queue_counts_it() {
        let arguments = json!([{"_aj_globalid": "gid://shop/Shop::Account/7"}]);
        assert_eq!(of(json!([[0]]), arguments), Ok(Some("Shop::Account/7".to_owned())));
    }

    #[test]
    fn what_can_not_be_a_key_says_why() {
        let error = |arguments| of(json!([[0]]), arguments).unwrap_err();
        assert!(error(json!([[1]])).contains("args[0], is a list in this job"));
        assert!(error(json!([{"id": 1}])).contains("is an object in this job"));
    }

    #[test]
    fn what_a_newer_program_wrote_makes_no_key() {
        for parts in [json!([{"lower": [0]}]), json!([[0], [{"any": 1}]]), json!([7])] {
            let read = key(parts.clone());
            assert!(read.of(&[json!(1)]).unwrap_err().contains("use a newer gritstone"));
            assert_eq!(serde_json::to_value(&read).unwrap(), parts, "it is kept as it was");
        }
    }

    #[test]
    fn reads_as_it_is_written_in_manifests() {
        assert_eq!(key(json!(["eu", [0, "account_id", 1]])).to_string(), "'eu'/args[0].account_id[1]");
        assert_eq!(serde_json::to_value(LimitKey::argument(2)).unwrap(), json!([[2]]));
    }
}
