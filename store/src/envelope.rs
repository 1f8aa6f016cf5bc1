//! The JSON that Active Job keeps in `solid_queue_jobs.arguments`.
//!
//! We write the same envelope for new jobs, and change one key of an existing one by name: keys that we don't know (Rails adds some with
//! each version, subclasses add their own) stay where they are, untouched.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// An envelope, all its keys kept, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope(Map<String, Value>);

/// Why a text is no envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// It isn't JSON.
    #[error("the job's arguments are not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is JSON, but not an object.
    #[error("the job's arguments are JSON, but not an object as Active Job writes it")]
    NotAnObject,
}

/// What a new envelope says.
pub(crate) struct New<'n> {
    pub(crate) class: &'n str,
    pub(crate) id: &'n str,
    pub(crate) queue: &'n str,
    pub(crate) priority: Option<i32>,
    pub(crate) arguments: &'n [Value],
    pub(crate) enqueued_at: Timestamp,
    pub(crate) scheduled_at: Timestamp,
    pub(crate) batch_id: Option<&'n str>,
}

impl Envelope {
    /// Reads an envelope.
    ///
    /// # Errors
    /// [`EnvelopeError`] when the text is no JSON object.
    pub fn parse(text: &str) -> Result<Self, EnvelopeError> {
        match serde_json::from_str(text)? {
            Value::Object(map) => Ok(Envelope(map)),
            _ => Err(EnvelopeError::NotAnObject),
        }
    }

    pub(crate) fn new(new: &New<'_>) -> Self {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
        put("job_class", json!(new.class));
        put("job_id", json!(new.id));
        put("provider_job_id", Value::Null);
        put("queue_name", json!(new.queue));
        put("priority", json!(new.priority));
        put("arguments", Value::Array(new.arguments.iter().map(mark_symbol_keys).collect()));
        put("executions", json!(0));
        put("exception_executions", json!({}));
        put("locale", json!("en"));
        put("timezone", json!("UTC"));
        put("enqueued_at", json!(nine_digits(new.enqueued_at)));
        put("scheduled_at", json!(nine_digits(new.scheduled_at)));
        if let Some(batch) = new.batch_id {
            put("batch_id", json!(batch));
        }
        Envelope(map)
    }

    /// How many runs came before; 0 when the key is missing or is no number.
    pub fn executions(&self) -> u32 {
        self.0.get("executions").and_then(Value::as_u64).map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX))
    }

    /// Sets how many runs there have been.
    pub fn set_executions(&mut self, executions: u32) {
        self.0.insert("executions".into(), json!(executions));
    }

    /// Counts an error as `retry_on` does: under the class's name in brackets.
    pub fn count_exception(&mut self, class: &str) {
        let counts = self.0.entry("exception_executions").or_insert_with(|| json!({}));
        if let Value::Object(counts) = counts {
            let key = format!("[{class}]");
            let before = counts.get(&key).and_then(Value::as_u64).unwrap_or(0);
            counts.insert(key, json!(before + 1));
        }
    }

    /// Forgets all runs, as a retry by hand does.
    pub fn reset_executions(&mut self) {
        self.set_executions(0);
        self.0.insert("exception_executions".into(), json!({}));
    }

    /// The raw arguments, Active Job's markers included.
    pub fn arguments(&self) -> &[Value] {
        self.0.get("arguments").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    /// Any key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }
}

impl std::fmt::Display for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match serde_json::to_string(&self.0) {
            Ok(text) => f.write_str(&text),
            Err(_) => Err(std::fmt::Error),
        }
    }
}

/// Active Job refuses a hash without a marker for its symbol keys: a hash of ours has none.
fn mark_symbol_keys(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(mark_symbol_keys).collect()),
        Value::Object(map) if map.keys().any(|key| key.starts_with("_aj_")) => value.clone(),
        Value::Object(map) => {
            let mut marked: Map<String, Value> = map.iter().map(|(k, v)| (k.clone(), mark_symbol_keys(v))).collect();
            marked.insert("_aj_symbol_keys".into(), json!([]));
            Value::Object(marked)
        }
        other => other.clone(),
    }
}

/// ISO 8601 with nine fractional digits, as Active Job writes times.
fn nine_digits(time: Timestamp) -> String {
    format!("{time:.9}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_envelope_has_the_keys_that_rails_writes_in_their_order() {
        let time: Timestamp = "2026-11-21T21:49:07.743104Z".parse().unwrap();
        let arguments = [json!(1), json!({"to": "joe"})];
        let new = New {
            class: "SendMail",
            id: "0a",
            queue: "mail",
            priority: None,
            arguments: &arguments,
            enqueued_at: time,
            scheduled_at: time,
            batch_id: None,
        };
        assert_eq!(
            Envelope::new(&new).to_string(),
            r#"{"job_class":"SendMail","job_id":"0a","provider_job_id":null,"queue_name":"mail","priority":null,"arguments":[1,{"to":"joe","_aj_symbol_keys":[]}],"executions":0,"exception_executions":{},"locale":"en","timezone":"UTC","enqueued_at":"2026-11-21T21:49:07.743104000Z","scheduled_at":"2026-11-21T21:49:07.743104000Z"}"#
        );
    }

    #[test]
    fn unknown_keys_and_their_order_survive_a_change() {
        let text = r#"{"zebra":[1,{"x":null}],"executions":2,"continuation":{"a":1},"arguments":[]}"#;
        let mut envelope = Envelope::parse(text).unwrap();
        envelope.set_executions(3);
        assert_eq!(envelope.to_string(), text.replace("\"executions\":2", "\"executions\":3"));
    }

    #[test]
    fn big_numbers_survive() {
        let text = r#"{"arguments":[12345678901234567890,1.0]}"#;
        assert_eq!(Envelope::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(Envelope::parse("[1]").is_err());
        assert!(Envelope::parse("{").is_err());
    }
}
