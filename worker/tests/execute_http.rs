//! The http handler with a real server.

#[path = "fixtures/support.rs"]
#[allow(dead_code, reason = "part of it is about children")]
mod support;

use gritstone::execute::errors::class;
use gritstone::execute::http::{HttpHandler, Settings};
use gritstone::execute::retry::Backoff;
use gritstone::execute::{Context, Handler, Job, Outcome};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;
use support::*;

fn main() -> ExitCode {
    support::main(
        trials![
            statuses_and_answers_decide,
            a_socket_will_do,
            tls_is_checked_against_the_authorities_of_ones_own,
            a_job_that_goes_on_calls_back,
            a_job_that_goes_on_and_must_stop_is_told_so,
            a_job_that_goes_on_in_silence_is_given_up,
            an_answer_that_is_there_when_the_job_is_told_to_stop_counts,
            a_kept_connection_that_breaks_interrupts_a_job_once,
            a_server_that_is_silent_is_given_up,
            a_body_without_end_takes_no_memory_and_ends,
            what_a_failing_response_says_is_cut_off,
            what_is_no_http_is_a_wrong_reply,
            a_server_that_is_not_there_costs_no_attempt_and_claiming_waits,
            a_server_that_comes_back_is_used_and_its_failures_are_forgotten,
            a_server_that_falls_ill_costs_the_jobs_it_has_and_no_more,
        ],
        |_| {},
    )
}

/// A server, ended with this value.
struct Server(Child, u16);

impl Server {
    fn start() -> Self {
        Self::with(&[], Path::new("/nonexistent"))
    }

    fn with(arguments: &[&str], scratch: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/server.py");
        let mut command = Command::new("python3");
        command.arg(script).args(arguments).env("SCRATCH", scratch).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3");
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

async fn a_socket_will_do() {
    let scratch = Scratch::new();
    let path = scratch.path().join("jobs.sock");
    let _server = Server::with(&["unix", path.to_str().unwrap()], scratch.path());
    let handler = HttpHandler::new(on_socket(&path)).unwrap();
    assert_eq!(run(&handler, sample(json!(["answer", 204, "", {}]))).await.outcome, Outcome::Done);
}

fn on_socket(path: &Path) -> Settings {
    let path = path.to_str().expect("a path in UTF-8").replace('/', "%2F");
    Settings::new(format!("http+unix://{path}/jobs").parse().expect("a URL"))
}

/// Makes an authority, and a certificate of its for 127.0.0.1.
fn certificates(folder: &Path) {
    let openssl = |line: &str| {
        let done = Command::new("openssl").args(line.split(' ')).current_dir(folder).output().expect("openssl");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30";
    openssl(&format!("{new} -subj /CN=ours -keyout ca.key -out ca.pem"));
    openssl(&format!("{new} -subj /CN=other -keyout other.key -out other.pem"));
    openssl(&format!(
        "{new} -CA ca.pem -CAkey ca.key -subj /CN=server -addext subjectAltName=IP:127.0.0.1 \
         -addext basicConstraints=critical,CA:FALSE -keyout server.key -out server.pem"
    ));
}

async fn tls_is_checked_against_the_authorities_of_ones_own() {
    let scratch = Scratch::new();
    certificates(scratch.path());
    let file = |name: &str| scratch.path().join(name);
    let server = Server::with(
        &["tls", file("server.pem").to_str().unwrap(), file("server.key").to_str().unwrap()],
        scratch.path(),
    );
    let handler = |host: &str, authorities: &str| {
        let endpoint = format!("https://{host}:{}/jobs", server.1).parse().expect("a URL");
        HttpHandler::new(Settings { ca_file: Some(file(authorities)), ..Settings::new(endpoint) }).expect("a handler")
    };
    let outcome = async |host: &str, authorities: &str| {
        run(&handler(host, authorities), sample(json!(["answer", 204, "", {}]))).await.outcome
    };
    assert_eq!(outcome("127.0.0.1", "ca.pem").await, Outcome::Done);
    let refused = Outcome::Release { delay: None };
    assert_eq!(outcome("127.0.0.1", "other.pem").await, refused);
    assert_eq!(outcome("localhost", "ca.pem").await, refused);
}

async fn a_job_that_goes_on_calls_back() {
    let scratch = Scratch::new();
    let server = Server::start();
    let note = scratch.path().join("code");
    let handler = server.handler();
    let report = run(&handler, sample(json!(["call back", note]))).await;
    assert_eq!(result(&report), json!([403, 409, 204, 401, 404, 405, 400, 413]));
    assert_eq!(scratch.note("code").await, "410");
}

async fn a_job_that_goes_on_and_must_stop_is_told_so() {
    let scratch = Scratch::new();
    let server = Server::with(&[], scratch.path());
    let handler = server.handler();
    let context = Context::default();
    let cancel = context.cancel.clone();
    let job = Arc::new(sample(json!(["go on", scratch.path().join("started")])));
    let stop = async {
        scratch.note("started").await;
        cancel.cancel();
    };
    let (report, ()) = tokio::join!(handler.run(job, context), stop);
    assert_eq!(report.outcome, Outcome::Release { delay: None });
    assert_eq!(scratch.note("deleted").await, "/runs/7");
}

async fn a_job_that_goes_on_in_silence_is_given_up() {
    let scratch = Scratch::new();
    let server = Server::with(&[], scratch.path());
    let handler = HttpHandler::new(Settings { heartbeat_timeout: SHORT, ..server.settings() }).unwrap();
    let error = error(run(&handler, sample(json!(["go on", scratch.path().join("started")]))).await);
    assert_eq!(error.exception_class(), class::HANDLER_TIMEOUT);
}

async fn an_answer_that_is_there_when_the_job_is_told_to_stop_counts() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/jobs", listener.local_addr().unwrap()).parse().unwrap();
    let handler = HttpHandler::new(Settings::new(endpoint)).unwrap();
    let context = Context::default();
    let cancel = context.cancel.clone();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 64 * 1024]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        cancel.cancel();
        stream
    };
    let (report, _stream) = tokio::join!(handler.run(Arc::new(sample(json!([]))), context), serve);
    assert_eq!(report.outcome, Outcome::Done);
}

