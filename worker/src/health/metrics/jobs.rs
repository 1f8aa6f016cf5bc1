//! Runs of jobs, by the entry of `queues` that their queue belongs to.

use gritstone_store::Selector;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// From a millisecond to an hour: what runs take differs by a factor of a million.
const BUCKETS: [f64; 14] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0];

/// The label of a queue that no entry includes, as when the entry was taken away while its job ran.
const OTHER: &str = "other";

type Outcomes = Family<[(&'static str, String); 2], Counter>;
type Durations = Family<[(&'static str, String); 1], Histogram, fn() -> Histogram>;

/// How a run ended, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It did its work.
    Done,
    /// It did not, and runs again; used an attempt.
    Retry,
    /// It failed for good.
    Fail,
    /// It was cut short, and runs again.
    Interrupt,
    /// It was given back without having been run, or to be run later.
    Release,
}

impl Ended {
    const ALL: [Ended; 5] = [Ended::Done, Ended::Retry, Ended::Fail, Ended::Interrupt, Ended::Release];

    fn name(self) -> &'static str {
        match self {
            Ended::Done => "done",
            Ended::Retry => "retry",
            Ended::Fail => "fail",
            Ended::Interrupt => "interrupt",
            Ended::Release => "release",
        }
    }
}

/// Runs of jobs.
#[derive(Clone, Debug)]
pub struct Jobs {
    outcomes: Outcomes,
    durations: Durations,
    running: Gauge,
    threads: Gauge,
}

/// The same for one worker, whose queues are known.
#[derive(Clone, Debug)]
pub struct QueueJobs {
    entries: Vec<(Selector, Series)>,
    other: Series,
    running: Gauge,
}

/// What is counted of one entry. Looked up once: a run is to cost nothing but a few additions.
#[derive(Clone, Debug)]
struct Series {
    outcomes: [Counter; 5],
    duration: Histogram,
}

/// Adds to a gauge for as long as it is there.
#[derive(Debug)]
pub struct Part {
    gauge: Gauge,
    size: i64,
}

impl Part {
    fn of(gauge: &Gauge, size: i64) -> Self {
        gauge.inc_by(size);
        Part { gauge: gauge.clone(), size }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.gauge.dec_by(self.size);
    }
}

impl Jobs {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let jobs = Jobs {
            outcomes: Outcomes::default(),
            durations: Durations::new_with_constructor(|| Histogram::new(BUCKETS)),
            running: Gauge::default(),
            threads: Gauge::default(),
        };
        registry.register("gritstone_jobs", "Runs that ended, by how", jobs.outcomes.clone());
        registry.register("gritstone_job_duration_seconds", "How long runs took", jobs.durations.clone());
        registry.register("gritstone_jobs_running", "Threads that run a job", jobs.running.clone());
        registry.register("gritstone_threads", "Jobs that can run at a time", jobs.threads.clone());
        jobs
    }

    /// For a worker of these queues.
    pub fn of(&self, queues: &[Selector]) -> QueueJobs {
        let includes = |entry: &&Selector| !matches!(entry, Selector::Exclude(_) | Selector::ExcludePrefix(_));
        let entries = queues.iter().filter(includes);
        QueueJobs {
            entries: entries.map(|entry| (entry.clone(), self.series(&entry.to_string()))).collect(),
            other: self.series(OTHER),
            running: self.running.clone(),
        }
    }

    /// Counts a worker's threads for as long as the result is kept.
    pub fn threads(&self, threads: u32) -> Part {
        Part::of(&self.threads, threads.into())
    }

    fn series(&self, queue: &str) -> Series {
        let labels = |ended: Ended| [("queue", queue.to_owned()), ("outcome", ended.name().to_owned())];
        Series {
            outcomes: Ended::ALL.map(|ended| self.outcomes.get_or_create_owned(&labels(ended))),
            duration: self.durations.get_or_create_owned(&[("queue", queue.to_owned())]),
        }
    }
}

impl QueueJobs {
    /// Counts a run as under way for as long as the result is kept.
    pub fn running(&self) -> Part {
        Part::of(&self.running, 1)
    }

    /// Counts a run.
    pub fn ended(&self, queue: &str, ended: Ended, took: Duration) {
        let entry = self.entries.iter().find(|(entry, _)| entry.includes(queue));
        let series = entry.map_or(&self.other, |(_, series)| series);
        series.outcomes[ended as usize].inc();
        // What was given back tells nothing of how long runs take.
        if ended != Ended::Release {
            series.duration.observe(took.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Metrics, value};
    use super::*;

    #[test]
    fn runs_are_counted_by_outcome_under_the_entry_that_took_their_queue() {
        let metrics = Metrics::default();
        let queues = [Selector::Exact("urgent".into()), Selector::Exclude("x".into()), Selector::Prefix("mail".into())];
        let jobs = metrics.jobs.of(&queues);
        for queue in ["urgent", "mail_fast", "mail_slow", "gone"] {
            jobs.ended(queue, Ended::Done, Duration::from_millis(20));
        }
        jobs.ended("urgent", Ended::Interrupt, Duration::from_secs(20));
        let count = |queue: &str, outcome: &str| {
            value(&metrics, &format!("gritstone_jobs_total{{queue=\"{queue}\",outcome=\"{outcome}\"}}"))
        };
        assert_eq!(count("urgent", "done"), Some(1.0));
        assert_eq!(count("urgent", "interrupt"), Some(1.0));
        assert_eq!(count("mail*", "done"), Some(2.0));
        assert_eq!(count("other", "done"), Some(1.0));
        assert_eq!(count("mail*", "fail"), Some(0.0), "what has not happened is 0, not absent");
        assert_eq!(count("!x", "done"), None);
        assert_eq!(value(&metrics, "gritstone_job_duration_seconds_bucket{queue=\"urgent\",le=\"1\"}"), Some(1.0));
    }

    #[test]
    fn busy_threads_are_counted_however_their_runs_end() {
        let metrics = Metrics::default();
        let threads = metrics.jobs.threads(5);
        let jobs = metrics.jobs.of(&[]);
        let (one, two) = (jobs.running(), jobs.running());
        drop(one);
        assert_eq!(value(&metrics, "gritstone_jobs_running"), Some(1.0));
        assert_eq!(value(&metrics, "gritstone_threads"), Some(5.0));
        drop((two, threads));
        assert_eq!(value(&metrics, "gritstone_jobs_running"), Some(0.0));
        assert_eq!(value(&metrics, "gritstone_threads"), Some(0.0));
    }
}
