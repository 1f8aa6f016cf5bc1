//! New jobs.

use crate::support::{Db, conformance, job};
use gritstone_store::{EnqueueError, Enqueued, JobState, MAX_NESTING, NewJob, Placed};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinSet;

conformance!(
    a_job_is_ready_at_once,
    a_job_waits_for_its_time,
    a_moment_that_has_passed_is_now,
    many_jobs_keep_their_order,
    the_envelope_is_as_rails_writes_it,
    a_chosen_id_makes_one_job,
    a_chosen_id_is_free_again_when_its_job_is_gone,
    a_number_is_a_row_and_never_the_id_that_somebody_chose,
    many_tasks_with_one_id_make_one_job,
    ids_that_differ_in_the_last_of_255_characters_are_two,
    names_that_no_column_holds_are_refused_and_nothing_is_written,
    one_wrong_job_keeps_all_from_being_written,
    arguments_that_no_worker_reads_are_refused_and_nothing_is_written,
    arguments_of_every_kind_come_back,
    times_are_kept_as_rails_keeps_them,
    attempts_are_kept,
);

async fn a_job_is_ready_at_once(db: Db) {
    let enqueued = db.store.enqueue(&[NewJob::new("SendMail", vec![json!(1)])]).await.unwrap();

    assert_eq!(enqueued[0].placed, Placed::Ready);
    let job = db.job(enqueued[0].job_id).await.unwrap();
    assert_eq!((job.state, job.queue.as_str(), job.priority), (JobState::Ready, "default", 0));
    assert_eq!(job.class, "SendMail");
    assert_eq!(job.id.as_deref(), Some(enqueued[0].id.as_str()));
    // Solid Queue sets it for immediate jobs too.
    assert_eq!(job.scheduled_at, Some(job.created_at));
    assert_eq!(db.count("ready_executions").await, 1);
}

async fn a_number_is_a_row_and_never_the_id_that_somebody_chose(db: Db) {
    let first = db.store.enqueue(&[NewJob::new("ChargeCard", vec![])]).await.unwrap()[0].job_id;
    let chosen = db.store.enqueue(&[NewJob::new("Report", vec![]).id(first.to_string())]).await.unwrap()[0].job_id;
    let mut session = db.session().await;
    let row = |job: Option<gritstone_store::JobView>| job.map(|job| job.job_id);
    assert_eq!(row(session.job(&first.to_string()).await.unwrap()), Some(first));
    assert_eq!(row(session.job(&format!("id:{first}")).await.unwrap()), Some(chosen));
    session.discard(&[first]).await.unwrap();
    assert_eq!(row(session.job(&first.to_string()).await.unwrap()), None);
    assert_eq!(row(session.job("99999999999999999999").await.unwrap()), None);
    let others = [NewJob::new("A", vec![]).id("weekly"), NewJob::new("A", vec![]).id("id:7")];
    let others = db.store.enqueue(&others).await.unwrap();
    for name in ["weekly", "id:weekly"] {
        assert_eq!(row(session.job(name).await.unwrap()), Some(others[0].job_id));
    }
    assert_eq!(row(session.job("id:7").await.unwrap()), None);
    assert_eq!(row(session.job("id:id:7").await.unwrap()), Some(others[1].job_id));
}

async fn arguments_that_no_worker_reads_are_refused_and_nothing_is_written(db: Db) {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let error = db.store.enqueue(&[job(), NewJob::new("A", vec![nested(MAX_NESTING)])]).await.unwrap_err();
    assert!(matches!(error, EnqueueError::Invalid(_)) && error.to_string().contains("nested deeper"), "{error}");
    assert_eq!(db.count("jobs").await, 0);
    db.store.enqueue(&[NewJob::new("A", vec![nested(MAX_NESTING - 1)])]).await.unwrap();
    assert_eq!(db.count("ready_executions").await, 1);
}

async fn a_job_waits_for_its_time(db: Db) {
    let at: Timestamp = "2040-01-02T03:04:05.678901Z".parse().unwrap();
    let enqueued =
        db.store.enqueue(&[job().at(at), job().after(Duration::from_secs(3600)), job().priority(3)]).await.unwrap();

    let placed: Vec<Placed> = enqueued.iter().map(|e| e.placed).collect();
    assert_eq!(placed, [Placed::Scheduled, Placed::Scheduled, Placed::Ready]);
    assert_eq!(db.job(enqueued[0].job_id).await.unwrap().scheduled_at, Some(at));
    let later = db.job(enqueued[1].job_id).await.unwrap();
    assert_eq!(later.scheduled_at.unwrap().duration_since(later.created_at).as_secs(), 3600);
    assert_eq!(db.count("scheduled_executions").await, 2);
}

