//! `docs/reference/protocol.schema.json` says what the engine sends and what handlers answer.

#[path = "fixtures/support.rs"]
#[allow(dead_code, reason = "most of it runs handlers")]
mod support;

use boon::{Compiler, Schemas};
use gritstone::execute::Job;
use gritstone::execute::protocol::{Claiming, Line, cancellation, document, read_line};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What the schema has against `value` being a `kind`.
fn problem(kind: &str, value: &Value) -> Option<String> {
    const AT: &str = "file:///protocol.schema.json";
    let text = std::fs::read_to_string(root().join("docs/reference/protocol.schema.json")).unwrap();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource(AT, serde_json::from_str(&text).unwrap()).unwrap();
    let schema = compiler.compile(&format!("{AT}#/$defs/{kind}"), &mut schemas).unwrap();
    schemas.validate(value, schema).err().map(|error| error.to_string())
}

#[track_caller]
fn fits(kind: &str, value: &Value) {
    assert_eq!(problem(kind, value), None, "{value}");
}

fn parsed(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap()
}

#[test]
fn documents_fit() {
    let plain = support::job(7, json!([1, {"a": null}]));
    let time = Some("2026-01-02T03:04:05.678901Z".parse().unwrap());
    let full = Job {
        deadline: time,
        enqueued_at: time,
        scheduled_at: time,
        traceparent: Some("00-a-b-01".into()),
        ..plain.clone()
    };
    let odd = Job { active_job: "{oops".into(), ..plain.clone() };
    for job in [plain, full, odd] {
        fits("job", &parsed(&document(&job).unwrap()));
    }
    fits("cancel", &parsed(&cancellation(7)));
}

/// The schema and the engine agree on lines.
#[test]
fn lines_are_read_as_the_schema_says() {
    let job = support::job(7, json!([]));
    let read = |value: &Value| read_line(value.to_string().as_bytes(), &job, Claiming::Optional);
    for answer in [
        json!({"outcome": "done", "result": [1]}),
        json!({"claim": 7, "outcome": "retry", "delay": 1.5, "error": {"exception_class": "Oops", "backtrace": ["a"]}}),
        json!({"outcome": "fail", "error": "it broke"}),
        json!({"outcome": "release", "delay": 0}),
    ] {
        fits("answer", &answer);
        assert!(problem("notice", &answer).is_some(), "{answer}");
        assert!(matches!(read(&answer), Line::Answer(_)), "{answer}");
    }
    for notice in [json!({"heartbeat": true}), json!({"progress": {"done": 3}}), json!({"claim": 7, "log": "hello"})] {
        fits("notice", &notice);
        assert!(problem("answer", &notice).is_some(), "{notice}");
        assert!(matches!(read(&notice), Line::Notice(_)), "{notice}");
    }
    for neither in [json!({"hello": 1}), json!([]), json!("done")] {
        assert!(problem("answer", &neither).is_some() && problem("notice", &neither).is_some(), "{neither}");
        assert!(matches!(read(&neither), Line::Garbage), "{neither}");
    }
    assert!(problem("answer", &json!({"outcome": "perhaps"})).is_some());
    assert!(problem("answer", &json!({"outcome": "retry", "delay": -1})).is_some());
}
