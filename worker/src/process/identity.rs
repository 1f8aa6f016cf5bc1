//! Who a process is, so that nobody mistakes it for its successor, nor a live one for dead.

use gritstone_store::Identity;
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
/// hold anything.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    // A zombie has died; nobody has asked for its exit code yet.
    if fields.first() == Some(&"Z") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

/// True when `incarnation` was of this boot and pid namespace, and is provably gone.
pub(super) fn is_gone(incarnation: &str) -> bool {
    let Some(host) = host() else { return false };
    let Some(rest) = incarnation.strip_prefix(&host).and_then(|rest| rest.strip_prefix(':')) else { return false };
    let Some((pid, start)) = rest.split_once(':') else { return false };
    match (pid.parse::<u32>(), start.parse::<u64>()) {
        (Ok(pid), Ok(start)) => start_time(pid) != Some(start),
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
    fn a_process_of_another_boot_or_container_is_left_to_its_heartbeat() {
        assert!(!is_gone("host:00000000-0000-0000-0000-000000000000:pid:[1]:1:1"));
        assert!(!is_gone("random:abc"));
    }
}
