//! The handler that a manifest or the command line names.

use super::exit::Exit;
use super::title::Counted;
use crate::execute::command::CommandHandler;
use crate::execute::commands::WithCommands;
use crate::execute::http::{self, HttpHandler};
use crate::execute::process::{self, ProcessHandler, Recycle};
use crate::execute::{CommandLine, Handler, Program};
use gritstone_crds::QueueWorkerSpec;
use gritstone_crds::kinds::{self, HandlerKind};
use std::sync::Arc;
use std::time::Duration;

/// How long a child may take to end after it was told to.
const GRACE: Duration = Duration::from_secs(5);

/// A handler as `--command`, `--process` and `--http` name it.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(multiple = false)]
pub(super) struct HandlerOptions {
    /// Run each job in a new child process: the job as JSON on its stdin, its exit code the outcome
    #[arg(long, value_name = "CMD")]
    pub(super) command: Option<String>,
    /// Run jobs in long-lived child processes that read and write a JSON line for each
    #[arg(long, value_name = "CMD")]
    pub(super) process: Option<String>,
    /// Post each job to a server: its response is the outcome
    #[arg(long, value_name = "URL")]
    pub(super) http: Option<String>,
}

impl HandlerOptions {
    /// As a manifest has it; none when neither option was given.
    pub(super) fn spec(&self) -> Result<Option<kinds::Handler>, Exit> {
        let words = |option: &str, text: &str| -> Result<Vec<String>, Exit> {
            let line: CommandLine = text.parse().map_err(|error| Exit::Usage(format!("{option}: {error}")))?;
            Ok(line.words().map(str::to_owned).collect())
        };
        Ok(match (&self.command, &self.process, &self.http) {
            (Some(text), ..) => Some(kinds::Handler {
                command: Some(kinds::CommandHandler { command: words("--command", text)? }),
                ..kinds::Handler::default()
            }),
            (None, Some(text), _) => Some(kinds::Handler {
                process: Some(kinds::ProcessHandler { command: words("--process", text)?, recycle_after: None }),
                ..kinds::Handler::default()
            }),
            (None, None, Some(url)) => {
                let endpoint = url.parse::<http::Endpoint>();
                endpoint.map_err(|error| Exit::Usage(format!("--http: {error}")))?;
                Some(kinds::Handler { http: Some(kinds::HttpHandler::new(url)), ..kinds::Handler::default() })
            }
            (None, None, None) => None,
        })
    }
}

/// Makes the handler of a worker, whose jobs are counted in this process's title.
pub(super) fn build(spec: &QueueWorkerSpec) -> Result<Arc<dyn Handler>, Exit> {
    let handler: Arc<dyn Handler> = match (spec.allow_commands, spec.handler()) {
        (false, _) => of(spec)?,
        (true, Some(_)) => Arc::new(WithCommands::beside(of(spec)?)),
        (true, None) => Arc::new(WithCommands::only()),
    };
    Ok(Arc::new(Counted(handler)))
}

fn of(spec: &QueueWorkerSpec) -> Result<Arc<dyn Handler>, Exit> {
    let program = |words: &[String]| -> Result<Program, Exit> {
        let line = CommandLine::new(words.iter().cloned()).map_err(|error| Exit::Refused(error.to_string()))?;
        Ok(Program::new(line))
    };
    match spec.handler() {
        Some(HandlerKind::Command(handler)) => Ok(Arc::new(CommandHandler::new(program(&handler.command)?, GRACE))),
        Some(HandlerKind::Process(handler)) => {
            let recycle = handler.recycle_after.as_ref();
            let settings = process::Settings {
                children: spec.threads.max(1) as u32,
                grace: GRACE,
                recycle: Recycle {
                    jobs: recycle.and_then(|r| r.jobs).map(|jobs| jobs.max(1) as u64),
                    memory: recycle.and_then(|r| r.memory).map(|memory| memory.as_bytes()),
                },
                ..process::Settings::new(program(&handler.command)?)
            };
            Ok(Arc::new(ProcessHandler::new(settings)))
        }
        Some(HandlerKind::Http(handler)) => {
            let refused = |error: &dyn std::fmt::Display| Exit::Refused(format!("the http handler: {error}"));
            let settings = http::Settings {
                health_path: handler.health_path.clone(),
                timeout: handler.timeout.as_std(),
                heartbeat_timeout: handler.heartbeat_timeout.as_std(),
                ca_file: handler.ca_file.as_ref().map(Into::into),
                listen: handler.callback.listen,
                callback_url: handler.callback.url.clone(),
                grace: GRACE,
                ..http::Settings::new(handler.url.parse().map_err(|error| refused(&error))?)
            };
            Ok(Arc::new(HttpHandler::new(settings).map_err(|error| refused(&error))?))
        }
        None => Err(Exit::Refused(
            "there is nothing to run jobs with: name a handler, as in `gritstone start --command ./run-job` or \
             `gritstone start --process 'python3 worker.py'`, or in a manifest with `gritstone start -f worker.yaml`; Rails' own \
             files name none, and take one of these options too"
                .into(),
        )),
    }
}
