//! What waits for workers and what they have done, as whoever decides about their number sees it.

use crate::support::{Db, claim_any, conformance, done, finish, job, new_process};
use gritstone_store::{Counters, Identity, NewJob, NewProcess};
use std::time::Duration;

conformance!(
    queues_with_ready_jobs_are_counted_and_paused_ones_are_not,
    a_long_queue_is_counted_up_to_a_cap,
    the_age_is_that_of_the_oldest_of_the_most_and_the_least_urgent,
    jobs_of_classes_are_counted_apart,
    what_is_due_soon_is_told_by_queue_and_class,
    workers_of_a_cluster_tell_what_they_did,
);

async fn queues_with_ready_jobs_are_counted_and_paused_ones_are_not(db: Db) {
    assert!(db.session().await.backlog().await.unwrap().is_empty());
    let later = job().on("c").after(Duration::from_secs(60));
    db.store.enqueue(&[job().on("a"), job().on("b"), job().on("a"), job().on("p"), later]).await.unwrap();
    let mut session = db.session().await;
    session.pause_queue("p").await.unwrap();
    let backlog = session.backlog().await.unwrap();
    let told: Vec<_> = backlog.iter().map(|queue| (queue.queue.as_str(), queue.ready, queue.exact)).collect();
    assert_eq!(told, [("a", 2, true), ("b", 1, true)]);
    assert!(backlog.iter().all(|queue| queue.oldest < Duration::from_secs(30)));
}

async fn a_long_queue_is_counted_up_to_a_cap(db: Db) {
    let mut jobs = vec![job().on("long"); 150];
    jobs.push(job().on("short"));
    // So many queues that of each only the fewest are counted.
    jobs.extend((0..200).map(|number| job().on(format!("other-{number:03}"))));
    db.store.enqueue(&jobs).await.unwrap();
    let mut session = db.session().await;
    let backlog = session.backlog().await.unwrap();
    assert_eq!(backlog.len(), 202);
    assert_eq!((backlog[0].ready, backlog[0].exact), (100, false));
    assert!(backlog[1..].iter().all(|queue| (queue.ready, queue.exact) == (1, true)));
    assert_eq!(session.ready_in("long", 1_000).await.unwrap(), 150);
    assert_eq!(session.ready_in("long", 120).await.unwrap(), 120);
    assert_eq!(session.ready_in("none", 120).await.unwrap(), 0);
}

async fn the_age_is_that_of_the_oldest_of_the_most_and_the_least_urgent(db: Db) {
    db.store.enqueue(&[job().priority(1), job().priority(9), job().priority(1), job().on("b")]).await.unwrap();
    db.run(&format!(
        "update solid_queue_ready_executions set created_at = {} where priority = 9",
        db.seconds_from_now(-90)
    ))
    .await;
    let backlog = db.session().await.backlog().await.unwrap();
    let ages: Vec<_> = backlog.iter().map(|queue| (queue.queue.as_str(), queue.oldest.as_secs() / 30)).collect();
    assert_eq!(ages, [("b", 0), ("default", 3)]);
}

async fn jobs_of_classes_are_counted_apart(db: Db) {
    let of = |class: &str, queue: &str| NewJob::new(class, vec![]).on(queue);
    db.store
        .enqueue(&[of("A", "x"), of("B", "x"), of("A", "x"), of("A", "y"), of("C", "x"), of("A", "z")])
        .await
        .unwrap();
    let mut session = db.session().await;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let found = session.ready_of_classes(&names(&["x", "y"]), &names(&["A", "C", "D"]), 100).await.unwrap();
    let told: Vec<_> = found.iter().map(|found| (found.queue.as_str(), found.class.as_str(), found.jobs)).collect();
    assert_eq!(told, [("x", "A", 2), ("x", "C", 1), ("y", "A", 1)]);
    let capped = session.ready_of_classes(&names(&["x"]), &names(&["A", "C"]), 2).await.unwrap();
    assert_eq!(capped.iter().map(|found| found.jobs).sum::<u64>(), 2);
}

async fn what_is_due_soon_is_told_by_queue_and_class(db: Db) {
    let after =
        |class: &str, queue: &str, seconds| NewJob::new(class, vec![]).on(queue).after(Duration::from_secs(seconds));
    db.store
        .enqueue(&[after("A", "x", 5), after("A", "x", 6), after("B", "y", 5), after("A", "x", 600)])
        .await
        .unwrap();
    db.store.enqueue(&[after("A", "p", 5)]).await.unwrap();
    let mut session = db.session().await;
    session.pause_queue("p").await.unwrap();
    assert!(session.due_within(Duration::ZERO).await.unwrap().is_empty());
    let due = session.due_within(Duration::from_secs(60)).await.unwrap();
    let told: Vec<_> = due.iter().map(|due| (due.queue.as_str(), due.class.as_str(), due.jobs)).collect();
    assert_eq!(told, [("x", "A", 2), ("y", "B", 1)]);
}

async fn workers_of_a_cluster_tell_what_they_did(db: Db) {
    let in_pod = |cluster: &str, pod: &str| {
        let process = new_process(3);
        let identity = Identity {
            cluster_id: Some(cluster.to_owned()),
            namespace: Some("shop".to_owned()),
            pod: Some(pod.to_owned()),
            pod_uid: Some(format!("uid-of-{pod}")),
            ..process.identity
        };
        NewProcess { identity, ..process }
    };
    let mut session = db.session().await;
    let one = session.register(&in_pod("here", "one")).await.unwrap().process_id;
    let two = session.register(&in_pod("here", "two")).await.unwrap().process_id;
    session.register(&in_pod("elsewhere", "three")).await.unwrap();
    session.register(&new_process(3)).await.unwrap();
    let dispatcher = NewProcess { kind: "Dispatcher".to_owned(), ..in_pod("here", "four") };
    session.register(&dispatcher).await.unwrap();

    db.store.enqueue(&vec![job(); 3]).await.unwrap();
    let claimed = claim_any(&mut session, one, 3).await;
    finish(&mut session, &[done(&claimed[0])]).await;
    let counters = Counters { done: 4, failed: 2, busy: Duration::from_millis(1_500) };
    session.write_counters(one, counters).await.unwrap();
    session.cordon(two, Duration::from_secs(60)).await.unwrap();

    let workers = session.workers_of("here").await.unwrap();
    let told: Vec<_> = workers
        .iter()
        .map(|worker| {
            (worker.process_id, worker.pod_uid.as_str(), worker.claimed, worker.ended, worker.busy.as_millis())
        })
        .collect();
    assert_eq!(told, [(one, "uid-of-one", 2, 6, 1_500), (two, "uid-of-two", 0, 0, 0)]);
    assert_eq!(workers.iter().map(|worker| worker.cordoned).collect::<Vec<_>>(), [false, true]);
    assert!(workers.iter().all(|worker| worker.namespace == "shop"));
}
