//! What kills the children's groups when the engine itself is killed.
//!
//! A parent-death signal reaches the child alone; what the child started (`sh -c 'a; b'`) would live on and work on a job
//! that somebody else was given. So one small process, started with the first child, holds the other end of a socket and
//! is told which groups there are; when the socket closes, the engine is gone, and the groups are killed. An engine that
//! is number 1 of a container, or that number 1 looks after, needs none: the kernel ends the whole container.

use super::launcher::Launcher;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The engine's half.
struct Guardian {
    launcher: Option<Launcher>,
    groups: BTreeSet<i32>,
    running: Option<(UnixStream, Child)>,
}

static GUARDIAN: Mutex<Guardian> = Mutex::new(Guardian { launcher: None, groups: BTreeSet::new(), running: None });

fn guardian() -> MutexGuard<'static, Guardian> {
    GUARDIAN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names the binary that becomes the guardian; without one there is none.
pub(super) fn start_with(launcher: &Launcher) {
    let is_alone = std::process::id() == 1 || crate::init::is_above();
    let mut guardian = guardian();
    if guardian.launcher.is_none() && *launcher != Launcher::Direct && !is_alone {
        guardian.launcher = Some(launcher.clone());
    }
}

/// From now on, this group dies with the engine.
pub(super) fn watch(group: Pid) {
    let mut guardian = guardian();
    guardian.groups.insert(group.as_raw());
    guardian.tell(&format!("+{group}\n"));
}

/// This group is gone; its number may soon be somebody else's.
pub(super) fn forget(group: Pid) {
    let mut guardian = guardian();
    guardian.groups.remove(&group.as_raw());
    guardian.tell(&format!("-{group}\n"));
}

impl Guardian {
    fn tell(&mut self, news: &str) {
        if let Some((socket, _)) = &mut self.running
            && socket.write_all(news.as_bytes()).is_ok()
        {
            return;
        }
        // Not there yet, or killed by somebody: a new one is told everything.
        if let Some((_, mut dead)) = self.running.take() {
            let _ = dead.kill();
            let _ = dead.wait();
        }
        if self.groups.is_empty() {
            return;
        }
        match self.launcher.as_ref().and_then(|launcher| start(launcher, &self.groups).transpose()).transpose() {
            Ok(running) => self.running = running,
            Err(error) => tracing::warn!(%error, "no guardian: what handlers start may outlive a killed engine"),
        }
    }
}

fn start(launcher: &Launcher, groups: &BTreeSet<i32>) -> std::io::Result<Option<(UnixStream, Child)>> {
    let Some(mut command) = launcher.command(GUARD) else { return Ok(None) };
    let (mut ours, theirs) = UnixStream::pair()?;
    // A guardian that doesn't read must not hold up the engine; it is replaced instead.
    ours.set_nonblocking(true)?;
    let child = command
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    for group in groups {
        ours.write_all(format!("+{group}\n").as_bytes())?;
    }
    Ok(Some((ours, child)))
}

/// The argument that makes a binary a guardian.
pub(super) const GUARD: &str = "__guard";

/// The guardian's half: reads which groups there are until the engine is gone, then kills them.
pub(super) fn run() {
    // Whoever stops a whole service signals everything in it, and the guardian is needed until the engine has ended.
    let mut most = SigSet::all();
    most.remove(Signal::SIGCHLD);
    let _ = most.thread_block();
    let mut groups = BTreeSet::new();
    for line in BufReader::new(std::io::stdin()).lines().map_while(Result::ok) {
        let (sign, number) = line.split_at_checked(1).unwrap_or_default();
        match (sign, number.parse::<i32>()) {
            ("+", Ok(group)) if group > 1 => {
                groups.insert(group);
            }
            ("-", Ok(group)) => {
                groups.remove(&group);
            }
            _ => {}
        }
    }
    for group in groups {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

/// For [`Launcher::command`]'s callers.
pub(super) fn arguments(command: &mut Command, word: &str) {
    command.arg0("gritstone").arg(word);
}
