//! One long-lived child, between jobs.

use crate::execute::child::{Child, End, LineBuffer, read};
use crate::execute::protocol::LONGEST_LINE;
use std::time::Duration;
use tokio::time::timeout;

/// A long-lived child. Dropped, its group is killed.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) child: Child,
    /// What it wrote that nobody has read.
    pub(super) lines: LineBuffer,
    /// Jobs it has answered.
    answered: u64,
}

impl Worker {
    pub(super) fn new(child: Child) -> Self {
        Self { child, lines: LineBuffer::new(LONGEST_LINE), answered: 0 }
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.group.id()
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    pub(super) fn has_answered(&mut self) {
        self.answered += 1;
    }

    pub(super) fn has_exited(&mut self) -> bool {
        self.child.group.has_exited()
    }

    /// How much of what it was sent it has not read yet.
    pub(super) fn unread(&self) -> u64 {
        self.child.stdin.as_ref().and_then(|stdin| rustix::io::ioctl_fionread(stdin).ok()).unwrap_or(0)
    }

    /// Kills it.
    pub(super) async fn end(self) -> End {
        self.child.end(|_| {}).await
    }

    /// Ends it as kindly as it lets itself be ended: the end of its stdin, then SIGTERM, then SIGKILL, with the grace between
    /// them.
    pub(super) async fn retire(mut self, grace: Duration) {
        self.child.stdin = None;
        if timeout(grace, self.run_out()).await.is_err() {
            self.child.group.terminate();
            if timeout(grace, self.run_out()).await.is_err() {
                tracing::warn!(
                    pid = self.pid(),
                    "a handler process took neither the end of its input nor SIGTERM for an end"
                );
            }
        }
        self.end().await;
    }

    /// Waits for its end; it may have much to say until then.
    async fn run_out(&mut self) {
        loop {
            let stdout = self.child.stdout.as_mut();
            tokio::select! {
                () = self.child.group.exited() => return,
                got = read(stdout, &mut self.lines) => {
                    if got == 0 {
                        self.child.stdout = None;
                    }
                    while self.lines.next().is_some() {}
                }
            }
        }
    }
}
