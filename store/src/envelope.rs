//! The JSON that Active Job keeps in `solid_queue_jobs.arguments`.
//!
//! We write the same envelope for new jobs, and change one key of an existing one by name: keys that we don't know (Rails adds some with
//! each version, subclasses add their own) stay where they are, untouched.

use jiff::Timestamp;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

/// An envelope: all its keys, in their order, each value as the text that it was written in. So a number that no machine type
/// holds comes out as it went in.
#[derive(Debug, Clone)]
pub struct Envelope(Vec<(String, Box<RawValue>)>);

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
        let raw: &RawValue = serde_json::from_str(text)?;
        if !raw.get().starts_with('{') {
            return Err(EnvelopeError::NotAnObject);
        }
        Ok(serde_json::from_str(text)?)
    }

    pub(crate) fn new(new: &New<'_>) -> Self {
        let mut envelope = Envelope(Vec::with_capacity(13));
        envelope.set("job_class", &new.class);
        envelope.set("job_id", &new.id);
        envelope.set("provider_job_id", &());
        envelope.set("queue_name", &new.queue);
        envelope.set("priority", &new.priority);
        envelope.set("arguments", &new.arguments.iter().map(mark_symbol_keys).collect::<Vec<_>>());
        envelope.set("executions", &0);
        envelope.set("exception_executions", &Map::new());
        envelope.set("locale", &"en");
        envelope.set("timezone", &"UTC");
        envelope.set("enqueued_at", &nine_digits(new.enqueued_at));
        envelope.set("scheduled_at", &nine_digits(new.scheduled_at));
        if let Some(batch) = new.batch_id {
            envelope.set("batch_id", &batch);
        }
        envelope
    }

    /// How many runs came before; 0 when the key is missing or is no number.
    pub fn executions(&self) -> u32 {
        self.read("executions").and_then(|n: Value| n.as_u64()).map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX))
    }

    /// Sets how many runs there have been.
    pub fn set_executions(&mut self, executions: u32) {
        self.set("executions", &executions);
    }

    /// How many runs ended with an error of this class; 0 when nobody has counted.
    pub fn exceptions(&self, class: &str) -> u32 {
        let counts: Option<Map<String, Value>> = self.read("exception_executions");
        let count = counts.and_then(|counts| counts.get(&format!("[{class}]")).and_then(Value::as_u64));
        count.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Counts an error as `retry_on` does: under the class's name in brackets.
    pub fn count_exception(&mut self, class: &str) {
        let mut counts: Map<String, Value> = match self.raw("exception_executions") {
            None => Map::new(),
            Some(raw) => match serde_json::from_str(raw.get()) {
                Ok(counts) => counts,
                Err(_) => return,
            },
        };
        let key = format!("[{class}]");
        let before = counts.get(&key).and_then(Value::as_u64).unwrap_or(0);
        counts.insert(key, json!(before + 1));
        self.set("exception_executions", &counts);
    }

    /// Forgets all runs, as a retry by hand does.
    pub fn reset_executions(&mut self) {
        self.set_executions(0);
        self.set("exception_executions", &Map::new());
    }

    /// A key's value as it was written.
    pub fn raw(&self, key: &str) -> Option<&RawValue> {
        // The last one counts where a key is written twice, as in Ruby.
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// A key's value, when it is there and can be read as `T`.
    pub fn read<'e, T: Deserialize<'e>>(&'e self, key: &str) -> Option<T> {
        self.raw(key).and_then(|value| serde_json::from_str(value.get()).ok())
    }

    /// Sets a key, where it stands or else at the end. What can't be JSON changes nothing.
    pub(crate) fn set(&mut self, key: &str, value: &impl Serialize) {
        let Ok(value) = to_raw_value(value) else { return };
        match self.0.iter_mut().rev().find(|(name, _)| name == key) {
            Some((_, before)) => *before = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Envelope;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Envelope, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Envelope(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl std::fmt::Display for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match serde_json::to_string(self) {
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
    fn every_digit_and_space_of_a_value_survives() {
        let big = "9".repeat(400);
        let text =
            format!(r#"{{"arguments":[{big}, 12345678901234567890,1.10,1e400],"executions":0,"a\\u00e9":"\\u0000"}}"#);
        let mut envelope = Envelope::parse(&text).unwrap();
        envelope.set_executions(1);
        let changed = text.replace("\"executions\":0", "\"executions\":1").replace("a\\u00e9", "aé");
        assert_eq!(envelope.to_string(), changed);
    }

    #[test]
    fn counters_that_are_no_counters_are_left_alone() {
        let text = r#"{"executions":"many","exception_executions":[1]}"#;
        let mut envelope = Envelope::parse(text).unwrap();
        assert_eq!(envelope.executions(), 0);
        envelope.count_exception("A");
        assert_eq!((envelope.to_string().as_str(), envelope.exceptions("A")), (text, 0));
        envelope.reset_executions();
        assert_eq!(envelope.to_string(), r#"{"executions":0,"exception_executions":{}}"#);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(Envelope::parse("[1]").is_err());
        assert!(Envelope::parse("{").is_err());
    }
}
