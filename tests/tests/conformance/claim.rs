//! Which jobs a claim takes, in which order.

use crate::support::{Db, claim_any, claim_from, conformance, job, start};
use gritstone_store::{
    Ahead, COMMANDS_QUEUE, Claim, ClaimedJob, Commands, JobState, Mark, NewJob, RAILS_COMMANDS, Selection, Selector,
};
use serde_json::json;
use std::time::Duration;

conformance!(
    a_claim_brings_all_that_a_handler_needs,
    a_claim_takes_no_more_than_asked,
    order_of_queues_beats_priority,
    any_queue_means_priority_across_queues,
    equal_priorities_go_by_age,
    excluded_and_paused_queues_are_left_alone,
    a_prefix_takes_wildcards_literally,
    names_come_in_the_listed_order_and_once,
    exact_names_stay_even_when_empty,
    rails_own_commands_are_left_alone_unless_named,
    only_listed_classes_are_claimed,
    commands_are_left_where_they_lie,
    commands_are_passed_over_once_they_are_known,
    commands_have_a_queue_of_their_own_unless_another_is_named,
    a_cordoned_process_claims_nothing_until_it_is_over,
    a_process_without_a_row_claims_nothing,
    a_claim_from_a_mark_passes_over_what_came_before,
    queue_names_in_other_case,
);

fn on(queue: &str, priority: i32) -> NewJob {
    job().on(queue).priority(priority)
}

fn queues(claimed: &[ClaimedJob]) -> Vec<&str> {
    claimed.iter().map(|job| job.queue.as_str()).collect()
}

async fn a_claim_brings_all_that_a_handler_needs(db: Db) {
    let enqueued = db.store.enqueue(&[NewJob::new("SendMail", vec![json!(1)]).on("mail").priority(4)]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 3).await;

    let view = db.job(enqueued[0].job_id).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let job = &claimed[0];
    assert_eq!(
        (job.job_id, job.class.as_str(), job.queue.as_str(), job.priority),
        (view.job_id, "SendMail", "mail", 4)
    );
    assert_eq!(job.active_job_id.as_deref(), Some(enqueued[0].id.as_str()));
    assert_eq!((&job.envelope, job.created_at, job.scheduled_at), (&view.envelope, view.created_at, view.scheduled_at));
    assert_eq!((job.interruptions, job.attempts, &job.concurrency_key), (0, None, &None));
    assert_eq!((view.state, view.process_id), (JobState::Claimed, Some(process)));
    assert_eq!(db.count("ready_executions").await, 0);
    assert_eq!(session.claims_of(process).await.unwrap(), claimed);
}

