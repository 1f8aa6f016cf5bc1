//! A task as its owner describes it, and its arguments as Active Job keeps them.

use crate::error::Error;
use crate::job::check_name;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A recurring task: what to enqueue, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// Its name, of which a database has one.
    pub key: String,
    /// When it runs.
    pub schedule: TaskSchedule,
    /// The class of its jobs.
    pub class: String,
    /// Their arguments, plain JSON. Rails takes an object at the end for keyword arguments.
    pub arguments: Vec<Value>,
    /// Their queue; `default` when absent.
    pub queue: Option<String>,
    /// Their priority, smaller first; 0 when absent.
    pub priority: Option<i32>,
    /// For people.
    pub description: Option<String>,
    /// What to do about runs that nobody came to in time.
    pub missed_runs: MissedRuns,
    /// Whether it rests. Runs that fall into such a time are not missed runs.
    pub suspended: bool,
    /// For a task of Rails' `recurring.yml`: the time zone in which its schedule is meant when it names none. Its row is a static one
    /// then, just as Rails' scheduler writes it, whose own row of this key becomes this task's; and its schedule is the file's text.
    pub static_zone: Option<String>,
}

/// When a task runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TaskSchedule {
    /// A cron with its time zone at the end, as in `0 9 * * 1-5 Asia/Seoul`, or a text as `recurring.yml` has it. Not read by the store.
    Cron(String),
    /// Every so long, counted from 1970-01-01T00:00:00Z plus an offset.
    Every {
        /// From one run to the next, at least a second.
        every: Duration,
        /// How much later than the whole multiples.
        offset: Duration,
    },
}

/// What to do about runs that nobody came to in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MissedRuns {
    /// Nothing, as Solid Queue.
    #[default]
    Skip,
    /// One is made up for, however many there were.
    Latest,
    /// Each is made up for, at most so many, the latest ones.
    All(u32),
}

impl NewTask {
    /// A task that enqueues jobs of a class without arguments.
    pub fn new(key: impl Into<String>, schedule: TaskSchedule, class: impl Into<String>) -> Self {
        NewTask {
            key: key.into(),
            schedule,
            class: class.into(),
            arguments: Vec::new(),
            queue: None,
            priority: None,
            description: None,
            missed_runs: MissedRuns::Skip,
            suspended: false,
            static_zone: None,
        }
    }

    /// With arguments.
    pub fn arguments(mut self, arguments: Vec<Value>) -> Self {
        self.arguments = arguments;
        self
    }

    /// On another queue than `default`.
    pub fn on(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// With a priority; smaller comes first.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Making up for missed runs.
    pub fn missed_runs(mut self, missed_runs: MissedRuns) -> Self {
        self.missed_runs = missed_runs;
        self
    }

    /// Refuses what no database should be given.
    pub(super) fn check(&self) -> Result<(), Error> {
        let fault = self.fault().map_or(Ok(()), Err);
        fault.map_err(|fault| Error::Refused(format!("the recurring task {}: {fault}", self.key)))
    }

    fn fault(&self) -> Option<String> {
        let names = [("key", Some(&self.key)), ("class", Some(&self.class)), ("queue", self.queue.as_ref())];
        for (what, text) in names.into_iter().filter_map(|(what, text)| Some((what, text?))) {
            if let Err(fault) = check_name(what, text) {
                return Some(fault);
            }
        }
        match &self.schedule {
            TaskSchedule::Cron(cron) => check_name("schedule", cron).err(),
            TaskSchedule::Every { every, .. } if *every < Duration::from_secs(1) => {
                Some(format!("it can't run every {every:?}: a second is the least"))
            }
            TaskSchedule::Every { every, offset } if offset >= every => {
                Some(format!("its offset, {offset:?}, is not less than its interval, {every:?}"))
            }
            TaskSchedule::Every { .. } => None,
        }
    }

    /// The arguments as the column `arguments` has them; null for none, as Rails writes it.
    pub(super) fn encoded_arguments(&self) -> Option<String> {
        (!self.arguments.is_empty()).then(|| Value::from_iter(self.arguments.iter().map(symbolize)).to_string())
    }
}

impl MissedRuns {
    pub(super) fn to_columns(self) -> (&'static str, i64) {
        match self {
            MissedRuns::Skip => ("skip", 0),
            MissedRuns::Latest => ("latest", 1),
            MissedRuns::All(limit) => ("all", limit.into()),
        }
    }

