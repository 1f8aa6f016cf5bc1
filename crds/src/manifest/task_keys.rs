//! Keys of recurring tasks, of which a database has one each.

use std::collections::HashMap;

use super::{Manifest, Problem};
use crate::kinds::{RecurringTaskSpec, Spec};

/// Tasks under a key that another one of the same database has: only one of them could run.
pub fn duplicate_task_keys(manifests: &[Manifest]) -> Vec<Problem> {
    let mut seen: HashMap<String, Vec<(&Manifest, &RecurringTaskSpec)>> = HashMap::new();
    let mut problems = Vec::new();
    for manifest in manifests {
        let Spec::RecurringTask(spec) = &manifest.spec else { continue };
        let key = spec.key_under(&manifest.metadata);
        let of_key = seen.entry(key.clone()).or_default();
        match of_key.iter().find(|(_, other)| other.database == spec.database) {
            Some((first, _)) => problems.push(Problem {
                file: manifest.source.file.clone(),
                line: Some(manifest.source.line),
                column: None,
                path: "spec.key".to_owned(),
                message: format!(
                    "the recurring task at {} has the key {key} already: give this one another",
                    first.source
                ),
            }),
            None => of_key.push((manifest, spec)),
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::read_manifests;

    fn task(name: &str, rest: &str) -> String {
        format!(
            "---\napiVersion: gritstone.dev/v1alpha1\nkind: RecurringTask\nmetadata: {{name: {name}}}\n\
             spec: {{schedule: every hour, command: a{rest}}}\n"
        )
    }

    fn problems(text: &str) -> Vec<String> {
        let manifests = read_manifests(text, "a.yaml").expect("manifests");
        duplicate_task_keys(&manifests).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn two_tasks_with_one_key_are_told_with_both_places() {
        let text = task("a", "") + &task("b", ", key: a") + &task("c", "");
        let [problem] = problems(&text).try_into().expect("one problem");
        assert!(problem.starts_with("a.yaml:"), "{problem}");
        assert!(problem.contains("spec.key: the recurring task at a.yaml:"), "{problem}");
    }

    #[test]
    fn another_database_has_keys_of_its_own() {
        let elsewhere = ", key: a, database: {secretRef: {name: other, key: uri}}";
        assert_eq!(problems(&(task("a", "") + &task("b", elsewhere))), Vec::<String>::new());
    }
}
