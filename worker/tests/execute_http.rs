//! The http handler with a real server.

#[path = "fixtures/support.rs"]
#[allow(dead_code, reason = "part of it is about children")]
mod support;

use gritstone::execute::errors::class;
use gritstone::execute::http::{HttpHandler, Settings};
use gritstone::execute::retry::Backoff;
use gritstone::execute::{Handler, Job, Outcome};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;
use support::*;

fn main() -> ExitCode {
    support::main(
        trials![
            statuses_and_answers_decide,
            a_job_that_goes_on_calls_back,
            a_connection_that_breaks_costs_an_attempt,
            a_server_that_is_silent_is_given_up,
            a_job_past_its_deadline_is_given_up,
            a_server_that_is_not_there_costs_no_attempt_and_claiming_waits,
        ],
        |_| {},
    )
}

/// A server, ended with this value.
struct Server(Child, u16);

impl Server {
    fn start() -> Self {
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/server.py");
        let mut command = Command::new("python3");
        let mut child = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its stdout")).read_line(&mut line).expect("a port");
        Self(child, line.trim().parse().expect("a port"))
    }

    fn settings(&self) -> Settings {
        Settings::new(format!("http://127.0.0.1:{}/jobs", self.1).parse().expect("a URL"))
    }

    fn handler(&self) -> HttpHandler {
        HttpHandler::new(self.settings()).expect("a handler")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn sample(arguments: Value) -> Job {
    job(7, arguments)
}

async fn statuses_and_answers_decide() {
    let server = Server::start();
    let handler = server.handler();
    handler.ready().await;
    let outcome = async |status: u16, body: &str, headers: Value| {
        run(&handler, sample(json!(["answer", status, body, headers]))).await.outcome
    };
    assert_eq!(outcome(204, "", json!({})).await, Outcome::Done);
    assert!(matches!(outcome(422, "", json!({})).await, Outcome::Fail { .. }));
    let later = outcome(503, "", json!({"Retry-After": "9"})).await;
    assert_eq!(later, Outcome::Release { delay: Some(Duration::from_secs(9)) });
    let Outcome::Retry { error, .. } = outcome(500, "it broke\nbadly", json!({})).await else { panic!() };
    assert_eq!(error.exception_class(), class::HANDLER_STATUS);
    assert_eq!(error.message(), "the handler answered 500 Internal Server Error: it broke");
    let Outcome::Retry { error, .. } = outcome(302, "", json!({"Location": "/"})).await else { panic!() };
    assert!(error.message().contains("redirect"), "{}", error.message());
    let pretty = "{\n  \"outcome\": \"done\"\n}";
    assert_eq!(outcome(500, pretty, json!({"Content-Type": "application/json"})).await, Outcome::Done);
    let lines = "{\"log\":\"hello\"}\n{\"outcome\":\"fail\"}\n";
    assert!(matches!(outcome(200, lines, json!({})).await, Outcome::Fail { .. }));
}

async fn a_job_that_goes_on_calls_back() {
    let server = Server::start();
    let report = run(&server.handler(), sample(json!(["call back"]))).await;
    assert_eq!(result(&report), json!([403, 409, 204]));
}

async fn a_connection_that_breaks_costs_an_attempt() {
    let server = Server::start();
    let error = error(run(&server.handler(), sample(json!(["break off"]))).await);
    assert_eq!(error.exception_class(), class::HANDLER_CRASHED);
}

async fn a_server_that_is_silent_is_given_up() {
    let server = Server::start();
    let handler = HttpHandler::new(Settings { timeout: SHORT, ..server.settings() }).unwrap();
    let error = error(run(&handler, sample(json!(["silent", 1000]))).await);
    assert_eq!(error.exception_class(), class::HANDLER_TIMEOUT);
}

async fn a_job_past_its_deadline_is_given_up() {
    let server = Server::start();
    let job = Job { deadline: due_in(SHORT), ..sample(json!(["silent", 1000])) };
    assert_eq!(error(run(&server.handler(), job).await).exception_class(), class::JOB_TIMEOUT);
}

async fn a_server_that_is_not_there_costs_no_attempt_and_claiming_waits() {
    let settings = Settings {
        backoff: Backoff::new(LONG, 1.0, LONG),
        ..Settings::new("http+unix://%2Fno%2Fsuch.sock/jobs".parse().unwrap())
    };
    let handler = HttpHandler::new(settings).unwrap();
    assert_eq!(run(&handler, sample(json!(["x"]))).await.outcome, Outcome::Release { delay: None });
    assert!(tokio::time::timeout(SHORT, handler.ready()).await.is_err());
}
