//! `gritstone limits`.

use super::support::Home;
use serde_json::json;

#[tokio::test]
async fn a_declared_limit_holds_for_its_group() {
    let home = Home::new();
    home.run(&["limits", "list"]).ok().says("there are no limits");
    home.run(&["limits", "set", "account", "--to", "1", "--duration", "5m"])
        .ok()
        .prints("account: 1 job at a time, others wait");
    for _ in 0..2 {
        home.run(&["enqueue", "Sync", "--limit-key", "account/7"]).ok();
    }
    let limits = home.run(&["limits", "list", "--json"]).ok().json();
    let declared = json!({
        "name": "account", "to": 1, "duration_seconds": 300.0, "on_conflict": "block", "by": "hand", "manifest": null,
    });
    assert_eq!(limits["declared"][0], declared);
    assert_eq!(limits["keys"][0], json!({"key": "account/7", "to": 1, "free": 0, "held": 1, "blocked": 1}));
    home.run(&["limits", "list"]).ok().prints("5m").prints("account/7");
}

#[tokio::test]
async fn what_is_not_given_stays_as_it_was_declared() {
    let home = Home::new();
    home.run(&["limits", "set", "a", "--to", "1", "--duration", "5m", "--on-conflict", "discard"]).ok();
    let set = home.run(&["limits", "set", "a", "--to", "3", "--json"]).ok().json();
    assert_eq!(set, json!({"name": "a", "to": 3, "duration_seconds": 300.0, "on_conflict": "discard"}));
}
