//! Starting children so that they die with the engine, however it dies.
//!
//! Linux can send a process a signal when the *thread* that started it ends. The child has to ask for it between its start
//! and the program it is to become, and code that runs there is unsafe to write. So children are started in two steps, both
//! safe: the engine starts *itself* as `gritstone __child PARENT MARK -- PROGRAM ...`, and [`intercept`], called first in
//! `main`, asks for the signal (SIGKILL), makes sure that the parent is still there, and becomes the program. The price is
//! one exec per child: `/bin/true` took 1.8 ms a job instead of 0.7. All are started by one thread, which lives as long as
//! the process, as runtimes come and go.
//!
//! The signal is not inherited by what the child starts; for that there is the guardian. It is also lost when the program is
//! set-user-ID or has file capabilities.

use super::group::Leader;
use super::guardian;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Once, OnceLock, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;

/// Which binary becomes the children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launcher {
    /// This process's own; its `main` calls [`intercept`].
    Itself,
    /// Another one whose `main` calls [`intercept`]: the `gritstone` command.
    Program(PathBuf),
    /// None: programs are started directly. They are killed when the engine stops, but live on when it is killed.
    Direct,
}

impl Default for Launcher {
    /// [`Launcher::Itself`] if this process's `main` called [`intercept`], else [`Launcher::Direct`].
    fn default() -> Self {
        if INTERCEPTS.load(Ordering::Relaxed) { Self::Itself } else { Self::Direct }
    }
}

static INTERCEPTS: AtomicBool = AtomicBool::new(false);

/// The argument that makes a binary a child to be.
const CHILD: &str = "__child";

/// The exit code of a child whose program could not be run, as shells have it.
const CANNOT_RUN: i32 = 127;

/// To be called first in `main`, before threads are started and arguments are read: returns at once, unless this process was
/// started to become a handler's child or the children's guardian; then it never does. The `gritstone` command does so, and
/// a server that embeds the engine should.
pub fn intercept() {
    INTERCEPTS.store(true, Ordering::Relaxed);
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(OsStr::to_str) {
        Some(CHILD) => become_child(arguments),
        Some(guardian::GUARD) => {
            guardian::run();
            std::process::exit(0)
        }
        _ => {}
    }
}

fn become_child(mut arguments: impl Iterator<Item = OsString>) -> ! {
    let parent = arguments.next().and_then(|parent| parent.to_str()?.parse::<i32>().ok());
    let mark = arguments.next().unwrap_or_default();
    let program = arguments.nth(1).unwrap_or_default();
    // Asked first, looked second: a parent that ends in between is noticed by one or the other.
    let bound = prctl::set_pdeathsig(Signal::SIGKILL);
    if parent != Some(getppid().as_raw()) {
        std::process::exit(CANNOT_RUN);
    }
    let error = match bound {
        Ok(()) => Command::new(&program).args(arguments).exec(),
        Err(error) => error.into(),
    };
    eprintln!("\n{}{error}", mark.display());
    std::process::exit(CANNOT_RUN)
}

impl Launcher {
    /// Our own binary, about to be told what to become; `None` when there is none.
    pub(super) fn command(&self, word: &str) -> Option<Command> {
        let mut command = match self {
            // What this process was started from, even if that file has been replaced since.
            Self::Itself => Command::new("/proc/self/exe"),
            Self::Program(path) => Command::new(path),
            Self::Direct => return None,
        };
        guardian::arguments(&mut command, word);
        Some(command)
    }

    /// The command that becomes `argv`. On failure it writes `mark` and the reason as stderr's last line.
    pub(super) fn child(&self, program: &str, arguments: &[String], mark: &str) -> Command {
        guardian::start_with(self);
        let mut command = if let Some(mut command) = self.command(CHILD) {
            command.arg(std::process::id().to_string()).arg(mark).arg("--").arg(program);
            command
        } else {
            static WARNED: Once = Once::new();
            WARNED.call_once(|| {
                tracing::warn!("handlers' children will outlive this process if it is killed: call execute::launcher::intercept() first in main");
            });
            Command::new(program)
        };
        command.args(arguments).process_group(0);
        command
    }
}

/// Why a program could not be run, if `line`, the last of its stderr, and its exit code say so.
pub(super) fn refusal<'a>(code: i32, line: &'a str, mark: &str) -> Option<&'a str> {
    (code == CANNOT_RUN).then(|| line.strip_prefix(mark)).flatten()
}

enum Order {
    Start(Box<Command>, oneshot::Sender<io::Result<Leader>>),
    Reap(Leader),
}

/// How often children that nobody waits for any more are looked at.
const REAP_EVERY: Duration = Duration::from_millis(100);

/// The thread that starts all children: it ends with the process, and so do they.
fn thread() -> io::Result<&'static mpsc::Sender<Order>> {
    static THREAD: OnceLock<io::Result<mpsc::Sender<Order>>> = OnceLock::new();
    let started = THREAD.get_or_init(|| {
        let (orders, inbox) = mpsc::channel();
        std::thread::Builder::new().name("gritstone-start".to_owned()).spawn(move || serve(&inbox))?;
        Ok(orders)
    });
    started.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))
}

fn serve(inbox: &mpsc::Receiver<Order>) {
    let mut orphans: Vec<Leader> = Vec::new();
    loop {
        let order = if orphans.is_empty() {
            inbox.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected)
        } else {
            inbox.recv_timeout(REAP_EVERY)
        };
        match order {
            // Unwanted by the time it is there, it is dropped, which kills it.
            Ok(Order::Start(mut command, reply)) => drop(reply.send(command.spawn().map(Leader::new))),
            Ok(Order::Reap(leader)) => orphans.push(leader),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        orphans = orphans.into_iter().filter_map(|leader| leader.bury().err()).collect();
    }
}

/// Starts `command` as the leader of a group.
pub(super) async fn start(command: Command) -> io::Result<Leader> {
    let (reply, leader) = oneshot::channel();
    let gone = || io::Error::other("the thread that starts handlers has ended");
    thread()?.send(Order::Start(Box::new(command), reply)).map_err(|_| gone())?;
    leader.await.map_err(|_| gone())?
}

/// Reaps a killed leader when it has ended.
pub(super) fn reap_later(leader: Leader) {
    match thread() {
        Ok(thread) => {
            if let Err(mpsc::SendError(order)) = thread.send(Order::Reap(leader)) {
                // Dropping it would bring it back here. A zombie is the lesser harm.
                std::mem::forget(order);
            }
        }
        Err(_) => std::mem::forget(leader),
    }
}
