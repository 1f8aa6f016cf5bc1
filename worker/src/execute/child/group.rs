//! A child and its process group: signalled, awaited and reaped as one.

use super::{Exit, guardian, launcher};
use nix::errno::Errno;
use nix::sys::signal::{Signal as Kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long a killed process may take to be gone. Only one that is stuck in the kernel (a dead disk) takes longer; it is
/// left to be reaped when it can be.
pub(crate) const KILLED_WITHIN: Duration = Duration::from_secs(5);

/// A process group led by our child. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Option<Leader>,
    id: Pid,
    children_died: Signal,
    /// What the last look said; `None` before the first: it may have ended before anybody listened.
    seen: Option<State>,
}

impl Group {
    pub(super) fn new(leader: Leader, children_died: Signal) -> Self {
        Self { id: leader.id, leader: Some(leader), children_died, seen: None }
    }

    /// The leader's process id, and the group's.
    pub(crate) fn id(&self) -> i32 {
        self.id.as_raw()
    }

    /// Asks the whole group to end.
    pub(crate) fn terminate(&self) {
        send(self.id, Kill::SIGTERM);
    }

    /// Ends the whole group.
    pub(crate) fn kill(&self) {
        send(self.id, Kill::SIGKILL);
    }

    /// Whether the leader has ended.
    pub(crate) fn has_exited(&mut self) -> bool {
        if self.seen.is_none_or(|state| state == State::Alive) {
            self.seen = Some(State::of(self.id));
        }
        self.seen != Some(State::Alive)
    }

    /// Resolves once the leader has ended. Can be dropped and called again.
    pub(crate) async fn exited(&mut self) {
        if self.seen != Some(State::Alive) && self.has_exited() {
            return;
        }
        while self.children_died.recv().await.is_some() {
            if self.has_exited() {
                return;
            }
        }
        // No more signals: the runtime is shutting down.
        std::future::pending().await
    }

    /// Kills what is left of the group and says how its leader, which has ended, did.
    pub(crate) fn reap(mut self) -> Exit {
        self.leader.take().map_or(Exit::Unknown, |leader| leader.bury().unwrap_or(Exit::Unknown))
    }

    /// Kills the group, waits until the leader is gone, and says how it ended.
    pub(crate) async fn end(mut self) -> Exit {
        self.kill();
        match tokio::time::timeout(KILLED_WITHIN, self.exited()).await {
            Ok(()) => self.reap(),
            Err(_) => {
                tracing::error!(pid = self.id(), "a killed handler doesn't end: stuck in the kernel?");
                Exit::Unknown
            }
        }
    }
}

/// Listens for children's deaths; to be had before the child starts.
pub(super) fn deaths() -> io::Result<Signal> {
    signal(SignalKind::child())
}

fn send(group: Pid, signal: Kill) {
    match killpg(group, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => tracing::warn!(group = group.as_raw(), %signal, %error, "could not signal a handler"),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Alive,
    /// Ended, its number still its own.
    Zombie,
    /// Somebody else reaped it: its number may be anybody's.
    Stolen,
}

impl State {
    /// Looks without reaping.
    fn of(id: Pid) -> Self {
        match waitid(Id::Pid(id), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => Self::Alive,
            Ok(_) => Self::Zombie,
            Err(_) => Self::Stolen,
        }
    }
}

/// The leader of a group, until it is reaped. Dropped, its group is killed.
///
/// It is watched without being reaped: while it is a zombie its number can't be given to another process, so that the last
/// signal to the group, and the guardian's, can't hit a stranger.
#[derive(Debug)]
pub(super) struct Leader {
    child: Option<std::process::Child>,
    id: Pid,
}

impl Leader {
    pub(super) fn new(child: std::process::Child) -> Self {
        // The kernel's process ids are far below 2^31.
        let id = Pid::from_raw(child.id().cast_signed());
        guardian::watch(id);
        Self { child: Some(child), id }
    }

    /// Reaps the leader if it has ended, and kills what is left of its group before that; else gives it back.
    pub(super) fn bury(mut self) -> Result<Exit, Self> {
        match State::of(self.id) {
            State::Alive => return Err(self),
            State::Zombie => send(self.id, Kill::SIGKILL),
            State::Stolen => {}
        }
        guardian::forget(self.id);
        Ok(self.child.take().and_then(|mut child| child.wait().ok()).map_or(Exit::Unknown, Exit::from))
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            send(self.id, Kill::SIGKILL);
            launcher::reap_later(Self { child: Some(child), id: self.id });
        }
    }
}
