//! The leash between this process and a server.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

const SCRIPT: &str = include_str!("guard.sh");

/// A running server that can't outlive us.
///
/// A shell script between us and the server waits for the end of a pipe that we hold: when this process ends, of anything, the
/// kernel closes the pipe, the script ends the server and removes its folder. Unlike a parent-death signal set from here, that
/// doesn't depend on which of our threads started the server.
#[derive(Debug)]
pub(crate) struct Guard {
    script: Child,
    server: Pid,
}

impl Guard {
    /// Starts `command`, its output going to `folder/log`. `orphaned` is what the server is sent when its guard or we are gone.
    pub(crate) fn start(folder: &Path, orphaned: Signal, command: &[OsString]) -> io::Result<Self> {
        let mut script = Command::new("sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(folder)
            .arg(orphaned.as_str().trim_start_matches("SIG"))
            .args(command)
            .current_dir(folder)
            // MariaDB, starting, removes what looks like a temporary table of its past: another server's, if they shared a folder.
            .env("TMPDIR", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A terminal's Ctrl-C is for the tests; the guard notices by itself that they are gone.
            .process_group(0)
            .spawn()?;
        let mut pid = String::new();
        if let Some(output) = script.stdout.take() {
            BufReader::new(output).read_line(&mut pid)?;
        }
        match pid.trim().parse() {
            Ok(pid) => Ok(Guard { script, server: Pid::from_raw(pid) }),
            Err(_) => Err(io::Error::other("sh ended before it could start the server")),
        }
    }

    /// The server's own process.
    pub(super) fn server(&self) -> Pid {
        self.server
    }

    /// Whether the server has ended.
    pub(crate) fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.script.try_wait()?.is_some())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}
