//! How runs end.

use crate::support::{Db, claim_any, conformance, done, fail, finish, retry, start};
use gritstone_store::{ClaimedJob, Finish, JobError, JobState, NewJob, Session, Verdict};
use serde_json::{Value, json};
use std::time::Duration;

conformance!(
    a_job_that_is_done_is_kept_or_deleted,
    a_retry_comes_back_in_the_same_row,
    a_failure_is_kept_as_rails_reads_it,
    a_second_failure_replaces_the_first,
    a_released_job_is_as_it_was,
    an_interrupted_job_is_ready_again_and_that_is_counted,
    a_release_with_a_delay_comes_back_later,
    an_envelope_that_a_handler_changed_is_kept_on_release,
    verdicts_of_every_kind_go_together,
    a_lost_claim_among_good_ones_is_said_and_skipped,
    a_stale_claim_does_nothing_whatever_it_says,
    a_claim_of_before_does_nothing_to_the_claim_of_now,
    one_claim_ended_twice_ends_once,
    an_error_with_nul_and_of_any_length_is_kept,
    unknown_keys_of_the_envelope_stay,
);

async fn claimed(db: &Db, jobs: usize) -> (Session<'static>, Vec<ClaimedJob>) {
    let jobs: Vec<NewJob> = (0..jobs).map(|n| NewJob::new("Job", vec![json!(n)])).collect();
    db.store.enqueue(&jobs).await.unwrap();
    let process = start(db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 1_000).await;
    (session, claimed)
}

fn release(claimed: &ClaimedJob, delay: Option<Duration>) -> Finish {
    Finish { claim_id: claimed.claim_id, job_id: claimed.job_id, verdict: Verdict::Release { delay, envelope: None } }
}

fn interrupted(claimed: &ClaimedJob) -> Finish {
    Finish { claim_id: claimed.claim_id, job_id: claimed.job_id, verdict: Verdict::Interrupt }
}

async fn a_job_that_is_done_is_kept_or_deleted(db: Db) {
    let (mut session, jobs) = claimed(&db, 2).await;
    let settled = session.finish(&[done(&jobs[0])], true).await.unwrap();
    assert!(settled.gone.is_empty() && !settled.signals && settled.batch_ids.is_empty());
    session.finish(&[done(&jobs[1])], false).await.unwrap();

    let kept = db.job(jobs[0].job_id).await.unwrap();
    assert_eq!(kept.state, JobState::Finished);
    assert!(kept.finished_at.unwrap() >= kept.created_at);
    assert_eq!(db.state(jobs[1].job_id).await, None);
    assert_eq!(db.count("claimed_executions").await, 0);
    let sql = "select count(*) from solid_queue_jobs where updated_at >= finished_at and updated_at > created_at";
    assert_eq!(db.int(sql).await, 1);
}

async fn a_retry_comes_back_in_the_same_row(db: Db) {
    let (mut session, jobs) = claimed(&db, 1).await;
    finish(&mut session, &[retry(&jobs[0], Duration::from_secs(3_600))]).await;

    let later = db.job(jobs[0].job_id).await.unwrap();
    assert_eq!(later.state, JobState::Scheduled);
    let wait = later.scheduled_at.unwrap().duration_since(later.created_at).as_secs();
    assert!((3_600..3_660).contains(&wait), "{wait}");
    db.let_time_pass().await;
    assert_eq!(session.dispatch_due(10, true).await.unwrap().placed, 1);
    let process = start(&db).await;
    let again = claim_any(&mut session, process, 5).await;
    assert_eq!((again[0].job_id, &again[0].active_job_id), (jobs[0].job_id, &jobs[0].active_job_id));
    let envelope: Value = serde_json::from_str(again[0].envelope.as_deref().unwrap()).unwrap();
    assert_eq!((&envelope["executions"], &envelope["arguments"]), (&json!(1), &json!([0])));
}

async fn a_failure_is_kept_as_rails_reads_it(db: Db) {
    let (mut session, jobs) = claimed(&db, 1).await;
    let error = JobError {
        exception_class: "Net::ReadTimeout".into(),
        message: "it's \"late\" ✓".into(),
        backtrace: Some(vec!["a.rb:1".into(), "b.rb:2".into()]),
    };
    let envelope = jobs[0].envelope.as_ref().unwrap().replace("\"executions\":0", "\"executions\":3");
    let verdict = Verdict::Fail { error: error.clone(), envelope: Some(envelope.clone()) };
    finish(&mut session, &[Finish { claim_id: jobs[0].claim_id, job_id: jobs[0].job_id, verdict }]).await;

    let failed = db.job(jobs[0].job_id).await.unwrap();
    assert_eq!((failed.state, failed.finished_at), (JobState::Failed, None));
    assert_eq!((failed.error, failed.envelope), (Some(error), Some(envelope)));
    let stored: Value =
        serde_json::from_str(&db.text("select error from solid_queue_failed_executions").await).unwrap();
    let keys: Vec<&String> = stored.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["exception_class", "message", "backtrace"]);
    assert_eq!(stored["backtrace"], json!(["a.rb:1", "b.rb:2"]));
}

