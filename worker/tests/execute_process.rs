//! The process handler with real children.

#[path = "fixtures/support.rs"]
#[allow(dead_code, reason = "part of it is about other transports")]
mod support;

use gritstone::execute::errors::class;
use gritstone::execute::process::{ProcessHandler, Recycle, Settings};
use gritstone::execute::retry::Backoff;
use gritstone::execute::{Context, Handler, Job, Outcome, Program, Report};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use support::*;

fn main() -> ExitCode {
    support::main(
        trials![
            a_child_runs_one_job_after_the_other,
            children_run_jobs_side_by_side_up_to_their_number,
            a_crash_costs_its_own_job_and_no_other,
            a_child_killed_by_somebody_has_crashed,
            a_child_that_closes_its_stdout_is_replaced,
            a_daemon_that_holds_the_pipes_holds_up_nothing,
            a_hung_child_is_ended_by_the_deadline,
            a_cancelled_job_may_answer_and_its_child_stays,
            a_cancelled_job_that_does_not_answer_is_killed_and_released,
            a_job_that_nobody_waits_for_any_more_is_killed,
            a_child_that_died_between_jobs_costs_none,
            a_child_that_closes_its_stdin_between_jobs_costs_none,
            a_child_that_dies_before_it_reads_its_first_job_releases_it_and_claiming_waits,
            while_one_start_is_tried_the_others_wait_for_it,
            a_program_that_is_not_there_releases_the_job,
            a_child_is_recycled_after_so_many_jobs,
            a_child_is_recycled_when_it_has_grown,
            at_shutdown_children_may_finish,
            at_shutdown_stubborn_children_are_killed,
            at_shutdown_jobs_are_cancelled_and_new_ones_released,
            children_and_theirs_die_with_a_killed_engine,
        ],
        |scratch| run_as_engine(&handler(python()), sample("hang", scratch.to_str().expect("UTF-8"), json!([]))),
    )
}

fn python() -> Settings {
    Settings { grace: LONG, ..Settings::new(script("process.py")) }
}

fn handler(settings: Settings) -> ProcessHandler {
    ProcessHandler::new(settings)
}

fn sh(text: &str) -> ProcessHandler {
    handler(Settings {
        grace: SHORT,
        start_backoff: Backoff::new(Duration::from_millis(20), 1.0, LONG),
        ..Settings::new(program(["sh", "-c", text]))
    })
}

fn sample(how: &str, scratch: &str, rest: Value) -> Job {
    let mut arguments = vec![json!(how), json!(scratch)];
    arguments.extend(rest.as_array().expect("a list").iter().cloned());
    job(7, arguments.into())
}

fn simple(how: &str) -> Job {
    sample(how, "", json!([]))
}

/// Runs a job whose child says who it is.
async fn child_of(handler: &ProcessHandler) -> i64 {
    result(&run(handler, simple("done")).await).as_i64().expect("a process id")
}

fn is_crash(report: Report) -> bool {
    matches!(report.outcome, Outcome::Retry { .. }) && error(report).exception_class() == class::HANDLER_CRASHED
}

async fn a_child_runs_one_job_after_the_other() {
    let handler = handler(Settings { children: 4, ..python() });
    let first = child_of(&handler).await;
    for _ in 0..100 {
        assert_eq!(child_of(&handler).await, first);
    }
}

async fn children_run_jobs_side_by_side_up_to_their_number() {
    let scratch = Scratch::new();
    let handler = handler(Settings { children: 2, ..python() });
    let meet = |claim| Job { claim, ..sample("meet", scratch.text(), json!([])) };
    let reports = futures::future::join_all((1..=6).map(|claim| run(&handler, meet(claim)))).await;
    let children: HashSet<i64> = reports.iter().map(|report| result(report).as_i64().unwrap()).collect();
    assert_eq!(children.len(), 2);
}

async fn a_crash_costs_its_own_job_and_no_other() {
    let scratch = Scratch::new();
    let handler = handler(Settings { children: 3, ..python() });
    let meet = |claim| Job { claim, ..sample("meet", scratch.text(), json!([])) };
    let (crash, one, two) =
        tokio::join!(run(&handler, simple("crash")), run(&handler, meet(1)), run(&handler, meet(2)));
    assert_eq!((one.outcome, two.outcome), (Outcome::Done, Outcome::Done));
    assert!(matches!(crash.outcome, Outcome::Retry { .. }));
    let error = error(crash);
    assert_eq!(error.exception_class(), class::HANDLER_CRASHED);
    assert_eq!(error.message(), "the handler's process exited with status 3: about to crash");
    assert_eq!(error.backtrace(), ["about to crash"]);
    child_of(&handler).await;
}

