//! Runs a command with database servers to test against: `with-servers COMMAND [ARGUMENT...]`.
//!
//! Starts what no environment variable names already, tells the command by those variables, passes SIGINT and SIGTERM on to it, and
//! ends as it ends.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Instant;

use anyhow::{Context, bail};
use gritstone_tests::servers::{Server, admin_url};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let mut line = std::env::args_os().skip(1);
    let Some(program) = line.next() else { bail!("say what to run: with-servers COMMAND [ARGUMENT...]") };
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;

    let variables = tokio::select! {
        variables = start_servers() => variables?,
        _ = interrupted.recv() => return Ok(exit_code_of(Signal::SIGINT as i32)),
        _ = terminated.recv() => return Ok(exit_code_of(Signal::SIGTERM as i32)),
    };
    let mut command = Command::new(&program)
        .args(line)
        .envs(variables)
        .spawn()
        .with_context(|| format!("can't run {}", program.display()))?;
    let status = loop {
        tokio::select! {
            status = command.wait() => break status?,
            _ = interrupted.recv() => pass_on(&command, Signal::SIGINT),
            _ = terminated.recv() => pass_on(&command, Signal::SIGTERM),
        }
    };
    Ok(exit_code(status))
}

/// The variables that name the servers.
async fn start_servers() -> anyhow::Result<[(&'static str, OsString); 3]> {
    let started = Instant::now();
    let [postgres, mariadb, mysql] = Server::ALL.map(|server| async move {
        let url = admin_url(server).await.with_context(|| format!("can't start {server}"))?;
        anyhow::Ok((server.variable(), OsString::from(String::from(url))))
    });
    let (postgres, mariadb, mysql) = tokio::try_join!(postgres, mariadb, mysql)?;
    eprintln!("with-servers: PostgreSQL, MariaDB and MySQL are up after {:.1} s", started.elapsed().as_secs_f32());
    Ok([postgres, mariadb, mysql])
}

fn pass_on(command: &Child, signal: Signal) {
    if let Some(pid) = command.id() {
        let _ = kill(Pid::from_raw(pid as i32), signal);
    }
}

/// As a shell would report it.
fn exit_code(status: ExitStatus) -> ExitCode {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitCode::from(code as u8),
        (None, signal) => exit_code_of(signal.unwrap_or_default()),
    }
}

fn exit_code_of(signal: i32) -> ExitCode {
    ExitCode::from(128 + signal as u8)
}
