//! The CustomResourceDefinitions, as files have them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::kinds::{CronSchedule, Dispatcher, QueueWorker, RecurringTask};

/// The definition of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The name of its file in `crds/`.
    pub file: String,
    /// What the API server is told.
    pub definition: Value,
}

impl Definition {
    /// The file's text.
    ///
    /// # Errors
    /// When the writer of YAML refuses it; a test would show that.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        let text = serde_saphyr::to_string(&self.definition)?;
        Ok(format!(
            "# Written by `cargo run -p gritstone-crds --features kube --bin crdgen` from crds/src/kinds.\n{text}"
        ))
    }
}

/// Every kind's definition.
pub fn definitions() -> Vec<Definition> {
    [QueueWorker::crd(), Dispatcher::crd(), RecurringTask::crd(), CronSchedule::crd()].map(definition).into()
}

fn definition(derived: CustomResourceDefinition) -> Definition {
    let file = format!("{}.yaml", derived.spec.names.plural);
    let mut definition = serde_json::to_value(derived).unwrap_or_default();
    if let Some(versions) = definition.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for version in versions {
            if let Some(root) = version.pointer_mut("/schema/openAPIV3Schema") {
                finish_root(root);
                finish(root);
            }
        }
    }
    Definition { file, definition }
}

/// The rules of the object as a whole.
fn finish_root(root: &mut Value) {
    // A spec that needs nothing may be left out, in a cluster as in a file.
    let needs_nothing = root["properties"]["spec"].get("required").is_none()
        && root["properties"]["spec"].get("x-kubernetes-validations").is_none();
    if needs_nothing && let Some(root) = root.as_object_mut() {
        root.remove("required");
        root["properties"]["spec"]["default"] = json!({});
    }
    root["x-kubernetes-validations"] = json!([{
        "rule": "self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
        "message": "metadata.name must have at most 63 characters and no dots, since pods are named after it",
    }]);
}

/// What is the same for every schema: descriptions for people who read no Rust, and no default of nothing.
fn finish(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = plain(text);
            }
            if fields.get("default") == Some(&Value::Null) {
                fields.remove("default");
            }
            for (name, value) in fields.iter_mut() {
                match (name.as_str(), value) {
                    // Values, not schemas.
                    ("default" | "enum", _) => {}
                    ("properties", Value::Object(properties)) => finish_properties(properties),
                    (_, value) => finish(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(finish),
        _ => {}
    }
}

fn finish_properties(properties: &mut Map<String, Value>) {
    properties.values_mut().for_each(finish);
}

/// A doc comment without its line breaks and links.
fn plain(doc: &str) -> String {
    let paragraphs = doc.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let text = paragraphs.collect::<Vec<_>>().join("\n\n");
    // What a type's own page says is in the rules' messages here.
    let text = match text.rsplit_once(" See [`") {
        Some((before, link)) if link.ends_with("`].") => before,
        _ => &text,
    };
    text.replace("[`", "`").replace("`]", "`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doc_comments_become_plain_text() {
        assert_eq!(plain("One\ntwo, as [`Three`] has.\n\nFour\n"), "One two, as `Three` has.\n\nFour");
        assert_eq!(plain("The key. See [`KeyExpression`]."), "The key.");
    }
}
