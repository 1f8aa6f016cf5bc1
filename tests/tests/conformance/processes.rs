//! Processes: who is there, and how they leave.

use crate::support::{Db, claim_any, conformance, done, finish, job, new_process, start};
use gritstone_store::{Ahead, Claim, Commands, Counters, Death, JobState, Mark, Pod, Selection};
use serde_json::json;
use std::time::Duration;

conformance!(
    a_claim_lists_what_was_claimed_ahead,
    a_claim_that_finds_nothing_leaves_the_list_alone,
    a_process_is_listed_as_rails_lists_it,
    a_heartbeat_tells_whether_the_row_is_there,
    who_deregisters_gives_its_claims_back,
    counters_and_metadata_are_kept,
    a_dead_workers_jobs_go_to_others,
    jobs_that_had_not_started_are_not_counted,
    a_job_that_ran_out_of_interruptions_fails,
    a_burial_happens_once,
    orphans_are_recovered,
    the_processes_of_a_pod_are_those_that_say_so_in_full,
);

async fn a_process_is_listed_as_rails_lists_it(db: Db) {
    let mut session = db.session().await;
    let supervisor = session.register(&new_process(3)).await.unwrap().process_id;
    let mut new = new_process(3);
    new.supervisor_id = Some(supervisor);
    new.metadata = json!({"polling_interval": 0.1, "queues": "a,b", "thread_pool_size": 3});
    new.hostname = "weird.host_name-✓".into();
    let worker = session.register(&new).await.unwrap().process_id;
    db.store.enqueue(&[job(), job()]).await.unwrap();
    claim_any(&mut session, worker, 5).await;

    let processes = session.processes().await.unwrap();
    assert_eq!(processes.len(), 2);
    let view = &processes[1];
    assert_eq!((view.id, view.kind.as_str(), &view.name), (worker, "Worker", &new.name));
    assert_eq!((view.pid, view.hostname.as_deref()), (i64::from(new.pid), Some("weird.host_name-✓")));
    assert_eq!((view.supervisor_id, view.claimed, view.cordoned), (Some(supervisor), 2, false));
    assert_eq!(view.metadata, Some(new.metadata));
    assert_eq!(view.incarnation, Some(new.identity.incarnation));
    assert!(view.heartbeat_age_seconds < 30);
}

async fn a_heartbeat_tells_whether_the_row_is_there(db: Db) {
    let process = start(&db).await;
    let mut session = db.session().await;
    db.run(&format!("update solid_queue_processes set last_heartbeat_at = {}", db.seconds_from_now(-90))).await;
    assert!(session.heartbeat(process).await.unwrap());
    assert!(session.heartbeat(process).await.unwrap());
    assert!(session.processes().await.unwrap()[0].heartbeat_age_seconds < 30);
    session.deregister(process).await.unwrap();
    assert!(!session.heartbeat(process).await.unwrap());
}

async fn who_deregisters_gives_its_claims_back(db: Db) {
    db.store.enqueue(&vec![job(); 3]).await.unwrap();
    let (process, other) = (start(&db).await, start(&db).await);
    let mut session = db.session().await;
    claim_any(&mut session, process, 2).await;
    claim_any(&mut session, other, 2).await;
    assert_eq!(session.deregister(process).await.unwrap(), 2);
    assert_eq!(session.deregister(process).await.unwrap(), 0);
    assert_eq!(db.states().await, [("claimed", 1), ("ready", 2)].into());
    assert_eq!((db.count("processes").await, db.int("select count(*) from gritstone_processes").await), (1, 1));
    assert!(db.jobs().await.iter().all(|job| job.interruptions == 0));
}

async fn counters_and_metadata_are_kept(db: Db) {
    let process = start(&db).await;
    let mut session = db.session().await;
    let counters = Counters { done: 5, failed: 2, busy: Duration::from_micros(1_500) };
    session.write_counters(process, counters).await.unwrap();
    session.write_metadata(process, &json!({"recurring_schedule": ["a"]})).await.unwrap();
    let sum = "select done * 1000000 + failed * 100000 + busy_micros from gritstone_processes";
    assert_eq!(db.int(sum).await, 5_201_500);
    let view = session.processes().await.unwrap().remove(0);
    assert_eq!(view.metadata, Some(json!({"recurring_schedule": ["a"]})));
}

