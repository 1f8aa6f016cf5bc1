//! Alerts and the dashboard: each asks for metrics that there are.

use crate::support::{render, root};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// The metrics that an expression asks for: the words that stand before labels, or between a function's parentheses.
fn metrics(expression: &str) -> BTreeSet<String> {
    // What is in labels is no metric.
    let outside = expression.split('{').map(|part| part.split_once('}').map_or(part, |(_, rest)| rest));
    let words = outside.flat_map(|part| part.split(|c: char| !c.is_alphanumeric() && c != '_'));
    // One function has such a name, too, and so has a word of Grafana's.
    let others = ["histogram_quantile", "__rate_interval", "queue_worker"];
    let names: BTreeSet<_> =
        words.filter(|word| word.contains('_') && !others.contains(word)).map(str::to_owned).collect();
    assert!(!names.is_empty(), "{expression}");
    names
}

/// Holds what is asked for to the tables of metrics.
fn are_in_the_tables(expressions: &[String]) {
    let tables = ["docs/reference/metrics.md", "docs/reference/operator.md"]
        .map(|page| fs::read_to_string(root().join(page)).unwrap_or_default())
        .concat();
    for expression in expressions {
        for metric in metrics(expression) {
            let of_histogram = metric.strip_suffix("_bucket").unwrap_or(&metric);
            assert!(tables.contains(&format!("`{of_histogram}")), "{metric} is in no table of metrics: {expression}");
        }
    }
}

#[test]
fn alerts_ask_for_metrics_that_there_are() {
    let rendered = render("blue", "jobs", &root().join("tests/tests/charts/values/everything.yaml"));
    let rules = rendered.split("\n---\n").find(|document| document.contains("kind: PrometheusRule")).unwrap();
    let rules: Value = serde_saphyr::from_str(rules).unwrap();
    let rules = rules["spec"]["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 5);
    are_in_the_tables(&rules.iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect::<Vec<_>>());
    for rule in rules {
        let said = |field: &str| rule["annotations"][field].as_str().is_some_and(|text| !text.is_empty());
        assert!(said("summary") && said("description"), "{rule}");
    }
}

#[test]
fn the_alert_for_an_operator_that_is_down_asks_for_the_lease_that_this_one_is_given() {
    let rendered = render("blue", "jobs", &root().join("tests/tests/charts/values/everything.yaml"));
    let lease =
        rendered.split_once("{name: GRITSTONE_OPERATOR_LEASE, value: ").and_then(|(_, rest)| rest.split_once('}'));
    let (lease, _) = lease.expect("the operator is given a Lease");
    let asked = format!("leader_election_master_status{{namespace=\"jobs\",name=\"{lease}\"}}");
    assert!(rendered.contains(&format!("sum({asked}) < 1 or absent({asked})")), "{lease}");
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let dashboard = fs::read_to_string(root().join("charts/gritstone/dashboards/gritstone.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    assert!(expressions.len() >= panels.len());
    are_in_the_tables(&expressions);
}
