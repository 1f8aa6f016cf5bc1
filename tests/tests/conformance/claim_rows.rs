//! Claims of some classes, where jobs of others are in the way.

use crate::support::{Db, conformance, job, start};
use gritstone_store::{Ahead, Claim, Commands, Enqueued, Mark, NewJob, ReadyRow, Selection, Session};

conformance!(
    a_claim_that_finds_no_class_of_its_own_waits_for_nobody,
    rows_are_found_in_the_order_of_a_claim,
    rows_that_are_new_are_found_whatever_their_priority_and_age,
    a_look_brings_no_more_than_asked_and_says_so,
    rows_are_claimed_in_their_order_as_far_as_they_are_there,
    rows_of_paused_queues_stay_where_they_are,
);

fn wanted(queue: &str, priority: i32) -> NewJob {
    NewJob::new("Wanted", vec![]).on(queue).priority(priority)
}

fn any() -> Selection {
    Selection::Any { excluded: vec!["left alone".into()], mark: Mark::START }
}

fn named(names: &[&str]) -> Selection {
    Selection::Queues(names.iter().map(|name| ((*name).to_owned(), Mark::START)).collect())
}

fn classes() -> [String; 2] {
    ["Wanted".to_owned(), "Also".to_owned()]
}

async fn claim(
    session: &mut Session<'_>,
    process_id: i64,
    selection: &Selection,
    limit: u32,
    ahead: Option<Ahead<'_>>,
) -> Vec<i64> {
    let classes = classes();
    let classes = Some(classes.as_slice());
    let claim = Claim { process_id, selection, limit, classes, commands: Commands::Leave, skip_locked: true, ahead };
    session.claim(&claim).await.unwrap().jobs.iter().map(|job| job.job_id).collect()
}

async fn look(session: &mut Session<'_>, selection: &Selection, after: Option<i64>) -> (Vec<i64>, Option<i64>) {
    let found = session.ready_rows(selection, &classes(), after, 100).await.unwrap();
    (found.rows.iter().map(|row| row.job_id).collect(), found.newest)
}

fn ids(enqueued: &[Enqueued], which: &[usize]) -> Vec<i64> {
    which.iter().map(|which| enqueued[*which].job_id).collect()
}

