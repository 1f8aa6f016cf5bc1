//! A server's processes: PostgreSQL is a family of them.

use std::collections::HashMap;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Sends a signal to all of them; those that are gone already don't mind.
pub(super) fn signal(processes: &[Pid], signal: Signal) {
    for process in processes {
        let _ = kill(*process, signal);
    }
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
        // "pid (name) state parent ...", where the name may hold anything, parentheses too.
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
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
    fn a_family_is_found_and_killed_whole() {
        let mut parent =
            Command::new("sh").args(["-c", "sleep 60 & echo; wait"]).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(parent.stdout.as_mut().unwrap(), &mut [0]).unwrap();

        let found = family(Pid::from_raw(parent.id() as i32));
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|p| is_alive(*p)));

        signal(&found, Signal::SIGKILL);
        parent.wait().unwrap();
        while found.iter().any(|p| is_alive(*p)) {
            std::thread::yield_now();
        }
    }
}
