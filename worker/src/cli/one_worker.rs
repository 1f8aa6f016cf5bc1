//! A worker as the command line describes it, for whoever has no manifest.

use super::exit::Exit;
use super::handler::HandlerOptions;
use gritstone_crds::kinds::Retry;
use gritstone_crds::{Duration, QueueSelectors, QueueWorkerSpec};
use std::ffi::OsString;

/// Options after which it is for `queue.yml` to say.
const IN_RAILS_FILES: [&str; 3] = ["rails", "config", "recurring"];

/// What a worker without a manifest does.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct OneWorker {
    #[command(flatten)]
    handler: HandlerOptions,
    /// The queues of the one worker, in order: names, `mail*`, `!slow`, `*`
    #[arg(long, value_name = "LIST", default_value = "*", conflicts_with_all = IN_RAILS_FILES)]
    queues: QueueSelectors,
    /// Jobs at a time in the one worker
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with_all = IN_RAILS_FILES, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    threads: i32,
    /// Run jobs of class Command too, whose argument is a text for the shell: whoever can write to the database can then run
    /// anything here
    #[arg(long)]
    allow_commands: bool,
    /// How often a job is run at most, when its handler asks for more; 1 unless given, 1000 for --process with Solid Queue's files
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1_000))]
    pub(super) attempts: Option<i32>,
}

/// Solid Queue's `shutdown_timeout`.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

impl OneWorker {
    /// As a manifest would have it.
    pub(super) fn spec(&self, drain_timeout: Duration) -> Result<QueueWorkerSpec, Exit> {
        Ok(QueueWorkerSpec {
            handler: self.handler.spec()?,
            allow_commands: self.allow_commands,
            threads: self.threads,
            queues: self.queues.clone(),
            drain_timeout,
            retry: Retry { attempts: self.attempts.unwrap_or(1), ..Retry::default() },
            ..QueueWorkerSpec::default()
        })
    }

    /// The same again, for the command line of a child.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let queues: Vec<String> = self.queues.as_slice().iter().map(ToString::to_string).collect();
        let mut arguments: Vec<OsString> =
            vec![format!("--queues={}", queues.join(",")).into(), format!("--threads={}", self.threads).into()];
        arguments.extend(self.handler_arguments());
        arguments
    }

    /// Who runs the jobs, and how often, for the command line of a child.
    pub(super) fn handler_arguments(&self) -> Vec<OsString> {
        let attempts = self.attempts.map(|attempts| format!("--attempts={attempts}").into());
        let mut arguments: Vec<OsString> = attempts.into_iter().collect();
        arguments.extend(self.allow_commands.then(|| OsString::from("--allow-commands")));
        let handlers = [
            ("--command", &self.handler.command),
            ("--process", &self.handler.process),
            ("--http", &self.handler.http),
        ];
        for (option, value) in handlers {
            arguments.extend(value.iter().map(|value| OsString::from(format!("{option}={value}"))));
        }
        arguments
    }
}
