//! What the kernel says of this process and its container, read when someone asks. What it doesn't say is left out.

use nix::sys::resource::{UsageWho, getrusage};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A memory limit of version 1 is a number in any case; without one it is just below 2^63.
const NO_LIMIT: u64 = 1 << 60;

#[derive(Debug)]
struct Host {
    started: Duration,
}

pub(super) fn register(registry: &mut Registry) {
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("gritstone_build", "The version of this program", version);
    let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    registry.register_collector(Box::new(Host { started }));
}

impl Collector for Host {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut gauge = |name: &str, help: &str, value: Option<f64>| match value {
            Some(value) => {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
            }
            None => Ok(()),
        };
        gauge(
            "process_start_time_seconds",
            "When this process started, since 1970.",
            Some(self.started.as_secs_f64()),
        )?;
        gauge(
            "process_resident_memory_bytes",
            "Memory that this process has, without its children.",
            resident_memory(),
        )?;
        gauge("process_open_fds", "File descriptors that are open.", open_files())?;
        let memory = Memory::look();
        gauge(
            "gritstone_memory_bytes",
            "Memory of the whole container, handlers and page cache included.",
            memory.used,
        )?;
        gauge("gritstone_memory_limit_bytes", "The container's limit of memory, where it has one.", memory.limit)?;
        if let Some(seconds) = processor_time() {
            let help = "Time on processors of this process, without its children.";
            let counter = ConstCounter::new(seconds);
            counter.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

fn processor_time() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Some(seconds(usage.user_time()) + seconds(usage.system_time()))
}

fn resident_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn open_files() -> Option<f64> {
    // The one that this opens is not counted.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

/// The memory of the control group.
#[derive(Debug, Default, PartialEq)]
struct Memory {
    used: Option<f64>,
    limit: Option<f64>,
}

impl Memory {
    fn look() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Memory::of(&groups, Path::new("/sys/fs/cgroup"))
    }

    /// As `/proc/self/cgroup` names the groups. In a container the folder itself is often the container's, whatever the path says.
    fn of(groups: &str, root: &Path) -> Self {
        let mut places: Vec<(PathBuf, [&str; 2])> = Vec::new();
        for line in groups.lines() {
            let Some((controllers, path)) = line.split_once(':').and_then(|(_, rest)| rest.split_once(':')) else {
                continue;
            };
            let path = path.trim_start_matches('/');
            if controllers.split(',').any(|controller| controller == "memory") {
                let files = ["memory.usage_in_bytes", "memory.limit_in_bytes"];
                places.push((root.join("memory").join(path), files));
                places.push((root.join("memory"), files));
            } else if controllers.is_empty() {
                let files = ["memory.current", "memory.max"];
                places.push((root.join(path), files));
                places.push((root.to_owned(), files));
            }
        }
        let number = |folder: &Path, file: &str| -> Option<u64> {
            fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
        };
        let found =
            places.iter().find_map(|(folder, [used, limit])| Some((number(folder, used)?, number(folder, limit))));
        let Some((used, limit)) = found else { return Memory::default() };
        Memory { used: Some(used as f64), limit: limit.filter(|limit| *limit < NO_LIMIT).map(|limit| limit as f64) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Metrics, value};
    use super::*;

    #[test]
    fn the_process_is_described_under_the_usual_names() {
        let metrics = Metrics::default();
        for name in ["process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"] {
            assert!(value(&metrics, name).is_some_and(|value| value > 0.0), "{name}");
        }
        assert!(value(&metrics, "process_cpu_seconds_total").is_some());
    }

    /// A folder of control groups with these files.
    fn groups(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        root
    }

    #[test]
    fn the_containers_limit_is_read_in_both_versions_of_control_groups() {
        let limited = Memory { used: Some(1_000.0), limit: Some(5_000.0) };
        let unlimited = Memory { used: Some(1_000.0), limit: None };
        let two = groups(&[("memory.current", "1000\n"), ("memory.max", "5000\n")]);
        assert_eq!(Memory::of("0::/\n", two.path()), limited);
        let none = groups(&[("a/memory.current", "1000\n"), ("a/memory.max", "max\n")]);
        assert_eq!(Memory::of("0::/a\n", none.path()), unlimited);
        let one = groups(&[("memory/memory.usage_in_bytes", "1000"), ("memory/memory.limit_in_bytes", "5000")]);
        assert_eq!(Memory::of("9:cpu,cpuacct:/x\n8:memory:/kubepods/pod1\n0::/x\n", one.path()), limited);
        let none = groups(&[
            ("memory/memory.usage_in_bytes", "1000"),
            ("memory/memory.limit_in_bytes", "9223372036854771712"),
        ]);
        assert_eq!(Memory::of("8:memory:/\n", none.path()), unlimited);
        assert_eq!(Memory::of("", Path::new("/nowhere")), Memory::default());
    }
}