async fn a_child_killed_by_somebody_has_crashed() {
    let scratch = Scratch::new();
    let handler = handler(python());
    let (report, pids) = tokio::join!(run(&handler, sample("hang", scratch.text(), json!([]))), async {
        let pids = scratch.pids().await;
        kill(pids[0]);
        pids
    });
    let error = error(report);
    assert_eq!(error.message(), "the handler's process was killed by SIGKILL");
    all_gone(&pids).await;
    child_of(&handler).await;
}

async fn a_child_that_closes_its_stdout_is_replaced() {
    let handler = handler(Settings { grace: SHORT, ..python() });
    assert!(is_crash(run(&handler, simple("close stdout")).await));
    child_of(&handler).await;
}

async fn a_daemon_that_holds_the_pipes_holds_up_nothing() {
    let scratch = Scratch::new();
    let handler = handler(python());
    assert!(is_crash(run(&handler, sample("close stdout and leave a sleeper", scratch.text(), json!([]))).await));
    let daemon = scratch.pids().await[0];
    assert!(lives(daemon));
    kill(daemon);
}

async fn a_hung_child_is_ended_by_the_deadline() {
    let scratch = Scratch::new();
    let handler = handler(Settings { grace: SHORT, ..python() });
    let child = i32::try_from(child_of(&handler).await).unwrap();
    let job = Job { deadline: due_in(Duration::from_millis(300)), ..sample("hang", scratch.text(), json!([])) };
    let report = run(&handler, job).await;
    assert!(matches!(report.outcome, Outcome::Retry { .. }));
    assert_eq!(error(report).exception_class(), class::JOB_TIMEOUT);
    assert!(!lives(child));
    child_of(&handler).await;
}

/// Runs the job and cancels it once it has noted its process ids.
async fn cancelled(handler: &ProcessHandler, how: &str) -> (Report, Vec<i32>) {
    let (scratch, context) = (Scratch::new(), Context::default());
    let run = handler.run(Arc::new(sample(how, scratch.text(), json!([]))), context.clone());
    tokio::join!(run, async {
        let pids = scratch.pids().await;
        context.cancel.cancel();
        pids
    })
}

async fn a_cancelled_job_may_answer_and_its_child_stays() {
    let handler = handler(python());
    let (report, pids) = cancelled(&handler, "until cancelled").await;
    assert_eq!(report.outcome, Outcome::Release { delay: None });
    assert_eq!(child_of(&handler).await, i64::from(pids[0]));
}

async fn a_cancelled_job_that_does_not_answer_is_killed_and_released() {
    let handler = handler(Settings { grace: SHORT, ..python() });
    let (report, pids) = cancelled(&handler, "hang").await;
    assert_eq!(report.outcome, Outcome::Release { delay: None });
    all_gone(&pids).await;
    child_of(&handler).await;
}

async fn a_job_that_nobody_waits_for_any_more_is_killed() {
    let scratch = Scratch::new();
    let handler = handler(python());
    let pids = tokio::select! {
        report = run(&handler, sample("hang", scratch.text(), json!([]))) => panic!("{report:?}"),
        pids = scratch.pids() => pids,
    };
    all_gone(&pids).await;
    child_of(&handler).await;
}

async fn a_child_that_died_between_jobs_costs_none() {
    let handler = handler(python());
    let child = i32::try_from(child_of(&handler).await).unwrap();
    kill(child);
    until(|| !lives(child)).await;
    assert_ne!(child_of(&handler).await, i64::from(child));
}

async fn a_child_that_closes_its_stdin_between_jobs_costs_none() {
    let once = r#"read job; echo '{"claim":7,"outcome":"done"}'; exec 0<&-; while :; do sleep 1000; done"#;
    let handler = sh(once);
    for _ in 0..3 {
        assert_eq!(run(&handler, simple("")).await.outcome, Outcome::Done);
    }
}

async fn a_child_that_dies_before_it_reads_its_first_job_releases_it_and_claiming_waits() {
    let scratch = Scratch::new();
    let text = format!(
        "cd '{}'; echo x >> starts; test -e fixed || {{ echo 'no module named jobs' >&2; exit 1; }}; \
         while read job; do echo '{{\"claim\":7,\"outcome\":\"done\"}}'; done",
        scratch.text()
    );
    let handler = sh(&text);
    for _ in 0..3 {
        handler.ready().await;
        assert_eq!(run(&handler, simple("")).await.outcome, Outcome::Release { delay: None });
    }
    assert_eq!(scratch.note("starts").await, "x\nx\nx\n");
    std::fs::write(scratch.path().join("fixed"), "").unwrap();
    handler.ready().await;
    assert_eq!(run(&handler, simple("")).await.outcome, Outcome::Done);
    handler.ready().await;
}

