//! What the handler wrote down.

use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A file that handlers append to.
#[derive(Debug, Clone)]
pub struct Ledger {
    path: PathBuf,
}

/// One run of a job, as its handler saw it.
#[derive(Debug, Clone)]
pub struct Run {
    /// The Active Job id.
    pub job: String,
    /// The claim's row.
    pub claim: i64,
    /// What the engine told the handler of earlier runs that were cut short.
    pub interruptions: u32,
    /// The handler's process.
    pub pid: i32,
    /// Seconds on the machine's monotonic clock.
    pub started_at: f64,
    /// The last sign of it.
    pub last_seen_at: f64,
    /// It came to its end.
    pub ended: bool,
    /// It was told to stop, and did.
    pub stopped: bool,
    /// A process that it started.
    pub grandchild: Option<i32>,
    /// Positions of its first and last lines.
    lines: (usize, usize),
}

#[derive(Deserialize)]
struct Line {
    what: String,
    id: String,
    claim: i64,
    interruptions: u32,
    pid: i32,
    at: f64,
}

impl Ledger {
    /// The ledger in this file.
    pub fn at(path: PathBuf) -> Ledger {
        Ledger { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// All runs so far, in the order of their starts.
    ///
    /// # Panics
    /// When a line can't be read: then the handler is broken, and nothing else matters.
    pub fn runs(&self) -> Vec<Run> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let mut runs: Vec<Run> = Vec::new();
        let mut by_claim: HashMap<(String, i64), usize> = HashMap::new();
        // A last line without an end is being written.
        for (position, text) in text.split_inclusive('\n').filter(|line| line.ends_with('\n')).enumerate() {
            let line: Line =
                serde_json::from_str(text).unwrap_or_else(|error| panic!("the ledger has {text}: {error}"));
            let key = (line.id.clone(), line.claim);
            if line.what == "start" {
                by_claim.insert(key.clone(), runs.len());
                runs.push(Run {
                    job: line.id,
                    claim: line.claim,
                    interruptions: line.interruptions,
                    pid: line.pid,
                    started_at: line.at,
                    last_seen_at: line.at,
                    ended: false,
                    stopped: false,
                    grandchild: None,
                    lines: (position, position),
                });
            }
            let Some(run) = by_claim.get(&key).and_then(|index| runs.get_mut(*index)) else { continue };
            run.lines.1 = position;
            run.last_seen_at = line.at;
            run.ended |= line.what == "end";
            run.stopped |= line.what == "stopped";
            if let Some(pid) = line.what.strip_prefix("grandchild ") {
                run.grandchild = pid.parse().ok();
            }
        }
        runs
    }

    /// The runs of each job, in order.
    pub fn runs_by_job(&self) -> HashMap<String, Vec<Run>> {
        let mut by_job: HashMap<String, Vec<Run>> = HashMap::new();
        for run in self.runs() {
            by_job.entry(run.job.clone()).or_default().push(run);
        }
        by_job
    }

    /// The runs of one job, in order.
    pub fn runs_of(&self, job: &str) -> Vec<Run> {
        self.runs().into_iter().filter(|run| run.job == job).collect()
    }
}

impl Run {
    /// True when this run still gave a sign after `next`, a later one of the same job, had begun.
    pub fn overlaps(&self, next: &Run) -> bool {
        self.lines.1 > next.lines.0
    }

    /// True while nothing says that it is over.
    pub fn is_open(&self) -> bool {
        !self.ended && !self.stopped
    }
}