fn exit() -> Death {
    Death::Exited { how: "signal 9".into() }
}

async fn a_dead_workers_jobs_go_to_others(db: Db) {
    let enqueued = db.store.enqueue(&vec![job(); 2]).await.unwrap();
    let (dead, other) = (start(&db).await, start(&db).await);
    let mut session = db.session().await;
    let before = claim_any(&mut session, dead, 5).await;
    let buried = session.bury(dead, &exit()).await.unwrap().unwrap();
    assert_eq!(buried.process_id, Some(dead));
    assert_eq!(buried.interrupted, enqueued.iter().map(|e| e.job_id).collect::<Vec<_>>());
    assert!(buried.released.is_empty() && buried.failed.is_empty());

    let now = claim_any(&mut session, other, 5).await;
    assert_eq!(now.iter().map(|job| job.interruptions).collect::<Vec<_>>(), [1, 1]);
    // The dead one was only slow, and comes back to finish.
    let settled = finish(&mut session, &[done(&before[0])]).await;
    assert_eq!(settled.gone, [before[0].claim_id]);
    assert_eq!(db.state(before[0].job_id).await, Some(JobState::Claimed));
    assert!(claim_any(&mut session, dead, 5).await.is_empty());
}

async fn jobs_that_had_not_started_are_not_counted(db: Db) {
    db.store.enqueue(&vec![job(); 3]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    let claimed = claim_any(&mut session, process, 5).await;
    session.write_unstarted(process, &[claimed[1].claim_id, claimed[2].claim_id]).await.unwrap();
    let buried = session.bury(process, &exit()).await.unwrap().unwrap();
    assert_eq!(buried.released, [claimed[1].job_id, claimed[2].job_id]);
    assert_eq!(buried.interrupted, [claimed[0].job_id]);
    let interruptions: Vec<u32> = db.jobs().await.iter().map(|job| job.interruptions).collect();
    assert_eq!(interruptions, [1, 0, 0]);
    assert_eq!(db.states().await, [("ready", 3)].into());
}

async fn a_job_that_ran_out_of_interruptions_fails(db: Db) {
    db.store.enqueue(&[job().attempts(9)]).await.unwrap();
    let mut session = db.session().await;
    for death in 1..=3 {
        let process = session.register(&new_process(2)).await.unwrap().process_id;
        assert_eq!(claim_any(&mut session, process, 5).await.len(), 1);
        let buried = session.bury(process, &exit()).await.unwrap().unwrap();
        assert_eq!(buried.failed.len(), usize::from(death == 3));
    }
    let failed = db.jobs().await.remove(0);
    assert_eq!(failed.state, JobState::Failed);
    let error = failed.error.unwrap();
    assert_eq!(error.exception_class, "SolidQueue::Processes::ProcessExitError");
    assert!(error.message.contains("signal 9"));
    session.retry_failed(&[failed.job_id]).await.unwrap();
    assert_eq!(db.jobs().await[0].interruptions, 0);
}

async fn a_burial_happens_once(db: Db) {
    db.store.enqueue(&vec![job(); 5]).await.unwrap();
    let process = start(&db).await;
    claim_any(&mut db.session().await, process, 5).await;
    let mut diggers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = db.store.clone();
        diggers.spawn(async move { store.connect().await.unwrap().bury(process, &exit()).await.unwrap() });
    }
    let buried: Vec<_> = diggers.join_all().await.into_iter().flatten().collect();
    assert_eq!(buried.len(), 1);
    assert!(db.jobs().await.iter().all(|job| job.interruptions == 1 && job.state == JobState::Ready));
}

async fn orphans_are_recovered(db: Db) {
    db.store.enqueue(&vec![job(); 3]).await.unwrap();
    let process = start(&db).await;
    let mut session = db.session().await;
    assert_eq!(session.recover_orphans(3).await.unwrap(), gritstone_store::Buried::default());
    let claimed = claim_any(&mut session, process, 5).await;
    db.run("delete from solid_queue_processes").await;
    db.run(&format!("update solid_queue_claimed_executions set process_id = null where id = {}", claimed[2].claim_id))
        .await;
    let back = session.recover_orphans(1).await.unwrap();
    assert_eq!(back.interrupted.len(), 3);
    let process = start(&db).await;
    claim_any(&mut session, process, 5).await;
    db.run("delete from solid_queue_processes").await;
    assert_eq!(session.recover_orphans(1).await.unwrap().failed.len(), 3);
    let error = db.jobs().await.remove(0).error.unwrap();
    assert_eq!(error.exception_class, "SolidQueue::Processes::ProcessMissingError");
}

