//! Being process number 1 of a container.
//!
//! The kernel gives number 1 every orphan in the container, and expects it to reap them; whatever handlers leave behind would stay as a
//! zombie otherwise, until no process can be started any more. An engine can't reap at random: it might take the status of a child that
//! it waits for. So number 1 starts itself once more as the engine, passes signals on to it, reaps whatever ends, and ends as it does.
//! The kernel then ends everything else in the container.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

/// Tells the engine that number 1 is this program.
pub(crate) const UNDER_INIT: &str = "GRITSTONE_INIT";

/// What a shell adds to the number of a signal, to say that a program was killed by it.
const KILLED: i32 = 128;

/// True in an engine that number 1 of its container started: when it ends, so does all else in there.
pub(crate) fn is_above() -> bool {
    std::env::var_os(UNDER_INIT).is_some() && getppid().as_raw() == 1
}

/// In process number 1: starts the engine, and looks after it to its end; the code to end with. `None` in any other process, which goes
/// on as it is. To be called before any thread is started.
pub fn look_after_engine() -> Option<ExitCode> {
    if std::process::id() != 1 {
        if is_above() {
            // It started this process with all of them blocked.
            let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&SigSet::all()), None);
        }
        return None;
    }
    match run() {
        Ok(code) => Some(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))),
        Err(error) => {
            eprintln!("gritstone: as process 1: {error}; what handlers leave behind won't be reaped");
            None
        }
    }
}

fn run() -> io::Result<i32> {
    // Blocked, they are kept until they are asked for, also those that number 1 would be spared.
    let signals = SigSet::all();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signals), None)?;
    let started = start();
    let Ok(engine) = started else {
        sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&signals), None)?;
        return started.map(|_| 0);
    };
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = reap(engine) {
                    return Ok(code);
                }
            }
            // ESRCH: it has just ended, and SIGCHLD comes next.
            Ok(signal) => drop(kill(engine, signal)),
            Err(_) => {}
        }
    }
}

fn start() -> io::Result<Pid> {
    let mut arguments = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let engine = command.args(arguments).env(UNDER_INIT, "1").spawn()?;
    Ok(Pid::from_raw(engine.id().cast_signed()))
}

/// Reaps all that have ended; the engine's code, if it was among them.
fn reap(engine: Pid) -> Option<i32> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == engine => code = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == engine => code = Some(KILLED + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return code,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return code,
        }
    }
}
