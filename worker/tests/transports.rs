//! What every transport does alike: one table of what handlers do, and what becomes of the job, over each of them.
//!
//! A job's arguments are the steps that its handler takes (`fixtures/steps.py`), the same over `command`, `process` and
//! `http`. Whatever a handler did, the next job is done.

#[path = "fixtures/support.rs"]
#[allow(dead_code, reason = "part of it is about children")]
mod support;

use gritstone::execute::command::CommandHandler;
use gritstone::execute::errors::class;
use gritstone::execute::http::{self, HttpHandler};
use gritstone::execute::process::{self, ProcessHandler};
use gritstone::execute::{Context, Handler, Job, Outcome, Program, Report, UNSAID_RELEASE_DELAY};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;
use support::*;

fn main() -> ExitCode {
    let trials = |case: Case| {
        let of = |transport| {
            let case = case.clone();
            trial(&format!("{transport:?}: {}", case.name), move || hold(case, transport))
        };
        Transport::ALL.map(of)
    };
    let trials: Vec<Trial> = cases().into_iter().flat_map(trials).collect();
    support::main(trials, |_| {})
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Transport {
    Command,
    Process,
    Http,
}

impl Transport {
    const ALL: [Transport; 3] = [Transport::Command, Transport::Process, Transport::Http];
}

/// What becomes of a job.
#[derive(Debug, Clone)]
enum Ends {
    Done,
    /// With this result.
    With(Value),
    /// With this exception class, this in the message, and this delay.
    Retried(&'static str, &'static str, Option<f64>),
    Failed(&'static str, &'static str),
    Released(Option<Duration>),
}

#[derive(Clone)]
struct Case {
    name: &'static str,
    steps: Value,
    ends: Ends,
    /// Where a transport has an end of its own.
    but: Vec<(Transport, Ends)>,
    /// It is cancelled once it has begun.
    cancelled: bool,
    /// Its time is soon up.
    late: bool,
    /// What is heard of it meanwhile.
    notices: &'static [&'static str],
}

fn case(name: &'static str, steps: Value, ends: Ends) -> Case {
    Case { name, steps, ends, but: Vec::new(), cancelled: false, late: false, notices: &[] }
}

impl Case {
    fn but(mut self, transport: Transport, ends: Ends) -> Self {
        self.but.push((transport, ends));
        self
    }

    fn cancelled(self) -> Self {
        Self { cancelled: true, ..self }
    }

    fn late(self) -> Self {
        Self { late: true, ..self }
    }

    fn ends_over(&self, transport: Transport) -> &Ends {
        self.but.iter().find(|(of, _)| *of == transport).map_or(&self.ends, |(_, ends)| ends)
    }
}

/// Where a step notes that the job has begun; the file's path is put in its place.
const BEGUN: &str = "BEGUN";