async fn while_one_start_is_tried_the_others_wait_for_it() {
    let scratch = Scratch::new();
    let text = format!(
        "cd '{}'; echo x >> starts; test -e fixed || exit 1; \
         while read job; do echo '{{\"claim\":7,\"outcome\":\"done\"}}'; done",
        scratch.text()
    );
    let settings = Settings {
        children: 5,
        start_backoff: Backoff::new(Duration::from_millis(200), 1.0, LONG),
        ..Settings::new(program(["sh", "-c", &text]))
    };
    let handler = handler(settings);
    let five = || futures::future::join_all((0..5).map(|_| run(&handler, simple(""))));
    assert!(five().await.iter().all(|report| matches!(report.outcome, Outcome::Release { .. })));
    let before = scratch.note("starts").await.lines().count();
    handler.ready().await;
    assert!(five().await.iter().all(|report| matches!(report.outcome, Outcome::Release { .. })));
    assert_eq!(scratch.note("starts").await.lines().count(), before + 1);
    std::fs::write(scratch.path().join("fixed"), "").unwrap();
    handler.ready().await;
    assert!(five().await.iter().all(|report| report.outcome == Outcome::Done));
}

async fn a_program_that_is_not_there_releases_the_job() {
    let handler = handler(Settings {
        start_backoff: Backoff::new(LONG, 1.0, LONG),
        ..Settings::new(Program { ..program(["/no/such/program"]) })
    });
    assert_eq!(run(&handler, simple("done")).await.outcome, Outcome::Release { delay: None });
    assert!(tokio::time::timeout(SHORT, handler.ready()).await.is_err());
}

async fn a_child_is_recycled_after_so_many_jobs() {
    let recycle = Recycle { jobs: Some(3), memory: None };
    let handler = handler(Settings { recycle, ..python() });
    let mut children = Vec::new();
    for _ in 0..9 {
        children.push(child_of(&handler).await);
    }
    assert!(children.chunks(3).all(|three| three.iter().all(|child| *child == three[0])));
    assert_eq!(children.iter().collect::<HashSet<_>>().len(), 3);
    all_gone(&children.iter().map(|child| i32::try_from(*child).unwrap()).collect::<Vec<_>>()).await;
}

async fn a_child_is_recycled_when_it_has_grown() {
    let recycle = Recycle { jobs: None, memory: Some(60_000_000) };
    let handler = handler(Settings { recycle, ..python() });
    let small = child_of(&handler).await;
    assert_eq!(child_of(&handler).await, small);
    assert_eq!(result(&run(&handler, simple("grow")).await), small);
    assert_ne!(child_of(&handler).await, small);
}

async fn at_shutdown_children_may_finish() {
    let scratch = Scratch::new();
    let program = Program {
        command: gritstone::execute::CommandLine::new(
            python().program.command.words().chain([scratch.text()]).collect::<Vec<_>>(),
        )
        .unwrap(),
        ..python().program
    };
    let handler = handler(Settings { program, ..python() });
    let child = child_of(&handler).await;
    handler.shutdown().await;
    assert_eq!(scratch.note("goodbye").await, child.to_string());
    assert!(!lives(i32::try_from(child).unwrap()));
}

async fn at_shutdown_stubborn_children_are_killed() {
    let handler = handler(Settings { grace: SHORT, ..python() });
    let child = result(&run(&handler, simple("stubborn")).await).as_i64().unwrap();
    handler.shutdown().await;
    assert!(!lives(i32::try_from(child).unwrap()));
}

async fn at_shutdown_jobs_are_cancelled_and_new_ones_released() {
    let scratch = Scratch::new();
    let handler = handler(python());
    let (report, waited, pids) = tokio::join!(
        run(&handler, sample("until cancelled", scratch.text(), json!([]))),
        async {
            scratch.pids().await;
            run(&handler, simple("done")).await
        },
        async {
            let pids = scratch.pids().await;
            handler.shutdown().await;
            pids
        }
    );
    assert_eq!(report.outcome, Outcome::Release { delay: None });
    assert_eq!(waited.outcome, Outcome::Release { delay: None });
    assert!(!lives(pids[0]));
    assert_eq!(run(&handler, simple("done")).await.outcome, Outcome::Release { delay: None });
}

async fn children_and_theirs_die_with_a_killed_engine() {
    let scratch = Scratch::new();
    let mut engine = engine(&scratch);
    let pids = scratch.pids().await;
    assert!(pids.len() == 2 && pids.iter().all(|pid| lives(*pid)));
    engine.kill().unwrap();
    engine.wait().unwrap();
    all_gone(&pids).await;
}
