//! Values that can't be, or are larger or stranger than usual.

use crate::support::{Home, Ran};
use gritstone_tests::servers::{Engine, Server};
use serde_json::json;

fn line(home: &Home, line: &str) -> Ran {
    home.run_with(&["enqueue"], format!("{line}\n").as_bytes())
}

async fn jobs(home: &Home) -> usize {
    home.run(&["jobs", "list", "--json"]).ok().json()["jobs"].as_array().unwrap().len()
}

/// A job whose only argument is a text of so many bytes.
fn large(bytes: usize) -> String {
    json!({"class": "Large", "args": ["x".repeat(bytes)]}).to_string()
}

#[tokio::test]
async fn arguments_that_are_not_json() {
    let home = Home::new();
    home.run(&["enqueue", "A", "--args", "[1"]).code(2).says("--args is not JSON").says("'[1, \"two\"]'");
    home.run(&["enqueue", "A", "--args", "hello"]).code(2).says("a text by itself like '\"two\"'");
    assert_eq!(jobs(&home).await, 0);
}

#[tokio::test]
async fn arguments_that_are_no_array() {
    let home = Home::new();
    home.run(&["enqueue", "A", "--args", "{\"to\": 1}"]).ok();
    assert_eq!(home.run(&["jobs", "show", "1", "--json"]).ok().json()["envelope"]["arguments"][0]["to"], 1);
}

#[tokio::test]
async fn an_argument_of_ten_megabytes() {
    for engine in [Engine::Sqlite, Engine::Server(Server::Postgres)] {
        let home = Home::on(engine).await;
        line(&home, &large(10_000_000)).ok().says("1 job enqueued");
        let job = home.job(1).await.unwrap();
        assert!(job.envelope.unwrap().len() > 10_000_000);
    }
}

#[tokio::test]
async fn seventy_kilobytes_on_mysql() {
    for server in [Server::MariaDb, Server::MySql] {
        let home = Home::on(Engine::Server(server)).await;
        line(&home, &large(70_000)).code(1).says("the job was not enqueued").says("65,535 bytes");
        assert_eq!(jobs(&home).await, 0);
        line(&home, &large(60_000)).ok();
    }
}

