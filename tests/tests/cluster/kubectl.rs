//! What people and other programs see of the kinds through kubectl.

use serde_json::Value;

use crate::support::{cluster, namespace};

const WORKER: &str = r#"{
    "apiVersion": "gritstone.dev/v1alpha1", "kind": "QueueWorker", "metadata": {"name": "mail"},
    "spec": {"handler": {"command": {"command": ["./run-job"]}}}
}"#;

async fn create(namespace: &str, object: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("object.json");
    std::fs::write(&file, object).unwrap();
    let file = file.display().to_string();
    let made = cluster().await.kubectl(&["-n", namespace, "create", "-f", &file, "-o", "json"]).await.unwrap();
    serde_json::from_str(&made).unwrap()
}

#[tokio::test]
async fn explain_reads_well() {
    let explain = async |field: &str| cluster().await.kubectl(&["explain", field]).await.unwrap();
    let worker = explain("queueworker.spec").await;
    assert!(worker.contains("How many jobs a worker runs at once, 1 to 1000. Default 3."), "{worker}");
    let retry = explain("qw.spec.retry.backoff").await;
    assert!(retry.contains("The wait after the first run, up to 30d. Default 5s."), "{retry}");
    for field in
        ["dsp.spec.processes", "rt.spec.job", "cronschedule.spec.interval", "qw.status.conditions", "rt.status"]
    {
        let text = explain(field).await;
        assert!(!text.contains("<no description>"), "{field}: {text}");
    }
}

#[tokio::test]
async fn kinds_have_short_names_and_one_category() {
    let namespace = namespace("names").await;
    create(&namespace, WORKER).await;
    for name in ["qw", "queueworker", "queueworkers", "gritstone"] {
        let found = cluster().await.kubectl(&["-n", &namespace, "get", name, "-o", "name"]).await.unwrap();
        assert_eq!(found, "queueworker.gritstone.dev/mail\n", "{name}");
    }
    let listed =
        cluster().await.kubectl(&["api-resources", "--api-group=gritstone.dev", "--no-headers"]).await.unwrap();
    for short in ["qw", "dsp", "rt", "cs"] {
        assert!(listed.split_whitespace().any(|word| word == short), "{short}: {listed}");
    }
}

#[tokio::test]
async fn columns_say_what_matters() {
    let namespace = namespace("columns").await;
    create(&namespace, WORKER).await;
    let table = cluster().await.kubectl(&["-n", &namespace, "get", "qw"]).await.unwrap();
    let header: Vec<_> =
        table.lines().next().unwrap().split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    assert_eq!(header, ["NAME", "QUEUES", "REPLICAS", "RUNNING", "READY", "AGE"], "{table}");
}

#[tokio::test]
async fn defaults_are_filled_in() {
    let namespace = namespace("defaults").await;
    let spec = create(&namespace, WORKER).await["spec"].clone();
    assert_eq!((&spec["threads"], &spec["replicas"]), (&3.into(), &1.into()));
    assert_eq!((&spec["pollingInterval"], &spec["drainTimeout"]), (&"100ms".into(), &"5s".into()));
    assert_eq!(spec["queues"], serde_json::json!(["*"]));
    assert_eq!(
        spec["retry"],
        serde_json::json!({"attempts": 1, "backoff": {"initial": "5s", "factor": 2, "max": "1h"}})
    );

    let dispatcher = r#"{"apiVersion": "gritstone.dev/v1alpha1", "kind": "Dispatcher", "metadata": {"name": "main"}}"#;
    let spec = create(&namespace, dispatcher).await["spec"].clone();
    assert_eq!((&spec["batchSize"], &spec["migrate"]), (&500.into(), &true.into()));
    assert_eq!(spec["processes"], serde_json::json!({"heartbeatInterval": "15s", "aliveThreshold": "2m"}));
    assert_eq!(spec["concurrencyMaintenance"], serde_json::json!({"enabled": true, "interval": "10m"}));
}

#[tokio::test]
async fn a_worker_is_scaled_by_its_subresource() {
    let namespace = namespace("scale").await;
    create(&namespace, WORKER).await;
    let kubectl = async |arguments: &[&str]| {
        cluster().await.kubectl(&[&["-n", namespace.as_str()], arguments].concat()).await.unwrap()
    };
    kubectl(&["scale", "qw/mail", "--replicas=7"]).await;
    assert_eq!(kubectl(&["get", "qw/mail", "-o", "jsonpath={.spec.replicas}"]).await, "7");

    let status = r#"{"status": {"replicas": 5, "readyReplicas": 4, "selector": "gritstone.dev/name=mail"}}"#;
    kubectl(&["patch", "qw/mail", "--subresource=status", "--type=merge", "-p", status]).await;
    let scale = kubectl(&["get", "qw/mail", "--subresource=scale", "-o", "json"]).await;
    let scale: Value = serde_json::from_str(&scale).unwrap();
    assert_eq!(scale["status"], serde_json::json!({"replicas": 5, "selector": "gritstone.dev/name=mail"}));
}

#[tokio::test]
async fn conditions_are_told_apart_by_their_type() {
    let namespace = namespace("conditions").await;
    create(&namespace, WORKER).await;
    let condition = |kind: &str| {
        format!(
            r#"{{"apiVersion": "gritstone.dev/v1alpha1", "kind": "QueueWorker", "metadata": {{"name": "mail"}}, "status": {{"conditions": [
                {{"type": "{kind}", "status": "True", "lastTransitionTime": "2026-03-01T00:00:00Z", "reason": "Test", "message": ""}}]}}}}"#
        )
    };
    let folder = tempfile::tempdir().unwrap();
    for kind in ["Ready", "Scaling"] {
        let file = folder.path().join(kind);
        std::fs::write(&file, condition(kind)).unwrap();
        let (file, manager) = (file.display().to_string(), format!("--field-manager={kind}"));
        let apply = ["-n", &namespace, "apply", "--server-side", "--subresource=status", &manager, "-f", &file];
        cluster().await.kubectl(&apply).await.unwrap();
    }
    let both = ["-n", &namespace, "get", "qw/mail", "-o", "jsonpath={.status.conditions[*].type}"];
    assert_eq!(cluster().await.kubectl(&both).await.unwrap(), "Ready Scaling");
}
