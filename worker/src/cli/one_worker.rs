//! A worker as the command line describes it, for whoever has no manifest.

use super::exit::Exit;
use super::handler::HandlerOptions;
use gritstone_crds::{Duration, QueueSelectors, QueueWorkerSpec};
use std::ffi::OsString;

/// What a worker without a manifest does.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct OneWorker {
    #[command(flatten)]
    handler: HandlerOptions,
    /// The queues of the one worker, in order: names, `mail*`, `!slow`, `*`
    #[arg(long, value_name = "LIST", default_value = "*")]
    queues: QueueSelectors,
    /// Jobs at a time in the one worker
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    threads: i32,
    /// Run jobs of class Command too, whose argument is a text for the shell: whoever can write to the database can then run
    /// anything here
    #[arg(long)]
    allow_commands: bool,
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
            ..QueueWorkerSpec::default()
        })
    }

    /// The same again, for the command line of a child.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let queues: Vec<String> = self.queues.as_slice().iter().map(ToString::to_string).collect();
        let mut arguments: Vec<OsString> =
            vec![format!("--queues={}", queues.join(",")).into(), format!("--threads={}", self.threads).into()];
        arguments.extend(self.allow_commands.then(|| "--allow-commands".into()));
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
