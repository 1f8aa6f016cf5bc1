//! Defaults of classes: declared once, used by whoever enqueues.

use crate::support::{Db, claim_any, conformance, job, start};
use gritstone_store::{
    BatchCallbacks, ClassDefaults, Limit, LimitKey, MissedRuns, NewBatch, NewJob, NewTask, Placed, TaskSchedule,
    UseLimit,
};
use serde_json::json;
use std::time::Duration;

conformance!(
    what_an_enqueuer_leaves_open_its_class_decides,
    what_an_enqueuer_says_holds,
    keys_of_limits_are_made_of_arguments,
    jobs_of_many_classes_are_enqueued_together,
    recurring_tasks_and_callbacks_go_by_them,
    declaring_again_changes_and_drops,
    the_last_to_declare_is_right_and_hears_of_the_other,
    many_may_declare_at_once,
    what_is_forgotten_holds_no_more,
    others_see_a_change_after_a_moment,
    a_key_that_can_not_be_read_refuses_the_jobs_of_its_class,
);

const CREW: &str = "shop/crew";

fn mail() -> ClassDefaults {
    ClassDefaults::new("Mail").on("mail").priority(5).attempts(4)
}

fn accounts() -> ClassDefaults {
    ClassDefaults::new("Sync").limited("accounts", Some(LimitKey::argument(0)))
}

async fn declare(db: &Db, classes: &[ClassDefaults]) {
    db.store.declare_classes(CREW, classes).await.unwrap();
}

async fn what_an_enqueuer_leaves_open_its_class_decides(db: Db) {
    declare(&db, &[mail(), ClassDefaults::new("Calm").priority(9)]).await;
    let jobs = [NewJob::new("Mail", vec![]), NewJob::new("Calm", vec![]), NewJob::new("Other", vec![])];
    // Another process, which has declared nothing.
    let enqueued = db.other_store().enqueue(&jobs).await.unwrap();
    let seen: Vec<(String, i32)> = db.jobs().await.into_iter().map(|job| (job.queue, job.priority)).collect();
    assert_eq!(seen, [("mail".into(), 5), ("default".into(), 9), ("default".into(), 0)]);
    assert_eq!(enqueued.iter().map(|job| job.queue.as_str()).collect::<Vec<_>>(), ["mail", "default", "default"]);
    let envelope = db.job(enqueued[0].job_id).await.unwrap().envelope.unwrap();
    let envelope: serde_json::Value = serde_json::from_str(&envelope).unwrap();
    assert_eq!((&envelope["queue_name"], &envelope["priority"]), (&json!("mail"), &json!(5)));
    let process = start(&db).await;
    let mut attempts: Vec<_> =
        claim_any(&mut db.session().await, process, 3).await.into_iter().map(|job| (job.class, job.attempts)).collect();
    attempts.sort();
    assert_eq!(attempts, [("Calm".into(), None), ("Mail".into(), Some(4)), ("Other".into(), None)]);
}

async fn what_an_enqueuer_says_holds(db: Db) {
    declare(&db, &[mail().limited("mails", None)]).await;
    let limit = UseLimit { key: "mine".into(), declare: Some(Limit::default()) };
    let own = NewJob::new("Mail", vec![]).on("urgent").priority(0).attempts(1).limited(limit);
    let enqueued = db.store.enqueue(&[own]).await.unwrap();
    let job = db.job(enqueued[0].job_id).await.unwrap();
    assert_eq!((job.queue.as_str(), job.priority, job.concurrency_key.as_deref()), ("urgent", 0, Some("mine")));
    assert_eq!(db.int("select attempts from gritstone_jobs").await, 1);
}

