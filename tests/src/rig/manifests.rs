//! The manifests of a site.

use std::time::Duration;

/// A worker and a dispatcher, as manifests say them.
#[derive(Debug, Clone)]
pub struct Crew {
    /// Jobs at a time in each worker.
    pub threads: u32,
    /// Jobs claimed beyond those; what the engine thinks best when absent.
    pub prefetch: Option<u32>,
    /// How many workers `gritstone start` runs.
    pub workers: u32,
    /// How long a stopping worker lets jobs finish.
    pub drain: Duration,
    /// `Retry` or `Fail`.
    pub dead_worker_policy: &'static str,
    /// How often processes say that they live.
    pub heartbeat: Duration,
    /// After what silence they count as dead.
    pub alive_threshold: Duration,
}

impl Default for Crew {
    fn default() -> Self {
        Crew {
            threads: 3,
            prefetch: None,
            workers: 1,
            drain: Duration::from_secs(5),
            dead_worker_policy: "Retry",
            heartbeat: Duration::from_secs(15),
            alive_threshold: Duration::from_secs(120),
        }
    }
}

impl Crew {
    /// The manifests, both named `crew`, whose worker runs `command`.
    pub(super) fn manifests(&self, command: &[&str]) -> [(&'static str, String); 2] {
        let milliseconds = |duration: Duration| format!("{}ms", duration.as_millis());
        let command = serde_json::Value::from(command).to_string();
        let prefetch = self.prefetch.map(|prefetch| format!("  prefetch: {prefetch}\n")).unwrap_or_default();
        let worker = format!(
            "apiVersion: gritstone.dev/v1alpha1\nkind: QueueWorker\nmetadata: {{name: crew}}\nspec:\n  queues: [\"*\"]\n  \
             threads: {}\n{prefetch}  replicas: {}\n  pollingInterval: 50ms\n  drainTimeout: {}\n  deadWorkerPolicy: {}\n  handler:\n    \
             process: {{command: {command}}}\n",
            self.threads,
            self.workers,
            milliseconds(self.drain),
            self.dead_worker_policy,
        );
        let dispatcher = format!(
            "apiVersion: gritstone.dev/v1alpha1\nkind: Dispatcher\nmetadata: {{name: crew}}\nspec:\n  pollingInterval: 100ms\n  \
             processes: {{heartbeatInterval: {}, aliveThreshold: {}}}\n",
            milliseconds(self.heartbeat),
            milliseconds(self.alive_threshold),
        );
        [("worker.yaml", worker), ("dispatcher.yaml", dispatcher)]
    }
}
