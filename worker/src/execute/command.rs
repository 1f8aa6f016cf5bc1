//! One child per job: the document on its stdin, the answer on its stdout or in its exit code.
//!
//! Its stdout is read to the end. The last line that is an answer counts; without one the exit code does (0 done, 75 later,
//! 65 fail for good, anything else retry), and what it wrote to stderr last is the error's message and backtrace. A child that
//! never reads its stdin, or closes its stdout, is as good as any. When it ends, what is left of its process group is killed,
//! and its output is what was in the pipes by then: whoever still holds them holds up nothing.
//!
//! Told to stop (cancelled, or past its deadline), the group gets SIGTERM, and SIGKILL after the grace. An answer or one of
//! the three exit codes still count then; otherwise a cancelled job is released, and a late one is retried with the error
//! `Gritstone::JobTimeout`.
//!
//! A program that can't be started uses no attempt: the job is released, and claiming waits (see `breaker`).

use super::breaker::{Breaker, start_backoff};
use super::child::{CommandLine, End, Exit, LineBuffer, Program, looks, read, write};
use super::errors::class;
use super::protocol::{Claiming, ExitMeaning, LONGEST_LINE, document, of_exit_code};
use super::retry::Backoff;
use super::stopping::{Call, Watch, Why};
use super::talk::{Listener, crashed, ended_badly};
use super::{Context, Handler, Job, JobError, Outcome, Report};
use futures::future::BoxFuture;
use gritstone_store::SHELL_CLASS;
use std::sync::Arc;
use std::time::Duration;

/// Runs each job in a child of its own.
#[derive(Debug)]
pub struct CommandHandler {
    program: Program,
    /// Whether the job's first argument is the shell's text.
    shell: bool,
    grace: Duration,
    breaker: Breaker,
}

impl CommandHandler {
    /// Runs `program` for each job; `grace` is the time between SIGTERM and SIGKILL.
    pub fn new(program: Program, grace: Duration) -> Self {
        Self { program, shell: false, grace, breaker: Breaker::new(start_backoff()) }
    }

    /// Runs jobs of the class [`SHELL_CLASS`], whose one argument is a text for `sh -c`. Whoever may enqueue may then run
    /// anything here: for those who said so.
    pub fn shell(grace: Duration) -> Self {
        Self { shell: true, ..Self::new(Program::new(CommandLine::shell()), grace) }
    }

    /// Waits differently after starts that failed (1 s, doubling, at most a minute).
    pub fn with_start_backoff(mut self, backoff: Backoff) -> Self {
        self.breaker = Breaker::new(backoff);
        self
    }

    fn program_of(&self, job: &Job) -> Result<Program, JobError> {
        if !self.shell {
            return Ok(self.program.clone());
        }
        let invalid = |problem: String| JobError::new(class::INVALID_ARGUMENTS, problem);
        if job.class != SHELL_CLASS {
            let problem = format!("a job of class {} is no text for the shell", job.class);
            return Err(JobError::new(class::UNKNOWN_JOB_CLASS, problem));
        }
        let (text,) = job
            .arguments
            .to::<(String,)>()
            .map_err(|error| invalid(format!("a {SHELL_CLASS} takes one text, for the shell: {error}")))?;
        self.program.with_argument(&text).map_err(|error| invalid(error.to_string()))
    }

    async fn run_job(&self, job: &Arc<Job>, context: &Context) -> Report {
        let mut watch = match Watch::start(job, context, self.grace) {
            Ok(watch) => watch,
            Err(report) => return report,
        };
        let program = match self.program_of(job) {
            Ok(program) => program,
            Err(error) => return Outcome::Fail { error }.into(),
        };
        let document = match document(job) {
            Ok(document) => document,
            Err(error) => {
                let error =
                    JobError::new(class::INVALID_ARGUMENTS, format!("the job can't be written as JSON: {error}"));
                return Outcome::Fail { error }.into();
            }
        };
        let admission = tokio::select! {
            biased;
            _ = watch.next(&context.cancel) => None,
            admission = self.breaker.admit() => admission,
        };
        let Some(mut admission) = admission else { return Report::released() };
        let mut child = match program.start().await {
            Ok(child) => child,
            Err(error) => {
                admission.failed(&error);
                return Report::released();
            }
        };
        child.stderr.begin(job);
        let listener = Listener { job, context, claiming: Claiming::Optional, pid: Some(child.group.id()) };
        let mut looks = looks();
        let mut lines = LineBuffer::new(LONGEST_LINE);
        let mut unwritten = &document[..];
        let mut answer = None;
        loop {
            let stdin = child.stdin.as_ref();
            let stdout = child.stdout.as_mut();
            tokio::select! {
                biased;
                call = watch.next(&context.cancel) => match call {
                    Call::Stop => child.group.terminate(),
                    Call::Kill => break,
                },
                () = child.group.exited() => break,
                _ = looks.tick(), if admission.is_trial() => {
                    if child.has_become_program() {
                        admission.works();
                    }
                }
                written = write(stdin, unwritten) => {
                    unwritten = &unwritten[written..];
                    if written == 0 || unwritten.is_empty() {
                        child.stdin = None;
                    }
                }
                read = read(stdout, &mut lines) => {
                    if read == 0 {
                        child.stdout = None;
                    }
                    answer = listener.hear(&mut lines).or(answer);
                }
            }
        }
        let end = child.end(|bytes| {
            lines.space().extend_from_slice(bytes);
            answer = listener.hear(&mut lines).or(answer.take());
        });
        let end = end.await;
        if let Some(refusal) = &end.refusal {
            admission.failed(refusal);
            return Report::released();
        }
        admission.works();
        let why = watch.why();
        let report = match listener.hear_rest(&mut lines).or(answer) {
            Some(answer) => answer,
            None => unanswered(end, why, job),
        };
        report.unhurried(why.is_some())
    }
}

/// What a child's end says when the child said nothing.
fn unanswered(end: End, why: Option<Why>, job: &Job) -> Report {
    let meaning = match end.exit {
        Exit::Code(code) => of_exit_code(code),
        Exit::Signal(_) | Exit::Unknown => return crashed(end, why, false, job),
    };
    match (meaning, why) {
        (ExitMeaning::Done, _) => Outcome::Done,
        (ExitMeaning::Later, _) => Outcome::Release { delay: None },
        (ExitMeaning::Fail, _) => Outcome::Fail { error: ended_badly(end) },
        (ExitMeaning::Retry, Some(why)) => why.outcome(job),
        (ExitMeaning::Retry, None) => Outcome::Retry { delay: None, error: ended_badly(end) },
    }
    .into()
}

impl Handler for CommandHandler {
    fn run(&self, job: Arc<Job>, context: Context) -> BoxFuture<'_, Report> {
        Box::pin(async move { self.run_job(&job, &context).await })
    }

    fn classes(&self) -> Option<Vec<String>> {
        self.shell.then(|| vec![SHELL_CLASS.to_owned()])
    }

    fn runs_commands(&self) -> bool {
        self.shell
    }

    /// Waits while the program can't be found or started.
    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.breaker.passable(|| std::future::ready(self.program.probe())))
    }
}