async fn a_second_failure_replaces_the_first(db: Db) {
    let (mut session, jobs) = claimed(&db, 1).await;
    // As a worker of Rails leaves it that failed the job and died before it let the claim go.
    db.run(&format!(
        "insert into solid_queue_failed_executions (job_id, error, created_at) values ({}, '{{}}', {})",
        jobs[0].job_id,
        db.seconds_from_now(0)
    ))
    .await;
    finish(&mut session, &[fail(&jobs[0], "second")]).await;
    assert_eq!(db.count("failed_executions").await, 1);
    assert_eq!(db.job(jobs[0].job_id).await.unwrap().error.unwrap().message, "second");
}

async fn a_released_job_is_as_it_was(db: Db) {
    let (mut session, jobs) = claimed(&db, 2).await;
    let before = db.job(jobs[0].job_id).await.unwrap();
    session.release(&[(jobs[0].claim_id, jobs[0].job_id), (jobs[1].claim_id, jobs[1].job_id)]).await.unwrap();
    let after = db.job(jobs[0].job_id).await.unwrap();
    assert_eq!(after.state, JobState::Ready);
    assert_eq!((after.envelope, after.scheduled_at, after.interruptions), (before.envelope, before.scheduled_at, 0));
    assert_eq!(db.count("claimed_executions").await, 0);
}

async fn an_interrupted_job_is_ready_again_and_that_is_counted(db: Db) {
    let (mut session, jobs) = claimed(&db, 1).await;
    let before = db.job(jobs[0].job_id).await.unwrap();
    finish(&mut session, &[interrupted(&jobs[0])]).await;
    let after = db.job(jobs[0].job_id).await.unwrap();
    assert_eq!((after.state, after.interruptions), (JobState::Ready, 1));
    assert_eq!((after.envelope, after.error), (before.envelope, None));
    assert_eq!(db.count("claimed_executions").await, 0);

    let process = start(&db).await;
    let again = claim_any(&mut session, process, 1).await;
    assert_eq!(again[0].interruptions, 1);
    finish(&mut session, &[interrupted(&again[0])]).await;
    assert_eq!(db.job(jobs[0].job_id).await.unwrap().interruptions, 2);
}

async fn a_release_with_a_delay_comes_back_later(db: Db) {
    let (mut session, jobs) = claimed(&db, 1).await;
    finish(&mut session, &[release(&jobs[0], Some(Duration::from_secs(600)))]).await;
    let later = db.job(jobs[0].job_id).await.unwrap();
    assert_eq!((later.state, &later.envelope), (JobState::Scheduled, &jobs[0].envelope));
    assert!(later.scheduled_at.unwrap().duration_since(later.created_at).as_secs() >= 600);
}

