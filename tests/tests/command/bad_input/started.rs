//! A queue that is being worked on.

use crate::support::Home;
use gritstone_store::{JobError, JobState};
use gritstone_tests::rig::until;
use std::fs::File;
use std::path::PathBuf;
use std::process::Child;

/// `gritstone start` on a queue; ends with its test.
pub struct Started {
    pub home: Home,
    log: PathBuf,
    process: Child,
}

impl Started {
    /// With one job in the queue.
    pub fn with(arguments: &[&str]) -> Started {
        let home = Home::new();
        home.run(&["enqueue", "A"]).ok();
        Started::on(home, arguments)
    }

    pub fn on(home: Home, arguments: &[&str]) -> Started {
        let log = home.path("log");
        let mut command = home.command(&[&["start"], arguments].concat());
        let process = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
        Started { home, log, process }
    }

    /// On a worker with this handler, one thread, and whatever else its manifest says.
    pub fn handler(home: Home, handler: &str, rest: &str) -> Started {
        let manifest = format!(
            "apiVersion: gritstone.dev/v1alpha1\nkind: QueueWorker\nmetadata: {{name: odd}}\n\
             spec: {{threads: 1, {rest} handler: {handler}}}\n"
        );
        let manifest = home.write("worker.yaml", &manifest);
        Started::on(home, &["-f", manifest.to_str().unwrap()])
    }

    pub async fn says(&self, text: &str) {
        let log = async || std::fs::read_to_string(&self.log).ok().filter(|log| log.contains(text));
        until(&format!("the log says {text}"), log).await;
    }

    pub async fn becomes(&self, state: JobState) {
        until("the job's state", async || self.home.state(1).await.filter(|now| *now == state)).await;
    }

    /// The error that the job failed with.
    pub async fn failure(&self) -> JobError {
        self.becomes(JobState::Failed).await;
        self.home.job(1).await.unwrap().error.unwrap()
    }

    /// The most memory that it ever had, in bytes.
    pub fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    pub fn stop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.process.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