fn cases() -> Vec<Case> {
    use Ends::*;
    use Transport::*;
    let say = |line: Value| json!([["say", line]]);
    let crashed = |says| Retried(class::HANDLER_CRASHED, says, None);
    let done = json!({"outcome": "done"});
    let long = "x".repeat(1_000_000);
    vec![
        case("done", say(done.clone()), Done),
        case("done with a result", say(json!({"outcome": "done", "result": [1, null]})), With(json!([1, null]))),
        case(
            "retried for its error",
            say(
                json!({"outcome": "retry", "error": {"exception_class": "Busy", "message": "try again", "backtrace": ["a:1"]}}),
            ),
            Retried("Busy", "try again", None),
        ),
        case(
            "retried when it says",
            say(json!({"outcome": "retry", "delay": 1.5})),
            Retried(class::HANDLER_ERROR, "gave no reason", Some(1.5)),
        ),
        case(
            "failed for good",
            say(json!({"outcome": "fail", "error": "no such customer"})),
            Failed(class::HANDLER_ERROR, "no such customer"),
        ),
        case("released", say(json!({"outcome": "release"})), Released(Some(UNSAID_RELEASE_DELAY))),
        case(
            "released for as long as it says",
            say(json!({"outcome": "release", "delay": 9})),
            Released(Some(Duration::from_secs(9))),
        ),
        case(
            "an outcome that there is not",
            say(json!({"outcome": "perhaps"})),
            Retried(class::INVALID_REPLY, "perhaps", None),
        ),
        case(
            "a delay that is none",
            say(json!({"outcome": "retry", "delay": -1})),
            Retried(class::INVALID_REPLY, "-1", None),
        ),
        case(
            "its own output around the answer",
            json!([["write", "plain\n{\n[1]\n\n"], ["say", done], ["write", "more\n"]]),
            Done,
        ),
        case("nothing but garbage, and the end", json!([["write", "{\"outcome\"\n"], ["end"]]), Done)
            .but(Process, crashed("exited with status 0")),
        case(
            "an answer for another claim, and the end",
            json!([["say", {"claim": 8, "outcome": "fail"}], ["end"]]),
            Done,
        )
        .but(Process, crashed("exited with status 0")),
        case(
            "an answer for another claim before its own",
            json!([["say", {"claim": 8, "outcome": "fail"}], ["say", done]]),
            Done,
        ),
        // Where other jobs follow, the first holds: by the second, the child may have been given the next job.
        case("two answers", json!([["say", {"outcome": "fail"}], ["say", done]]), Failed(class::HANDLER_ERROR, ""))
            .but(Command, Done),
        Case {
            notices: &["7 lives", "{\"half\": true}", "hello"],
            ..case(
                "heartbeat, progress and log lines",
                json!([["say", {"heartbeat": true}], ["say", {"progress": {"half": true}}], ["say", {"log": "hello"}], ["say", done]]),
                Done,
            )
        },
        case("a line too long to read", json!([["flood", long, 20], ["write", "\n"], ["say", done]]), Done),
        case(
            "a flood of lines",
            json!([["flood", format!("{}\n", "y".repeat(99)).repeat(1000), 200], ["say", done]]),
            Done,
        ),
        case("a large answer", say(json!({"outcome": "done", "result": long})), With(json!(long))),
        case("a large job for a slow reader", json!([["pass", "ü\n".repeat(1_000_000)], ["say", done]]), Done),
        case("a crash", json!([["crash"]]), crashed("was killed by SIGKILL: about to go"))
            .but(Http, crashed("closed the connection")),
        case(
            "a crash in the middle of the answer",
            json!([["write", "{\"outcome\": \"do"], ["crash"]]),
            crashed("was killed by SIGKILL"),
        )
        .but(Http, crashed("closed the connection")),
        case("a crash after the answer", json!([["say", done], ["crash"]]), Done),
        case(
            "no answer in its time",
            json!([["hang", BEGUN]]),
            Retried(class::JOB_TIMEOUT, "was not done by its deadline", None),
        )
        .late(),
        case(
            "signs of life, but no answer in its time",
            json!([["say forever", BEGUN]]),
            Retried(class::JOB_TIMEOUT, "", None),
        )
        .late(),
        case("cancelled", json!([["hang", BEGUN]]), Released(None)).cancelled(),
        case("cancelled, and not moved by it", json!([["hang stubbornly", BEGUN]]), Released(None)).cancelled(),
        case(
            "cancelled, and released by itself",
            json!([["wait for stop", BEGUN], ["say", {"outcome": "release"}]]),
            Released(None),
        )
        .cancelled(),
        // Nobody answers over a connection that is closed.
        case("cancelled when it was as good as done", json!([["wait for stop", BEGUN], ["say", done]]), Done)
            .but(Http, Released(None))
            .cancelled(),
    ]
}

/// A handler of a transport, and what it needs to live.
struct Rig {
    handler: Box<dyn Handler>,
    _server: Option<Server>,
}

