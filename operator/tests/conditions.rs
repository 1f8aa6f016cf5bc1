//! `docs/reference/conditions.md` has every reason that the operator gives, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Words in CamelCase in the operator's source that are no reasons: kinds, fields' values, actions of Events, types of conditions that
/// have no reason of the same name, numbers of the autoscaler's log.
const OTHER_WORDS: &[&str] = &[
    "Always",
    "AlwaysAllow",
    "Apply",
    "Autoscaling",
    "Completed",
    "ContainerStatusUnknown",
    "CronSchedule",
    "DatabaseReachable",
    "Deployment",
    "Error",
    "Failed",
    "False",
    "Finalize",
    "Idle",
    "Latency",
    "Load",
    "MinReplicas",
    "Moved",
    "OOMKilled",
    "Pending",
    "Pod",
    "PodDisruptionBudget",
    "Prune",
    "ReadyJobs",
    "Ready",
    "Reconcile",
    "RollingUpdate",
    "RuntimeDefault",
    "Scale",
    "ScaleDownDelay",
    "ScheduleAnyway",
    "Succeeded",
    "True",
    "Work",
];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn is_camel_case(word: &str) -> bool {
    word.len() > 1
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_alphabetic())
        && word.chars().any(|c| c.is_ascii_lowercase())
}

/// The words in the source that stand in quotes by themselves, but for tests.
fn words() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&here().join("src"), &mut files);
    let mut words = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        words.extend(code.flat_map(|line| line.split('"')).filter(|word| is_camel_case(word)).map(str::to_owned));
    }
    words
}

/// The reasons in the tables of the page: the column that is called so.
fn reasons() -> BTreeSet<String> {
    let page = fs::read_to_string(here().join("../docs/reference/conditions.md")).unwrap();
    let mut reasons = BTreeSet::from(["Connecting".to_owned()]);
    let mut column = None;
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells.len() < 3 {
            column = None;
        } else if let Some(column) = column {
            reasons.extend(cells.get::<usize>(column).map(|cell| cell.trim_matches('`').to_owned()));
        } else {
            column = cells.iter().position(|cell| *cell == "Reason");
        }
    }
    reasons.retain(|reason| is_camel_case(reason));
    reasons
}

#[test]
fn every_reason_is_on_the_page_and_no_other() {
    let (mut given, told) = (words(), reasons());
    given.retain(|word| !OTHER_WORDS.contains(&word.as_str()));
    let untold: Vec<_> = given.difference(&told).collect();
    assert!(untold.is_empty(), "not in docs/reference/conditions.md, nor known here as something else: {untold:?}");
    let unknown: Vec<_> = told.difference(&given).collect();
    assert!(unknown.is_empty(), "docs/reference/conditions.md has reasons that the operator never gives: {unknown:?}");
}
