//! The hooks of the supervisor, which no manifest describes: options of `gritstone start`.

use super::exit::Exit;
use crate::execute::CommandLine;
use crate::process::Hooks;
use gritstone_crds::Duration;
use gritstone_crds::kinds::{self, ProcessHooks};

/// Commands to run at points of the supervisor's life.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SupervisorHooks {
    /// Run this once the supervisor is listed, before it starts anything; may be repeated. One that fails ends it
    #[arg(long, value_name = "CMD")]
    on_start: Vec<String>,
    /// Run this when the supervisor is told to stop, before it stops anything; may be repeated
    #[arg(long, value_name = "CMD")]
    on_stop: Vec<String>,
    /// Run this when the supervisor has left the list, last of all; may be repeated
    #[arg(long, value_name = "CMD")]
    on_exit: Vec<String>,
    /// Run this after each error of the supervisor itself, with the error as JSON on stdin; may be repeated
    #[arg(long, value_name = "CMD")]
    on_error: Vec<String>,
}

/// How long each may take: as in a manifest that doesn't say.
const TIMEOUT: Duration = Duration::from_secs(30);

impl SupervisorHooks {
    pub(super) fn hooks(&self) -> Result<Hooks, Exit> {
        let of = |option: &str, commands: &[String]| -> Result<Vec<kinds::Hook>, Exit> {
            let hook = |text: &String| -> Result<kinds::Hook, Exit> {
                let line: CommandLine = text.parse().map_err(|error| Exit::Usage(format!("{option}: {error}")))?;
                Ok(kinds::Hook { command: line.words().map(str::to_owned).collect(), timeout: TIMEOUT })
            };
            commands.iter().map(hook).collect()
        };
        Ok(Hooks::from(&ProcessHooks {
            on_start: of("--on-start", &self.on_start)?,
            on_stop: of("--on-stop", &self.on_stop)?,
            on_exit: of("--on-exit", &self.on_exit)?,
            on_error: of("--on-error", &self.on_error)?,
        }))
    }
}
