//! What the kernel says of processes.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;

/// True while the process runs; one that has ended but was not asked for its exit code does not.
pub fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// True once a signal has frozen it.
pub fn is_frozen(pid: i32) -> bool {
    state(pid) == Some('T')
}

fn state(pid: i32) -> Option<char> {
    stat(pid)?.0.chars().next()
}

/// State and parent.
fn stat(pid: i32) -> Option<(String, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// Children, their children, and so on.
pub fn descendants(pid: i32) -> Vec<i32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
            && let Some((_, parent)) = stat(child)
        {
            parents.push((child, parent));
        }
    }
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&ancestor) = family.get(next) {
        family.extend(parents.iter().filter(|(_, parent)| *parent == ancestor).map(|(child, _)| child));
        next += 1;
    }
    family.split_off(1)
}

/// Resident memory in KiB, what of files is mapped included.
pub fn memory(pid: i32) -> Option<u64> {
    kibibytes(pid, "VmRSS:")
}

/// The part of [`memory`] that is no file's: heap and stacks.
pub fn own_memory(pid: i32) -> Option<u64> {
    kibibytes(pid, "RssAnon:")
}

/// The most that [`memory`] has been so far.
pub fn peak_memory(pid: i32) -> Option<u64> {
    kibibytes(pid, "VmHWM:")
}

fn kibibytes(pid: i32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// True when the process was started with this text in its environment: tells ours from a stranger that has the number
/// of one that died.
pub fn has_in_environment(pid: i32, text: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Sends a signal; false when there is no such process.
pub fn send(pid: i32, signal: Signal) -> bool {
    pid > 1 && kill(Pid::from_raw(pid), signal).is_ok()
}
