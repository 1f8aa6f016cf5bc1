//! What must hold in every database at any moment, and what must hold once a sweep went over it.

use super::{Db, Raw, claim_any, done, finish, start};

/// Jobs that are in two states, or in none.
const MISPLACED: &str = "select j.id from solid_queue_jobs j where \
    (select count(*) from solid_queue_ready_executions e where e.job_id = j.id) \
    + (select count(*) from solid_queue_scheduled_executions e where e.job_id = j.id) \
    + (select count(*) from solid_queue_claimed_executions e where e.job_id = j.id) \
    + (select count(*) from solid_queue_blocked_executions e where e.job_id = j.id) \
    + (select count(*) from solid_queue_failed_executions e where e.job_id = j.id) \
    <> case when j.finished_at is null then 1 else 0 end";

/// Keys under which more jobs are ready or claimed than their limit allows.
const OVERRUN: &str = "select l.name from gritstone_limits l where l.capacity < \
    (select count(*) from solid_queue_jobs j where j.concurrency_key = l.name and j.finished_at is null \
      and (exists (select 1 from solid_queue_ready_executions e where e.job_id = j.id) \
        or exists (select 1 from solid_queue_claimed_executions e where e.job_id = j.id)))";

/// Holders without a slot, slots without a holder.
const SLOTS: [&str; 2] = [
    "select j.id from solid_queue_jobs j where j.concurrency_key is not null \
       and (exists (select 1 from solid_queue_ready_executions e where e.job_id = j.id) \
         or exists (select 1 from solid_queue_claimed_executions e where e.job_id = j.id)) \
       and not exists (select 1 from gritstone_slots s where s.job_id = j.id)",
    "select s.job_id from gritstone_slots s where \
       not exists (select 1 from solid_queue_ready_executions e where e.job_id = s.job_id) \
       and not exists (select 1 from solid_queue_claimed_executions e where e.job_id = s.job_id)",
];

/// Members that are through, unfinished batches without members, batches that finished with members left.
const BATCHES: [&str; 3] = [
    "select e.job_id from solid_queue_batch_executions e join solid_queue_jobs j on j.id = e.job_id \
     where j.finished_at is not null",
    "select b.id from solid_queue_batches b where b.enqueued_at is not null and b.finished_at is null \
     and not exists (select 1 from solid_queue_batch_executions e where e.batch_id = b.id)",
    "select b.id from solid_queue_batches b where b.finished_at is not null \
     and (exists (select 1 from solid_queue_batch_executions e where e.batch_id = b.id) \
       or b.total_jobs < b.completed_jobs + b.failed_jobs)",
];

/// What no moment may show.
pub async fn check_moment(raw: &mut Raw) {
    for sql in [MISPLACED, OVERRUN] {
        let wrong = raw.texts(sql).await;
        assert!(wrong.is_empty(), "{wrong:?} from {sql}");
    }
}

/// Sweeps, and then what must hold.
pub async fn sweep_and_check(db: &Db) {
    let mut session = db.session().await;
    session.sweep_limits().await.unwrap();
    session.sweep_batches().await.unwrap();
    let mut raw = db.raw().await;
    check_moment(&mut raw).await;
    for sql in SLOTS.iter().chain(&BATCHES).chain(&["select id from gritstone_signals"]) {
        let wrong = raw.texts(sql).await;
        assert!(wrong.is_empty(), "{wrong:?} from {sql}");
    }
    for limit in session.limits(1_000).await.unwrap() {
        let to = i64::from(limit.to.unwrap());
        assert_eq!(limit.free, to - limit.held as i64, "{limit:?}");
        assert!(limit.blocked == 0 || limit.free == 0, "{limit:?}");
    }
}

/// Buries all processes, then runs all that is left: every job and every batch must come to its end.
pub async fn run_to_the_end(db: &Db) {
    let mut session = db.session().await;
    let gone = gritstone_store::Death::Exited { how: "the test is over".into() };
    for process in session.processes().await.unwrap() {
        session.bury(process.id, &gone).await.unwrap();
    }
    let long_ago = db.seconds_from_now(-600);
    db.run(&format!("update solid_queue_batches set created_at = {long_ago} where enqueued_at is null")).await;
    sweep_and_check(db).await;
    let process = start(db).await;
    let mut idle = 0;
    while idle < 2 {
        db.let_time_pass().await;
        session.dispatch_due(1_000, true).await.unwrap();
        let claimed = claim_any(&mut session, process, 100).await;
        idle = if claimed.is_empty() { idle + 1 } else { 0 };
        finish(&mut session, &claimed.iter().map(done).collect::<Vec<_>>()).await;
    }
    sweep_and_check(db).await;
    let states = db.states().await;
    assert!(states.keys().all(|state| ["finished", "failed"].contains(state)), "{states:?}");
    for limit in session.limits(1_000).await.unwrap() {
        assert_eq!(limit.free, i64::from(limit.to.unwrap()), "{limit:?}");
    }
    assert_eq!(db.int("select count(*) from solid_queue_batches where finished_at is null").await, 0);
}