async fn keys_of_limits_are_made_of_arguments(db: Db) {
    declare(&db, &[accounts(), ClassDefaults::new("Report").limited("Report", None)]).await;
    let mut session = db.session().await;
    session.declare_limit_of(CREW, "accounts", Limit::default()).await.unwrap();
    session.declare_limit_of(CREW, "Report", Limit { to: 2, ..Limit::default() }).await.unwrap();
    let sync = |arguments: serde_json::Value| NewJob::new("Sync", arguments.as_array().cloned().unwrap());
    let report = || NewJob::new("Report", vec![]);
    let jobs = [sync(json!([7])), sync(json!([7])), sync(json!(["8"])), sync(json!([])), report(), report(), report()];
    let enqueued = db.store.enqueue(&jobs).await.unwrap();
    let (ready, blocked) = (Placed::Ready, Placed::Blocked);
    let places: Vec<Placed> = enqueued.iter().map(|enqueued| enqueued.placed).collect();
    assert_eq!(places, [ready, blocked, ready, ready, ready, ready, blocked]);
    let keys: Vec<Option<String>> = db.jobs().await.into_iter().map(|job| job.concurrency_key).collect();
    let expected = [Some("accounts/7"), Some("accounts/7"), Some("accounts/8"), None];
    assert_eq!(keys[..4], expected.map(|key| key.map(str::to_owned)));
    let refused = session.enqueue(&[job(), sync(json!([[1, 2]]))]).await.unwrap_err().to_string();
    assert!(refused.contains("args[0], is a list in this job"), "{refused}");
    assert_eq!(db.count("jobs").await, 7);
}

async fn jobs_of_many_classes_are_enqueued_together(db: Db) {
    declare(&db, &[mail(), accounts()]).await;
    let class = |n: usize| ["Mail", "Sync", "Other"][n % 3];
    let jobs: Vec<NewJob> = (0..1_200).map(|n| NewJob::new(class(n), vec![json!(n)])).collect();
    let enqueued = db.store.enqueue(&jobs).await.unwrap();
    for (n, enqueued) in enqueued.iter().enumerate() {
        assert_eq!(enqueued.queue, ["mail", "default", "default"][n % 3]);
    }
    let job = db.job(enqueued[601].job_id).await.unwrap();
    assert_eq!((job.class.as_str(), job.concurrency_key.as_deref()), ("Sync", Some("accounts/601")));
    assert_eq!(db.int("select count(*) from gritstone_jobs where attempts = 4").await, 400);
}

async fn recurring_tasks_and_callbacks_go_by_them(db: Db) {
    declare(&db, &[mail()]).await;
    let every = TaskSchedule::Every { every: Duration::from_secs(3_600), offset: Duration::ZERO };
    let mut session = db.session().await;
    let task = NewTask::new("k", every, "Mail").missed_runs(MissedRuns::Skip);
    session.put_task(CREW, &task).await.unwrap();
    assert_eq!(session.run_task_now("k").await.unwrap().queue, "mail");
    session.put_task(CREW, &task.on("reports").priority(1)).await.unwrap();
    assert_eq!(session.run_task_now("k").await.unwrap().queue, "reports");
    let callbacks = BatchCallbacks { on_finish: Some(NewJob::new("Mail", vec![])), ..BatchCallbacks::default() };
    let batch = session.create_batch(&NewBatch { callbacks, ..NewBatch::default() }).await.unwrap();
    session.start_batch(batch.id).await.unwrap();
    let jobs: Vec<(String, i32)> = db.jobs().await.into_iter().map(|job| (job.queue, job.priority)).collect();
    assert_eq!(jobs, [("mail".into(), 5), ("reports".into(), 1), ("mail".into(), 5)]);
}

async fn declaring_again_changes_and_drops(db: Db) {
    declare(&db, &[mail(), accounts()]).await;
    let seen = db.session().await.declared_classes().await.unwrap();
    assert_eq!(seen.iter().map(|class| class.defaults.clone()).collect::<Vec<_>>(), [mail(), accounts()]);
    assert!(seen.iter().all(|class| class.declared_by == CREW));
    let again = db.store.declare_classes(CREW, &[accounts(), mail()]).await.unwrap();
    assert_eq!(again, Default::default());
    let changed = ClassDefaults::new("Sync").limited("Sync", None);
    let dropped = db.store.declare_classes(CREW, std::slice::from_ref(&changed)).await.unwrap().dropped;
    assert_eq!(dropped, ["Mail"]);
    let seen = db.session().await.declared_classes().await.unwrap();
    assert_eq!(seen.into_iter().map(|class| class.defaults).collect::<Vec<_>>(), [changed]);
    let enqueued = db.store.enqueue(&[NewJob::new("Mail", vec![])]).await.unwrap();
    assert_eq!(enqueued[0].queue, "default", "whoever declares goes by it at once");
}

