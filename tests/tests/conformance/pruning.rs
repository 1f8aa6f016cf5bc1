//! Processes whose heartbeat is too old.

use crate::support::{Db, claim_any, conformance, done, finish, job, new_process, start};
use gritstone_store::{JobState, NewJob, Settings};
use std::time::Duration;
use tokio::task::JoinSet;

conformance!(
    only_old_heartbeats_are_pruned,
    rails_processes_are_given_five_minutes_and_their_jobs_fail,
    a_process_prunes_not_itself,
    many_pruners_bury_each_process_once,
    a_pruner_that_meets_a_finisher_fails_nothing,
    a_process_that_came_back_is_left_alone,
    a_process_that_may_not_know_of_a_shorter_threshold_is_given_the_longest,
);

const THRESHOLD: Duration = Duration::from_secs(120);

async fn age(db: &Db, process_id: i64, seconds: i64) {
    let at = db.seconds_from_now(-seconds);
    db.run(&format!("update solid_queue_processes set last_heartbeat_at = {at} where id = {process_id}")).await;
}

async fn only_old_heartbeats_are_pruned(db: Db) {
    db.store.enqueue(&[job(), job()]).await.unwrap();
    let (old, young) = (start(&db).await, start(&db).await);
    let mut session = db.session().await;
    claim_any(&mut session, old, 1).await;
    claim_any(&mut session, young, 1).await;
    // Minutes on either side of the threshold: a machine may stand still for some seconds between two statements.
    let threshold = Duration::from_secs(3600);
    age(&db, old, 3700).await;
    age(&db, young, 2400).await;
    let buried = session.prune(threshold, None).await.unwrap();
    assert_eq!(buried.iter().map(|b| b.process_id).collect::<Vec<_>>(), [Some(old)]);
    assert_eq!(buried[0].interrupted.len(), 1);
    assert_eq!(db.states().await, [("claimed", 1), ("ready", 1)].into());
    assert!(!session.heartbeat(old).await.unwrap());
    assert!(session.heartbeat(young).await.unwrap());
}

async fn rails_processes_are_given_five_minutes_and_their_jobs_fail(db: Db) {
    db.store.enqueue(&[job()]).await.unwrap();
    let rails = start(&db).await;
    let mut session = db.session().await;
    claim_any(&mut session, rails, 1).await;
    db.run("delete from gritstone_processes").await;
    age(&db, rails, 200).await;
    assert!(session.prune(THRESHOLD, None).await.unwrap().is_empty());
    age(&db, rails, 301).await;
    assert_eq!(session.prune(THRESHOLD, None).await.unwrap()[0].failed.len(), 1);
    let failed = db.jobs().await.remove(0);
    assert_eq!((failed.state, failed.interruptions), (JobState::Failed, 0));
    let error = failed.error.unwrap();
    assert_eq!(error.exception_class, "SolidQueue::Processes::ProcessPrunedError");
    assert!(error.message.contains("last heartbeat at: 20"), "{}", error.message);
}

async fn a_process_prunes_not_itself(db: Db) {
    let process = start(&db).await;
    age(&db, process, 600).await;
    let mut session = db.session().await;
    assert!(session.prune(THRESHOLD, Some(process)).await.unwrap().is_empty());
    assert_eq!(session.prune(THRESHOLD, Some(process + 1)).await.unwrap().len(), 1);
}

async fn many_pruners_bury_each_process_once(db: Db) {
    db.store.enqueue(&vec![job(); 30]).await.unwrap();
    let mut session = db.session().await;
    for _ in 0..10 {
        let process = session.register(&new_process(3)).await.unwrap().process_id;
        claim_any(&mut session, process, 3).await;
    }
    db.run(&format!("update solid_queue_processes set last_heartbeat_at = {}", db.seconds_from_now(-600))).await;
    let mut pruners = JoinSet::new();
    for _ in 0..4 {
        let store = db.store.clone();
        pruners.spawn(async move { store.connect().await.unwrap().prune(THRESHOLD, None).await.unwrap() });
    }
    let buried = pruners.join_all().await.concat();
    assert_eq!(buried.len(), 10);
    assert_eq!(buried.iter().map(|b| b.interrupted.len()).sum::<usize>(), 30);
    assert!(db.jobs().await.iter().all(|job| job.interruptions == 1 && job.state == JobState::Ready));
    assert_eq!((db.count("processes").await, db.count("claimed_executions").await), (0, 0));
}

async fn a_pruner_that_meets_a_finisher_fails_nothing(db: Db) {
    let jobs: Vec<NewJob> = vec![job(); 60];
    db.store.enqueue(&jobs).await.unwrap();
    for _ in 0..10 {
        let mut session = db.session().await;
        let process = session.register(&new_process(0)).await.unwrap().process_id;
        let claimed = claim_any(&mut session, process, 6).await;
        age(&db, process, 600).await;
        let store = db.store.clone();
        let finisher = tokio::spawn(async move {
            let finishes: Vec<_> = claimed.iter().map(done).collect();
            let gone = finish(&mut store.connect().await.unwrap(), &finishes).await.gone.len();
            claimed.len() - gone
        });
        let buried = session.prune(THRESHOLD, None).await.unwrap();
        // One or the other has each job; in one transaction each, so all of them.
        assert_eq!(finisher.await.unwrap() + buried[0].failed.len(), 6);
    }
    let states = db.states().await;
    assert_eq!(states.values().sum::<usize>(), 60);
    assert!(states.keys().all(|state| ["finished", "failed"].contains(state)), "{states:?}");
    let finished_and_failed = "select count(*) from solid_queue_jobs j join solid_queue_failed_executions f \
                               on f.job_id = j.id where j.finished_at is not null";
    assert_eq!(db.int(finished_and_failed).await, 0);
}

async fn a_process_that_came_back_is_left_alone(db: Db) {
    for _ in 0..10 {
        let process = start(&db).await;
        age(&db, process, 600).await;
        let store = db.store.clone();
        let back = tokio::spawn(async move { store.connect().await.unwrap().heartbeat(process).await.unwrap() });
        let buried = db.session().await.prune(THRESHOLD, None).await.unwrap();
        assert_eq!(back.await.unwrap(), buried.is_empty());
        db.run("delete from solid_queue_processes").await;
    }
}

async fn a_process_that_may_not_know_of_a_shorter_threshold_is_given_the_longest(db: Db) {
    let early = start(&db).await;
    let mut session = db.session().await;
    let shorter = Settings { alive_threshold: Duration::from_secs(45), ..Settings::default() };
    session.write_settings(&shorter).await.unwrap();
    // Its heartbeats reach the database; whether the answers reach it nobody knows.
    assert!(session.heartbeat(early).await.unwrap());
    let late = start(&db).await;
    db.run(&format!("update solid_queue_processes set created_at = {} where id = {early}", db.seconds_from_now(-3600)))
        .await;
    db.run(&format!("update gritstone_settings set updated_at = {}", db.seconds_from_now(-1800))).await;
    db.run(&format!("update solid_queue_processes set created_at = {} where id = {late}", db.seconds_from_now(-900)))
        .await;
    for process in [early, late] {
        age(&db, process, 200).await;
    }
    let pruned = |buried: Vec<gritstone_store::Buried>| buried.iter().map(|b| b.process_id).collect::<Vec<_>>();
    assert_eq!(pruned(session.prune(shorter.alive_threshold, None).await.unwrap()), [Some(late)]);
    age(&db, early, 301).await;
    assert_eq!(pruned(session.prune(shorter.alive_threshold, None).await.unwrap()), [Some(early)]);
}
