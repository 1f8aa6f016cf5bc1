//! The command handler with real children.

#[path = "fixtures/support.rs"]
#[allow(dead_code, reason = "part of it is about other transports")]
mod support;

use gritstone::execute::command::CommandHandler;
use gritstone::execute::commands::WithCommands;
use gritstone::execute::errors::class;
use gritstone::execute::launcher::Launcher;
use gritstone::execute::retry::Backoff;
use gritstone::execute::{Context, Handler, Job, Outcome, Program, UNSAID_RELEASE_DELAY};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use support::*;

fn main() -> ExitCode {
    support::main(
        trials![
            the_document_is_on_stdin,
            an_exit_code_is_an_answer,
            an_answer_counts_more_than_the_exit_code,
            a_child_may_leave_its_stdin_alone,
            a_child_may_close_its_stdout,
            what_is_left_of_the_group_ends_with_the_child,
            a_daemon_that_holds_the_pipes_holds_up_nothing,
            a_cancelled_job_is_terminated_with_its_group_and_released,
            a_cancelled_job_that_ignores_it_is_killed_after_the_grace,
            a_cancelled_job_may_still_say_how_it_ended,
            a_job_that_nobody_waits_for_any_more_is_killed,
            a_program_that_is_not_there_releases_the_job_and_claiming_waits_until_it_is,
            a_program_that_cannot_be_executed_releases_the_job,
            children_do_not_see_the_queues_credentials,
            without_a_launcher_it_works_the_same,
            a_shell_command_is_the_jobs_argument,
            a_shell_runs_no_other_class,
            children_and_theirs_die_with_a_killed_engine,
            children_die_with_a_killed_engine_even_without_their_guardian,
        ],
        |scratch| run_as_engine(&python(LONG), sample("hang", scratch.to_str().expect("UTF-8"), json!([]))),
    )
}

fn python(grace: Duration) -> CommandHandler {
    CommandHandler::new(script("command.py"), grace)
}

fn sh(text: &str) -> CommandHandler {
    CommandHandler::new(program(["sh", "-c", text]), LONG)
}

fn sample(how: &str, scratch: &str, rest: Value) -> Job {
    let mut arguments = vec![json!(how), json!(scratch)];
    arguments.extend(rest.as_array().expect("a list").iter().cloned());
    job(7, arguments.into())
}

async fn the_document_is_on_stdin() {
    let scratch = Scratch::new();
    let job = Job { attempt: 3, ..sample("document", scratch.text(), json!([{"a": [1, null]}])) };
    assert_eq!(run(&python(LONG), job).await.outcome, Outcome::Done);
    let document: Value = serde_json::from_str(&scratch.note("document").await).unwrap();
    assert_eq!(document["claim"], 7);
    assert_eq!(document["attempt"], 3);
    assert_eq!(document["arguments"][2], json!({"a": [1, null]}));
}

async fn an_exit_code_is_an_answer() {
    let exit = async |code: i32| run(&python(LONG), sample("exit", "", json!([code]))).await;
    assert_eq!(exit(0).await.outcome, Outcome::Done);
    assert_eq!(exit(75).await.outcome, Outcome::Release { delay: Some(UNSAID_RELEASE_DELAY) });
    let failed = exit(65).await;
    assert!(matches!(failed.outcome, Outcome::Fail { .. }));
    let retried = exit(3).await;
    assert!(matches!(retried.outcome, Outcome::Retry { delay: None, .. }));
    let error = error(retried);
    assert_eq!(error.exception_class(), class::HANDLER_EXIT);
    assert_eq!(error.message(), "the handler's process exited with status 3: ValueError: no such thing");
    assert_eq!(error.backtrace(), ["trouble on the way", "ValueError: no such thing"]);
}

async fn answers(lines: Value, code: i32) -> gritstone::execute::Report {
    run(&python(LONG), sample("answer", "", json!([lines, code]))).await
}

