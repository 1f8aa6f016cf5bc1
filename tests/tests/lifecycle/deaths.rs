//! `kill -9` of one process, and who notices.

use gritstone_tests::rig::{Crew, Signal, Site, processes, until, until_within};
use gritstone_tests::servers::Engine;
use serde_json::json;
use std::time::Duration;

/// Recovery by proof of death takes two seconds and a restart; a busy machine takes longer. Silence would take two minutes.
const SOON: Duration = Duration::from_secs(30);

async fn gone(pid: i32) {
    until(&format!("process {pid} is gone"), async || (!processes::is_alive(pid)).then_some(())).await;
}

async fn interruptions(site: &Site) -> i64 {
    site.int("select coalesce(sum(interruptions), 0) from gritstone_jobs").await
}

async fn a_killed_worker_is_replaced_and_its_jobs_run_again(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let job = site.enqueue_one(vec![json!(1.0)]).await;
    let mut supervisor = site.start("fork");
    let killed = site.listed("Worker", 1).await[0];
    site.begun(1).await;
    processes::send(killed, Signal::SIGKILL);
    until_within(SOON, "the job runs again", async || (site.ledger.runs_of(&job).len() == 2).then_some(())).await;
    site.finished(1).await;
    assert_ne!(site.listed("Worker", 1).await, [killed]);
    assert_eq!(interruptions(&site).await, 1);
    let runs = site.ledger.runs_of(&job);
    assert!(runs[0].is_open() && !runs[0].overlaps(&runs[1]) && runs[1].interruptions == 1, "{runs:?}");
    assert!(supervisor.stop().await.success());
    assert_eq!(site.count("processes").await, 0);
}

async fn a_killed_dispatcher_is_replaced(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let mut supervisor = site.start("fork");
    let killed = site.listed("Dispatcher", 1).await[0];
    processes::send(killed, Signal::SIGKILL);
    until_within(SOON, "another dispatcher is listed", async || {
        let rows = site.rows("select pid from solid_queue_processes where kind = 'Dispatcher'").await;
        (rows.len() == 1 && rows[0][0] != killed.to_string()).then_some(())
    })
    .await;
    assert!(supervisor.stop().await.success());
}

async fn children_of_a_killed_supervisor_finish_their_jobs_and_stop(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let job = site.enqueue_one(vec![json!(1.5)]).await;
    let mut supervisor = site.start("fork");
    let children = [site.listed("Worker", 1).await[0], site.listed("Dispatcher", 1).await[0]];
    site.begun(1).await;
    supervisor.kill().await;
    for child in children {
        gone(child).await;
    }
    let runs = site.ledger.runs_of(&job);
    assert!(runs.len() == 1 && runs[0].ended, "{runs:?}");
    assert_eq!(interruptions(&site).await, 0);
    assert_eq!(site.listed("%", 1).await, [supervisor.pid()], "its row is stale, and the only one");

    let mut next = site.start("fork");
    until_within(SOON, "the next supervisor has pruned it", async || {
        let sql = format!("select count(*) from solid_queue_processes where pid = {}", supervisor.pid());
        (site.int(&sql).await == 0).then_some(())
    })
    .await;
    assert!(next.stop().await.success());
}

async fn a_new_start_buries_its_dead_predecessor(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let job = site.enqueue_one(vec![json!(3.0)]).await;
    site.start("async").kill_after(&site).await;
    assert_eq!(site.listed("%", 3).await.len(), 3, "nobody was there to take the dead off the list");
    let mut next = site.start("async");
    until_within(SOON, "the job runs again", async || (site.ledger.runs_of(&job).len() == 2).then_some(())).await;
    site.finished(1).await;
    assert_eq!(interruptions(&site).await, 1);
    assert!(next.stop().await.success());
    assert_eq!(site.count("processes").await, 0);
}

/// Kills once a run has begun.
trait KillAfter {
    async fn kill_after(self, site: &Site);
}

impl KillAfter for gritstone_tests::rig::Running {
    async fn kill_after(mut self, site: &Site) {
        site.begun(1).await;
        self.kill().await;
    }
}

async fn handlers_and_what_they_started_die_with_a_killed_worker(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    for manner in ["obedient", "stubborn", "grandchild"] {
        site.enqueue_one(vec![json!(600), json!(manner)]).await;
    }
    let mut worker = site.work();
    site.begun(3).await;
    let grandchild =
        until("the grandchild has begun", async || site.ledger.runs().iter().find_map(|run| run.grandchild)).await;
    let handlers: Vec<i32> = site.ledger.runs().iter().map(|run| run.pid).collect();
    assert!(processes::is_alive(grandchild));
    worker.kill().await;
    for pid in handlers.into_iter().chain([grandchild]) {
        gone(pid).await;
    }
}

/// Linux alone has what containers are made of, and some containers forbid to make more.
fn can_make_containers() -> bool {
    let mut try_it = std::process::Command::new("unshare");
    try_it.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child", "true"]);
    try_it.output().is_ok_and(|output| output.status.success())
}

async fn a_restarted_container_buries_its_predecessor_and_nobody_else(engine: Engine) {
    if !can_make_containers() {
        return;
    }
    let site = Site::new(engine, &Crew::default()).await;
    let (ours, other) = ("8f3c1d4e-0000-4000-8000-000000000001", "8f3c1d4e-0000-4000-8000-000000000002");
    let elsewhere = site.enqueue_one(vec![json!(600)]).await;
    let mut gone_pod = site.work_in_pod(other);
    site.begun(1).await;
    gone_pod.kill().await;
    let job = site.enqueue_one(vec![json!(2.0)]).await;
    let mut killed = site.work_in_pod(ours);
    site.begun(2).await;
    killed.kill().await;

    let _next = site.work_in_pod(ours);
    until_within(SOON, "the job runs again", async || (site.ledger.runs_of(&job).len() == 2).then_some(())).await;
    site.finished(1).await;
    assert_eq!(interruptions(&site).await, 1);
    // The pod of the other one may live, for all that anybody here knows.
    assert_eq!(site.ledger.runs_of(&elsewhere).len(), 1);
    site.listed("Worker", 2).await;
}

/// What is seen of process ids from here says nothing of a pod: the number of its namespace may be another's by now.
async fn who_is_of_another_pod_is_left_to_its_heartbeat(engine: Engine) {
    let site = Site::new(engine, &Crew::default()).await;
    let pod = [
        ("GRITSTONE_CLUSTER_ID", "here"),
        ("GRITSTONE_NAMESPACE", "shop"),
        ("GRITSTONE_POD", "mail-1"),
        ("GRITSTONE_POD_UID", "8f3c1d4e-0000-4000-8000-000000000001"),
    ];
    let mut in_pod = site.run_with(&["work", "--file", &site.manifests()], &pod);
    let listed = site.listed("Worker", 1).await;
    let mut in_none = site.work();
    site.listed("Worker", 2).await;
    in_pod.kill().await;
    in_none.kill().await;
    let _dispatcher = site.dispatch();
    // Both are looked at in the same round, that of the pod first.
    assert_eq!(site.listed("Worker", 1).await, listed);
}

super::on_a_file_and_a_server!(
    who_is_of_another_pod_is_left_to_its_heartbeat,
    a_restarted_container_buries_its_predecessor_and_nobody_else,
    a_killed_worker_is_replaced_and_its_jobs_run_again,
    a_killed_dispatcher_is_replaced,
    children_of_a_killed_supervisor_finish_their_jobs_and_stop,
    a_new_start_buries_its_dead_predecessor,
    handlers_and_what_they_started_die_with_a_killed_worker,
);