    pub(super) fn from_columns(policy: &str, limit: i64) -> Self {
        match policy {
            "latest" => MissedRuns::Latest,
            "all" => MissedRuns::All(limit.clamp(0, i64::from(u32::MAX)) as u32),
            _ => MissedRuns::Skip,
        }
    }
}

/// Where Active Job keeps which keys of a hash were symbols.
const SYMBOL_KEYS: &str = "_aj_symbol_keys";
/// The same for a hash that is keyword arguments.
const KEYWORDS: &str = "_aj_ruby2_keywords";

/// As Rails makes it of `recurring.yml`: the keys of every hash are symbols. What has marks of Active Job already stays as it is.
fn symbolize(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(symbolize).collect(),
        Value::Object(map) if map.keys().any(|key| key.starts_with("_aj_")) => value.clone(),
        Value::Object(map) => {
            let mut marked: Map<String, Value> =
                map.iter().map(|(key, value)| (key.clone(), symbolize(value))).collect();
            marked.insert(SYMBOL_KEYS.into(), map.keys().map(String::as_str).collect());
            Value::Object(marked)
        }
        other => other.clone(),
    }
}

/// The arguments of a task's job, out of the task's column: a hash at the end is keyword arguments, as in Solid Queue.
pub(super) fn arguments_of_a_run(encoded: Option<&str>) -> Result<Vec<Value>, String> {
    let Some(encoded) = encoded else { return Ok(Vec::new()) };
    let mut arguments: Vec<Value> =
        serde_json::from_str(encoded).map_err(|error| format!("its arguments are no JSON array: {error}"))?;
    if let Some(Value::Object(last)) = arguments.last_mut() {
        let keys = match last.get(SYMBOL_KEYS) {
            Some(keys) => Some(keys.clone()),
            None => (!last.keys().any(|key| key.starts_with("_aj_"))).then(|| json!([])),
        };
        if let Some(keys) = keys {
            last.shift_remove(SYMBOL_KEYS);
            last.insert(KEYWORDS.into(), keys);
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(arguments: Value) -> String {
        let Value::Array(arguments) = arguments else { panic!("{arguments}") };
        NewTask::new("k", TaskSchedule::Cron("* * * * *".into()), "A").arguments(arguments).encoded_arguments().unwrap()
    }

    #[test]
    fn arguments_are_encoded_as_rails_encodes_them() {
        assert_eq!(
            encoded(json!([42, {"status": "custom"}])),
            r#"[42,{"status":"custom","_aj_symbol_keys":["status"]}]"#
        );
        assert_eq!(
            encoded(json!([{"a": {"b": [1, {}]}}])),
            r#"[{"a":{"b":[1,{"_aj_symbol_keys":[]}],"_aj_symbol_keys":["b"]},"_aj_symbol_keys":["a"]}]"#
        );
        let global_id = json!([{"_aj_globalid": "gid://app/User/1"}]);
        assert_eq!(encoded(global_id.clone()), global_id.to_string());
    }

    #[test]
    fn an_object_at_the_end_becomes_keyword_arguments() {
        let run = |text| serde_json::to_string(&arguments_of_a_run(Some(text)).unwrap()).unwrap();
        assert_eq!(
            run(r#"[42,{"status":"custom","_aj_symbol_keys":["status"]}]"#),
            r#"[42,{"status":"custom","_aj_ruby2_keywords":["status"]}]"#
        );
        assert_eq!(run(r#"[{"a":1},2]"#), r#"[{"a":1},2]"#);
        assert_eq!(run(r#"[{"_aj_globalid":"gid://app/User/1"}]"#), r#"[{"_aj_globalid":"gid://app/User/1"}]"#);
        assert!(arguments_of_a_run(None).unwrap().is_empty());
        assert!(arguments_of_a_run(Some("{}")).is_err());
    }

    #[test]
    fn tasks_that_no_table_holds_or_no_clock_runs_are_refused() {
        let every = |every, offset| TaskSchedule::Every {
            every: Duration::from_millis(every),
            offset: Duration::from_millis(offset),
        };
        let cron = |text: &str| TaskSchedule::Cron(text.into());
        for (key, schedule, fault) in [
            ("", cron("* * * * *"), "the key is empty"),
            ("k", cron(&"*".repeat(256)), "the schedule has 256 characters"),
            ("k", every(999, 0), "a second is the least"),
            ("k", every(5_000, 5_000), "is not less than its interval"),
        ] {
            let error = NewTask::new(key, schedule, "A").check().unwrap_err().to_string();
            assert!(error.contains(fault), "{error}");
        }
        assert!(NewTask::new("k", every(5_000, 4_999), "A").check().is_ok());
    }
}