/// Answers one job on each connection, and closes it when the next one is sent.
async fn serve_one_each(listener: tokio::net::TcpListener) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        tokio::spawn(async move {
            let mut request = [0; 64 * 1024];
            if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("an answer");
                drop(stream.read(&mut request).await);
            }
        });
    }
}

async fn a_kept_connection_that_breaks_interrupts_a_job_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/jobs", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(serve_one_each(listener));
    let handler = HttpHandler::new(Settings::new(endpoint)).unwrap();
    assert_eq!(run(&handler, sample(json!([]))).await.outcome, Outcome::Done);
    let broken = run(&handler, sample(json!([]))).await.outcome;
    let Outcome::Interrupted { error } = broken else { panic!("{broken:?}") };
    assert_eq!(error.exception_class(), class::HANDLER_CRASHED);
    // Another job's connection is there, and would break too.
    assert_eq!(run(&handler, sample(json!([]))).await.outcome, Outcome::Done);
    let again = Job { interruptions: 1, ..sample(json!([])) };
    assert_eq!(run(&handler, again).await.outcome, Outcome::Done);
}

async fn a_server_that_is_silent_is_given_up() {
    let server = Server::start();
    let handler = HttpHandler::new(Settings { timeout: SHORT, ..server.settings() }).unwrap();
    let error = error(run(&handler, sample(json!(["silent", 1000]))).await);
    assert_eq!(error.exception_class(), class::HANDLER_TIMEOUT);
}

async fn a_body_without_end_takes_no_memory_and_ends() {
    let server = Server::start();
    let handler = HttpHandler::new(Settings { timeout: SHORT, ..server.settings() }).unwrap();
    for kind in ["application/json", "text/plain"] {
        let error = error(run(&handler, sample(json!(["flood", 200, kind, ""]))).await);
        assert_eq!(error.exception_class(), class::HANDLER_TIMEOUT, "{kind}");
    }
}

async fn what_a_failing_response_says_is_cut_off() {
    let server = Server::start();
    let job = sample(json!(["answer", 500, "x".repeat(1 << 20), {}]));
    let error = error(run(&server.handler(), job).await);
    assert_eq!(error.exception_class(), class::HANDLER_STATUS);
    assert!(error.message().len() < 10_000, "{}", error.message().len());
}

async fn what_is_no_http_is_a_wrong_reply() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/jobs", listener.local_addr().unwrap()).parse().unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 mail.example ESMTP\r\n").await.unwrap();
        stream
    };
    let handler = HttpHandler::new(Settings::new(endpoint)).unwrap();
    let (report, _stream) = tokio::join!(run(&handler, sample(json!([]))), serve);
    assert_eq!(error(report).exception_class(), class::INVALID_REPLY);
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

async fn a_server_that_comes_back_is_used_and_its_failures_are_forgotten() {
    let scratch = Scratch::new();
    let path = scratch.path().join("jobs.sock");
    // A second failure in a row would be waited out for longer than the test may take.
    let settings = Settings { backoff: Backoff::new(SHORT, 1e6, LONG), ..on_socket(&path) };
    let handler = HttpHandler::new(settings).unwrap();
    for _ in 0..2 {
        let job = || sample(json!(["answer", 204, "", {}]));
        while run(&handler, job()).await.outcome != (Outcome::Release { delay: None }) {}
        let _server = Server::with(&["unix", path.to_str().unwrap()], scratch.path());
        handler.ready().await;
        assert_eq!(run(&handler, job()).await.outcome, Outcome::Done);
        std::fs::remove_file(&path).unwrap();
    }
}

async fn a_server_that_falls_ill_costs_the_jobs_it_has_and_no_more() {
    let scratch = Scratch::new();
    let server = Server::with(&[], scratch.path());
    let settings =
        Settings { health_path: Some("/healthz".into()), backoff: Backoff::new(LONG, 1.0, LONG), ..server.settings() };
    let handler = HttpHandler::new(settings).unwrap();
    handler.ready().await;
    assert_eq!(run(&handler, sample(json!(["answer", 204, "", {}]))).await.outcome, Outcome::Done);
    handler.ready().await;
    std::fs::write(scratch.path().join("ill"), "").unwrap();
    // A failure has it asked soon. From then on what comes goes back, and waiting for the gate has no end.
    while run(&handler, sample(json!(["answer", 500, "", {}]))).await.outcome != (Outcome::Release { delay: None }) {
        drop(tokio::time::timeout(Duration::from_secs(2), handler.ready()).await);
    }
    assert!(tokio::time::timeout(SHORT, handler.ready()).await.is_err());
}