async fn the_last_to_declare_is_right_and_hears_of_the_other(db: Db) {
    declare(&db, &[mail(), accounts()]).await;
    let other = [ClassDefaults::new("Mail").on("post"), accounts()];
    let taken_over = db.other_store().declare_classes("other", &other).await.unwrap().taken_over;
    assert_eq!(taken_over.len(), 1, "the same said twice is no conflict");
    assert_eq!((&taken_over[0].defaults, taken_over[0].declared_by.as_str()), (&mail(), CREW));
    let enqueued = db.other_store().enqueue(&[NewJob::new("Mail", vec![])]).await.unwrap();
    assert_eq!(enqueued[0].queue, "post");
    db.store.declare_classes("other", &[]).await.unwrap();
    assert!(db.session().await.declared_classes().await.unwrap().is_empty());
}

/// As the workers of one manifest do, or of several, when all are started together.
async fn many_may_declare_at_once(db: Db) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = db.store.clone();
        tasks.spawn(async move {
            let declarer = ["crew", "other"][n % 2];
            let classes = [mail(), accounts(), ClassDefaults::new(declarer).priority(1)];
            let mut session = store.connect().await.unwrap();
            session.declare_limit_of(declarer, "accounts", Limit::default()).await.unwrap();
            session.declare_classes(declarer, &classes).await.unwrap();
        });
    }
    tasks.join_all().await;
    let classes = db.session().await.declared_classes().await.unwrap();
    let mut names: Vec<String> = classes.into_iter().map(|class| class.defaults.class).collect();
    names.sort();
    assert_eq!(names, ["Mail", "Sync", "crew", "other"]);
}

async fn what_is_forgotten_holds_no_more(db: Db) {
    declare(&db, &[mail()]).await;
    let mut session = db.session().await;
    assert!(session.forget_class("Mail").await.unwrap());
    assert!(!session.forget_class("Mail").await.unwrap());
    assert_eq!(session.enqueue(&[NewJob::new("Mail", vec![])]).await.unwrap()[0].queue, "default");
}

async fn others_see_a_change_after_a_moment(db: Db) {
    let store = db.other_store();
    let mail_job = NewJob::new("Mail", vec![]);
    assert_eq!(store.enqueue(std::slice::from_ref(&mail_job)).await.unwrap()[0].queue, "default");
    declare(&db, &[mail()]).await;
    gritstone_tests::rig::until("the other enqueuer has noticed", async || {
        let enqueued = store.enqueue(std::slice::from_ref(&mail_job)).await.unwrap();
        (enqueued[0].queue == "mail").then_some(())
    })
    .await;
}

async fn a_key_that_can_not_be_read_refuses_the_jobs_of_its_class(db: Db) {
    declare(&db, &[accounts(), mail()]).await;
    let sync = || NewJob::new("Sync", vec![json!(7)]);
    for stored in ["args[0]", "[{\"lower\": [0]}]"] {
        db.run(&format!("update gritstone_class_defaults set limit_key = '{stored}' where class_name = 'Sync'")).await;
        let store = db.other_store();
        let error = store.enqueue(&[sync()]).await.unwrap_err().to_string();
        assert!(error.contains("a part that this program can't read"), "{error}");
        assert_eq!(store.enqueue(&[job(), NewJob::new("Mail", vec![])]).await.unwrap().len(), 2);
    }
    declare(&db, &[accounts(), mail()]).await;
    db.store.enqueue(&[sync()]).await.unwrap();
    assert_eq!(db.count("jobs").await, 5);
}
