//! Who a process is, so that nobody mistakes it for its successor, nor a live one for dead.

use gritstone_store::Identity;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs;

/// Set by the operator's manifests through the downward API.
const CLUSTER_ID: &str = "GRITSTONE_CLUSTER_ID";
const NAMESPACE: &str = "GRITSTONE_NAMESPACE";
const POD: &str = "GRITSTONE_POD";
const POD_UID: &str = "GRITSTONE_POD_UID";

/// This process: where it runs, and an incarnation that no other start shares.
pub fn host_identity() -> Identity {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Identity {
        incarnation: incarnation(),
        cluster_id: variable(CLUSTER_ID),
        namespace: variable(NAMESPACE),
        pod: variable(POD),
        pod_uid: variable(POD_UID),
    }
}

/// `host:<boot id>:<pid namespace>:<pid>:<start time>`, or random where /proc doesn't tell.
///
/// Whoever runs in the same boot and the same pid namespace can look whether that process is still there, which is
/// proof; anyone else has to wait for its heartbeat to age.
fn incarnation() -> String {
    let pid = std::process::id();
    match (host(), start_time(pid)) {
        (Some(host), Some(start)) => format!("{host}:{pid}:{start}"),
        _ => format!("random:{}", uuid::Uuid::new_v4()),
    }
}

fn host() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("host:{}:{}", boot.trim(), namespace.display()))
}

/// The start time of a process in clock ticks since boot: the 22nd field of its stat, counted after the name in parentheses, which may
/// hold anything. None when that can't be read.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    fields.get(19)?.parse().ok()
}

/// True for a process that has died and whose exit code nobody has asked for yet.
fn is_zombie(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, after_name)| after_name.trim_start().starts_with(['Z', 'X']))
}

/// True when there is no process of this number. One of another user, which /proc may hide, is there.
fn is_absent(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

/// True when `incarnation` was of this boot and pid namespace, and is provably gone.
pub(super) fn is_gone(incarnation: &str) -> bool {
    let Some(host) = host() else { return false };
    let Some(rest) = incarnation.strip_prefix(&host).and_then(|rest| rest.strip_prefix(':')) else { return false };
    let Some((pid, start)) = rest.split_once(':') else { return false };
    match (pid.parse::<u32>(), start.parse::<u64>()) {
        (Ok(pid), Ok(start)) => {
            is_absent(pid) || is_zombie(pid) || start_time(pid).is_some_and(|another| another != start)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_not_gone() {
        assert!(!is_gone(&incarnation()));
    }

    #[test]
    fn another_start_under_the_same_pid_is_gone() {
        let (rest, start) = incarnation().rsplit_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let earlier: u64 = start.parse::<u64>().unwrap() - 1;
        assert!(is_gone(&format!("{rest}:{earlier}")));
    }

    #[test]
    fn a_process_that_ended_is_gone_before_anyone_asks_how() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let incarnation = format!("{}:{}:{}", host().unwrap(), child.id(), start_time(child.id()).unwrap());
        assert!(!is_gone(&incarnation));
        child.kill().unwrap();
        while !is_zombie(child.id()) {
            std::thread::yield_now();
        }
        assert!(is_gone(&incarnation));
        child.wait().unwrap();
        assert!(is_gone(&incarnation));
    }

    #[test]
    fn a_process_of_another_boot_or_container_is_left_to_its_heartbeat() {
        assert!(!is_gone("host:00000000-0000-0000-0000-000000000000:pid:[1]:1:1"));
        assert!(!is_gone("random:abc"));
    }
}