async fn an_answer_counts_more_than_the_exit_code() {
    let report = answers(json!([r#"{"outcome":"done","result":1,"active_job":{"executions":1}}"#]), 3).await;
    assert_eq!(result(&report), 1);
    assert_eq!(report.active_job.unwrap().get(), r#"{"executions":1}"#);
    let said = r#"{"claim":7,"outcome":"retry","delay":9,"error":{"exception_class":"E","message":"m"}}"#;
    let report = answers(json!([said, "Goodbye."]), 0).await;
    assert!(matches!(&report.outcome, Outcome::Retry { delay: Some(delay), .. } if delay.as_secs() == 9));
    assert_eq!(error(report).exception_class(), "E");
}

async fn a_child_may_leave_its_stdin_alone() {
    let job = || job(7, json!(["x".repeat(1_000_000)]));
    assert_eq!(run(&sh("exit 0"), job()).await.outcome, Outcome::Done);
    assert_eq!(run(&sh("exec 0<&-; echo '{\"outcome\":\"done\"}'; exit 1"), job()).await.outcome, Outcome::Done);
}

async fn a_child_may_close_its_stdout() {
    let scratch = Scratch::new();
    let closes = |code: i32| sample("close stdout", scratch.text(), json!([code]));
    assert_eq!(run(&python(LONG), closes(0)).await.outcome, Outcome::Done);
    assert_eq!(error(run(&python(LONG), closes(9)).await).exception_class(), class::HANDLER_EXIT);
}

async fn what_is_left_of_the_group_ends_with_the_child() {
    let scratch = Scratch::new();
    assert_eq!(run(&python(LONG), sample("leave sleeper", scratch.text(), json!([]))).await.outcome, Outcome::Done);
    all_gone(&scratch.pids().await).await;
}

async fn a_daemon_that_holds_the_pipes_holds_up_nothing() {
    let scratch = Scratch::new();
    let report = run(&python(LONG), sample("leave daemon", scratch.text(), json!([]))).await;
    assert_eq!(result(&report), "daemon started");
    let daemon = scratch.pids().await[0];
    assert!(lives(daemon));
    kill(daemon);
}

async fn a_cancelled_job_is_terminated_with_its_group_and_released() {
    let scratch = Scratch::new();
    let (python, context) = (python(LONG), Context::default());
    let run = python.run(Arc::new(sample("hang", scratch.text(), json!([]))), context.clone());
    let (report, pids) = tokio::join!(run, async {
        let pids = scratch.pids().await;
        context.cancel.cancel();
        pids
    });
    assert_eq!(report.outcome, Outcome::Release { delay: None });
    all_gone(&pids).await;
}

async fn a_cancelled_job_that_ignores_it_is_killed_after_the_grace() {
    let scratch = Scratch::new();
    let (python, context) = (python(SHORT), Context::default());
    let run = python.run(Arc::new(sample("hang for ever", scratch.text(), json!([]))), context.clone());
    let (report, pids) = tokio::join!(run, async {
        let pids = scratch.pids().await;
        context.cancel.cancel();
        pids
    });
    assert_eq!(report.outcome, Outcome::Release { delay: None });
    all_gone(&pids).await;
}

async fn a_cancelled_job_may_still_say_how_it_ended() {
    for (code, outcome) in [
        (0, Outcome::Done),
        (75, Outcome::Release { delay: None }),
        // Python's way of saying that it was stopped, or any other: nothing that counts as the job's own failure.
        (1, Outcome::Release { delay: None }),
    ] {
        let scratch = Scratch::new();
        let (python, context) = (python(LONG), Context::default());
        let run = python.run(Arc::new(sample("stop kindly", scratch.text(), json!([code]))), context.clone());
        let (report, ()) = tokio::join!(run, async {
            scratch.pids().await;
            context.cancel.cancel();
        });
        assert_eq!(report.outcome, outcome, "{code}");
    }
}

async fn a_job_that_nobody_waits_for_any_more_is_killed() {
    let scratch = Scratch::new();
    let python = python(LONG);
    let run = python.run(Arc::new(sample("hang for ever", scratch.text(), json!([]))), Context::default());
    let pids = tokio::select! {
        report = run => panic!("{report:?}"),
        pids = scratch.pids() => pids,
    };
    all_gone(&pids).await;
    // Reaped, too.
    until(|| !PathBuf::from(format!("/proc/{}", pids[0])).exists()).await;
}

async fn a_program_that_is_not_there_releases_the_job_and_claiming_waits_until_it_is() {
    let scratch = Scratch::new();
    let path = scratch.path().join("late.sh");
    let backoff = Backoff::new(Duration::from_millis(20), 1.0, LONG);
    let handler = CommandHandler::new(program([path.to_str().unwrap()]), LONG).with_start_backoff(backoff);
    assert_eq!(run(&handler, job(7, json!([]))).await.outcome, Outcome::Release { delay: None });
    let ready = handler.ready();
    tokio::pin!(ready);
    assert!(tokio::time::timeout(SHORT, &mut ready).await.is_err());
    std::fs::write(scratch.path().join("new"), "#!/bin/sh\nexit 65\n").unwrap();
    std::fs::set_permissions(scratch.path().join("new"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::rename(scratch.path().join("new"), &path).unwrap();
    ready.await;
    assert!(matches!(run(&handler, job(7, json!([]))).await.outcome, Outcome::Fail { .. }));
}

async fn a_program_that_cannot_be_executed_releases_the_job() {
    let scratch = Scratch::new();
    let path = scratch.path().join("odd.sh");
    std::fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let backoff = Backoff::new(LONG, 1.0, LONG);
    for launcher in [Launcher::Itself, Launcher::Direct] {
        let odd = Program { launcher, ..program([path.to_str().unwrap()]) };
        let handler = CommandHandler::new(odd, LONG).with_start_backoff(backoff);
        handler.ready().await;
        assert_eq!(run(&handler, job(7, json!([]))).await.outcome, Outcome::Release { delay: None });
        assert!(tokio::time::timeout(SHORT, handler.ready()).await.is_err());
    }
}

async fn children_do_not_see_the_queues_credentials() {
    assert!(std::env::var_os("DATABASE_URL").is_some());
    let scratch = Scratch::new();
    let given = Program { environment: vec![("PGPASSWORD".into(), "its own".into())], ..script("command.py") };
    let handler = CommandHandler::new(given, LONG);
    assert_eq!(run(&handler, sample("environment", scratch.text(), json!([]))).await.outcome, Outcome::Done);
    let environment: Value = serde_json::from_str(&scratch.note("environment").await).unwrap();
    assert!(environment["PATH"].is_string());
    assert_eq!((&environment["DATABASE_URL"], &environment["MYSQL_PWD"]), (&Value::Null, &Value::Null));
    assert_eq!(environment["PGPASSWORD"], "its own");
}

async fn without_a_launcher_it_works_the_same() {
    let scratch = Scratch::new();
    let handler = CommandHandler::new(Program { launcher: Launcher::Direct, ..script("command.py") }, LONG);
    let context = Context::default();
    let run = handler.run(Arc::new(sample("hang", scratch.text(), json!([]))), context.clone());
    let (report, pids) = tokio::join!(run, async {
        let pids = scratch.pids().await;
        context.cancel.cancel();
        pids
    });
    assert_eq!(report.outcome, Outcome::Release { delay: None });
    all_gone(&pids).await;
}

async fn a_shell_command_is_the_jobs_argument() {
    let handler = CommandHandler::shell(LONG);
    assert_eq!(handler.classes().unwrap(), ["Command"]);
    let scratch = Scratch::new();
    let job = |claim, arguments| Job { class: "Command".into(), ..job(claim, arguments) };
    let text = format!("cd '{}' && echo a b | tr a-b x-y > out && mv out result && exit 65", scratch.text());
    assert!(matches!(run(&handler, job(7, json!([text]))).await.outcome, Outcome::Fail { .. }));
    assert_eq!(scratch.note("result").await, "x y\n");
    for arguments in [json!([]), json!(["a\0b"]), json!([1])] {
        assert_eq!(error(run(&handler, job(7, arguments)).await).exception_class(), class::INVALID_ARGUMENTS);
    }
}

async fn a_shell_runs_no_other_class() {
    let scratch = Scratch::new();
    let text = json!([format!("touch '{}/ran'", scratch.text())]);
    let other = Job { class: "Mail".into(), ..job(7, text.clone()) };
    for handler in [&CommandHandler::shell(LONG) as &dyn Handler, &WithCommands::only()] {
        let report = handler.run(Arc::new(other.clone()), Context::default()).await;
        assert_eq!(error(report).exception_class(), class::UNKNOWN_JOB_CLASS);
    }
    let beside = WithCommands::beside(Arc::new(sh("exit 3")));
    let report = beside.run(Arc::new(other.clone()), Context::default()).await;
    assert_eq!(error(report).exception_class(), class::HANDLER_EXIT, "its own handler ran it");
    assert!(!scratch.path().join("ran").exists());
    let command = Job { class: "Command".into(), ..other };
    assert_eq!(beside.run(Arc::new(command), Context::default()).await.outcome, Outcome::Done);
    assert!(scratch.path().join("ran").exists());
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

/// The process that guards the engine's children.
fn guardian_of(engine: u32) -> i32 {
    let is_guardian = |folder: &Path| {
        let read = |name| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        read("cmdline").contains("__guard") && read("status").contains(&format!("PPid:\t{engine}\n"))
    };
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
    let guardian = processes.into_iter().find(|folder| is_guardian(folder)).expect("a guardian");
    guardian.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a process id")
}

async fn children_die_with_a_killed_engine_even_without_their_guardian() {
    let scratch = Scratch::new();
    let mut engine = engine(&scratch);
    let pids = scratch.pids().await;
    let guardian = guardian_of(engine.id());
    kill(guardian);
    until(|| !lives(guardian)).await;
    engine.kill().unwrap();
    engine.wait().unwrap();
    all_gone(&pids[..1]).await;
    kill(pids[1]);
}
