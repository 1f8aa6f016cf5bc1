//! What a field's attribute says: each makes a transformation of the field's schema.

use schemars::Schema;
use serde_json::{Value, json};

use crate::text::Duration;

/// Characters that no name may have: Rust's `char::is_control`.
const CONTROL: &str = r"\x00-\x1f\x7f-\x{9f}";
const VALIDATIONS: &str = "x-kubernetes-validations";

/// A rule in CEL, where `self` is the value, and what a person is told when it doesn't hold.
pub(crate) fn rule(rule: &str, message: &str) -> impl FnMut(&mut Schema) + Clone + use<> {
    let rule = json!({"rule": rule, "message": message});
    move |schema| add_rule(schema, rule.clone())
}

/// The same, about a field of `self`: `.max`.
pub(crate) fn rule_at(field: &str, rule: &str, message: &str) -> impl FnMut(&mut Schema) + use<> {
    let rule = json!({"rule": rule, "message": message, "fieldPath": field});
    move |schema| add_rule(schema, rule.clone())
}

fn add_rule(schema: &mut Schema, rule: Value) {
    let rules = schema.ensure_object().entry(VALIDATIONS).or_insert_with(|| json!([]));
    if let Some(rules) = rules.as_array_mut() {
        rules.push(rule);
    }
}

fn set(schema: &mut Schema, values: Value) {
    if let Value::Object(values) = values {
        schema.ensure_object().extend(values);
    }
}

/// A text of at most `max` characters that fits a regular expression (RE2).
pub(crate) fn matches(pattern: &str, max: u32, message: &str) -> impl FnMut(&mut Schema) + use<> {
    let fits = format!("self.matches({})", quoted(pattern));
    let message = message.to_owned();
    move |schema| {
        set(schema, json!({"maxLength": max}));
        add_rule(schema, json!({"rule": fits, "message": message}));
    }
}

/// A duration within bounds, which are written like one.
pub(crate) fn duration(least: &str, most: &str) -> impl FnMut(&mut Schema) + use<> {
    let written = quoted("^([0-9]{1,4}d)?([0-9]{1,5}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?([0-9]{1,12}ms)?$");
    let within = format!(
        "self.matches({written}) && [{}].all(ms, ms >= {} && ms <= {})",
        millis_of("self"),
        known_millis(least),
        known_millis(most)
    );
    let rule = rule(&within, &format!("must be a duration of {least} to {most}, such as 100ms, 30s, 5m, 1h30m or 1d"));
    move |schema| {
        set(schema, json!({"minLength": 2, "maxLength": 40}));
        rule.clone()(schema);
    }
}

/// CEL for the milliseconds of a duration in `text`. CEL's own durations know no days, and what the API server reckons that a
/// rule costs has no bound once a text was split or made of a number.
pub(super) fn millis_of(text: &str) -> String {
    format!(
        "(({text}.contains('d') ? int({text}.substring(0, {text}.indexOf('d'))) * 86400000 : 0) + duration('0s' + {text}.substring({text}.indexOf('d') + 1)).getMilliseconds())"
    )
}

/// The bounds in the attributes are our own: one that can't be read is taken for no time at all, which the table of manifests shows.
fn known_millis(duration: &str) -> u64 {
    duration.parse::<Duration>().unwrap_or_default().as_millis()
}

/// The name of a class, a group, a task.
pub(crate) fn name() -> impl FnMut(&mut Schema) {
    matches(
        &format!(r"^[^\s{CONTROL}]([^{CONTROL}]*[^\s{CONTROL}])?$"),
        255,
        "must not be empty, nor have spaces around it or control characters",
    )
}

/// A list of names, each once.
pub(crate) fn set_of_names(max: u32) -> impl FnMut(&mut Schema) {
    move |schema| {
        set(schema, json!({"minItems": 1, "maxItems": max, "x-kubernetes-list-type": "set"}));
        let mut item: Schema = schema.get("items").cloned().and_then(|item| item.try_into().ok()).unwrap_or_default();
        name()(&mut item);
        set(schema, json!({"items": item}));
    }
}

