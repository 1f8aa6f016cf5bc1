//! What a handler is given of each row that Rails wrote: `fixtures/rails/expected.json` says it, the real engine does it. And what the
//! engine leaves in the row is what Rails reads.

use crate::support::{Db, conformance, load_rails_rows, rails_rows};
use futures::future::BoxFuture;
use gritstone::execute::protocol::document;
use gritstone::execute::{Context, Handler, Job, JobError, Outcome, Report};
use gritstone::process::{DispatcherConfig, Stop, Supervisor, SupervisorConfig, WorkerConfig};
use gritstone_store::JobState;
use gritstone_tests::rig::{Crew, Site, until};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

conformance!(
    with Db::rails;
    every_row_is_given_as_it_is_written_down,
    every_row_is_given_so_over_the_process_protocol_too,
);

/// What handlers are to be given, by the job's row; of a job that Rails had finished nothing.
fn expected(db: &Db) -> BTreeMap<i64, Value> {
    let all: Value = serde_json::from_str(include_str!("../../fixtures/rails/expected.json")).unwrap();
    let file = if db.is_sqlite() { "rows.sqlite.json" } else { "rows.json" };
    all[file].as_object().unwrap().iter().map(|(id, document)| (id.parse().unwrap(), document.clone())).collect()
}

/// The envelopes as Rails wrote them, by the job's row.
fn envelopes(db: &Db) -> BTreeMap<i64, String> {
    let rows = rails_rows(db);
    let row = |row: &Value| (row["id"].as_i64().unwrap(), row["arguments"].as_str().unwrap().to_owned());
    rows["solid_queue_jobs"].as_array().unwrap().iter().map(row).collect()
}

