//! A queue database that a Secret names, and tasks on it.

use gritstone_crds::kinds::{ConditionStatus, RecurringTask};
use gritstone_store::{MigrateOptions, Session, Store, StoreOptions, TaskView};
use gritstone_tests::rig::{PATIENCE, Sql, until_shown};
use gritstone_tests::servers::{Server, TestDatabase};
use serde_json::{Value, json};

use crate::support::{Rig, says};

pub struct Queue {
    pub store: Store,
    database: TestDatabase,
}

impl Queue {
    /// A queue, which the Secret `secret` names.
    pub async fn new(rig: &Rig, secret: &str, server: Server) -> Self {
        let queue = Self::empty(rig, secret, server).await;
        queue.migrate().await;
        queue
    }

    /// A database that isn't one yet.
    pub async fn empty(rig: &Rig, secret: &str, server: Server) -> Self {
        let database = TestDatabase::create(server).await.unwrap();
        let store = Store::open(&database.url, StoreOptions::default()).unwrap();
        rig.create_secret_of(secret, &database.url).await;
        Self { store, database }
    }

    pub async fn migrate(&self) {
        self.store.migrate(MigrateOptions::default()).await.unwrap();
    }

    pub async fn session(&self) -> Session<'static> {
        self.store.session().await.unwrap()
    }

    pub async fn sql(&self) -> Sql {
        Sql::connect(self.database.engine(), &self.database.url).await.unwrap()
    }

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
