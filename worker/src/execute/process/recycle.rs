//! When a child has served long enough.

use super::worker::Worker;

/// When a child is replaced by a fresh one, after the job it is at; either reason is enough. For handlers that leak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recycle {
    /// After this many jobs.
    pub jobs: Option<u64>,
    /// When it has more resident memory than this, in bytes (itself, not what it started).
    pub memory: Option<u64>,
}

impl Recycle {
    /// Whether the child has served long enough; says so.
    pub(super) fn is_due(&self, worker: &Worker) -> bool {
        let (pid, jobs) = (worker.pid(), worker.answered());
        // Not looked at where it makes no difference: it is a file to read after each job.
        let resident = self.memory.and_then(|_| resident(pid));
        let grown = resident.zip(self.memory).is_some_and(|(resident, most)| resident > most);
        let due = grown || self.jobs.is_some_and(|most| jobs >= most);
        if due {
            tracing::info!(pid, jobs, resident, "recycle_child");
        }
        due
    }
}

/// Resident memory of a process, in bytes.
fn resident(pid: i32) -> Option<u64> {
    of_status(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(of_status("Name:\tcat\nVmHWM:\t    9 kB\nVmRSS:\t    1636 kB\n"), Some(1636 * 1024));
        assert_eq!(of_status("Name:\tkthreadd\n"), None);
        assert!(resident(std::process::id().cast_signed()).unwrap() > 100_000);
    }
}
