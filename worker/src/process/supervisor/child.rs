//! A worker or dispatcher as a child process.

use crate::process::Stop;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Command;

/// The variable that tells a child under which supervisor it is listed.
pub const SUPERVISOR_ID: &str = "GRITSTONE_SUPERVISOR_ID";

/// The program of a child process. It stops gracefully on TERM, at once on QUIT, and by itself when its parent vanishes. One that takes
/// jobs pauses on USR2, goes on on CONT, and ends what runs on USR1.
#[derive(Debug, Clone)]
pub struct ChildCommand {
    /// What is run.
    pub program: PathBuf,
    /// With what arguments.
    pub arguments: Vec<OsString>,
    /// Added to the environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Whether it takes jobs. Then it is not started while claims are paused.
    pub takes_jobs: bool,
}

/// How a child ended.
pub(super) struct Exit {
    pub(super) pid: Option<u32>,
    pub(super) how: String,
}

/// A child that stops at once still ends its handlers, writes down how they ended and leaves the list, each with a time limit of
/// its own. One that takes longer than all of these together is stuck, or frozen.
const STUCK_AFTER: Duration = Duration::from_secs(60);

impl ChildCommand {
    /// Starts the child and waits for its end, passing on what it is told.
    pub(super) async fn run(&self, supervisor_id: i64, stop: &Stop) -> Exit {
        let (mut pauses, mut endings) = (stop.pauses(), stop.endings());
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env(SUPERVISOR_ID, supervisor_id.to_string())
            .env(PARENT_PID, std::process::id().to_string())
            // A signal to the terminal's group would reach children past their supervisor.
            .process_group(0)
            .stdin(std::process::Stdio::null());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                return Exit { pid: None, how: format!("{} can't be started: {error}", self.program.display()) };
            }
        };
        let pid = child.id();
        let signal = |signal: Signal| {
            if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
                // ESRCH: it has just ended, which is what was wanted.
                let _ = kill(Pid::from_raw(pid), signal);
            }
        };
        let (mut asked, mut insisted) = (false, false);
        let takes_jobs = self.takes_jobs;
        loop {
            tokio::select! {
                status = child.wait() => {
                    let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    return Exit { pid, how };
                }
                Ok(()) = pauses.changed(), if takes_jobs => {
                    let paused = *pauses.borrow_and_update();
                    signal(if paused { Signal::SIGUSR2 } else { Signal::SIGCONT });
                }
                Ok(()) = endings.changed(), if takes_jobs => signal(Signal::SIGUSR1),
                () = stop.requested(), if !asked => {
                    asked = true;
                    signal(Signal::SIGTERM);
                }
                () = stop.immediate(), if !insisted => {
                    insisted = true;
                    signal(Signal::SIGQUIT);
                }
                () = tokio::time::sleep(STUCK_AFTER), if insisted => {
                    tracing::error!(pid, "a child that was told to stop at once is still there; killing it");
                    signal(Signal::SIGKILL);
                }
            }
        }
    }
}

/// The variable that tells a child its parent's pid, by which it notices that the parent has vanished.
const PARENT_PID: &str = "GRITSTONE_PARENT_PID";

/// How often a child looks whether its parent is still there.
const PARENT_INTERVAL: Duration = Duration::from_millis(500);

/// In a child: stops gracefully when the supervisor that started this process is gone.
pub(crate) fn follow_parent(stop: &Stop) {
    let Some(parent) = std::env::var(PARENT_PID).ok().and_then(|pid| pid.parse::<i32>().ok()) else { return };
    let stop = stop.clone();
    tokio::spawn(async move {
        while nix::unistd::getppid().as_raw() == parent {
            tokio::time::sleep(PARENT_INTERVAL).await;
        }
        tracing::warn!(parent, "the supervisor is gone; stopping");
        stop.gracefully();
    });
}

/// In a child: the supervisor's row, if there is one.
pub(crate) fn supervisor_id() -> Option<i64> {
    std::env::var(SUPERVISOR_ID).ok()?.parse().ok()
}