/// A list whose elements are told apart by a field.
pub(crate) fn unique_by(key: &'static str, max: u32) -> impl FnMut(&mut Schema) {
    move |schema| {
        set(schema, json!({"maxItems": max, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}));
    }
}

/// The name of a Secret.
pub(crate) fn secret_name() -> impl FnMut(&mut Schema) {
    const LABEL: &str = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?";
    let message = "must be the name of a Secret: labels of a-z, 0-9 and `-`, joined by dots";
    matches(&format!(r"^{LABEL}(\.{LABEL})*$"), 253, message)
}

/// A key of a Secret.
pub(crate) fn secret_key() -> impl FnMut(&mut Schema) {
    matches("^[-._a-zA-Z0-9]+$", 253, "must be the key of a Secret: letters, digits, `-`, `_` and `.`")
}

/// Where jobs are posted to.
pub(crate) fn handler_url() -> impl FnMut(&mut Schema) {
    matches(
        r"^((?i:https?)://[^@#\s/?]+|http\+unix://%2[fF][^@#\s/?]+)([/?][^#\s]*)?$",
        2048,
        "must begin with http://, https:// or http+unix://%2F, without a user name, a password or a `#`",
    )
}

/// Where jobs that were answered with 202 report.
pub(crate) fn callback_url() -> impl FnMut(&mut Schema) {
    matches(
        r"^(?i:https?)://[^@#\s/?]+([/?][^#\s]*)?$",
        2048,
        "must begin with http:// or https://, without a user name, a password or a `#`",
    )
}

/// The path of a URL.
pub(crate) fn path() -> impl FnMut(&mut Schema) {
    matches(&format!(r"^/[^\s{CONTROL}]*$"), 2048, "must begin with `/` and have no spaces")
}

/// A program and its arguments.
pub(crate) fn words() -> impl FnMut(&mut Schema) {
    move |schema| {
        set(schema, json!({"minItems": 1, "maxItems": 256, "items": {"type": "string", "maxLength": 8192}}));
        let program = json!({
            "rule": r"self.size() == 0 || self[0].matches('\\S')",
            "message": "must begin with a program, as in [python, worker.py]",
        });
        add_rule(schema, program);
        let split = json!({
            "rule": "self.size() != 1 || !self[0].contains(' ')",
            "message": "is one word with spaces, and no shell splits it: write a word each, as in [python, worker.py]",
        });
        add_rule(schema, split);
    }
}

/// An address and a port to listen on.
pub(crate) fn listen_address(generator: &mut schemars::SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<String>();
    matches(
        r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9a-fA-F:.]{2,45}\]):[0-9]{1,5}$",
        64,
        "must be an address and a port, as in 127.0.0.1:0 or [::1]:7433",
    )(&mut schema);
    schema
}

/// A list of any JSON at all.
pub(crate) fn items_of_any_json(schema: &mut Schema) {
    set(schema, json!({"items": {"x-kubernetes-preserve-unknown-fields": true, "nullable": true}}));
}

/// The text of a schedule or an interval: what a schema can't tell apart, so the types and `validate()` do.
pub(crate) fn text_or_interval(_: &mut schemars::SchemaGenerator) -> Schema {
    schemars::json_schema!({"x-kubernetes-preserve-unknown-fields": true, "minLength": 1, "maxLength": 255})
}

/// An object of which nothing is known here.
pub(crate) fn preserve(schema: &mut Schema) {
    schema.remove("additionalProperties");
    set(schema, json!({"x-kubernetes-preserve-unknown-fields": true}));
}

/// A moment in time, as Kubernetes writes it.
pub(crate) fn time(_: &mut schemars::SchemaGenerator) -> Schema {
    schemars::json_schema!({"type": "string", "format": "date-time"})
}

/// A text as CEL writes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}
