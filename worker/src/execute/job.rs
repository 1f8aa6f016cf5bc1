//! A claimed job as a value, and its arguments as plain JSON.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A claimed job: all that any handler is told about it.
#[derive(Debug, Clone)]
pub struct Job {
    /// The Active Job id: stays the same over retries.
    pub id: String,
    /// The claim's row id: the fencing token. It differs in every run.
    pub claim: i64,
    /// The job's row id.
    pub row_id: i64,
    /// The job's class.
    pub class: String,
    /// The queue it was claimed from.
    pub queue: String,
    /// Its priority; smaller runs first.
    pub priority: i32,
    /// Its arguments.
    pub arguments: Arguments,
    /// Which run this is, of those that count: 1 for the first.
    pub attempt: u32,
    /// How many runs a dying worker cut short; they don't count as attempts.
    pub interruptions: u32,
    /// When the run must be over. Handlers that run past it are stopped.
    pub deadline: Option<Timestamp>,
    /// When it was enqueued.
    pub enqueued_at: Option<Timestamp>,
    /// When it was to run.
    pub scheduled_at: Option<Timestamp>,
    /// The Active Job envelope (JSON) as it is in the database.
    pub active_job: String,
    /// The W3C trace context of whoever enqueued it.
    pub traceparent: Option<String>,
}

/// A job's arguments: a JSON array without Active Job's markers. Kept as text where the text is at hand, so that a typed
/// handler parses it once, and one that takes no arguments never does.
#[derive(Debug, Clone)]
pub struct Arguments(Form);

#[derive(Debug, Clone)]
enum Form {
    Value(Value),
    Text(Box<RawValue>),
}

impl Arguments {
    /// Arguments out of JSON text.
    ///
    /// # Errors
    /// When the text is not a JSON array.
    pub fn from_json(text: String) -> Result<Self, serde_json::Error> {
        let text = RawValue::from_string(text)?;
        if !text.get().trim_start().starts_with('[') {
            return Err(serde::de::Error::custom("a job's arguments are a JSON array"));
        }
        Ok(Self(Form::Text(text)))
    }

    /// The arguments as `T`: a tuple (one element each), a list, or a struct with named fields. A struct is filled from the
    /// array in order, or, when the array holds a single object (keyword arguments), by its keys. `()` takes no arguments.
    ///
    /// # Errors
    /// When they are not what `T` takes.
    pub fn to<T: DeserializeOwned + 'static>(&self) -> Result<T, serde_json::Error> {
        let array = if std::any::TypeId::of::<T>() == std::any::TypeId::of::<()>() {
            // Serde reads `()` from null alone; `[(); 0]` reads the empty array, and says so of any other.
            self.parse::<[(); 0]>().and_then(|_| T::deserialize(&Value::Null))
        } else {
            self.parse::<T>()
        };
        match array {
            Ok(arguments) => Ok(arguments),
            Err(of_array) => match self.keywords() {
                Some(object) => T::deserialize(object),
                None => Err(of_array),
            },
        }
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match &self.0 {
            Form::Value(value) => T::deserialize(value),
            Form::Text(text) => serde_json::from_str(text.get()),
        }
    }

    fn keywords(&self) -> Option<Value> {
        match self.parse::<[Value; 1]>() {
            Ok([only @ Value::Object(_)]) => Some(only),
            _ => None,
        }
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self(Form::Value(Value::Array(Vec::new())))
    }
}

impl From<Vec<Value>> for Arguments {
    fn from(arguments: Vec<Value>) -> Self {
        Self(Form::Value(Value::Array(arguments)))
    }
}

impl Serialize for Arguments {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Form::Value(value) => value.serialize(serializer),
            Form::Text(text) => text.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Value>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::HashMap;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Mail {
        to: String,
        copies: u8,
    }

    fn both(value: &Value) -> [Arguments; 2] {
        let text = Arguments::from_json(value.to_string()).unwrap();
        [text, serde_json::from_value(value.clone()).unwrap()]
    }

    #[test]
    fn are_read_as_tuples_lists_and_structs() {
        for arguments in both(&json!(["ann", 2])) {
            assert_eq!(arguments.to::<(String, u8)>().unwrap(), ("ann".into(), 2));
            assert_eq!(arguments.to::<Vec<Value>>().unwrap(), [json!("ann"), json!(2)]);
            assert_eq!(arguments.to::<Mail>().unwrap(), Mail { to: "ann".into(), copies: 2 });
            assert_eq!(arguments.to::<Value>().unwrap(), json!(["ann", 2]));
        }
    }

    #[test]
    fn a_single_object_fills_a_struct_by_its_keys() {
        for arguments in both(&json!([{"to": "ann", "copies": 2}])) {
            assert_eq!(arguments.to::<Mail>().unwrap(), Mail { to: "ann".into(), copies: 2 });
            assert_eq!(arguments.to::<(Mail,)>().unwrap().0, Mail { to: "ann".into(), copies: 2 });
            assert_eq!(arguments.to::<HashMap<String, Value>>().unwrap()["to"], "ann");
        }
    }

    #[test]
    fn none_are_read_as_unit_and_some_are_not() {
        for arguments in both(&json!([])) {
            arguments.to::<()>().unwrap();
        }
        for arguments in both(&json!([1])) {
            arguments.to::<()>().unwrap_err();
        }
    }

    #[test]
    fn what_does_not_fit_says_why() {
        for arguments in both(&json!([{"to": "ann"}])) {
            assert!(arguments.to::<Mail>().unwrap_err().to_string().contains("missing field `copies`"));
        }
    }

    #[test]
    fn are_an_array_and_nothing_else() {
        assert!(Arguments::from_json(r#"{"a": 1}"#.into()).is_err());
        assert!(Arguments::from_json("[1".into()).is_err());
        assert_eq!(serde_json::to_string(&Arguments::default()).unwrap(), "[]");
    }
}
