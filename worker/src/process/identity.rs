//! Who a process is, so that nobody mistakes it for its successor, nor a live one for dead.

use gritstone_store::{Identity, Incarnation, Pod};
use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs;
use std::sync::OnceLock;

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

/// Where it runs and since when, or random where /proc doesn't tell.
///
/// Whoever runs in the same boot and the same pid namespace can look whether that process is still there, which is
/// proof; so can the next start in the same pod, and Kubernetes' word of the container's end. Anyone else has to wait for its
/// heartbeat to age.
fn incarnation() -> String {
    let pid = std::process::id();
    match (host(), start_time(pid)) {
        (Some(host), Some(start)) => Incarnation { host, pid, start, at: Some(first_asked()) }.to_string(),
        _ => format!("random:{}", uuid::Uuid::new_v4()),
    }
}

/// A moment of this process's life, by this machine's clock, and always the same.
fn first_asked() -> Timestamp {
    static ASKED: OnceLock<Timestamp> = OnceLock::new();
    *ASKED.get_or_init(Timestamp::now)
}

/// The boot and the pid namespace.
fn host() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}:{}", boot.trim(), namespace.display()))
}

/// The pod that this process runs in.
pub(super) fn own_pod() -> Option<Pod> {
    let Identity { cluster_id, namespace, pod, pod_uid, .. } = host_identity();
    Some(Pod { cluster_id: cluster_id?, namespace: namespace?, name: pod?, uid: pod_uid? })
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
    let Ok(Incarnation { host: there, pid, start, .. }) = incarnation.parse() else { return false };
    host().is_some_and(|here| here == there)
        && (is_absent(pid) || is_zombie(pid) || start_time(pid).is_some_and(|another| another != start))
}

/// True when `incarnation`, which ran in this very pod, was of a container before this one: each start has a pid namespace of its own, and the
/// kubelet starts none before the last has ended. For a pod with one container that is told who its pod is, as the operator makes them.
pub(super) fn is_predecessor(incarnation: &str) -> bool {
    let Ok(Incarnation { host: there, .. }) = incarnation.parse() else { return false };
    host().is_some_and(|here| here != there)
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
        let mut earlier: Incarnation = incarnation().parse().unwrap();
        earlier.start -= 1;
        assert!(is_gone(&earlier.to_string()));
    }

    #[test]
    fn a_process_that_ended_is_gone_before_anyone_asks_how() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let (host, pid, start) = (host().unwrap(), child.id(), start_time(child.id()).unwrap());
        let incarnation = Incarnation { host, pid, start, at: None }.to_string();
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

    #[test]
    fn another_container_of_the_same_pod_was_before_this_one() {
        assert!(is_predecessor("host:00000000-0000-0000-0000-000000000000:pid:[1]:1:1"));
        assert!(!is_predecessor(&incarnation()));
        assert!(!is_predecessor("random:abc"));
    }
}
