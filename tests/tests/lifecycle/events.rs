//! The log's events, as `docs/reference/events.md` has them.

use gritstone_store::{Limit, NewBatch, NewJob, UseLimit};
use gritstone_tests::rig::{Crew, PATIENCE, Running, Signal, Site, processes, until, until_shown};
use gritstone_tests::servers::Engine;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

const EVERYTHING: [(&str, &str); 2] =
    [("GRITSTONE_LOG", "gritstone=trace,gritstone_store=trace"), ("GRITSTONE_LOG_FORMAT", "json")];

/// A mistake of ours, which nobody can have made.
const PANICS: [&str; 2] = ["replace_thread", "thread_error"];

/// A row of the page's table.
#[derive(Debug)]
struct Row {
    events: Vec<String>,
    levels: Vec<String>,
    fields: BTreeSet<String>,
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

fn table() -> Vec<Row> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/reference/events.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<Row> = rows
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let levels = cells[1].split(", ").map(str::to_uppercase).collect();
            Row { events: quoted(cells[0]).collect(), levels, fields: quoted(cells[2]).collect() }
        })
        .collect();
    assert!(rows.len() > 20);
    rows
}

/// What was told: of each event its fields so far.
#[derive(Debug, Default)]
struct Told(BTreeMap<String, BTreeSet<String>>);

impl Told {
    /// Takes in what these have logged, and holds it to the table.
    fn by(table: &[Row], all: &[&Running]) -> Told {
        let mut told = Told::default();
        for line in all.iter().flat_map(|running| running.log().lines().map(str::to_owned).collect::<Vec<_>>()) {
            let Ok(Value::Object(line)) = serde_json::from_str(&line) else { continue };
            let event = line["message"].as_str().unwrap_or_default();
            let Some(row) = table.iter().find(|row| row.events.iter().any(|known| known == event)) else { continue };
            assert!(row.levels.iter().any(|level| line["level"] == level.as_str()), "{line:?}");
            let fields = line.keys().filter(|key| !["timestamp", "level", "message", "target"].contains(&key.as_str()));
            for field in fields {
                assert!(row.fields.contains(field), "{field} is not on the page: {line:?}");
                told.0.entry(event.to_owned()).or_default().insert(field.clone());
            }
        }
        told
    }

    fn and(mut self, other: &Told) -> Told {
        for (event, fields) in &other.0 {
            self.0.entry(event.clone()).or_default().extend(fields.iter().cloned());
        }
        self
    }

    /// What the page promises beyond what was told.
    fn lacks(&self, table: &[Row]) -> Vec<String> {
        let mut lacks = Vec::new();
        for row in table {
            let told = |event: &String| self.0.contains_key(event) || PANICS.contains(&event.as_str());
            lacks.extend(row.events.iter().filter(|event| !told(event)).cloned());
            let fields: BTreeSet<_> = row.events.iter().filter_map(|event| self.0.get(event)).flatten().collect();
            if !row.events.iter().any(|event| PANICS.contains(&event.as_str())) {
                lacks.extend(
                    row.fields
                        .iter()
                        .filter(|field| !fields.contains(field))
                        .map(|f| format!("{f} of {:?}", row.events)),
                );
            }
        }
        lacks
    }
}

