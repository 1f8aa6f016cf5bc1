//! Children: how they are started, watched and ended, so that none outlives the engine, none hangs it and none fills its
//! memory.
//!
//! [`Program`] says what to run. [`launcher`] starts it: one thread that lives as long as this process, through a re-exec of
//! our own binary that ties the child's life to that thread. The child leads a process group of its own ([`group`]); the
//! group is what gets signals, and whatever of it is left is killed when its leader ends. [`guardian`] kills the groups
//! when the engine itself is killed. A child's output is read through [`lines`], its stderr by a task that keeps the [`tail`].
//!
//! A process that leaves its group (`setsid`, a daemon) is no longer the engine's: nothing signals it, and the pipes it
//! may hold keep no run from ending. In a container it ends with the container.

mod environment;
mod exit;
mod group;
mod guardian;
pub mod launcher;
mod lines;
mod program;
mod stderr;

pub(crate) use environment::CA_FILE;
pub use environment::{SCRUBBED_PREFIXES, SCRUBBED_VARIABLES};
pub(crate) use exit::Exit;
pub(crate) use lines::{LineBuffer, Text};
pub(crate) use program::{Child, End};
pub use program::{CommandLine, CommandLineError, Program};
pub(crate) use stderr::Stderr;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::time::Duration;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::unix::pipe;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Bytes read from a pipe at once.
const CHUNK: usize = 64 * 1024;

/// Most that a pipe can hold (`/proc/sys/fs/pipe-max-size`, unless root raised it): what a child wrote before it ended is
/// within this much of its pipe's next bytes.
const PIPE_CAPACITY: usize = 1024 * 1024;

/// What is in the pipe now, without waiting for more: for a child that has ended, all that it wrote, even if somebody else
/// still holds the pipe open.
fn drain(pipe: pipe::Receiver, mut each: impl FnMut(&[u8])) {
    let Ok(fd) = pipe.into_nonblocking_fd() else { return };
    let mut pipe = File::from(fd);
    let mut chunk = vec![0; CHUNK];
    let mut left = PIPE_CAPACITY;
    while left > 0 {
        match pipe.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => {
                each(&chunk[..read]);
                left = left.saturating_sub(read);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
}

/// Reads what there is; 0 once there will be nothing more. Never resolves without a pipe.
pub(crate) async fn read(pipe: Option<&mut pipe::Receiver>, lines: &mut LineBuffer) -> usize {
    match pipe {
        Some(pipe) => pipe.read_buf(lines.space()).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// Writes what fits; 0 once nobody will read it. With nothing to write it waits for that; without a pipe, for ever.
pub(crate) async fn write(pipe: Option<&pipe::Sender>, bytes: &[u8]) -> usize {
    let Some(pipe) = pipe else { return std::future::pending().await };
    if bytes.is_empty() {
        // The only news that the writing end gets is that the reading end is closed.
        return match pipe.ready(Interest::ERROR).await {
            Ok(ready) if !ready.is_error() && !ready.is_write_closed() => std::future::pending().await,
            _ => 0,
        };
    }
    loop {
        match pipe.try_write(bytes) {
            Ok(written) => return written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if pipe.writable().await.is_err() {
                    return 0;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return 0,
        }
    }
}

/// When to look at a child that others wait for.
pub(crate) fn looks() -> Interval {
    let mut looks = interval(Duration::from_millis(10));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}
