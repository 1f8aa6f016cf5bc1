//! What can be done to jobs by hand, and what came of it.

use super::{BATCH, Filter, bulk, named};
use crate::cli::Global;
use crate::cli::database::Queue;
use crate::cli::exit::Exit;
use gritstone_store::{JobState, Selector};
use std::collections::BTreeSet;

/// Which jobs to change: ids, or a filter and `--all`.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Jobs, each by its own id or its row's number; `id:7` where its own id is a number
    #[arg(value_name = "ID", conflicts_with_all = ["state", "queue", "class", "after", "all", "limit"])]
    pub(super) ids: Vec<String>,
    #[command(flatten)]
    pub(super) filter: Filter,
    /// All jobs that match
    #[arg(long)]
    pub(super) all: bool,
    /// At most so many of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
}

/// What to do to jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Retry,
    Discard,
    RunNow,
}

impl Change {
    /// The states that jobs may be in, in the order in which they are gone through.
    pub(super) fn states(self) -> &'static [JobState] {
        match self {
            Change::Retry => &[JobState::Failed],
            Change::RunNow => &[JobState::Scheduled, JobState::Blocked],
            Change::Discard => {
                &[JobState::Failed, JobState::Scheduled, JobState::Blocked, JobState::Ready, JobState::Finished]
            }
        }
    }

    /// The states that are meant when none is said: what has finished is history, and not discarded by the way.
    pub(super) fn default_states(self) -> Vec<JobState> {
        self.states().iter().copied().filter(|state| *state != JobState::Finished).collect()
    }

    pub(super) fn doing(self) -> &'static str {
        match self {
            Change::Retry => "retrying jobs",
            Change::Discard => "discarding jobs",
            Change::RunNow => "running jobs at once",
        }
    }

    pub(super) fn subcommand(self) -> &'static str {
        match self {
            Change::Retry => "retry",
            Change::Discard => "discard",
            Change::RunNow => "run-now",
        }
    }

    /// Why a job in a state can't be changed so, and what could be done instead.
    pub(super) fn refusal(self, state: JobState) -> String {
        let name = state.name();
        match (self, state) {
            (Change::Retry, JobState::Scheduled | JobState::Blocked) => {
                format!("it is {name}; only failed jobs are retried: `gritstone jobs run-now` lets it run at once")
            }
            (Change::Retry, _) => format!("it is {name}; only failed jobs are retried"),
            (Change::RunNow, JobState::Failed) => {
                format!("it is {name}; only scheduled and blocked jobs are run at once: see `gritstone jobs retry`")
            }
            (Change::RunNow, _) => format!("it is {name}; only scheduled and blocked jobs are run at once"),
            (Change::Discard, JobState::Claimed) => {
                "a worker is running it; jobs are discarded in any other state".into()
            }
            (Change::Discard, _) => format!("it is {name}, and changed meanwhile"),
        }
    }
}

impl Which {
    pub(super) fn run(&self, change: Change, global: &Global) -> Result<(), Exit> {
        if !self.ids.is_empty() {
            return named::run(&self.ids, change, global);
        }
        let usage = |what: &str| {
            let name = change.subcommand();
            Err(Exit::Usage(format!(
                "{what}, as in `gritstone jobs {name} 42` or `gritstone jobs {name} --queue mail --all`"
            )))
        };
        if self.filter.is_empty() {
            return usage("say which jobs: their ids, or --state, --queue or --class together with --all");
        }
        if !self.all {
            return usage("add --all to change every job that matches");
        }
        if let Some(state) = self.filter.state
            && !change.states().contains(&state)
        {
            return Err(Exit::Usage(format!(
                "--state {}: {}",
                state.name(),
                change.refusal(state).replace("it is", "such a job is")
            )));
        }
        bulk::run(self, change, global)
    }
}

/// What became of jobs, as row ids.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) ready: BTreeSet<i64>,
    pub(super) blocked: BTreeSet<i64>,
    pub(super) discarded: BTreeSet<i64>,
}

impl Tally {
    /// What became of one of them; none when it was skipped.
    pub(super) fn of(&self, job_id: i64) -> Option<&'static str> {
        [(&self.ready, "ready"), (&self.blocked, "blocked"), (&self.discarded, "discarded")]
            .into_iter()
            .find(|(ids, _)| ids.contains(&job_id))
            .map(|(_, word)| word)
    }
}

impl Queue {
    /// Changes these jobs, [`BATCH`] in a transaction, and lets go on what waited for them.
    pub(super) async fn change(&mut self, change: Change, job_ids: &[i64]) -> Result<Tally, Exit> {
        let mut tally = Tally::default();
        for batch in job_ids.chunks(BATCH as usize) {
            if change == Change::Discard {
                let discarded = self.session.discard(batch).await?;
                tally.discarded.extend(discarded.discarded);
                self.hand_on(discarded.signals, &discarded.batch_ids).await?;
                continue;
            }
            let retried = match change {
                Change::Retry => self.session.retry_failed(batch).await?,
                _ => self.session.run_now(batch).await?,
            };
            if !retried.ready.is_empty() {
                let queues = self.session.resolve_queues(&[Selector::All]).await?;
                self.wake(&queues.into_iter().collect()).await;
            }
            tally.ready.extend(retried.ready);
            tally.blocked.extend(retried.blocked);
            tally.discarded.extend(retried.discarded);
        }
        Ok(tally)
    }
}
