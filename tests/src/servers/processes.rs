//! A server's processes: PostgreSQL is a family of them.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Sends a signal to all of them; those that are gone already don't mind.
pub(super) fn signal(processes: &[Pid], signal: Signal) {
    for process in processes {
        let _ = kill(*process, signal);
    }
}

/// Stops a process and everything that descends from it, and returns when all of them have.
///
/// A signal is on its way until a thread of the process gets the processor; on a busy machine the other threads may answer a question
/// meanwhile.
pub(super) fn freeze(ancestor: Pid) {
    // The ancestor first: frozen, it has no more children.
    for family in [|ancestor| vec![ancestor], family] {
        let family = family(ancestor);
        signal(&family, Signal::SIGSTOP);
        while !family.iter().all(|process| is_frozen(*process)) {
            sleep(Duration::from_millis(1));
        }
    }
}

/// Whether none of its threads runs, now or before somebody lets it go on.
fn is_frozen(process: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    threads.filter_map(|thread| Status::read(&thread.path())).all(|status| matches!(status.state, 'T' | 'Z' | 'X'))
}

/// A process and everything that descends from it, ancestors first.
pub(super) fn family(ancestor: Pid) -> Vec<Pid> {
    let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for pid in
        fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
    {
        let pid = Pid::from_raw(pid);
        if let Some(status) = Status::of(pid) {
            children.entry(status.parent).or_default().push(pid);
        }
    }
    let mut family = vec![ancestor];
    let mut next = 0;
    while let Some(member) = family.get(next) {
        family.extend(children.remove(member).unwrap_or_default());
        next += 1;
    }
    family
}

/// Whether a process still holds memory, files and ports. A zombie holds none.
pub(super) fn is_alive(process: Pid) -> bool {
    Status::of(process).is_some_and(|status| !matches!(status.state, 'Z' | 'X'))
}

struct Status {
    state: char,
    parent: Pid,
}

impl Status {
    fn of(process: Pid) -> Option<Self> {
        Self::read(Path::new(&format!("/proc/{process}")))
    }

    /// That of a process or a thread.
    fn read(folder: &Path) -> Option<Self> {
        // "pid (name) state parent ...", where the name may hold anything, parentheses too.
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
        let state = fields.next()?.chars().next()?;
        Some(Status { state, parent: Pid::from_raw(fields.next()?.parse().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_family_is_found_frozen_and_killed_whole() {
        let mut parent =
            Command::new("sh").args(["-c", "sleep 60 & echo; wait"]).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(parent.stdout.as_mut().unwrap(), &mut [0]).unwrap();

        let found = family(Pid::from_raw(parent.id() as i32));
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|p| is_alive(*p) && !is_frozen(*p)));

        freeze(found[0]);
        assert!(found.iter().all(|p| is_alive(*p) && is_frozen(*p)));

        signal(&found, Signal::SIGKILL);
        parent.wait().unwrap();
        while found.iter().any(|p| is_alive(*p)) {
            std::thread::yield_now();
        }
    }
}