/// The claims that a process has listed as not started.
async fn unstarted(db: &Db, process: i64) -> Vec<i64> {
    let sql = format!("select coalesce(unstarted, '[]') from gritstone_processes where process_id = {process}");
    serde_json::from_str(&db.text(&sql).await).unwrap()
}

async fn a_claim_lists_what_was_claimed_ahead(db: Db) {
    let process = start(&db).await;
    let mut session = db.session().await;
    db.store.enqueue(&vec![job(); 6]).await.unwrap();
    let classes = ["Job".to_owned()];
    let any = Selection::Any { excluded: vec![], mark: Mark::START };
    let named = Selection::Queues(vec![("default".into(), Mark::START)]);
    let mut kept = Vec::new();
    for (selection, classes) in [(&any, None), (&named, Some(classes.as_slice()))] {
        let ahead = Ahead { kept: &kept, starting: 1 };
        let commands = Commands::Leave;
        let ahead_of = Some(ahead);
        let claim =
            Claim { process_id: process, selection, limit: 3, classes, commands, skip_locked: true, ahead: ahead_of };
        let claimed = session.claim(&claim).await.unwrap().jobs;
        assert_eq!(claimed.len(), 3);
        let listed = ahead.unstarted(claimed.iter().map(|job| job.claim_id));
        assert_eq!(listed.len(), kept.len() + 2);
        assert_eq!(unstarted(&db, process).await, listed);
        kept = listed;
    }
    let gone = Death::Exited { how: "it was time".into() };
    let buried = session.bury(process, &gone).await.unwrap().unwrap();
    assert_eq!((buried.released.len(), buried.interrupted.len()), (4, 2));
}

async fn a_claim_that_finds_nothing_leaves_the_list_alone(db: Db) {
    let process = start(&db).await;
    let mut session = db.session().await;
    session.write_unstarted(process, &[7]).await.unwrap();
    let any = Selection::Any { excluded: vec![], mark: Mark::START };
    let ahead = Some(Ahead { kept: &[], starting: 1 });
    let (classes, commands) = (None, Commands::Leave);
    let claim = Claim { process_id: process, selection: &any, limit: 3, classes, commands, skip_locked: true, ahead };
    assert!(session.claim(&claim).await.unwrap().jobs.is_empty());
    assert_eq!(unstarted(&db, process).await, [7]);
}

async fn the_processes_of_a_pod_are_those_that_say_so_in_full(db: Db) {
    let mut session = db.session().await;
    let pod = Pod {
        cluster_id: "here".into(),
        namespace: "shop".into(),
        name: "mail-1".into(),
        uid: "8f3c1d4e-0000-4000-8000-000000000001".into(),
    };
    let mut register = async |pod: &Pod| {
        let mut new = new_process(3);
        new.identity.cluster_id = Some(pod.cluster_id.clone());
        new.identity.namespace = Some(pod.namespace.clone());
        new.identity.pod = Some(pod.name.clone());
        new.identity.pod_uid = Some(pod.uid.clone());
        (session.register(&new).await.unwrap().process_id, new.identity.incarnation)
    };
    let (first, incarnation) = register(&pod).await;
    let (second, _) = register(&pod).await;
    for other in [
        Pod { cluster_id: "there".into(), ..pod.clone() },
        Pod { namespace: "other".into(), ..pod.clone() },
        Pod { name: "mail-2".into(), ..pod.clone() },
        Pod { uid: "8f3c1d4e-0000-4000-8000-000000000002".into(), ..pod.clone() },
    ] {
        register(&other).await;
    }
    session.register(&new_process(3)).await.unwrap();

    let found = session.processes_in(&pod).await.unwrap();
    assert_eq!(found.iter().map(|process| process.process_id).collect::<Vec<_>>(), [first, second]);
    assert_eq!(found[0].incarnation, incarnation);
    let listed = session.processes().await.unwrap();
    assert_eq!(listed.iter().filter(|process| process.pod.as_ref() == Some(&pod)).count(), 2);
    assert!(listed.last().unwrap().pod.is_none());
}