/// A document without its claim, which differs in every run, and its envelope, which must be the row's own text.
fn checked(line: &[u8], envelope: &str) -> Value {
    let text = std::str::from_utf8(line).unwrap();
    assert!(text.contains(&format!(r#""active_job":{envelope},"#)), "{text} has not {envelope}");
    let mut document: Map<String, Value> = serde_json::from_slice(line).unwrap();
    assert!(document.remove("claim").unwrap().is_i64());
    document.remove("active_job").unwrap();
    Value::Object(document)
}

/// Fails each job's first run, and keeps what it was given.
#[derive(Default)]
struct Recorder {
    runs: Mutex<Vec<(i64, Vec<u8>)>>,
    failed: Mutex<HashSet<i64>>,
}

impl Handler for Recorder {
    fn run(&self, job: Arc<Job>, _: Context) -> BoxFuture<'_, Report> {
        self.runs.lock().unwrap().push((job.row_id, document(&job).unwrap()));
        let outcome = match self.failed.lock().unwrap().insert(job.row_id) {
            true => Outcome::Fail { error: error() },
            false => Outcome::Done,
        };
        Box::pin(std::future::ready(outcome.into()))
    }
}

fn error() -> JobError {
    JobError::new("Net::OpenTimeout", "it is away \"now\"")
        .with_backtrace(["app/a.rb:1:in `b'".into(), "<main>".into()])
}

async fn every_row_is_given_as_it_is_written_down(db: Db) {
    load_rails_rows(&db).await;
    db.let_time_pass().await;
    let (mut expected, written) = (expected(&db), envelopes(&db));
    // This one had failed before.
    let mut recorder = Recorder::default();
    recorder.failed.get_mut().unwrap().insert(15);
    let recorder = Arc::new(recorder);
    let handler: Arc<dyn Handler> = recorder.clone();
    let supervisor = Supervisor::new(db.store.clone(), SupervisorConfig::default())
        .worker(WorkerConfig::default(), move || Arc::clone(&handler))
        .dispatcher(DispatcherConfig::default());
    let stop = Stop::new();
    let engine = tokio::spawn({
        let stop = stop.clone();
        async move { supervisor.run(&stop).await }
    });
    let all_in = async |state: JobState, count: usize| {
        until(&format!("{count} jobs are {}", state.name()), async || {
            let jobs = db.jobs().await;
            let there = jobs.iter().filter(|job| job.state == state && job.job_id != 16).count();
            (there == count).then_some(jobs)
        })
        .await
    };

    let failed = all_in(JobState::Failed, expected.len()).await;
    for job in failed.iter().filter(|job| job.state == JobState::Failed && job.job_id != 15) {
        assert_eq!(job.envelope, Some(once_more(&written[&job.job_id])), "{}", job.job_id);
    }
    let errors = db.raw().await.texts("select error from solid_queue_failed_executions where job_id <> 15").await;
    let text = r#"{"exception_class":"Net::OpenTimeout","message":"it is away \"now\"","backtrace":["app/a.rb:1:in `b'","<main>"]}"#;
    assert_eq!(errors, vec![text; expected.len() - 1]);
    let first: BTreeMap<i64, Value> = std::mem::take(&mut *recorder.runs.lock().unwrap())
        .iter()
        .map(|(id, line)| (*id, checked(line, &written[id])))
        .collect();
    for (id, document) in &first {
        assert_eq!(document, &expected[id], "{id}");
    }
    assert_eq!(first.len(), expected.len() - 1);

    let ids: Vec<i64> = expected.keys().copied().collect();
    assert!(db.session().await.retry_failed(&ids).await.unwrap().skipped.is_empty());
    // The one that Rails had finished days ago is cleared meanwhile.
    let finished = all_in(JobState::Finished, expected.len()).await;
    stop.gracefully();
    engine.await.unwrap().unwrap();
    for (id, line) in recorder.runs.lock().unwrap().iter() {
        let mut expected = expected.remove(id).unwrap();
        // A retry by hand starts the count anew.
        expected["attempt"] = json!(1);
        assert_eq!(checked(line, &anew(&written[id])), expected, "{id}");
    }
    assert!(expected.is_empty(), "{expected:?} did not run");
    for job in finished.iter().filter(|job| job.job_id != 16) {
        assert_eq!(job.envelope, Some(anew(&written[&job.job_id])), "{}", job.job_id);
    }
}

/// The envelope after a run that ended with [`error`]; the least is changed.
fn once_more(envelope: &str) -> String {
    if envelope.contains(r#""executions":0,"exception_executions":{},"#) {
        return envelope.replace(
            r#""executions":0,"exception_executions":{},"#,
            r#""executions":1,"exception_executions":{"[Net::OpenTimeout]":1},"#,
        );
    }
    envelope.replace(
        r#""executions":1,"exception_executions":{"[ArgumentError]":1},"#,
        r#""executions":2,"exception_executions":{"[ArgumentError]":1,"[Net::OpenTimeout]":1},"#,
    )
}

/// The envelope without its runs.
fn anew(envelope: &str) -> String {
    envelope.replace(
        r#""executions":1,"exception_executions":{"[ArgumentError]":1},"#,
        r#""executions":0,"exception_executions":{},"#,
    )
}

/// Writes down each line that it is given.
const HANDLER: &str = "\
import json, sys
for line in sys.stdin:
    if 'cancel' not in (job := json.loads(line)):
        with open('lines', 'a') as lines:
            lines.write(line)
        print(json.dumps({'claim': job['claim'], 'outcome': 'done'}), flush=True)
";

const MANIFESTS: &str = "\
apiVersion: gritstone.dev/v1alpha1
kind: QueueWorker
metadata: {name: recorder}
spec: {threads: 1, handler: {process: {command: [python3, recorder.py]}}}
---
apiVersion: gritstone.dev/v1alpha1
kind: Dispatcher
metadata: {name: recorder}
";

async fn every_row_is_given_so_over_the_process_protocol_too(db: Db) {
    load_rails_rows(&db).await;
    db.let_time_pass().await;
    db.session().await.retry_failed(&[15]).await.unwrap();
    let (expected, written) = (expected(&db), envelopes(&db));
    let site = Site::on(db.engine, db.url().to_owned(), &Crew::default()).await;
    std::fs::write(site.folder().join("recorder.py"), HANDLER).unwrap();
    std::fs::write(site.folder().join("recorder.yaml"), MANIFESTS).unwrap();
    let mut engine = site.run(&["start", "--file", "recorder.yaml"]);
    let through = "select count(*) from solid_queue_jobs where finished_at is not null and id <> 16";
    until("all jobs have finished", async || (site.int(through).await == expected.len() as i64).then_some(())).await;
    engine.stop().await;

    let lines = std::fs::read(site.folder().join("lines")).unwrap();
    let rows: BTreeMap<&str, i64> =
        expected.iter().map(|(id, document)| (document["id"].as_str().unwrap(), *id)).collect();
    let mut given = BTreeMap::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let document: Value = serde_json::from_slice(line).unwrap();
        let id = rows[document["id"].as_str().unwrap()];
        assert_eq!(given.insert(id, checked(line, &written[&id])), None, "{id} ran twice");
    }
    assert_eq!(given, expected);
}