async fn a_moment_that_has_passed_is_now(db: Db) {
    let past: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let enqueued = db.store.enqueue(&[job().at(past), job().after(Duration::ZERO)]).await.unwrap();
    assert!(enqueued.iter().all(|e| e.placed == Placed::Ready));
    assert_eq!(db.job(enqueued[0].job_id).await.unwrap().scheduled_at, Some(past));
}

async fn many_jobs_keep_their_order(db: Db) {
    let mix = |n: usize| {
        let job = NewJob::new("Job", vec![json!(n)]).on(format!("queue{}", n % 3)).priority((n % 5) as i32);
        if n.is_multiple_of(4) { job.after(Duration::from_secs(600)) } else { job }
    };
    let jobs: Vec<NewJob> = (0..12_000).map(mix).collect();
    let enqueued = db.store.enqueue(&jobs).await.unwrap();

    assert!(enqueued.windows(2).all(|pair| pair[0].job_id < pair[1].job_id));
    let ids: BTreeSet<&str> = enqueued.iter().map(|e| e.id.as_str()).collect();
    assert_eq!(ids.len(), 12_000);
    assert_eq!(db.count("ready_executions").await, 9_000);
    assert_eq!(db.count("scheduled_executions").await, 3_000);
    for n in [0, 1, 4_999, 5_000, 11_999] {
        let job = db.job(enqueued[n].job_id).await.unwrap();
        assert_eq!(job.queue, format!("queue{}", n % 3));
        let envelope: Value = serde_json::from_str(&job.envelope.unwrap()).unwrap();
        assert_eq!(envelope["arguments"], json!([n]));
        assert_eq!(envelope["job_id"], json!(enqueued[n].id));
    }
}

async fn the_envelope_is_as_rails_writes_it(db: Db) {
    let rows: Value = serde_json::from_str(include_str!("../../fixtures/rails/rows.json")).unwrap();
    let theirs: Value = serde_json::from_str(rows["solid_queue_jobs"][0]["arguments"].as_str().unwrap()).unwrap();

    let enqueued = db.store.enqueue(&[NewJob::new("NoopJob", vec![])]).await.unwrap();
    let job = db.job(enqueued[0].job_id).await.unwrap();
    let ours: Value = serde_json::from_str(&job.envelope.unwrap()).unwrap();

    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&ours), keys(&theirs));
    for (key, value) in theirs.as_object().unwrap() {
        let is_own = ["job_id", "enqueued_at", "scheduled_at"].contains(&key.as_str());
        match is_own {
            true => assert_eq!(ours[key].as_str().map(str::len), value.as_str().map(str::len), "{key}"),
            false => assert_eq!(&ours[key], value, "{key}"),
        }
    }
}

async fn a_chosen_id_makes_one_job(db: Db) {
    let first = db.store.enqueue(&[job().id("invoice-7")]).await.unwrap();
    let second = db.store.enqueue(&[job(), job().id("invoice-7")]).await.unwrap();

    assert_eq!(first[0].id, "invoice-7");
    assert_eq!(second[1], Enqueued { placed: Placed::Duplicate, ..first[0].clone() });
    assert_eq!(db.count("jobs").await, 2);
    let twice = db.store.enqueue(&[job().id("x"), job().id("x")]).await;
    assert!(matches!(twice, Err(EnqueueError::Store(error)) if error.is_data()));
    assert_eq!(db.count("jobs").await, 2);
}

async fn a_chosen_id_is_free_again_when_its_job_is_gone(db: Db) {
    let first = db.store.enqueue(&[job().id("invoice-7")]).await.unwrap();
    db.session().await.discard(&[first[0].job_id]).await.unwrap();
    let second = db.store.enqueue(&[job().id("invoice-7")]).await.unwrap();

    assert_eq!(second[0].placed, Placed::Ready);
    assert_ne!(second[0].job_id, first[0].job_id);
    let third = db.store.enqueue(&[job().id("invoice-7")]).await.unwrap();
    assert_eq!((third[0].placed, third[0].job_id), (Placed::Duplicate, second[0].job_id));
}

async fn many_tasks_with_one_id_make_one_job(db: Db) {
    for round in 0..5 {
        let id = format!("id-{round}");
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let (store, id) = (db.store.clone(), id.clone());
            tasks.spawn(async move { store.enqueue(&[job().id(id)]).await.unwrap().remove(0) });
        }
        let enqueued = tasks.join_all().await;
        let made: Vec<_> = enqueued.iter().filter(|e| e.placed == Placed::Ready).collect();
        assert_eq!(made.len(), 1);
        assert!(enqueued.iter().all(|e| e.job_id == made[0].job_id));
    }
    assert_eq!(db.count("jobs").await, 5);
}