async fn an_envelope_that_a_handler_changed_is_kept_on_release(db: Db) {
    let (mut session, jobs) = claimed(&db, 3).await;
    let changed = |job: &ClaimedJob| job.envelope.as_ref().unwrap().replacen('{', r#"{"continuation":{"step":3},"#, 1);
    let finishes: Vec<Finish> = [(0, None), (1, Some(Duration::from_secs(600)))]
        .into_iter()
        .map(|(index, delay)| {
            let (job, envelope) = (&jobs[index], Some(changed(&jobs[index])));
            let verdict = Verdict::Release { delay, envelope };
            Finish { claim_id: job.claim_id, job_id: job.job_id, verdict }
        })
        .chain([release(&jobs[2], None)])
        .collect();
    finish(&mut session, &finishes).await;
    let expected = [
        (JobState::Ready, Some(changed(&jobs[0]))),
        (JobState::Scheduled, Some(changed(&jobs[1]))),
        (JobState::Ready, jobs[2].envelope.clone()),
    ];
    for (job, expected) in jobs.iter().zip(expected) {
        let kept = db.job(job.job_id).await.unwrap();
        assert_eq!((kept.state, kept.envelope), expected);
    }
}

async fn verdicts_of_every_kind_go_together(db: Db) {
    let (mut session, jobs) = claimed(&db, 7).await;
    let finishes = [
        interrupted(&jobs[6]),
        fail(&jobs[5], "x"),
        done(&jobs[0]),
        retry(&jobs[1], Duration::ZERO),
        release(&jobs[2], None),
        release(&jobs[3], Some(Duration::from_secs(9))),
        done(&jobs[4]),
    ];
    assert!(finish(&mut session, &finishes).await.gone.is_empty());
    let expected = [("failed", 1), ("finished", 2), ("ready", 2), ("scheduled", 2)];
    assert_eq!(db.states().await, expected.into_iter().collect());
}

async fn a_lost_claim_among_good_ones_is_said_and_skipped(db: Db) {
    let (mut session, jobs) = claimed(&db, 3).await;
    session.release(&[(jobs[1].claim_id, jobs[1].job_id)]).await.unwrap();
    let settled = session.finish(&jobs.iter().map(done).collect::<Vec<_>>(), true).await.unwrap();
    assert_eq!(settled.gone, [jobs[1].claim_id]);
    assert_eq!(db.states().await, [("finished", 2), ("ready", 1)].into_iter().collect());
}

async fn a_stale_claim_does_nothing_whatever_it_says(db: Db) {
    let (mut session, jobs) = claimed(&db, 1).await;
    session.release(&[(jobs[0].claim_id, jobs[0].job_id)]).await.unwrap();
    let verdicts = [
        done(&jobs[0]),
        fail(&jobs[0], "x"),
        retry(&jobs[0], Duration::ZERO),
        release(&jobs[0], None),
        release(&jobs[0], Some(Duration::ZERO)),
        interrupted(&jobs[0]),
    ];
    for verdict in verdicts {
        let settled = finish(&mut session, std::slice::from_ref(&verdict)).await;
        assert_eq!(settled.gone, [jobs[0].claim_id], "{verdict:?}");
        let job = db.job(jobs[0].job_id).await.unwrap();
        assert_eq!((job.state, job.error, &job.envelope), (JobState::Ready, None, &jobs[0].envelope), "{verdict:?}");
        assert_eq!(job.interruptions, 0, "{verdict:?}");
    }
}

async fn a_claim_of_before_does_nothing_to_the_claim_of_now(db: Db) {
    let (mut session, jobs) = claimed(&db, 1).await;
    session.release(&[(jobs[0].claim_id, jobs[0].job_id)]).await.unwrap();
    let process = start(&db).await;
    let now = claim_any(&mut session, process, 1).await;
    assert_ne!(now[0].claim_id, jobs[0].claim_id);
    assert_eq!(finish(&mut session, &[fail(&jobs[0], "x")]).await.gone, [jobs[0].claim_id]);
    assert_eq!(db.state(now[0].job_id).await, Some(JobState::Claimed));
    let settled = finish(&mut session, &[done(&jobs[0]), done(&now[0])]).await;
    assert_eq!(settled.gone, [jobs[0].claim_id]);
    assert_eq!(db.state(now[0].job_id).await, Some(JobState::Finished));
}

async fn one_claim_ended_twice_ends_once(db: Db) {
    let (mut session, jobs) = claimed(&db, 1).await;
    finish(&mut session, &[release(&jobs[0], None), done(&jobs[0])]).await;
    assert_eq!(db.state(jobs[0].job_id).await, Some(JobState::Ready));
}

async fn an_error_with_nul_and_of_any_length_is_kept(db: Db) {
    let (mut session, jobs) = claimed(&db, 2).await;
    let error = JobError {
        exception_class: "E".into(),
        message: "a\0b".into(),
        backtrace: Some(vec!["✓ line\0".repeat(20); 2_000]),
    };
    let long = fail(&jobs[1], &"é".repeat(200_000));
    let verdict = Verdict::Fail { error, envelope: None };
    finish(&mut session, &[Finish { claim_id: jobs[0].claim_id, job_id: jobs[0].job_id, verdict }, long]).await;

    let kept = db.job(jobs[0].job_id).await.unwrap().error.unwrap();
    assert_eq!((kept.exception_class.as_str(), kept.message.as_str()), ("E", "a\u{FFFD}b"));
    let lines = kept.backtrace.unwrap().len();
    assert!(if db.is_mysql() { lines > 100 } else { lines == 2_000 }, "{lines}");
    let message = db.job(jobs[1].job_id).await.unwrap().error.unwrap().message;
    assert!(message.chars().count() > 10_000 && message.starts_with("éé"));
}

async fn unknown_keys_of_the_envelope_stay(db: Db) {
    let (mut session, jobs) = claimed(&db, 1).await;
    let text = r#"{"zebra":[1,{"x":null}],"executions":2,"continuation":{"a":1.0},"arguments":[]}"#;
    db.run(&format!("update solid_queue_jobs set arguments = '{text}'")).await;
    let claimed = ClaimedJob { envelope: Some(text.into()), ..jobs[0].clone() };
    finish(&mut session, &[retry(&claimed, Duration::ZERO)]).await;
    let kept = db.job(jobs[0].job_id).await.unwrap().envelope.unwrap();
    assert_eq!(kept, text.replace("\"executions\":2", "\"executions\":3"));
}