/// A server, ended with this value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Rig {
    /// `grace` is what a handler has that was told to stop.
    fn of(transport: Transport, grace: Duration) -> Rig {
        let word = format!("{transport:?}").to_lowercase();
        let steps = script("steps.py");
        let words: Vec<String> = steps.command.words().map(str::to_owned).chain([word]).collect();
        let program = Program::new(gritstone::execute::CommandLine::new(words.clone()).expect("a command line"));
        let (handler, server): (Box<dyn Handler>, _) = match transport {
            Transport::Command => (Box::new(CommandHandler::new(program, grace)), None),
            Transport::Process => {
                let settings = process::Settings { grace, ..process::Settings::new(program) };
                (Box::new(ProcessHandler::new(settings)), None)
            }
            Transport::Http => {
                let mut server = std::process::Command::new(&words[0]);
                server.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
                let mut server = Server(server.spawn().expect("python3"));
                let mut port = String::new();
                BufReader::new(server.0.stdout.take().expect("its stdout")).read_line(&mut port).expect("a port");
                let endpoint = format!("http://127.0.0.1:{}/jobs", port.trim()).parse().expect("a URL");
                let settings = http::Settings { grace, ..http::Settings::new(endpoint) };
                (Box::new(HttpHandler::new(settings).expect("a handler")), Some(server))
            }
        };
        Rig { handler, _server: server }
    }

    async fn run(&self, job: Job, context: Context) -> Report {
        self.handler.run(Arc::new(job), context).await
    }
}

/// Runs a case and the job after it.
async fn hold(case: Case, transport: Transport) {
    let scratch = Scratch::new();
    let begun = scratch.path().join("begun");
    let steps = case.steps.to_string().replace(BEGUN, begun.to_str().expect("a path in UTF-8"));
    let steps: Value = serde_json::from_str(&steps).expect("steps");
    // Those that never end are not waited for; those that will answer are.
    let stubborn = case.steps.to_string().contains("hang") || case.steps.to_string().contains("forever");
    let rig = Rig::of(transport, if stubborn { SHORT } else { LONG });
    let kept = Arc::new(Kept::default());
    let context = Context { notices: Some(kept.clone()), ..Context::default() };
    let deadline = case.late.then(|| due_in(Duration::from_millis(500))).flatten();
    let run = rig.run(Job { deadline, ..job(7, steps) }, context.clone());
    let cancel = async {
        if case.cancelled {
            until(|| begun.exists()).await;
            context.cancel.cancel();
        }
    };
    let (report, ()) = tokio::join!(run, cancel);
    check(report, case.ends_over(transport));
    if !case.notices.is_empty() {
        assert_eq!(*kept.0.lock().expect("notices"), case.notices);
    }
    let next = rig.run(job(9, json!([["say", {"outcome": "done", "result": "next"}]])), Context::default()).await;
    assert_eq!(result(&next), "next");
    rig.handler.shutdown().await;
}

#[track_caller]
fn check(report: Report, ends: &Ends) {
    let says = |error: &gritstone::execute::JobError, class: &str, message: &str| {
        assert_eq!(error.exception_class(), class, "{error:?}");
        assert!(error.message().contains(message), "{error:?}");
    };
    match (ends, &report.outcome) {
        (Ends::Done, Outcome::Done) => {}
        (Ends::With(value), Outcome::Done) => assert!(result(&report) == *value),
        (Ends::Retried(class, message, after), Outcome::Retry { delay, error }) => {
            says(error, class, message);
            assert_eq!(delay.map(|delay| delay.as_secs_f64()), *after);
        }
        (Ends::Failed(class, message), Outcome::Fail { error }) => says(error, class, message),
        (Ends::Released(after), Outcome::Release { delay }) => assert_eq!(delay, after),
        (ends, outcome) => panic!("{outcome:?} where it should be {ends:?}"),
    }
}