/// Somebody else holds what a claim locks: SQLite's one lock, elsewhere the row of the claiming process.
async fn a_claim_that_finds_no_class_of_its_own_waits_for_nobody(db: Db) {
    db.store.enqueue(&[job(), job()]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let mut other = db.raw().await;
    other.run(if db.is_sqlite() { "begin immediate" } else { "begin" }).await;
    other.run(&format!("update gritstone_processes set unstarted = '[1]' where process_id = {process}")).await;
    for selection in [any(), named(&["default"])] {
        for ahead in [None, Some(Ahead { kept: &[], starting: 1 })] {
            assert!(claim(&mut session, process, &selection, 5, ahead).await.is_empty());
        }
        assert_eq!(look(&mut session, &selection, None).await.0.len(), 0);
    }
    other.run("rollback").await;
    assert_eq!(db.count("ready_executions").await, 2);
}

async fn rows_are_found_in_the_order_of_a_claim(db: Db) {
    let jobs =
        [wanted("b", 1), job(), wanted("a", 5), wanted("b", 0), wanted("left alone", 0), NewJob::new("Also", vec![])];
    let enqueued = db.store.enqueue(&jobs).await.unwrap();
    let mut session = db.session().await;
    let (found, newest) = look(&mut session, &any(), None).await;
    assert_eq!(found, ids(&enqueued, &[3, 5, 0, 2]));
    assert_eq!(look(&mut session, &any(), newest).await, (vec![], newest));
    for after in [None, Some(0)] {
        let (found, _) = look(&mut session, &named(&["a", "none", "b"]), after).await;
        assert_eq!(found, ids(&enqueued, &[2, 3, 0]));
    }
    assert_eq!(look(&mut session, &named(&["none"]), None).await.0, Vec::<i64>::new());
}

async fn rows_that_are_new_are_found_whatever_their_priority_and_age(db: Db) {
    let later = wanted("a", 0).after(std::time::Duration::from_secs(3_600));
    let old = db.store.enqueue(&[later, wanted("a", 9), job()]).await.unwrap();
    let mut session = db.session().await;
    let (found, newest) = look(&mut session, &any(), None).await;
    assert_eq!(found, ids(&old, &[1]));
    db.let_time_pass().await;
    session.dispatch_due(10, true).await.unwrap();
    let new = db.store.enqueue(&[wanted("a", -5), job(), wanted("a", 9)]).await.unwrap();
    let (found, newer) = look(&mut session, &any(), newest).await;
    assert_eq!(found, [new[0].job_id, old[0].job_id, new[2].job_id]);
    assert!(newer > newest);
    assert_eq!(look(&mut session, &any(), newer).await, (vec![], newer));
}

async fn a_look_brings_no_more_than_asked_and_says_so(db: Db) {
    db.store.enqueue(&vec![wanted("a", 0); 5]).await.unwrap();
    let mut session = db.session().await;
    for selection in [any(), named(&["a"])] {
        for after in [None, Some(0)] {
            let found = session.ready_rows(&selection, &classes(), after, 3).await.unwrap();
            assert_eq!((found.rows.len(), found.newest), (3, None));
            let found = session.ready_rows(&selection, &classes(), after, 6).await.unwrap();
            assert_eq!(found.rows.len(), 5);
            assert_eq!(found.newest, found.rows.iter().map(|row| row.id).max());
        }
    }
}

async fn rows_are_claimed_in_their_order_as_far_as_they_are_there(db: Db) {
    let jobs = [0, 1, 2, 3, 4, 5].map(|priority| wanted("a", priority));
    let enqueued = db.store.enqueue(&jobs).await.unwrap();
    let (process, cordoned) = (start(&db).await, start(&db).await);
    let mut session = db.session().await;
    let mut rows = session.ready_rows(&any(), &classes(), None, 100).await.unwrap().rows;
    rows.reverse();
    session.discard(&[enqueued[4].job_id]).await.unwrap();
    let rows = Selection::Rows(rows);
    session.cordon(cordoned, std::time::Duration::from_secs(60)).await.unwrap();
    assert!(claim(&mut session, cordoned, &rows, 2, None).await.is_empty());
    assert_eq!(claim(&mut session, process, &rows, 2, None).await, ids(&enqueued, &[5, 3]));
    let ahead = Some(Ahead { kept: &[], starting: 1 });
    assert_eq!(claim(&mut session, process, &rows, 2, ahead).await, ids(&enqueued, &[2, 1]));
    assert_eq!(claim(&mut session, process, &rows, 9, ahead).await, ids(&enqueued, &[0]));
    assert!(claim(&mut session, process, &rows, 9, None).await.is_empty());
    assert!(claim(&mut session, process, &Selection::Rows(vec![]), 9, None).await.is_empty());
    let gone = Selection::Rows(vec![ReadyRow { id: 999_999, job_id: 999_999 }]);
    assert!(claim(&mut session, process, &gone, 9, None).await.is_empty());
}

async fn rows_of_paused_queues_stay_where_they_are(db: Db) {
    let enqueued = db.store.enqueue(&[wanted("a", 0), wanted("b", 0)]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let rows = Selection::Rows(session.ready_rows(&any(), &classes(), None, 100).await.unwrap().rows);
    session.pause_queue("a").await.unwrap();
    assert_eq!(claim(&mut session, process, &rows, 5, None).await, ids(&enqueued, &[1]));
    session.resume_queue("a").await.unwrap();
    assert_eq!(claim(&mut session, process, &rows, 5, None).await, ids(&enqueued, &[0]));
}