async fn ids_that_differ_in_the_last_of_255_characters_are_two(db: Db) {
    let long = "é".repeat(254);
    let ids = [format!("{long}a"), format!("{long}b"), format!("{long}A")];
    let jobs: Vec<NewJob> = ids.iter().map(|id| job().id(id)).collect();
    let enqueued = db.store.enqueue(&jobs).await.unwrap();
    assert!(enqueued.iter().all(|e| e.placed == Placed::Ready), "{enqueued:?}");
}

async fn names_that_no_column_holds_are_refused_and_nothing_is_written(db: Db) {
    let long = "x".repeat(256);
    let wrong = [job().on(""), job().on(&long), job().on("a\0b"), NewJob::new(&long, vec![]), job().id(&long)];
    for job in wrong {
        let refused = db.store.enqueue(&[job]).await;
        assert!(matches!(refused, Err(EnqueueError::Invalid(_))), "{refused:?}");
    }
    let widest = "é".repeat(255);
    let enqueued = db.store.enqueue(&[NewJob::new(&widest, vec![]).on(&widest)]).await.unwrap();
    assert_eq!(db.job(enqueued[0].job_id).await.unwrap().queue, widest);
    assert_eq!(db.count("jobs").await, 1);
}

async fn one_wrong_job_keeps_all_from_being_written(db: Db) {
    // MySQL's text holds 64 KB; elsewhere the second id is given twice.
    let good: Vec<NewJob> = (0..1_500).map(|_| job()).collect();
    let too_long = NewJob::new("Job", vec![json!("x".repeat(70_000))]);
    let wrong = if db.is_mysql() { vec![too_long] } else { vec![job().id("x"), job().id("x")] };
    let refused = db.store.enqueue(&[good, wrong].concat()).await;

    assert!(matches!(&refused, Err(EnqueueError::Store(error)) if error.is_data()), "{refused:?}");
    for table in ["jobs", "ready_executions"] {
        assert_eq!(db.count(table).await, 0);
    }
    // The connection is as good as new.
    db.store.enqueue(&[job()]).await.unwrap();
}

async fn arguments_of_every_kind_come_back(db: Db) {
    let arguments = vec![
        json!(null),
        json!(1.5),
        json!("héllo ✓ 🦀 \u{0} '\"\\ ?"),
        json!([[1], []]),
        json!({"a": {"b": null}, "_aj_symbol_keys": ["a"]}),
        json!(u64::MAX),
    ];
    let enqueued = db.store.enqueue(&[NewJob::new("Job", arguments.clone())]).await.unwrap();
    let job = db.job(enqueued[0].job_id).await.unwrap();
    let envelope: Value = serde_json::from_str(&job.envelope.unwrap()).unwrap();
    assert_eq!(envelope["arguments"], Value::Array(arguments));
}

async fn times_are_kept_as_rails_keeps_them(db: Db) {
    let whole: Timestamp = "2040-01-01T00:00:00Z".parse().unwrap();
    let micros: Timestamp = "2040-01-01T00:00:00.000120Z".parse().unwrap();
    let enqueued = db.store.enqueue(&[job().at(whole), job().at(micros), job()]).await.unwrap();
    let stored = |index: usize| {
        let sql = format!("select scheduled_at from solid_queue_jobs where id = {}", enqueued[index].job_id);
        let db = &db;
        async move { db.text(&sql).await }
    };
    if db.is_sqlite() {
        assert_eq!(stored(0).await, "2040-01-01 00:00:00");
        let now = stored(2).await;
        assert!(now.len() == 26 || now.len() == 19, "{now}");
    }
    assert_eq!(stored(1).await, "2040-01-01 00:00:00.00012".to_owned() + if db.is_postgres() { "" } else { "0" });
    assert_eq!(db.job(enqueued[1].job_id).await.unwrap().scheduled_at, Some(micros));
}

async fn attempts_are_kept(db: Db) {
    db.store.enqueue(&[job().attempts(7), job()]).await.unwrap();
    let process = crate::support::start(&db).await;
    let claimed = crate::support::claim_any(&mut db.session().await, process, 5).await;
    let attempts: Vec<_> = claimed.iter().map(|job| job.attempts).collect();
    assert_eq!(attempts, [Some(7), None]);
}