async fn a_claim_takes_no_more_than_asked(db: Db) {
    db.store.enqueue(&vec![job(); 5]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    assert_eq!(claim_any(&mut session, process, 0).await.len(), 0);
    assert_eq!(claim_any(&mut session, process, 3).await.len(), 3);
    assert_eq!(claim_from(&mut session, process, &["default"], 3).await.len(), 2);
    assert_eq!(claim_from(&mut session, process, &["default"], 3).await.len(), 0);
    assert_eq!(claim_from(&mut session, process, &[], 3).await.len(), 0);
}

async fn order_of_queues_beats_priority(db: Db) {
    db.store.enqueue(&[on("low", 0), on("high", 9), on("low", -1), on("high", 8), on("other", 0)]).await.unwrap();
    let process = start(&db).await;
    let claimed = claim_from(&mut db.session().await, process, &["high", "empty", "low"], 10).await;
    let got: Vec<(&str, i32)> = claimed.iter().map(|job| (job.queue.as_str(), job.priority)).collect();
    assert_eq!(got, [("high", 8), ("high", 9), ("low", -1), ("low", 0)]);
}

async fn any_queue_means_priority_across_queues(db: Db) {
    db.store.enqueue(&[on("a", 3), on("b", 1), on("a", -2), on("c", 2)]).await.unwrap();
    let process = start(&db).await;
    let claimed = claim_any(&mut db.session().await, process, 10).await;
    assert_eq!(claimed.iter().map(|job| job.priority).collect::<Vec<_>>(), [-2, 1, 2, 3]);
}

async fn equal_priorities_go_by_age(db: Db) {
    let enqueued = db.store.enqueue(&vec![job(); 6]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    for expected in enqueued.chunks(2) {
        let claimed = claim_any(&mut session, process, 2).await;
        let ids: Vec<i64> = claimed.iter().map(|job| job.job_id).collect();
        assert_eq!(ids, expected.iter().map(|e| e.job_id).collect::<Vec<_>>());
    }
}

async fn excluded_and_paused_queues_are_left_alone(db: Db) {
    db.store.enqueue(&[on("a", 0), on("b", 0), on("c", 0)]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    session.pause_queue("b").await.unwrap();
    let selection = Selection::Any { excluded: vec!["a".into()], mark: Mark::START };
    let claim = Claim {
        process_id: process,
        selection: &selection,
        limit: 5,
        classes: None,
        skip_locked: true,
        commands: Commands::Take,
        ahead: None,
    };
    assert_eq!(queues(&session.claim(&claim).await.unwrap().jobs), ["c"]);
    assert_eq!(queues(&claim_from(&mut session, process, &["b", "a"], 5).await), ["a"]);
    session.resume_queue("b").await.unwrap();
    assert_eq!(queues(&claim_any(&mut session, process, 5).await), ["b"]);
}

async fn a_prefix_takes_wildcards_literally(db: Db) {
    db.store.enqueue(&["a_b1", "axb1", "a%b1", "a_b2"].map(|queue| on(queue, 0))).await.unwrap();
    let mut session = db.session().await;
    let names = session.resolve_queues(&[Selector::Prefix("a_b".into())]).await.unwrap();
    assert_eq!(names, ["a_b1", "a_b2"]);
    let names = session.resolve_queues(&[Selector::Prefix("a%".into())]).await.unwrap();
    assert_eq!(names, ["a%b1"]);
}

async fn names_come_in_the_listed_order_and_once(db: Db) {
    db.store.enqueue(&["mail1", "mail2", "mail3", "other", "report"].map(|queue| on(queue, 0))).await.unwrap();
    let mut session = db.session().await;
    session.pause_queue("mail3").await.unwrap();
    let exact = |name: &str| Selector::Exact(name.into());
    let selectors = [
        exact("mail2"),
        Selector::Prefix("mail".into()),
        Selector::Prefix("m".into()),
        exact("none"),
        Selector::All,
        Selector::Exclude("other".into()),
    ];
    assert_eq!(session.resolve_queues(&selectors).await.unwrap(), ["mail2", "mail1", "none", "report"]);
    let selectors = [Selector::All, Selector::ExcludePrefix("mail".into())];
    assert_eq!(session.resolve_queues(&selectors).await.unwrap(), ["other", "report"]);
}

async fn exact_names_stay_even_when_empty(db: Db) {
    let mut session = db.session().await;
    let selectors = [Selector::Exact("a".into()), Selector::All, Selector::Prefix("b".into())];
    assert_eq!(session.resolve_queues(&selectors).await.unwrap(), ["a"]);
}

async fn rails_own_commands_are_left_alone_unless_named(db: Db) {
    db.store.enqueue(&[on(RAILS_COMMANDS, 0), on("a", 0)]).await.unwrap();
    let mut session = db.session().await;
    for selectors in [vec![Selector::All], vec![Selector::Prefix("".into())]] {
        assert_eq!(session.resolve_queues(&selectors).await.unwrap(), ["a"]);
    }
    let named = [Selector::All, Selector::Exact(RAILS_COMMANDS.into())];
    assert_eq!(session.resolve_queues(&named).await.unwrap(), ["a", RAILS_COMMANDS]);
}

async fn only_listed_classes_are_claimed(db: Db) {
    let class = |name: &str| NewJob::new(name, vec![]);
    db.store.enqueue(&[class("A"), class("B"), class("C"), class("A")]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let classes = ["A".to_owned(), "C".to_owned()];
    let any = Selection::Any { excluded: vec![], mark: Mark::START };
    let named = Selection::Queues(vec![("default".into(), Mark::START)]);
    for (selection, expected) in [(any, vec!["A", "C"]), (named, vec!["A"])] {
        let claim = Claim {
            process_id: process,
            selection: &selection,
            limit: 2,
            classes: Some(&classes),
            skip_locked: true,
            commands: Commands::Leave,
            ahead: None,
        };
        let claimed = session.claim(&claim).await.unwrap().jobs;
        assert_eq!(claimed.iter().map(|job| job.class.as_str()).collect::<Vec<_>>(), expected);
    }
    assert_eq!(db.count("ready_executions").await, 1);
}

fn command(queue: &str) -> NewJob {
    NewJob::new("Command", vec![json!("true")]).on(queue)
}

async fn claim_with(
    db: &Db,
    selection: &Selection,
    commands: Commands,
    limit: u32,
    ahead: Option<Ahead<'_>>,
) -> (Vec<i64>, bool) {
    let process_id = start(db).await;
    let claim = Claim { process_id, selection, limit, classes: None, commands, skip_locked: true, ahead };
    let claimed = db.session().await.claim(&claim).await.unwrap();
    (claimed.jobs.iter().map(|job| job.job_id).collect(), claimed.met_commands)
}

fn both_selections() -> [Selection; 2] {
    let any = Selection::Any { excluded: vec![], mark: Mark::START };
    [any, Selection::Queues(vec![("b".into(), Mark::START), ("default".into(), Mark::START)])]
}

async fn commands_are_left_where_they_lie(db: Db) {
    for selection in both_selections() {
        let enqueued = db.store.enqueue(&[command("default"), job(), command("b"), job(), job()]).await.unwrap();
        let others = [1, 3, 4].map(|n: usize| enqueued[n].job_id);
        let ahead = Some(Ahead { kept: &[], starting: 1 });
        let (got, met) = claim_with(&db, &selection, Commands::Leave, 4, ahead).await;
        assert_eq!((got.as_slice(), met), (&others[..2], true), "each that is left uses up one of the limit");
        let (got, met) = claim_with(&db, &selection, Commands::Leave, 10, None).await;
        assert_eq!((got.as_slice(), met), (&others[2..], true));
        for id in [enqueued[0].job_id, enqueued[2].job_id] {
            assert_eq!(db.state(id).await, Some(JobState::Ready));
        }
        let (got, met) = claim_with(&db, &selection, Commands::Leave, 1, ahead).await;
        assert_eq!((got.len(), met), (0, true));
        let (got, met) = claim_with(&db, &selection, Commands::Take, 10, None).await;
        assert_eq!((got.len(), met), (2, false), "whoever may run them takes them");
    }
}

async fn commands_are_passed_over_once_they_are_known(db: Db) {
    for selection in both_selections() {
        db.store.enqueue(&[command("default"), command("b"), command("default"), job()]).await.unwrap();
        let (got, met) = claim_with(&db, &selection, Commands::PassOver, 1, None).await;
        assert_eq!((got.len(), met), (1, false));
        let ahead = Some(Ahead { kept: &[], starting: 1 });
        assert_eq!(claim_with(&db, &selection, Commands::PassOver, 1, ahead).await, (vec![], false));
        assert_eq!(claim_with(&db, &selection, Commands::Take, 10, ahead).await.0.len(), 3);
    }
}

async fn commands_have_a_queue_of_their_own_unless_another_is_named(db: Db) {
    let command = |text: serde_json::Value| NewJob::new("Command", vec![text]);
    let jobs = [command(json!("true")), command(json!("true")).on("nightly"), NewJob::new("Other", vec![])];
    let enqueued = db.store.enqueue(&jobs).await.unwrap();
    let queues: Vec<&str> = enqueued.iter().map(|job| job.queue.as_str()).collect();
    assert_eq!(queues, [COMMANDS_QUEUE, "nightly", "default"]);
    assert_eq!(db.job(enqueued[0].job_id).await.unwrap().queue, COMMANDS_QUEUE);
    for wrong in [NewJob::new("Command", vec![]), command(json!(["true"]))] {
        let error = db.store.enqueue(&[NewJob::new("Other", vec![]), wrong]).await.unwrap_err();
        assert!(error.to_string().contains("a text for the shell"), "{error}");
    }
    assert_eq!(db.count("jobs").await, 3);
}

async fn a_cordoned_process_claims_nothing_until_it_is_over(db: Db) {
    db.store.enqueue(&[job()]).await.unwrap();
    let (cordoned, other) = (start(&db).await, start(&db).await);
    let mut session = db.session().await;
    assert!(session.cordon(cordoned, Duration::from_secs(60)).await.unwrap());
    assert_eq!(claim_any(&mut session, cordoned, 1).await.len(), 0);
    let cordons: Vec<bool> = session.processes().await.unwrap().iter().map(|process| process.cordoned).collect();
    assert_eq!(cordons, [true, false]);
    session.cordon(cordoned, Duration::ZERO).await.unwrap();
    assert_eq!(claim_any(&mut session, cordoned, 1).await.len(), 1);
    assert_eq!(claim_any(&mut session, other, 1).await.len(), 0);
    assert!(!session.cordon(12_345, Duration::ZERO).await.unwrap());
}

async fn a_process_without_a_row_claims_nothing(db: Db) {
    db.store.enqueue(&[job()]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    session.deregister(process).await.unwrap();
    assert_eq!(claim_any(&mut session, process, 1).await.len(), 0);
    assert_eq!(claim_from(&mut session, 12_345, &["default"], 1).await.len(), 0);
    assert_eq!(db.count("ready_executions").await, 1);
}

async fn a_claim_from_a_mark_passes_over_what_came_before(db: Db) {
    if !db.is_postgres() {
        return;
    }
    let enqueued = db.store.enqueue(&[job(), job().priority(1), job().priority(1)]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let mark = Mark { priority: 1, job_id: enqueued[1].job_id };
    let any = Selection::Any { excluded: vec![], mark };
    let claim = Claim {
        process_id: process,
        selection: &any,
        limit: 5,
        classes: None,
        skip_locked: true,
        commands: Commands::Take,
        ahead: None,
    };
    assert_eq!(session.claim(&claim).await.unwrap().jobs[0].job_id, enqueued[2].job_id);
    let named = Selection::Queues(vec![("default".into(), mark)]);
    let claim = Claim { selection: &named, ..claim };
    assert_eq!(session.claim(&claim).await.unwrap().jobs.len(), 0);
    assert_eq!(claim_any(&mut session, process, 5).await.len(), 2);
}

/// MySQL's default collations make `Mail` and `mail` one queue, for Rails as for us; elsewhere they are two.
async fn queue_names_in_other_case(db: Db) {
    db.store.enqueue(&[on("Mail", 0), on("mail", 0)]).await.unwrap();
    let process = start(&db).await;
    let claimed = claim_from(&mut db.session().await, process, &["mail"], 5).await;
    assert_eq!(claimed.len(), if db.is_mysql() { 2 } else { 1 });
}
