//! Queues and settings as people see and change them.

use crate::support::{Db, claim_any, conformance, done, fail, finish, job, limit, start};
use gritstone_store::{JobFilter, JobState, NewJob, OnConflict, QueueState, Settings};
use std::time::Duration;

conformance!(
    a_queue_is_paused_once_and_resumed_once,
    sizes_and_latencies_are_told,
    every_queue_is_listed_with_what_it_holds,
    jobs_are_listed_by_state_queue_and_class_in_pages,
    a_job_is_found_by_either_id,
    settings_are_the_defaults_until_written,
    the_databases_time_is_now,
);

async fn a_queue_is_paused_once_and_resumed_once(db: Db) {
    let mut session = db.session().await;
    assert!(session.pause_queue("mail").await.unwrap());
    assert!(!session.pause_queue("mail").await.unwrap());
    assert!(session.pause_queue("a").await.unwrap());
    assert_eq!(session.paused_queues().await.unwrap(), ["a", "mail"]);
    assert!(session.resume_queue("mail").await.unwrap());
    assert!(!session.resume_queue("mail").await.unwrap());
    assert_eq!(session.paused_queues().await.unwrap(), ["a"]);
    let too_long = session.pause_queue(&"x".repeat(300)).await;
    assert_eq!(too_long.is_err(), db.is_mysql(), "cut or taken whole, but never cut silently");
}

async fn sizes_and_latencies_are_told(db: Db) {
    db.store.enqueue(&[job(), job(), job().on("b")]).await.unwrap();
    db.run(&format!(
        "update solid_queue_ready_executions set created_at = {} where queue_name = 'b'",
        db.seconds_from_now(-90)
    ))
    .await;
    let mut session = db.session().await;
    assert_eq!(session.queue_size("default").await.unwrap(), 2);
    assert_eq!(session.queue_size("none").await.unwrap(), 0);
    let queues = session.queues().await.unwrap();
    assert!((90..95).contains(&queues[0].latency_seconds), "{queues:?}");
    assert!(queues[1].latency_seconds < 30);
}

async fn every_queue_is_listed_with_what_it_holds(db: Db) {
    let blocked = || job().on("a").priority(9).limited(limit("k", 1, OnConflict::Block));
    db.store.enqueue(&vec![job().on("a"); 3]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 3).await;
    finish(&mut session, &[fail(&claimed[0], "x"), done(&claimed[1])]).await;
    let jobs = [blocked(), blocked(), job().on("a").after(Duration::from_secs(60)), job().on("idle")];
    let enqueued = db.store.enqueue(&jobs).await.unwrap();
    session.discard(&[enqueued[3].job_id]).await.unwrap();
    session.pause_queue("quiet").await.unwrap();

    let queues = session.queues().await.unwrap();
    let a = QueueState {
        name: "a".into(),
        ready: 1,
        claimed: 1,
        scheduled: 1,
        blocked: 1,
        failed: 1,
        latency_seconds: queues[0].latency_seconds,
        paused: false,
    };
    assert_eq!(queues[0], a);
    assert_eq!((queues[1].name.as_str(), queues[1].paused, queues[1].ready), ("quiet", true, 0));
    assert_eq!(queues.len(), 2);
}

async fn jobs_are_listed_by_state_queue_and_class_in_pages(db: Db) {
    let jobs: Vec<NewJob> =
        (0..10).map(|n| NewJob::new(["A", "B"][n % 2], vec![]).on(if n < 6 { "x" } else { "y" })).collect();
    let enqueued = db.store.enqueue(&jobs).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 1).await;
    finish(&mut session, &[done(&claimed[0])]).await;

    let filter = JobFilter { state: Some(JobState::Ready), limit: 2, ..JobFilter::default() };
    let mut filter = JobFilter { queue: Some("x".into()), class: Some("A".into()), ..filter };
    let page = session.jobs(&filter).await.unwrap();
    let ids: Vec<i64> = page.jobs.iter().map(|job| job.job_id).collect();
    assert_eq!(ids, [enqueued[2].job_id, enqueued[4].job_id]);
    filter.after = page.next;
    assert!(session.jobs(&filter).await.unwrap().jobs.is_empty());
    let finished = JobFilter { state: Some(JobState::Finished), limit: 10, ..JobFilter::default() };
    assert_eq!(session.job_ids(&finished).await.unwrap(), [enqueued[0].job_id]);
}

async fn a_job_is_found_by_either_id(db: Db) {
    let enqueued = db.store.enqueue(&[job(), job()]).await.unwrap();
    let mut session = db.session().await;
    // Active Job's own retries are new rows under the same id: the newest counts.
    db.run(&format!("update solid_queue_jobs set active_job_id = '{}'", enqueued[0].id)).await;
    let by_own = session.job(&enqueued[0].id).await.unwrap().unwrap();
    assert_eq!(by_own.job_id, enqueued[1].job_id);
    let by_row = session.job(&enqueued[0].job_id.to_string()).await.unwrap().unwrap();
    assert_eq!(by_row.job_id, enqueued[0].job_id);
    assert_eq!(session.job("nothing").await.unwrap(), None);
}

async fn settings_are_the_defaults_until_written(db: Db) {
    let mut session = db.session().await;
    assert_eq!(session.settings().await.unwrap(), Settings::default());
    let mine = Settings {
        alive_threshold: Duration::from_millis(1_500),
        clear_finished_after: None,
        keep_at_most: Some(3),
        preserve_finished_jobs: false,
        ..Settings::default()
    };
    for _ in 0..2 {
        session.write_settings(&mine).await.unwrap();
        assert_eq!(session.settings().await.unwrap(), mine);
    }
    session.write_settings(&Settings::default()).await.unwrap();
    assert_eq!(session.settings().await.unwrap(), Settings::default());
}

async fn the_databases_time_is_now(db: Db) {
    let now = db.session().await.now().await.unwrap();
    assert!(now.duration_since(jiff::Timestamp::now()).as_secs().abs() < 60);
}
