//! Rows of tasks in a queue database, and tasks on it.

use gritstone_crds::kinds::{ConditionStatus, RecurringTask};
use gritstone_store::TaskView;
use gritstone_tests::rig::{PATIENCE, until_shown};
use serde_json::{Value, json};

pub use crate::support::Queue;
use crate::support::{Rig, says};

impl Queue {
    pub async fn row(&self, key: &str) -> Option<TaskView> {
        self.session().await.task(key).await.unwrap()
    }

    /// The row, once it is as expected.
    pub async fn row_when(&self, key: &str, expected: impl Fn(Option<&TaskView>) -> bool) -> Option<TaskView> {
        until_shown(PATIENCE, &format!("the row of {key} is as expected"), async || {
            let row = self.row(key).await;
            if expected(row.as_ref()) { Ok(row) } else { Err(format!("{row:#?}")) }
        })
        .await
    }
}

/// The spec of a task on the database of a Secret.
pub fn task(secret: &str, mut spec: Value) -> Value {
    spec["database"] = json!({"secretRef": {"name": secret}});
    spec
}

/// A task that runs every day at noon, under this key.
pub fn daily(secret: &str, key: &str) -> Value {
    task(secret, json!({"schedule": "every day at noon", "job": {"class": "Report"}, "key": key}))
}

/// The task, once its row is in the database.
pub async fn scheduled(rig: &Rig, name: &str) -> RecurringTask {
    rig.get::<RecurringTask>(name, |task| says(task, "Ready", ConditionStatus::True, "Scheduled")).await
}
