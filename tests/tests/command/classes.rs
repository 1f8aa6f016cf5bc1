//! `gritstone classes`, and what workers' manifests declare.

use super::support::{Home, Started};
use gritstone_tests::rig::until;
use serde_json::json;

/// Starts a worker whose manifest says this of classes, and waits until it has said so.
async fn declared(home: &Home, name: &str, classes: &str) -> Started {
    let file = format!("{name}.yaml");
    home.write(
        &file,
        &format!(
            "apiVersion: gritstone.dev/v1alpha1\nkind: QueueWorker\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{queues: [none], handler: {{command: {{command: [\"true\"]}}}}, {classes}}}\n"
        ),
    );
    let worker = home.start(&["work", "-f", &file]);
    worker.says("register_process").await;
    worker
}

#[tokio::test]
async fn what_a_manifest_says_of_classes_holds_for_whoever_enqueues() {
    let home = Home::new();
    home.run(&["classes", "list"]).ok().says("no class has defaults");
    let classes = "classDefaults: [{class: Mail, queue: mail, priority: 5, attempts: 4}], \
                   concurrencyLimits: [{class: Sync, group: accounts, key: \"args[0].id\"}]";
    let _worker = declared(&home, "crew", classes).await;
    home.run(&["enqueue", "Mail"]).ok().prints("ready");
    let mail = home.job(1).await.unwrap();
    assert_eq!((mail.queue.as_str(), mail.priority), ("mail", 5));
    home.run(&["enqueue", "Mail", "--queue", "urgent", "--priority", "0"]).ok();
    let own = home.job(2).await.unwrap();
    assert_eq!((own.queue.as_str(), own.priority), ("urgent", 0));
    for placed in ["ready", "blocked"] {
        home.run(&["enqueue", "Sync", "--args", "{\"id\": 7}"]).ok().prints(placed);
    }
    assert_eq!(home.job(4).await.unwrap().concurrency_key.as_deref(), Some("accounts/7"));
    let lines = "{\"class\": \"Mail\"}\n{\"class\": \"Mail\", \"queue\": \"a\", \"attempts\": 2}\n";
    home.run_with(&["enqueue", "--priority", "3"], lines.as_bytes()).ok().says("2 jobs enqueued");
    let queues = [5, 6].map(async |id| home.job(id).await.map(|job| (job.queue, job.priority)).unwrap());
    let [first, second] = queues;
    assert_eq!((first.await, second.await), (("mail".into(), 3), ("a".into(), 3)));
    let many = home.run(&["enqueue", "Mail", "--count", "3", "--json"]).ok().json();
    assert_eq!(many, json!({"enqueued": 3, "class": "Mail", "queue": "mail"}));

    home.run(&["classes", "list"]).ok().prints("CLASS").prints("accounts/args[0].id").prints("shop/crew");
    let listed = home.run(&["classes", "list", "--json"]).ok().json();
    let sync = &listed["classes"][1];
    assert_eq!((&sync["class"], &sync["declared_by"]), (&json!("Sync"), &json!("shop/crew")));
    assert_eq!(sync["limit"], json!({"group": "accounts", "key": "args[0].id"}));
    home.run(&["classes", "unset", "Mail"]).ok().prints("Mail: no defaults any more");
    home.run(&["enqueue", "Mail", "--json"]).ok().prints("\"queue\":\"default\"");
}

#[tokio::test]
async fn two_manifests_that_do_not_agree_are_told() {
    let home = Home::new();
    let mut classes = "classDefaults: [{class: Mail, queue: mail}]";
    let first = declared(&home, "crew", classes).await;
    let second = declared(&home, "other", "classDefaults: [{class: Mail, queue: post}]").await;
    second.says("shop/crew declares the class Mail otherwise").await;
    home.run(&["enqueue", "Mail", "--json"]).ok().prints("\"queue\":\"post\"");
    first.stop();
    let again = declared(&home, "crew", classes).await;
    again.says("shop/other declares the class Mail otherwise").await;
    home.run(&["enqueue", "Mail", "--json"]).ok().prints("\"queue\":\"mail\"");
    again.stop();
    classes = "threads: 1";
    let dropped = declared(&home, "crew", classes).await;
    dropped.says("the class has no defaults any more").await;
    assert_eq!(home.run(&["classes", "list", "--json"]).ok().json()["classes"], json!([]));
}

#[tokio::test]
async fn a_limit_set_by_hand_outlives_the_start_of_workers() {
    let home = Home::new();
    let classes = "concurrencyLimits: [{class: Sync, group: accounts, to: 2}]";
    declared(&home, "crew", classes).await.stop();
    home.run(&["limits", "list"]).ok().prints("DECLARED").prints("shop/crew");
    home.run(&["limits", "set", "accounts", "--to", "5"]).ok();
    let worker = declared(&home, "crew", classes).await;
    until("the worker is listed", async || {
        let listed = home.run(&["processes", "list", "--json"]).ok().json();
        (listed["processes"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    assert!(worker.log().contains("the limit accounts was set by hand to 5, and stays so"), "{}", worker.log());
    worker.stop();
    let listed = home.run(&["limits", "list", "--json"]).ok().json();
    let limit = &listed["declared"][0];
    assert_eq!((&limit["to"], &limit["by"], &limit["manifest"]["to"]), (&5.into(), &"hand".into(), &2.into()));
    home.run(&["limits", "list"]).ok().prints("by hand (shop/crew says 2)");
    let other = declared(&home, "other", "concurrencyLimits: [{class: Sync, group: accounts, to: 2}]").await;
    other.says("register_process").await;
    assert!(!other.log().contains("otherwise"), "the same in both is no conflict: {}", other.log());
    other.stop();
    let other = declared(&home, "third", "concurrencyLimits: [{class: Sync, group: accounts, to: 9}]").await;
    other.says("shop/other declares the limit accounts otherwise").await;
    other.stop();
    declared(&home, "crew", classes).await.stop();
    home.run(&["limits", "unset", "accounts"])
        .ok()
        .prints("accounts: 2 jobs at a time, others wait again, as shop/crew says");
    assert_eq!(home.run(&["limits", "unset", "accounts", "--json"]).ok().json()["manifest"], json!(null));
    home.run(&["limits", "list"]).ok().says("there are no limits");
}
