//! What is wrong with a RecurringTask in a cluster.

use gritstone_crds::kinds::{CronScheduleSpec, RecurringTaskSpec};

use crate::cron_schedule::Owner;

/// What it comes to, or everything wrong with it, one a line.
pub(super) fn validate(spec: &RecurringTaskSpec, owner: &Owner) -> Result<CronScheduleSpec, String> {
    let mut problems: Vec<_> = spec.validate().iter().map(ToString::to_string).collect();
    if spec.database.is_none() {
        problems.push("spec.database: is missing: say which Secret has the database's URL".to_owned());
    }
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    let key = spec.key.clone().unwrap_or_else(|| owner.default_key());
    CronScheduleSpec::of(spec, key).map_err(|error| format!("spec.schedule: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn validated(spec: Value) -> Result<CronScheduleSpec, String> {
        let owner = Owner { cluster: "here".to_owned(), namespace: "shop".to_owned(), name: "daily".to_owned() };
        validate(&serde_json::from_value(spec).expect("a spec"), &owner)
    }

    #[test]
    fn a_schedule_that_cannot_be_read_is_told_in_the_words_of_the_check() {
        let database = json!({"secretRef": {"name": "app-db"}});
        let spec = json!({"database": database, "schedule": "every weekday at 9amm", "job": {"class": "A"}});
        let manifest = json!({
            "apiVersion": gritstone_crds::API_VERSION, "kind": "RecurringTask", "metadata": {"name": "daily"}, "spec": spec,
        });
        let problems = gritstone_crds::read_manifests(&manifest.to_string(), "task.yaml").expect_err("a problem");
        let said = validated(spec).expect_err("refused");
        assert!(said.contains("`amm`") && said.contains("did you mean"), "{said}");
        let words = said.strip_prefix("spec.schedule: ").expect("the field");
        assert!(problems[0].to_string().contains(words), "{} / {words}", problems[0]);
    }

    #[test]
    fn a_task_has_a_database_and_a_key_of_its_own() {
        let job = json!({"class": "A"});
        assert!(validated(json!({"schedule": "0 9 * * *", "job": job})).unwrap_err().starts_with("spec.database"));
        let database = json!({"secretRef": {"name": "app-db"}});
        let default = validated(json!({"database": database, "schedule": "0 9 * * *", "job": job})).expect("valid");
        assert_eq!(default.key, "here/shop/daily");
        let named =
            validated(json!({"database": database, "schedule": "0 9 * * *", "job": job, "key": "k"})).expect("valid");
        assert_eq!(named.key, "k");
    }
}
