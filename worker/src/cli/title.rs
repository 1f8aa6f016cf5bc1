//! What `ps` and `top` show of a process: what it does.
//!
//! The arguments that `ps` shows can only be overwritten in place by unsafe code, but a program may be *started* under any
//! name: so `start`, `work` and `dispatch` start themselves once more, in the same process, as `gritstone worker mail,default`. Their real
//! arguments follow. How many jobs run changes all the time; that is in the short name, which the kernel takes from a file
//! and cuts to 15 bytes: `gritstone:3`. Elsewhere than on Linux the short name stays as it is.

use super::{Global, authorities};
use crate::execute::{Context, Handler, Job, Report};
use crate::process::Stop;
use futures::future::BoxFuture;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Longer titles help nobody.
const LONGEST: usize = 120;

/// Gives this process a title, by starting it again under that name. Returns when it has it already, or can't have it.
///
/// The database's URL goes by the environment from then on: its password is nothing for `ps`.
pub(super) fn set(title: &str, global: &Global) {
    let title: OsString = title.chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>().into();
    let mut arguments = std::env::args_os();
    if arguments.next().is_none_or(|name| name == title) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut command = std::process::Command::new(program);
    command.arg0(&title).args(without_database(arguments)).env("DATABASE_URL", global.database());
    if let Some(file) = authorities::missing() {
        command.env("SSL_CERT_FILE", file);
    }
    // Returns only when it didn't work, such as when the file was replaced meanwhile: then the title is not to be had.
    let _ = command.exec();
}

/// The arguments but `--database URL` and `--database=URL`.
fn without_database(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut is_url = false;
    for argument in arguments {
        let is_option = argument == "--database";
        if !is_option && !is_url && !argument.to_string_lossy().starts_with("--database=") {
            kept.push(argument);
        }
        is_url = is_option && !is_url;
    }
    kept
}

/// Jobs that run in this process.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// How often the short name is brought up to date: writing it at each job would cost more than a small job does.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the short name up to date until told to stop.
pub(super) fn count_jobs(stop: &Stop) {
    let stop = stop.clone();
    tokio::spawn(async move {
        let mut shown = None;
        while !stop.is_immediate() {
            let running = RUNNING.load(Ordering::Relaxed);
            if shown != Some(running) {
                shown = Some(running);
                if std::fs::write("/proc/self/comm", format!("gritstone:{running}")).is_err() {
                    return;
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    });
}

/// A handler whose jobs are counted.
pub(super) struct Counted(pub(super) Arc<dyn Handler>);

struct OneMore;

impl OneMore {
    fn new() -> Self {
        RUNNING.fetch_add(1, Ordering::Relaxed);
        OneMore
    }
}

impl Drop for OneMore {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handler for Counted {
    fn run(&self, job: Arc<Job>, context: Context) -> BoxFuture<'_, Report> {
        Box::pin(async move {
            let _counted = OneMore::new();
            self.0.run(job, context).await
        })
    }

    fn classes(&self) -> Option<Vec<String>> {
        self.0.classes()
    }

    fn runs_commands(&self) -> bool {
        self.0.runs_commands()
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        self.0.ready()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.0.shutdown()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_not_among_the_arguments_any_more() {
        let kept = |line: &str| without_database(line.split(' ').map(OsString::from));
        assert_eq!(kept("work --database postgres://u:p@h/d --threads 5"), ["work", "--threads", "5"]);
        assert_eq!(kept("--database=postgres://u:p@h/d work"), ["work"]);
    }
}
