//! What a handler's answer makes of the envelope, from its line of JSON to the row.

use super::support::Home;
use gritstone_store::JobState;
use gritstone_tests::rig::until;
use serde_json::{Value, json};
use std::process::{Child, Stdio};

/// Answers with its job's envelope, in which it has counted an exception and written a key of its own.
const HANDLER: &str = r#"
import json, sys
job = json.load(sys.stdin)
outcome, counts = job["arguments"]
envelope = job["active_job"] | {"exception_executions": {"[Busy, Late]": 1}, "step": 3}
error = {"exception_class": "Busy", "message": "busy"}
answer = {"claim": job["claim"], "outcome": outcome, "delay": 3600, "error": error}
print(json.dumps(answer | ({"active_job": envelope} if counts else {})))
"#;

const MANIFEST: &str = "
apiVersion: gritstone.dev/v1alpha1
kind: QueueWorker
metadata: {name: counts}
spec:
  handler: {command: {command: [python3, handler.py]}}
  retry: {attempts: 5}
";

/// Ends with its test.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs one job that is answered so; its envelope then.
async fn envelope_after(outcome: &str, counts: bool, state: JobState) -> Value {
    let home = Home::new();
    home.write("handler.py", HANDLER);
    home.write("counts.yaml", MANIFEST);
    home.run(&["enqueue", "Sample", "--args", &json!([outcome, counts]).to_string()]).ok();
    let mut work = home.command(&["work", "-f", "counts.yaml"]);
    let _worker = Worker(work.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let job =
        until(&format!("the job is {state:?}"), async || home.job(1).await.filter(|job| job.state == state)).await;
    serde_json::from_str(&job.envelope.unwrap()).unwrap()
}

#[tokio::test]
async fn exceptions_that_a_handler_has_counted_are_not_counted_again() {
    for (outcome, state) in [("retry", JobState::Scheduled), ("fail", JobState::Failed)] {
        let envelope = envelope_after(outcome, true, state).await;
        assert_eq!(envelope["exception_executions"], json!({"[Busy, Late]": 1}), "{outcome}");
        assert_eq!((&envelope["executions"], &envelope["step"]), (&json!(1), &json!(3)), "{outcome}");
    }
}

#[tokio::test]
async fn exceptions_that_a_handler_has_not_counted_are_counted_once() {
    for (outcome, state) in [("retry", JobState::Scheduled), ("fail", JobState::Failed)] {
        let envelope = envelope_after(outcome, false, state).await;
        assert_eq!(envelope["exception_executions"], json!({"[Busy]": 1}), "{outcome}");
        assert_eq!((&envelope["executions"], &envelope["step"]), (&json!(1), &Value::Null), "{outcome}");
    }
}

#[tokio::test]
async fn a_release_keeps_the_handlers_envelope_and_counts_no_run() {
    let envelope = envelope_after("release", true, JobState::Scheduled).await;
    assert_eq!((&envelope["executions"], &envelope["step"]), (&json!(0), &json!(3)));
    let envelope = envelope_after("release", false, JobState::Scheduled).await;
    assert_eq!((&envelope["executions"], &envelope["step"]), (&json!(0), &Value::Null));
}
