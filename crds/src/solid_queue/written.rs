//! Manifests written down, for people: with what is not there by default, and with comments.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::Application;
use crate::kinds::{DispatcherSpec, QueueWorkerSpec, RecurringTaskSpec, Schedule, Spec};
use crate::manifest::Manifest;

impl Application {
    /// Its manifests as YAML, each with the line that it comes from, under `head` and what was left out.
    pub fn to_yaml(&self, head: &str) -> String {
        let mut yaml = String::new();
        comment(&mut yaml, head);
        for warning in &self.warnings {
            comment(&mut yaml, &warning.to_string());
        }
        for manifest in &self.manifests {
            let _ = writeln!(yaml, "---");
            comment(&mut yaml, &manifest.source.to_string());
            yaml += &document(manifest);
        }
        yaml
    }
}

fn comment(yaml: &mut String, text: &str) {
    for line in text.lines() {
        // A control character ends a comment, or is none that YAML has.
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(yaml, "# {line}");
    }
}

/// One manifest.
fn document(manifest: &Manifest) -> String {
    let Ok(mut value) = serde_json::to_value(manifest) else { return String::new() };
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        without(spec, &defaults(&manifest.spec));
    }
    // It fails for keys that are no text, and for what can't be shown: JSON has neither.
    serde_saphyr::to_string(&value).unwrap_or_default()
}

/// The spec of this kind in which nothing is said that needn't be.
fn defaults(spec: &Spec) -> Value {
    let defaults = match spec {
        Spec::QueueWorker(_) => serde_json::to_value(QueueWorkerSpec::default()),
        Spec::Dispatcher(_) => serde_json::to_value(DispatcherSpec::default()),
        Spec::RecurringTask(_) => serde_json::to_value(RecurringTaskSpec::new(Schedule::Text(String::new()))),
        Spec::CronSchedule(_) => Ok(Value::Null),
    };
    defaults.unwrap_or_default()
}

/// Takes out what is as it is by default.
fn without(fields: &mut Map<String, Value>, defaults: &Value) {
    fields.retain(|name, value| {
        let default = defaults.get(name);
        if let (Value::Object(fields), Some(default @ Value::Object(_))) = (&mut *value, default) {
            without(fields, default);
            return !fields.is_empty();
        }
        default != Some(value)
    });
}
