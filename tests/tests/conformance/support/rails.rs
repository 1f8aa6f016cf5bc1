//! What Rails wrote.

use super::Db;
use gritstone_store::MigrateOptions;
use serde_json::Value;

const TABLES: [&str; 10] = [
    "jobs",
    "ready_executions",
    "scheduled_executions",
    "blocked_executions",
    "failed_executions",
    "recurring_tasks",
    "pauses",
    "semaphores",
    "processes",
    "recurring_executions",
];

/// The rows that Rails wrote, table by table, as this database holds them.
pub fn rails_rows(db: &Db) -> Value {
    let rows = match db.is_sqlite() {
        true => include_str!("../../../fixtures/rails/rows.sqlite.json"),
        false => include_str!("../../../fixtures/rails/rows.json"),
    };
    serde_json::from_str(rows).unwrap()
}

/// Loads the rows that Rails wrote, and adopts the database.
pub async fn load_rails_rows(db: &Db) {
    let rows = rails_rows(db);
    let mut raw = db.raw().await;
    for table in TABLES {
        for row in rows[format!("solid_queue_{table}")].as_array().unwrap() {
            let quote = if db.is_mysql() { "`" } else { "\"" };
            let columns: Vec<String> = row.as_object().unwrap().keys().map(|c| format!("{quote}{c}{quote}")).collect();
            let values: Vec<String> = row.as_object().unwrap().values().map(|value| literal(db, value)).collect();
            raw.run(&format!(
                "insert into solid_queue_{table} ({}) values ({})",
                columns.join(", "),
                values.join(", ")
            ))
            .await;
        }
        if db.is_postgres() {
            raw.rows(&format!(
                "select setval('solid_queue_{table}_id_seq', (select coalesce(max(id), 0) + 1 from solid_queue_{table}))"
            ))
            .await;
        }
    }
    db.store.migrate(MigrateOptions::default()).await.unwrap();
}

fn literal(db: &Db, value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::String(text) => {
            let is_time = text.len() > 18 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
            let text = if is_time { text.replace('T', " ").replace('Z', "") } else { text.clone() };
            let text = if db.is_mysql() { text.replace('\\', "\\\\") } else { text };
            format!("'{}'", text.replace('\'', "''"))
        }
        other => other.to_string(),
    }
}