/// A crew whose children are replaced, and a task for every second.
async fn site() -> Site {
    let drain = Duration::from_secs(1);
    let site = Site::new(Engine::Sqlite, &Crew { threads: 2, prefetch: Some(4), drain, ..Crew::default() }).await;
    let manifest = site.folder().join("manifests/worker.yaml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let recycled = text.replace("process: {command:", "process: {recycleAfter: {jobs: 3, memory: 1Gi}, command:");
    assert_ne!(text, recycled);
    std::fs::write(&manifest, recycled).unwrap();
    let task = "apiVersion: gritstone.dev/v1alpha1\nkind: RecurringTask\nmetadata: {name: tick}\nspec: {schedule: {every: 1s}, job: {\
                class: Work, args: [0.001]}}\n";
    std::fs::write(site.folder().join("manifests/task.yaml"), task).unwrap();
    site
}

/// A dead worker of another machine, with a job that nothing stops; and a limit whose slot nobody holds.
async fn leave_a_mess(site: &Site, table: &[Row]) -> Told {
    site.enqueue_one(vec![json!(600.0), json!("stubborn")]).await;
    let mut worker = site.run_with(&["work", "--file", &site.manifests()], &EVERYTHING);
    site.begun(1).await;
    worker.kill().await;
    let mut sql = site.sql().await;
    for statement in [
        "delete from gritstone_processes",
        "update solid_queue_processes set hostname = 'elsewhere', last_heartbeat_at = '2000-01-01 00:00:00'",
    ] {
        sql.run(statement).await.unwrap();
    }
    let limited = || {
        NewJob::new("Work", vec![json!(0.001)])
            .limited(UseLimit { key: "Work/1".into(), declare: Some(Limit::default()) })
    };
    site.enqueue_jobs(&[limited(), limited(), limited(), limited()]).await;
    let first = "select min(job_id) from solid_queue_ready_executions where job_id in (select id from solid_queue_jobs where concurrency_key = 'Work/1')";
    sql.run(&format!("delete from solid_queue_jobs where id = ({first})")).await.unwrap();
    Told::by(table, &[&worker])
}

/// What a command tells that is stopped while it runs one job, the only one.
async fn stopped_over(site: &Site, table: &[Row], command: &[&str], arguments: Value) -> Told {
    site.sql().await.run("delete from solid_queue_jobs").await.unwrap();
    let mut running = site.run_with(command, &EVERYTHING);
    let job = site.enqueue_one(arguments.as_array().unwrap().clone()).await;
    until("the job has begun", async || (!site.ledger.runs_of(&job).is_empty()).then_some(())).await;
    running.stop().await;
    Told::by(table, &[&running])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_of_the_page_is_told_at_its_level_with_its_fields_and_no_others() {
    let (table, site) = (table(), site().await);
    let mut told = leave_a_mess(&site, &table).await;
    let start = ["start", "--mode", "fork", "--file", &site.manifests(), "--shutdown-timeout", "1s"];
    let mut crew = site.run_with(&start, &EVERYTHING);
    let mut other = site.run_with(&["dispatch", "--file", &site.manifests()], &EVERYTHING);

    site.enqueue(&[0.001; 8]).await;
    site.enqueue_jobs(&[NewJob::new("Work", vec![json!(0.001)]).after(Duration::from_secs(1))]).await;
    let mut session = site.store.connect().await.unwrap();
    let batch = session.create_batch(&NewBatch::default()).await.unwrap();
    session.enqueue(&[NewJob { batch: Some(batch.clone()), ..NewJob::new("Work", vec![json!(0.001)]) }]).await.unwrap();
    session.start_batch(batch.id).await.unwrap();
    drop(session);
    let no_number: Vec<NewJob> = (0..6).map(|_| NewJob::new("Broken", vec![json!("x")])).collect();
    let broken = site.enqueue_jobs(&no_number).await;
    let failed = "select count(*) from solid_queue_failed_executions f join solid_queue_jobs j on j.id = f.job_id where class_name = 'Broken'";
    until("the broken ones have failed", async || (site.int(failed).await == 6).then_some(())).await;

    let workers = site.listed("Worker", 1).await;
    assert!(processes::send(workers[0], Signal::SIGKILL));
    until("the worker is replaced", async || crew.log().contains("replace_fork").then_some(())).await;
    for arguments in [
        vec!["jobs", "discard", &broken[0]],
        vec!["jobs", "discard", &broken[1], &broken[2]],
        vec!["jobs", "retry", &broken[3]],
        vec!["jobs", "retry", &broken[4], &broken[5]],
    ] {
        let mut command = site.run_with(&arguments, &EVERYTHING);
        assert!(command.end().await.success(), "{}", command.log());
        told = told.and(&Told::by(&table, &[&command]));
    }
    // Two that hold on to their threads, and those claimed ahead.
    site.enqueue(&[600.0; 6]).await;
    until("they are claimed", async || (site.count("claimed_executions").await >= 4).then_some(())).await;
    crew.signal(Signal::SIGTERM);
    crew.end().await;
    told = told.and(&stopped_over(&site, &table, &["work", "--file", &site.manifests()], json!([600.0])).await);
    let impatient = ["start", "--file", &site.manifests(), "--shutdown-timeout", "1s"];
    told = told.and(&stopped_over(&site, &table, &impatient, json!([600.0, "stubborn"])).await);
    until_shown(PATIENCE, "every event of the page was told: there lacks", async || {
        let lacks = Told::by(&table, &[&crew, &other]).and(&told).lacks(&table);
        if lacks.is_empty() { Ok(()) } else { Err(lacks.join(", ")) }
    })
    .await;
    assert!(other.stop().await.success());
}