#[tokio::test]
async fn a_nul_in_an_argument() {
    for engine in [Engine::Sqlite, Engine::Server(Server::Postgres), Engine::Server(Server::MariaDb)] {
        let home = Home::on(engine).await;
        line(&home, r#"{"class": "A", "args": ["a\u0000b"]}"#).ok();
        assert_eq!(home.run(&["jobs", "show", "1", "--json"]).ok().json()["envelope"]["arguments"][0], "a\0b");
    }
}

#[tokio::test]
async fn a_queue_of_300_characters() {
    let home = Home::new();
    let name = "x".repeat(300);
    home.run(&["enqueue", "A", "--queue", &name]).code(1).says("the queue has 300 characters; 255 is the most");
    home.run(&["queues", "pause", &name]).code(2).says("the name has 300 characters; 255 is the most");
    line(&home, &json!({"class": "A", "queue": name}).to_string()).code(1).says("line 1: the queue has 300 characters");
    assert_eq!(jobs(&home).await, 0);
}

#[tokio::test]
async fn a_queue_with_wildcards_of_sql() {
    for engine in [Engine::Sqlite, Engine::Server(Server::Postgres), Engine::Server(Server::MariaDb)] {
        let home = Home::on(engine).await;
        for name in ["a%", "a_", "ab", "abc"] {
            home.run(&["enqueue", "A", "--queue", name]).ok();
        }
        for name in ["a%", "a_"] {
            let found = home.run(&["jobs", "list", "--queue", name, "--json"]).ok().json();
            assert_eq!(found["jobs"].as_array().unwrap().len(), 1, "{name}");
        }
        home.run(&["queues", "pause", "a_"]).ok();
        let queues = home.run(&["queues", "list", "--json"]).ok().json();
        let paused = queues["queues"].as_array().unwrap().iter().filter(|queue| queue["paused"] == true).count();
        assert_eq!(paused, 1);
    }
}

#[tokio::test]
async fn a_queue_with_a_nul() {
    let home = Home::new();
    line(&home, r#"{"class": "A", "queue": "a\u0000b"}"#).code(1).says("line 1: the queue contains a NUL character");
    assert_eq!(jobs(&home).await, 0);
}

#[tokio::test]
async fn a_queue_with_an_emoji() {
    for engine in [Engine::Sqlite, Engine::Server(Server::Postgres), Engine::Server(Server::MariaDb)] {
        let home = Home::on(engine).await;
        home.run(&["enqueue", "A", "--queue", "mail 🦀"]).ok();
        home.run(&["queues", "list"]).ok().prints("mail 🦀");
    }
}

#[tokio::test]
async fn a_misspelt_field_of_a_line() {
    let home = Home::new();
    let lines = b"{\"class\": \"A\"}\n{\"class\": \"A\", \"quue\": \"mail\"}\n";
    let ran = home.run_with(&["enqueue"], lines).code(1).says("line 2: unknown field `quue`; did you mean `queue`?");
    ran.says("1 job before it was enqueued: mend this line and go on from it (tail -n +2)");
    assert_eq!(jobs(&home).await, 1);
}

#[tokio::test]
async fn a_number_that_would_be_rounded() {
    let home = Home::new();
    for number in ["12345678901234567890123", "0.12345678901234567890123", "1e999"] {
        let args = format!("[1, {{\"amount\": {number}}}]");
        home.run(&["enqueue", "A", "--args", &args]).code(2).says(&format!("the number {number} can't be kept"));
        let line = format!("{{\"class\": \"A\"}}\n{{\"class\": \"A\", \"args\": {args}}}\n");
        home.run_with(&["enqueue"], line.as_bytes())
            .code(1)
            .says("line 2: ")
            .says(&format!("the number {number} can't be kept"));
    }
    let exact = "[18446744073709551615,-9223372036854775808,1.25,0.30000000000000004,\"12345678901234567890123\"]";
    home.run(&["enqueue", "Exact", "--args", exact]).ok();
    line(&home, &format!("{{\"class\": \"Exact\", \"args\": {exact}}}")).ok();
    for job in [4, 5] {
        let envelope = home.job(job).await.unwrap().envelope.unwrap();
        assert!(envelope.contains(&format!("\"arguments\":{exact},")), "{envelope}");
    }
    assert!(home.job(6).await.is_none());
}

#[tokio::test]
async fn arguments_nested_too_deeply() {
    let home = Home::new();
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let most = gritstone_store::MAX_NESTING;
    home.run(&["enqueue", "A", "--args", &nested(most)]).ok();
    for levels in [most + 1, 127, 10_000] {
        home.run(&["enqueue", "A", "--args", &nested(levels)]).code(2).says("nested deeper than 98 arrays and objects");
        let line = line(&home, &format!("{{\"class\": \"A\", \"args\": {}}}", nested(levels)));
        line.code(1).says("line 1: ").says("nested deeper than 98 arrays and objects");
    }
    // The only argument, in a list that the command adds.
    let object = format!("{{\"a\": {}}}", nested(most - 1));
    home.run(&["enqueue", "A", "--args", &object]).code(1).says("nested deeper than 98 arrays and objects");
    assert!(home.job(2).await.is_none());
}

#[tokio::test]
async fn a_line_that_is_not_json() {
    let home = Home::new();
    line(&home, "{\"class\": \"A\"").code(1).says("line 1: EOF while parsing").says("Nothing was enqueued");
    line(&home, "[1]").code(1).says("a line is a JSON object, such as");
    line(&home, "{\"queue\": \"mail\"}").code(1).says("missing field `class`");
    assert_eq!(jobs(&home).await, 0);
}

#[tokio::test]
async fn a_line_that_is_not_utf8() {
    let home = Home::new();
    home.run_with(&["enqueue"], b"{\"class\": \"A\"}\n\xff\n").code(1).says("line 2: ").says("UTF-8");
    assert_eq!(jobs(&home).await, 1);
}

#[tokio::test]
async fn one_id_on_two_lines() {
    let home = Home::new();
    let ran = home.run_with(&["enqueue"], &b"{\"class\": \"A\", \"id\": \"x\"}\n".repeat(2)).ok();
    ran.prints("x  ready").prints("x  duplicate");
    assert_eq!(jobs(&home).await, 1);
}

#[tokio::test]
async fn a_time_that_is_none() {
    let home = Home::new();
    home.run(&["enqueue", "A", "--at", "tomorrow"])
        .code(2)
        .says("`tomorrow` is not a time")
        .says("2026-12-01T09:00:00Z");
    home.run(&["enqueue", "A", "--in", "5"]).code(2).says("`5` has no unit: say 5ms or 5s");
    home.run(&["clear", "--pause", "0.3s"]).code(2).says("has a decimal point");
    line(&home, r#"{"class": "A", "at": "tomorrow"}"#).code(1).says("line 1: `tomorrow` is not a time");
    home.run(&["enqueue", "A", "--at", "2026-12-01T09:00:00"]).code(2).says("is not a time");
}

#[tokio::test]
async fn a_time_that_is_out_of_range() {
    let home = Home::new();
    let late = "9999-12-31T23:59:59Z";
    home.run(&["enqueue", "A", "--at", late])
        .code(2)
        .says("`9999-12-31T23:59:59Z` is out of range: 9999-12-30T22:00:00Z is");
    line(&home, &format!(r#"{{"class": "A", "at": "{late}"}}"#))
        .code(1)
        .says("line 1: `9999-12-31T23:59:59Z` is out of range");
    assert_eq!(jobs(&home).await, 0);
}

#[tokio::test]
async fn a_field_of_the_wrong_type() {
    let home = Home::new();
    let lines = [
        (r#"{"class": "A", "priority": "x"}"#, r#"line 1: `priority`: invalid type: string "x", expected i32"#),
        (r#"{"class": "A", "attempts": 1001}"#, "line 1: `attempts`: 1001 is out of range: choose 1 to 1000"),
        (r#"{"class": 7}"#, "line 1: `class`: invalid type: integer `7`, expected a string"),
        (r#"{"class": "A", "attempts": 0}"#, "line 1: `attempts`: "),
        (r#"{"class": "A", "in": 5}"#, "line 1: `in`: "),
        (r#"{"class": "A", "args": [], "arguments": []}"#, "line 1: `args` and `arguments`"),
    ];
    for (text, said) in lines {
        line(&home, text).code(1).says(said);
    }
    line(&home, r#"{"class": "A", "priority": null, "args": null}"#).ok();
}

#[tokio::test]
async fn a_limit_of_none() {
    let home = Home::new();
    home.run(&["limits", "set", "a", "--to", "0"]).code(2).says("0 is not in 1..");
    home.run(&["enqueue", "A", "--limit-key", "a", "--limit-to", "0"]).code(2).says("0 is not in 1..");
}

#[tokio::test]
async fn pruning_what_is_alive() {
    let home = Home::new();
    home.run(&["processes", "prune", "--older-than", "10s"])
        .code(1)
        .says("would take live ones for dead")
        .says("30s is the least");
}

#[test]
fn a_schedule_that_can_not_be_read() {
    let ran = Home::empty().run(&["schedule", "next", "every mondey"]).code(1);
    ran.says("\n  every mondey\n        ^^^^^^\n").says("did you mean monday?");
}

#[test]
fn a_time_zone_that_is_none() {
    let home = Home::empty();
    let hint = "`Asia/Seul` is not a time zone; did you mean Asia/Seoul?";
    home.run(&["schedule", "next", "every day", "--time-zone", "Asia/Seul"]).code(2).says(hint);
    home.run(&["schedule", "next", "every day at 9 in Asia/Seul"]).code(1).says(hint);
}

#[test]
fn no_runs_of_a_schedule() {
    Home::empty().run(&["schedule", "next", "every day", "-n", "0"]).code(2).says("0 is not in 1..=1000");
}

#[tokio::test]
async fn an_argument_that_makes_no_key() {
    let home = Home::new();
    let key = gritstone_store::LimitKey::argument(0);
    let class = gritstone_store::ClassDefaults::new("Sync").limited("accounts", Some(key));
    home.store().await.declare_classes("crew", &[class]).await.unwrap();
    home.run(&["enqueue", "Sync", "--args", "[[7]]"])
        .code(1)
        .says("the key of its class's limit, args[0], is a list in this job");
    assert_eq!(jobs(&home).await, 0);
    home.run(&["enqueue", "Sync", "--args", "[7]"]).ok();
}

#[tokio::test]
async fn a_class_without_defaults() {
    let home = Home::new();
    let class = gritstone_store::ClassDefaults::new("SendMail").on("mail");
    home.store().await.declare_classes("crew", &[class]).await.unwrap();
    home.run(&["classes", "unset", "SendMail", "SendMial"])
        .code(1)
        .says("the class `SendMial` has no defaults")
        .says("did you mean `SendMail`?");
    assert_eq!(home.run(&["classes", "list", "--json"]).ok().json()["classes"].as_array().unwrap().len(), 1);
}

#[test]
fn a_limit_that_is_not_declared() {
    let home = Home::new();
    home.run(&["limits", "set", "account", "--to", "1"]).ok();
    home.run(&["limits", "unset", "acount"])
        .code(1)
        .says("no limit `acount` is declared")
        .says("did you mean `account`?");
}
