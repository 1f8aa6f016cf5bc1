//! What the charts make.

use crate::support::{helm, hold_to, printed, render, root, value_files};
use gritstone_tests::cluster::Cluster;
use std::fs;

#[test]
fn helm_finds_no_fault_in_them() {
    for chart in ["charts/gritstone", "charts/gritstone-crds"] {
        printed(&helm(&["lint", "--strict", chart]));
    }
}

#[test]
fn values_make_what_they_made_before() {
    for values in value_files() {
        let snapshot = root().join("tests/tests/charts/snapshots").join(values.file_name().unwrap());
        hold_to(&snapshot, &render("blue", "jobs", &values));
    }
}

#[test]
fn the_kustomize_base_is_what_the_chart_makes() {
    let base = root().join("kustomize/base");
    let defaults = root().join("tests/tests/charts/values/defaults.yaml");
    let note = "# Written from the chart: see tests/tests/charts.\n";
    let operator = render("gritstone", "gritstone-system", &defaults);
    hold_to(&base.join("operator.yaml"), &format!("{note}{operator}"));
    let definitions = printed(&helm(&["template", "crds", "charts/gritstone-crds"]));
    hold_to(&base.join("definitions.yaml"), &format!("{note}{definitions}"));
}

#[test]
fn definitions_outlive_their_release() {
    let printed = printed(&helm(&["template", "crds", "charts/gritstone-crds", "--set", "annotations.a=b"]));
    assert_eq!(printed.matches("helm.sh/resource-policy: keep").count(), 4);
    assert_eq!(printed.matches("a: b").count(), 4);
}

/// Kinds of others, which an API server without them can't check.
const OTHERS: [&str; 3] = ["ServiceMonitor", "PodMonitor", "PrometheusRule"];

#[tokio::test]
async fn an_api_server_takes_all_of_it() {
    let cluster = Cluster::start().await.unwrap();
    for namespace in ["jobs", "shop", "mail", "gritstone-system"] {
        cluster.kubectl(&["create", "namespace", namespace]).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    for values in value_files() {
        let rendered = render("blue", "jobs", &values);
        let ours = rendered
            .split("\n---\n")
            .filter(|document| !OTHERS.iter().any(|kind| document.contains(&format!("kind: {kind}\n"))));
        let file = folder.path().join(values.file_name().unwrap());
        fs::write(&file, ours.collect::<Vec<_>>().join("\n---\n")).unwrap();
        let file = file.display().to_string();
        let said = cluster.kubectl(&["apply", "--validate=strict", "--dry-run=server", "-f", &file]).await.unwrap();
        assert!(said.contains("deployment.apps/blue-gritstone created"), "{said}");
    }
    let base = root().join("kustomize/base").display().to_string();
    cluster.kubectl(&["apply", "--validate=strict", "-k", &base]).await.unwrap();
}
